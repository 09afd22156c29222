"""What the public URL answers: the two published documents, as the bucket holds them now.

The store is asked for every answer. When it fails, holds nothing, or holds what must not be
served (no JSON, no keys, a private key, a revision lower than one served before: rule 6), the
last good copy stands in, until ``ORIGIN_STALENESS`` after its read began; then, and before the
first key exists, the answer is 503. Never an empty set: a reader would drop keys that it needs.

Rule 1 adds up the origin's staleness and max-age. The sum holds because both count from the same
read: a copy leaves here at most ``ORIGIN_STALENESS`` old, whoever gets it keeps it for the
max-age that it was read with, and an object that names none may not be kept at all. So each age
is judged when the answer leaves; a read that fails slowly must not stretch it.

Nothing is derived from the request but the path and If-None-Match; the host that was asked chooses
between issuers that were published, while there are two (``publication.as_served``).
"""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from machine_identity.aws import AwsError
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH, as_served, object_key

if TYPE_CHECKING:
    from machine_identity.aws.s3 import Document

ORIGIN_STALENESS: Final = timedelta(minutes=5)
"""How old a copy may be that is served; ``Policy.origin_staleness`` counts on it."""
SLOW: Final = timedelta(seconds=1)
"""A read that fails after longer than this costs readers their own time-outs."""
REST_INTERVAL: Final = timedelta(seconds=10)
"""How long a store that fails slowly is left alone while a good copy is at hand."""
RETRY_AFTER: Final = timedelta(seconds=30)

_UNNAMED: Final = "no-store"
"""For an object without Cache-Control: rule 1 cannot count with what nobody wrote."""
_REQUIRED: Final = {CONFIGURATION_PATH: ("issuer", "jwks_uri")}
_PRIVATE: Final = frozenset({"d", "k"})
"""In every private RSA, EC or OKP key and in every secret one (RFC 7518 section 6)."""
_OPAQUE_TAG: Final = re.compile(r'"[!#-~\x80-\xff]*"')
"""RFC 9110 section 8.8.3; a tag may hold commas, so lists are not split at them."""


class Store(Protocol):
    """A store of small documents."""

    def read(self, key: str) -> "Document | None":
        """Return the document, or None if there is none. Raises AwsError."""
        ...


class Clock(Protocol):
    """Time; the module ``clock`` is one."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A document that was good when its read began."""

    text: str = field(repr=False)
    content: dict[str, Any] = field(repr=False)
    """What the text says."""
    cache_control: str
    revision: int
    read_at: datetime

    @property
    def entity_tag(self) -> str:
        """The strong validator (RFC 9110 section 8.8.1): a hash of the content."""
        return f'"{hashlib.sha256(self.text.encode()).hexdigest()}"'

    def may_leave(self, now: datetime) -> bool:
        """Whether it is young enough; a copy from the future tells nothing about its age."""
        return timedelta() <= now - self.read_at <= ORIGIN_STALENESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What to serve; ``fault`` says why it is not what stands in the store now."""

    copy: Copy
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """There is nothing that may be served."""

    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: HTTPStatus
    headers: dict[str, str]
    text: str = field(default="", repr=False)


class _FaultError(Exception):
    """What was read, or not read, cannot be served."""


class Origin:
    """The origin server of one identity's documents."""

    def __init__(self, *, store: Store, identity: str, clock: Clock) -> None:
        self._store = store
        self._identity = identity
        self._clock = clock
        self._copies: dict[str, Copy] = {}
        self._rest: tuple[datetime, str] | None = None

    def find(self, path: str, host: str = "") -> Found | Unavailable:
        """Return what to serve at ``host`` under ``path``, one of the two of ``publication``."""
        found = self._find(path)
        if isinstance(found, Unavailable) or path != CONFIGURATION_PATH:
            return found
        return replace(found, copy=_of_host(found.copy, host))

    def _find(self, path: str) -> Found | Unavailable:
        began_at = self._clock.now()
        copy = self._copies.get(path)
        if copy is not None and copy.may_leave(began_at) and (fault := self._resting(began_at)):
            return Found(copy=copy, fault=fault)
        try:
            self._copies[path] = self._read(path, began_at, copy)
        except _FaultError as error:
            fault, now = str(error), self._clock.now()
        else:
            self._rest = None
            return Found(copy=self._copies[path])
        self._rest = (now, fault) if now - began_at >= SLOW else None
        if copy is not None and copy.may_leave(now):
            return Found(copy=copy, fault=fault)
        return Unavailable(fault=fault)

    def _resting(self, now: datetime) -> str | None:
        """Return the fault for which the store is left alone at present, if there is one."""
        if self._rest is None or not timedelta() <= now - self._rest[0] < REST_INTERVAL:
            return None
        return self._rest[1]

    def _read(self, path: str, now: datetime, last: Copy | None) -> Copy:
        try:
            document = self._store.read(object_key(self._identity, path))
        except AwsError as error:
            raise _FaultError(str(error)) from error
        if document is None:
            raise _FaultError("there is no such document")
        try:
            text = document.body.decode()
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _FaultError("the document is not JSON") from error
        cache_control = document.cache_control or _UNNAMED
        revision = _revision(path, content)
        if last is not None and revision < last.revision:
            raise _FaultError(f"revision {revision} is lower than {last.revision} before (rule 6)")
        return Copy(
            text=text,
            content=content,
            cache_control=cache_control,
            revision=revision,
            read_at=now,
        )


def _of_host(copy: Copy, host: str) -> Copy:
    """Return the discovery document as it is for that host; to the byte, if it is for all."""
    served = as_served(copy.content, host)
    if served == copy.content:
        return copy
    return replace(copy, text=json.dumps(served, indent=2, sort_keys=True), content=served)


def answer(found: Found | Unavailable, *, if_none_match: str | None = None) -> Answer:
    """Return the answer to GET (RFC 9110 sections 13.1.2 and 8.8.3.2): 200, 304 or 503."""
    if isinstance(found, Unavailable):
        text = problem("temporarily_unavailable", "the document is not to be had at present")
        after = str(int(RETRY_AFTER.total_seconds()))
        headers = {"cache-control": "no-store", "retry-after": after}
        return Answer(status=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers, text=text)
    copy = found.copy
    headers = {"cache-control": copy.cache_control, "etag": copy.entity_tag}
    if _matches(if_none_match or "", copy.entity_tag):
        return Answer(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Answer(status=HTTPStatus.OK, headers=headers, text=copy.text)


def problem(code: str, message: str) -> str:
    """Return the body of an answer that is no document."""
    return json.dumps({"error": code, "message": message})


def _matches(if_none_match: str, entity_tag: str) -> bool:
    """Compare with one tag, a list of them, or ``*``; weakly: ``W/`` makes no difference."""
    return if_none_match.strip() == "*" or entity_tag in _OPAQUE_TAG.findall(if_none_match)


def _revision(path: str, content: object) -> int:
    """Return the revision of a document that may be served, 0 if it has none; else _FaultError."""
    if not isinstance(content, dict):
        raise _FaultError("the document is not a JSON object")
    if path == JWKS_PATH:
        _check_keys(content.get("keys"))
    for name in _REQUIRED.get(path, ()):
        if not isinstance(content.get(name), str):
            raise _FaultError(f"the document does not name its {name}")
    revision = content.get("revision", 0)
    if type(revision) is not int:
        raise _FaultError("the document's revision is not a whole number")
    return revision


def _check_keys(keys: object) -> None:
    if not (isinstance(keys, list) and keys and all(isinstance(key, dict) for key in keys)):
        raise _FaultError("the document is a key set without keys")
    if any(_PRIVATE & key.keys() for key in keys):
        raise _FaultError("the document holds a private key")
