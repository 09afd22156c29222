"""What the signer saw: one JSON document an identity, in the private bucket.

The token function alone writes it and rotation alone acts on it, so that the signer, which may
neither promote nor publish a key, can still say what came of signing with one (rules 2, 8 and 9).
A trial is the last that is known of one client and one key: a run of successes, or a run of
refusals, never both. ``revision`` grows with every write, as the keyring's does.

It holds names, instants, error codes and certificates. What a server said in its own words, a
token or an assertion never gets in here. It judges nothing: see ``canary``, ``fallback`` and
``uploads``.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from machine_identity.errors import MachineIdentityError

VERSION: Final = 1
_MOST: Final = 2**62
_FIRST_YEAR, _END_OF_YEARS = 1970, 9000
"""Far enough from where Python's end that any wait can be added to an instant."""
_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, RecursionError)
_CODE: Final = re.compile(r"[a-z0-9_]{0,64}")
"""An ``error`` of RFC 6749 section 5.2, or one of ours."""


class TestimonyError(MachineIdentityError):
    """The document is no testimony."""

    __test__ = False  # pytest takes it for a test by its name


class NewerTestimonyError(TestimonyError):
    """Newer code wrote the document: this code neither reads nor replaces it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How one key fares with one client: as many successes, or refusals, as came in a row."""

    client: str
    kid: str
    registration: str = ""
    """Which server and client that name stood for, as a digest: another one proves nothing."""
    first_success_at: datetime | None = None
    """The first since the last refusal."""
    last_success_at: datetime | None = None
    refused_at: datetime | None = None
    """The last refusal, if none but refusals followed; a request without an answer is one."""
    refusals: int = 0
    code: str = ""
    """Why the key was refused the last time."""
    active_refused: bool = False
    """Whether the active key was refused in the same breath: then it is not the key's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """The active key was refused and the previous one taken in its place (rule 9)."""

    kid: str
    """The active key."""
    previous: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """The certificate of one key, made as the keyring orders, before anybody is shown it."""

    kid: str
    der: str = field(repr=False)
    """In base64. Made again it may be another one, by another name; so this one is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """How far one key has come at the server of one client to which keys are brought."""

    client: str
    kid: str
    registration: str
    """As a trial's."""
    asked_at: datetime | None = None
    """When the server was last asked to take it, if it may have: written before it is asked."""
    asked: int = 0
    """How often it was, and did not refuse."""
    added_at: datetime | None = None
    """When it said that it had; None if it did not, or if its answer was lost."""
    key_id: str = ""
    """What the server calls the key, where it has a name of its own for it."""
    ended_at: datetime | None = None
    """When the key was gone there, or nothing more could be done about it."""
    failures: int = 0
    """How often in a row it came to nothing."""
    failed_at: datetime | None = None
    code: str = ""
    """Why, the last time; or what was left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the server of one client told of all the keys that it has of it."""

    client: str
    at: datetime
    strangers: tuple[str, ...] = ()
    """The names of those that are none of ours."""
    is_told: bool = True
    """False: it does not tell, since that may need a right of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """All that the signer has to say."""

    __test__ = False

    revision: int = 0
    keyring_revision: int = 0
    """The keyring's highest that the signer has read: a lower one was rolled back (rule 6)."""
    issuer: str = ""
    """Which URL that one had assertions name: where all else is lost, it tells."""
    trials: tuple[Trial, ...] = ()
    fallback: Fallback | None = None
    """The last one."""
    strangers: tuple[str, ...] = ()
    """Published kids that the keyring did not know when somebody last looked (rule 8)."""
    certificates: tuple[Certified, ...] = ()
    uploads: tuple[Upload, ...] = ()
    listings: tuple[Listing, ...] = ()


def object_key(identity: str) -> str:
    """Return where in the bucket the testimony of an identity stands."""
    return f"{identity}/evidence.json"


def serialise(testimony: Testimony) -> bytes:
    """Return the testimony as a JSON document; instants in ISO 8601."""
    members = {"version": VERSION, **asdict(testimony)}
    return json.dumps(members, indent=2, sort_keys=True, default=datetime.isoformat).encode()


def parse(body: bytes) -> Testimony:
    """Read the document that ``serialise`` writes.

    Raises TestimonyError, which repeats nothing of the document, and NewerTestimonyError.
    """
    try:
        members = json.loads(body)
        version = _count(members["version"])
        testimony = _testimony(members) if version == VERSION else None
    except _UNREADABLE as error:
        raise TestimonyError(f"the testimony cannot be read: {type(error).__name__}") from None
    if testimony is None:
        kind = NewerTestimonyError if version > VERSION else TestimonyError
        raise kind(f"the testimony's version is {version}, not {VERSION}")
    tried = {(each.client, each.kid) for each in testimony.trials}
    if len(tried) < len(testimony.trials):
        raise TestimonyError("the testimony tells of a client and a key twice")
    return testimony


def _testimony(members: dict[str, Any]) -> Testimony:
    fallback = members["fallback"]
    return Testimony(
        revision=_count(members["revision"]),
        keyring_revision=_count(members["keyring_revision"]),
        issuer=_text(members["issuer"]),
        trials=tuple(_trial(each) for each in members["trials"]),
        fallback=None if fallback is None else _fallback(fallback),
        strangers=_texts(members["strangers"]),
        certificates=tuple(
            Certified(kid=_text(each["kid"]), der=_text(each["der"]))
            for each in members["certificates"]
        ),
        uploads=tuple(_upload(each) for each in members["uploads"]),
        listings=tuple(_listing(each) for each in members["listings"]),
    )


def _upload(members: dict[str, Any]) -> Upload:
    return Upload(
        client=_text(members["client"]),
        kid=_text(members["kid"]),
        registration=_text(members["registration"]),
        asked_at=_moment(members["asked_at"]),
        asked=_count(members["asked"]),
        added_at=_moment(members["added_at"]),
        key_id=_text(members["key_id"]),
        ended_at=_moment(members["ended_at"]),
        failures=_count(members["failures"]),
        failed_at=_moment(members["failed_at"]),
        code=_code(members["code"]),
    )


def _listing(members: dict[str, Any]) -> Listing:
    return Listing(
        client=_text(members["client"]),
        at=_instant(members["at"]),
        strangers=_texts(members["strangers"]),
        is_told=_flag(members["is_told"]),
    )


def _trial(members: dict[str, Any]) -> Trial:
    return Trial(
        client=_text(members["client"]),
        kid=_text(members["kid"]),
        registration=_text(members["registration"]),
        first_success_at=_moment(members["first_success_at"]),
        last_success_at=_moment(members["last_success_at"]),
        refused_at=_moment(members["refused_at"]),
        refusals=_count(members["refusals"]),
        code=_code(members["code"]),
        active_refused=_flag(members["active_refused"]),
    )


def _fallback(members: dict[str, Any]) -> Fallback:
    return Fallback(
        kid=_text(members["kid"]),
        previous=_text(members["previous"]),
        at=_instant(members["at"]),
    )


def _texts(values: list[object]) -> tuple[str, ...]:
    return tuple(_text(each) for each in values)


def _code(value: object) -> str:
    if not _CODE.fullmatch(code := _text(value)):
        raise ValueError
    return code


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError
    return value


def _instant(text: object) -> datetime:
    instant = datetime.fromisoformat(_text(text))
    if instant.tzinfo is None or not _FIRST_YEAR <= instant.year < _END_OF_YEARS:
        raise ValueError
    return instant


def _moment(text: object) -> datetime | None:
    return None if text is None else _instant(text)
