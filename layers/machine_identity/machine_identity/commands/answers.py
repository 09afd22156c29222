"""Carries out what is asked of rotation, and answers as JSON.

Instants are answered in ISO 8601, in UTC. What goes wrong is an answer too, ``{"error",
"error_description"}``: never a traceback, and nothing of what AWS said but its code.

Nothing is decided here: see ``rotation``.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final, assert_never

from machine_identity import lifecycle, relocation
from machine_identity.aws import AwsError
from machine_identity.commands.requests import (
    Command,
    Confirm,
    Explain,
    InvalidRequestError,
    Plan,
    Revoke,
    Rotate,
    Status,
    Tick,
    command,
)
from machine_identity.errors import ConflictError, PolicyError, SettingsError
from machine_identity.explanation import because
from machine_identity.keyring import Key, Keyring, KeyringError
from machine_identity.policy import Policy
from machine_identity.rotation import RefusedError, Revocation, Rotation, Run, UnknownKeyError
from machine_identity.steps import Step, Wait
from machine_identity.testimony import Testimony, Upload

FURTHEST: Final = timedelta(days=3 * 365)
"""How far a plan looks ahead: with the shortest rotation interval, what one answer can hold."""
_ACCESS_TOKENS: Final = (
    "access tokens that were issued for the key live on until they expire: only the authorization "
    "server can end them"
)

type Answer = dict[str, Any]
type Under = Callable[[Mapping[str, str]], Policy]

_CODES: Final = (
    (InvalidRequestError, "invalid_request"),
    (RefusedError, "invalid_request"),
    (UnknownKeyError, "invalid_request"),
    (ConflictError, "conflict"),
    (AwsError, "aws"),
    (KeyringError, "keyring"),
    # A key that was made under other settings: they changed while its creation was unanswered.
    (SettingsError, "settings"),
    (PolicyError, "settings"),
)


def answer(rotation: Rotation, event: object, under: Under) -> Answer:
    """Carry out what ``event`` asks for, and answer it. Raises nothing that is expected.

    ``under`` tells the policy that other settings would lead to.
    """
    try:
        return _answer(rotation, command(event, identity=rotation.identity), under)
    except tuple(each for each, _ in _CODES) as error:
        code = next(code for each, code in _CODES if isinstance(error, each))
        return {"error": code, "error_description": str(error)}


def record(step: Step) -> Answer:
    """Return a step as one flat JSON object: its class's name, and its fields."""
    members = {each.name: _plain(getattr(step, each.name)) for each in fields(step)}
    for name in ("alarms", "strangers"):
        if not members.get(name, True):
            del members[name]
    return {"step": type(step).__name__, **members}


def _answer(rotation: Rotation, asked: Command, under: Under) -> Answer:  # noqa: PLR0911 - one a command
    match asked:
        case Tick():
            return _done(rotation, rotation.tick())
        case Rotate():
            return _done(rotation, rotation.rotate(unsafe=asked.unsafe))
        case Status():
            return _standing(rotation, rotation.keyring(), rotation.testimony())
        case Plan():
            other = None if asked.settings is None else under(asked.settings)
            return _planned(rotation, asked.at, other)
        case Explain():
            return _explained(rotation, asked.at)
        case Revoke():
            return _revoked(rotation, rotation.revoke(asked.kid, asked.reason))
        case Confirm():
            return _confirmed(rotation, asked)
        case _:
            assert_never(asked)


def _standing(rotation: Rotation, keyring: Keyring, testimony: Testimony | None) -> Answer:
    brought = [_brought(each) for each in testimony.uploads] if testimony else []
    return {
        **_head(rotation, keyring),
        "issuers": _issuers(keyring, rotation.policy),
        "seen": _seen(keyring),
        "keys": _keys(keyring, rotation.policy, rotation.proof_wanted(keyring, testimony)),
        **({"uploads": brought} if brought else {}),
    }


def _brought(upload: Upload) -> Answer:
    """Return how far a key has come at the server of a client to which keys are brought."""
    return {
        "kid": upload.kid,
        "client": upload.client,
        "asked_at": _moment(upload.asked_at),
        "added_at": _moment(upload.added_at),
        "ended_at": _moment(upload.ended_at),
        **({"code": upload.code} if upload.code else {}),
    }


def _confirmed(rotation: Rotation, asked: Confirm) -> Answer:
    if asked.issuer is not None:
        run = rotation.confirm_issuer(asked.issuer, unsafe=asked.unsafe)
        confirmed, incoming = {run.keyring.issuer}, run.keyring.incoming
        if incoming is not None and incoming.confirmed_at is not None:
            confirmed.add(incoming.url)
        is_confirmed = asked.issuer in confirmed
        return {**_done(rotation, run), "confirmed": asked.issuer if is_confirmed else None}
    run = rotation.confirm(str(asked.kid))
    active = None if run.keyring.active is None else run.keyring.active.kid
    is_confirmed = asked.kid in {run.keyring.confirmed_kid, active}
    return {**_done(rotation, run), "confirmed": asked.kid if is_confirmed else None}


def _done(rotation: Rotation, run: Run) -> Answer:
    return {
        **_head(rotation, run.keyring),
        "steps": [record(step) for step in run.steps],
        "wait": {"until": _instant(run.wait.until), "why": run.wait.why},
        **({"notes": list(run.notes)} if run.notes else {}),
    }


def _revoked(rotation: Rotation, done: Revocation) -> Answer:
    keyring, accepted, stops = done.keyring, done.accepted_until, done.signing_stops_within
    return {
        "identity": rotation.identity,
        "revision": None if keyring is None else keyring.revision,
        "now": _instant(rotation.clock()),
        "revoked": done.kid,
        "reason": done.reason,
        "steps": [record(step) for step in done.steps],
        "wait": {"until": _instant(done.wait.until), "why": done.wait.why},
        "signing_stops_within_seconds": None if stops is None else int(stops.total_seconds()),
        "accepted_until": None
        if accepted is None
        else {each.name: _instant(getattr(accepted, each.name)) for each in fields(accepted)},
        "refused_until": _moment(done.refused_until),
        "access_tokens": _ACCESS_TOKENS,
        "notes": list(done.notes),
    }


def _explained(rotation: Rotation, at: datetime | None) -> Answer:
    proof = None
    if at is None:
        keyring = stands = rotation.keyring()
        proof = rotation.proof_wanted(keyring, rotation.testimony())
    else:
        stands, ahead = rotation.plan(_ahead(rotation, at))
        keyring = ahead.keyring
    policy = rotation.policy
    return {
        **_head(rotation, stands),
        "at": _instant(rotation.clock() if at is None else at),
        "keys": [
            {**row, "because": because(key, keyring, policy, proof)}
            for key, row in zip(keyring.keys, _keys(keyring, policy, proof), strict=True)
        ],
    }


def _ahead(rotation: Rotation, at: datetime) -> datetime:
    """Return an instant that can be looked ahead to. Raises InvalidRequestError."""
    now = rotation.clock()
    if not now <= at <= now + FURTHEST:
        raise InvalidRequestError(f"at must lie ahead, by at most {FURTHEST.days} days")
    return at


def _planned(rotation: Rotation, at: datetime | None, other: Policy | None) -> Answer:
    policy = other or rotation.policy
    until = _ahead(rotation, rotation.clock() + policy.rotation_interval if at is None else at)
    keyring, ahead = rotation.plan(until, other)
    return {
        **_head(rotation, keyring),
        "until": _instant(until),
        "steps": [{"at": _instant(each.at), **record(each.step)} for each in ahead.steps],
        "keys": _keys(ahead.keyring, policy),
    }


def _head(rotation: Rotation, keyring: Keyring) -> Answer:
    now = _instant(rotation.clock())
    return {"identity": keyring.identity, "revision": keyring.revision, "now": now}


def _issuers(keyring: Keyring, policy: Policy) -> list[Answer]:
    """Return each URL under which the keys are published, and what comes next for it."""
    return [
        {
            "issuer": each.url,
            "state": each.state,
            "next": each.next,
            "not_before": _moment(each.not_before),
            "held_by": each.held_by,
        }
        for each in relocation.outlook(keyring, policy)
    ]


def _seen(keyring: Keyring) -> Answer | None:
    """Return which key set the public URL showed last, and since when."""
    if keyring.seen_since is None:
        return None
    return {"sha256": keyring.seen_digest, "since": _instant(keyring.seen_since)}


def _keys(keyring: Keyring, policy: Policy, proof: Wait | None = None) -> list[Answer]:
    return [_row(key, lifecycle.outlook(key, keyring, policy, proof)) for key in keyring.keys]


def _row(key: Key, ahead: lifecycle.Outlook) -> Answer:
    return {
        "kid": key.kid,
        "state": key.state.value,
        "since": _instant(key.since),
        "next": ahead.next,
        "not_before": _moment(ahead.not_before),
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


def _moment(instant: datetime | None) -> str | None:
    return None if instant is None else _instant(instant)


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()
