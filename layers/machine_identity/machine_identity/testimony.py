"""What the signer saw: one JSON document an identity, in the private bucket.

The token function alone writes it and rotation alone acts on it, so that the signer, which may
neither promote nor publish a key, can still say what came of signing with one (rules 2, 8 and 9).
A trial is the last that is known of one client and one key: a run of successes, or a run of
refusals, never both. ``revision`` grows with every write, as the keyring's does.

It holds names, instants and error codes. What a server said in its own words, a token or an
assertion never gets in here. It judges nothing: see ``canary`` and ``fallback``.
"""

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from machine_identity.errors import MachineIdentityError

VERSION: Final = 1
_MOST: Final = 2**62
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
        strangers=tuple(_text(each) for each in members["strangers"]),
    )


def _trial(members: dict[str, Any]) -> Trial:
    code, active_refused = _text(members["code"]), members["active_refused"]
    if not _CODE.fullmatch(code) or not isinstance(active_refused, bool):
        raise ValueError
    return Trial(
        client=_text(members["client"]),
        kid=_text(members["kid"]),
        registration=_text(members["registration"]),
        first_success_at=_moment(members["first_success_at"]),
        last_success_at=_moment(members["last_success_at"]),
        refused_at=_moment(members["refused_at"]),
        refusals=_count(members["refusals"]),
        code=code,
        active_refused=active_refused,
    )


def _fallback(members: dict[str, Any]) -> Fallback:
    return Fallback(
        kid=_text(members["kid"]),
        previous=_text(members["previous"]),
        at=_instant(members["at"]),
    )


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
    if instant.tzinfo is None:
        raise ValueError
    return instant


def _moment(text: object) -> datetime | None:
    return None if text is None else _instant(text)
