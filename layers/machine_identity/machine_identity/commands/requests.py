"""What can be asked of rotation, and how an event asks it.

An event is ``{"command": NAME}``, maybe with the ``identity`` that it is for, and with the members
of that command and no others: ``tick``, ``status``, ``plan`` and ``explain`` (``at``, an instant
in ISO 8601 with its offset, and ``plan`` also ``settings``, parameters of the template by name),
``rotate`` (``unsafe``), ``revoke`` (``kid``, ``reason``) and ``confirm`` (``kid``, or ``issuer``
and ``unsafe``).

Nothing is carried out here: see ``answers``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Any, Final

from machine_identity.errors import MachineIdentityError


class InvalidRequestError(MachineIdentityError):
    """The event asks for nothing that is known, or in no known way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Do everything that can be done now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Show every key, what comes next for it, when, and which rule holds it until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Show what will be done, up to an instant or for one rotation interval."""

    at: datetime | None = None
    settings: Mapping[str, str] | None = None
    """What would be changed; None is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """Roll over now; ``unsafe`` does not even wait until every cache knows the standby key."""

    unsafe: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    """Show of every key what ``status`` does, and the sum behind it, now or at an instant."""

    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """End a compromised key at once."""

    kid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Vouch for the standby key, for want of a proof, or for another issuer."""

    kid: str | None = None
    issuer: str | None = None
    unsafe: bool = False
    """Let assertions name the issuer at once."""

    def __post_init__(self) -> None:
        """Raise InvalidRequestError unless it is one thing that is confirmed."""
        if (self.kid is None) == (self.issuer is None) or (self.unsafe and self.issuer is None):
            raise InvalidRequestError("the command confirm takes kid, or issuer and maybe unsafe")


type Command = Tick | Status | Plan | Explain | Rotate | Revoke | Confirm

_COMMANDS: Final[Mapping[str, type[Command]]] = {
    "tick": Tick,
    "status": Status,
    "plan": Plan,
    "explain": Explain,
    "rotate": Rotate,
    "revoke": Revoke,
    "confirm": Confirm,
}
_KID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_REASON: Final = 200
"""Of the sentence that goes into the log and the keyring, in characters."""


def command(event: object, *, identity: str) -> Command:
    """Read what an event asks of that identity. Raises InvalidRequestError."""
    name = event.get("command") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(name, str) or name not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        raise InvalidRequestError(f"the event must be an object whose command is one of {known}")
    kind = _COMMANDS[name]
    takes = [each.name for each in fields(kind)]
    if event.get("identity", identity) != identity:
        raise InvalidRequestError(f"the keys that are rotated here are those of {identity}")
    head = {"command", "identity"}
    given = {member: value for member, value in event.items() if member not in head}
    needs = {each.name for each in fields(kind) if each.default is MISSING}
    if not needs <= given.keys() <= set(takes):
        less = "" if needs else ", or less"
        also = f"{' and '.join(takes)}{less}" if takes else "nothing"
        raise InvalidRequestError(f"beside its name, the command {name} takes {also}")
    read: dict[str, Any] = {member: _READERS[member](value) for member, value in given.items()}
    return kind(**read)


def _asked_kid(text: object) -> str:
    if not isinstance(text, str) or not _KID.fullmatch(text):
        raise InvalidRequestError("kid must be the name of a key, as status tells it")
    return text


def _asked_reason(text: object) -> str:
    if not isinstance(text, str) or not text.isprintable() or not text.strip():
        raise InvalidRequestError("reason must be a sentence that can be printed")
    if len(text) > LONGEST_REASON:
        raise InvalidRequestError(f"reason must have at most {LONGEST_REASON} characters")
    return text


def _asked_issuer(text: object) -> str:
    if not isinstance(text, str) or not text:
        raise InvalidRequestError("issuer must be the URL that the settings ask for")
    return text


def _asked_settings(members: object) -> Mapping[str, str]:
    if not isinstance(members, dict) or not members:
        raise InvalidRequestError("settings must be an object: parameters of the template by name")
    if not all(isinstance(each, str | int) for each in members.values()):
        raise InvalidRequestError("each of the settings must be a string or a whole number")
    return {str(name): str(value) for name, value in members.items()}


def _asked_unsafe(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequestError("unsafe must be true or false")
    return value


def _asked_instant(text: object) -> datetime:
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise InvalidRequestError("at must be an instant in ISO 8601 with its offset from UTC")
    return instant


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "at": _asked_instant,
    "issuer": _asked_issuer,
    "kid": _asked_kid,
    "reason": _asked_reason,
    "settings": _asked_settings,
    "unsafe": _asked_unsafe,
}
