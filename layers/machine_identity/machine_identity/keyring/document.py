"""The keyring as the JSON document that stands in the private bucket, one an identity.

Instants are written in ISO 8601, durations in seconds. What is read is checked as far as a wrong
kind would be met later; whether it is the right keyring is its reader's to say.
"""

import json
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final, cast

from machine_identity.jwk import PublicJwk
from machine_identity.keyring.record import (
    VERSION,
    Incoming,
    Intent,
    Key,
    Keyring,
    KeyringError,
    LostKeyringError,
    Outgoing,
    State,
    Surplus,
)

_UNREADABLE: Final = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)

type _Record = Keyring | Key | Intent | Incoming | Outgoing | Surplus


def serialise(keyring: Keyring) -> bytes:
    """Return the keyring as a JSON document; instants in ISO 8601, durations in seconds.

    Raises KeyringError for one that newer code wrote: what this code never read would be lost.
    """
    if keyring.version > VERSION:
        raise KeyringError(f"the keyring's version is {keyring.version}, newer than {VERSION}")
    return json.dumps(_members(keyring), indent=2, sort_keys=True).encode()


def parse(body: bytes) -> Keyring:
    """Read the document that ``serialise`` writes, or one of a newer version that has all of it.

    Raises LostKeyringError for what no code can read, and KeyringError for what this one must not.
    """
    try:
        keyring = _keyring(json.loads(body))
    except _UNREADABLE as error:
        kind = KeyringError if _is_newer(body) else LostKeyringError
        raise kind(f"the keyring cannot be read: {type(error).__name__}") from error
    if keyring.version < VERSION:
        raise KeyringError(f"the keyring's version is {keyring.version}, not {VERSION}")
    if len({key.kid for key in keyring.keys}) < len(keyring.keys):
        raise KeyringError("the keyring names a key twice")
    if len(keyring.in_state(State.ACTIVE)) > 1:
        raise KeyringError("the keyring has two active keys")
    return keyring


def _is_newer(body: bytes) -> bool:
    """Whether newer code wrote it: what this code cannot read is not broken then."""
    try:
        return int(json.loads(body)["version"]) > VERSION
    except _UNREADABLE:
        return False


def _members(record: _Record) -> dict[str, object]:
    return {each.name: _plain(getattr(record, each.name)) for each in fields(record)}


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case tuple():
            return [_members(each) for each in value]
        case Intent() | Incoming():
            return _members(value)
        case _:
            return value


def _keyring(members: dict[str, Any]) -> Keyring:
    intent = members["intent"]
    return Keyring(
        identity=_text(members["identity"]),
        version=int(members["version"]),
        issuer=_text(members["issuer"]),
        incoming=_incoming(members["incoming"]),
        outgoing=tuple(_outgoing(each) for each in members["outgoing"]),
        revision=int(members["revision"]),
        published_revision=int(members["published_revision"]),
        genesis=members["genesis"] is True,
        keys=tuple(_key(each) for each in members["keys"]),
        intent=intent and Intent(id=intent["id"], written_at=_instant(intent["written_at"])),
        rollover_requested_at=_moment(members["rollover_requested_at"]),
        rollover_due_at=_moment(members["rollover_due_at"]),
        rolled_over_at=_moment(members["rolled_over_at"]),
        max_age=timedelta(seconds=members["max_age"]),
        longest_max_age=timedelta(seconds=members["longest_max_age"]),
        longest_max_age_at=_moment(members["longest_max_age_at"]),
        confirmed_kid=members["confirmed_kid"],
        searched_at=_moment(members["searched_at"]),
        surplus=tuple(_surplus(each) for each in members["surplus"]),
        seen_digest=_text(members["seen_digest"]),
        seen_since=_moment(members["seen_since"]),
    )


def _surplus(members: dict[str, Any]) -> Surplus:
    return Surplus(
        arn=_text(members["arn"]),
        found_at=_instant(members["found_at"]),
        retire_interval=timedelta(seconds=members["retire_interval"]),
    )


def _incoming(members: dict[str, Any] | None) -> Incoming | None:
    if members is None:
        return None
    return Incoming(
        url=_text(members["url"]),
        since=_instant(members["since"]),
        first_seen_at=_moment(members["first_seen_at"]),
        publication_interval=timedelta(seconds=members["publication_interval"]),
        confirmed_at=_moment(members["confirmed_at"]),
    )


def _outgoing(members: dict[str, Any]) -> Outgoing:
    return Outgoing(
        url=_text(members["url"]),
        since=_instant(members["since"]),
        retire_interval=timedelta(seconds=members["retire_interval"]),
    )


def _key(members: dict[str, Any]) -> Key:
    return Key(
        jwk=_jwk(members["jwk"]),
        arn=members["arn"],
        created_at=_instant(members["created_at"]),
        state=State(members["state"]),
        since=_instant(members["since"]),
        first_seen_at=_moment(members["first_seen_at"]),
        publication_interval=timedelta(seconds=members["publication_interval"]),
        retire_interval=timedelta(seconds=members["retire_interval"]),
        verified_interval=timedelta(seconds=members["verified_interval"]),
        may_sign_until=_moment(members["may_sign_until"]),
        disabled_at=_moment(members["disabled_at"]),
        deletion_at=_moment(members["deletion_at"]),
        revoked_at=_moment(members["revoked_at"]),
        reason=str(members["reason"]),
        certificate_from=_moment(members["certificate_from"]),
        certificate_until=_moment(members["certificate_until"]),
        thumbprint=_text(members["thumbprint"]),
    )


def _jwk(members: dict[str, Any]) -> PublicJwk:
    """Read a JWK with the two members at least that everything here goes by."""
    known = {"kid": members["kid"], "alg": members["alg"], **members}
    return cast("PublicJwk", {str(name): str(value) for name, value in known.items()})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise KeyringError("an instant in the keyring has no time zone")
    return instant


def _moment(text: str | None) -> datetime | None:
    return None if text is None else _instant(text)
