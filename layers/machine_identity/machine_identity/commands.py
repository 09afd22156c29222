"""What an operator or the scheduler asks of rotation, and the answer as JSON.

An event is ``{"command": NAME}`` with the members of that command and no others: ``tick``,
``status``, ``plan`` (``at``, an instant in ISO 8601 with its offset) and ``rotate`` (``unsafe``).
Instants are answered in ISO 8601, in UTC. What goes wrong is an answer too, ``{"error",
"error_description"}``: never a traceback, and nothing of what AWS said but its code.

Nothing is decided here: see ``rotation``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, assert_never

from machine_identity import lifecycle
from machine_identity.aws import AwsError
from machine_identity.errors import ConflictError, MachineIdentityError, SettingsError
from machine_identity.keyring import Key, Keyring, KeyringError
from machine_identity.policy import Policy
from machine_identity.rotation import Rotation, Run
from machine_identity.steps import Step

FURTHEST: Final = timedelta(days=3 * 365)
"""How far a plan looks ahead: with the shortest rotation interval, what one answer can hold."""

type Answer = dict[str, Any]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """Roll over now; ``unsafe`` does not even wait until every cache knows the standby key."""

    unsafe: bool = False


type Command = Tick | Status | Plan | Rotate

_COMMANDS: Final[Mapping[str, type[Tick | Status | Plan | Rotate]]] = {
    "tick": Tick,
    "status": Status,
    "plan": Plan,
    "rotate": Rotate,
}


class InvalidRequestError(MachineIdentityError):
    """The event asks for nothing that is known, or in no known way."""


_CODES: Final = (
    (InvalidRequestError, "invalid_request"),
    (ConflictError, "conflict"),
    (AwsError, "aws"),
    (KeyringError, "keyring"),
    # A key that was made under other settings: they changed while its creation was unanswered.
    (SettingsError, "settings"),
)


def answer(rotation: Rotation, event: object) -> Answer:
    """Carry out what ``event`` asks for, and answer it. Raises nothing that is expected."""
    try:
        return _answer(rotation, command(event))
    except tuple(each for each, _ in _CODES) as error:
        code = next(code for each, code in _CODES if isinstance(error, each))
        return {"error": code, "error_description": str(error)}


def record(step: Step) -> Answer:
    """Return a step as one flat JSON object: its class's name, and its fields."""
    members = {each.name: _plain(getattr(step, each.name)) for each in fields(step)}
    return {"step": type(step).__name__, **members}


def command(event: object) -> Command:
    """Read what an event asks for. Raises InvalidRequestError."""
    name = event.get("command") if isinstance(event, dict) else None
    if not isinstance(event, dict) or not isinstance(name, str) or name not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        raise InvalidRequestError(f"the event must be an object whose command is one of {known}")
    kind = _COMMANDS[name]
    takes = [each.name for each in fields(kind)]
    given = {member: value for member, value in event.items() if member != "command"}
    if not given.keys() <= set(takes):
        also = f"{' and '.join(takes)}, or less" if takes else "nothing"
        raise InvalidRequestError(f"beside its name, the command {name} takes {also}")
    if "unsafe" in given and not isinstance(given["unsafe"], bool):
        raise InvalidRequestError("unsafe must be true or false")
    if "at" in given:
        given["at"] = _asked_instant(given["at"])
    return kind(**given)


def _asked_instant(text: object) -> datetime:
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise InvalidRequestError("at must be an instant in ISO 8601 with its offset from UTC")
    return instant


def _answer(rotation: Rotation, asked: Command) -> Answer:
    match asked:
        case Tick():
            return _done(rotation, rotation.tick())
        case Rotate():
            return _done(rotation, rotation.rotate(unsafe=asked.unsafe))
        case Status():
            keyring = rotation.keyring()
            return {**_head(rotation, keyring), "keys": _keys(keyring, rotation.policy)}
        case Plan():
            return _planned(rotation, asked.at)
        case _:
            assert_never(asked)


def _done(rotation: Rotation, run: Run) -> Answer:
    return {
        **_head(rotation, run.keyring),
        "steps": [record(step) for step in run.steps],
        "wait": {"until": _instant(run.wait.until), "why": run.wait.why},
    }


def _planned(rotation: Rotation, at: datetime | None) -> Answer:
    now = rotation.clock()
    until = now + rotation.policy.rotation_interval if at is None else at
    if not now <= until <= now + FURTHEST:
        raise InvalidRequestError(f"at must lie ahead, by at most {FURTHEST.days} days")
    keyring, ahead = rotation.plan(until)
    return {
        **_head(rotation, keyring),
        "until": _instant(until),
        "steps": [{"at": _instant(each.at), **record(each.step)} for each in ahead.steps],
        "keys": _keys(ahead.keyring, rotation.policy),
    }


def _head(rotation: Rotation, keyring: Keyring) -> Answer:
    now = _instant(rotation.clock())
    return {"identity": keyring.identity, "revision": keyring.revision, "now": now}


def _keys(keyring: Keyring, policy: Policy) -> list[Answer]:
    return [_row(key, lifecycle.outlook(key, keyring, policy)) for key in keyring.keys]


def _row(key: Key, ahead: lifecycle.Outlook) -> Answer:
    return {
        "kid": key.kid,
        "state": key.state.value,
        "since": _instant(key.since),
        "next": ahead.next,
        "not_before": None if ahead.not_before is None else _instant(ahead.not_before),
        "held_by": ahead.held_by,
    }


def _plain(value: object) -> object:
    match value:
        case datetime():
            return _instant(value)
        case tuple():
            return list(value)
        case _:
            return value


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()
