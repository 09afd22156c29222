"""What ``teardown`` prints of a key, and of what else stays when a stack is deleted."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from machine_identity.aws.left_keys import LeftKey

RETAINED: Final[Mapping[str, str]] = {
    "StateBucket": "keyring, evidence, clients.json",
    "PublishedBucket": "key set, discovery document",
    "RotationLogGroup": "a year of steps",
    "TokenLogGroup": "a year of token requests",
    "AuthorizerLogGroup": "a year of refusals",
}
"""What the template keeps when its stack is deleted, by logical ID, which a test holds."""
UNDO: Final = """
  aws kms cancel-key-deletion --key-id KEY_ARN
  aws kms enable-key --key-id KEY_ARN"""
_WORDS: Final = {
    "": "KMS does not tell",
    "Enabled": "enabled",
    "Disabled": "disabled",
    "PendingDeletion": "pending deletion",
    "Gone": "deleted by KMS",
}
_COLOURS: Final = {"Enabled": "yellow", "PendingDeletion": "green", "": "red"}


def row(key: "LeftKey") -> str:
    """Return what is known of a key, in two lines or three."""
    state = _WORDS.get(key.state, key.state)
    until = "" if key.deletion_at is None else f" until {day_and_time(key.deletion_at)}"
    about = [click.style(f"{state}{until}", fg=_COLOURS.get(key.state))]
    if key.created_at is not None:
        about.append(f"created {day_and_time(key.created_at)}")
    if key.kid is not None:
        about.append(f"kid {key.kid}")
    if key.created_at is not None and not key.is_ours:
        about.append("not such as rotation makes, so it is left alone")
    lines = [f"  {key.arn}", f"    {', '.join(about)}"]
    return "\n".join([*lines, f"    {key.fault}"] if key.fault else lines)


def as_members(key: "LeftKey") -> dict[str, object]:
    """Return the same as members of a JSON object."""
    return {
        "arn": key.arn,
        "state": key.state or None,
        "kid": key.kid,
        "created_at": None if key.created_at is None else _utc(key.created_at).isoformat(),
        "deletion_at": None if key.deletion_at is None else _utc(key.deletion_at).isoformat(),
        "ours": key.is_ours,
        **({"fault": key.fault} if key.fault else {}),
    }


def kept_in_words(stack: str, found: Sequence[str], why: str) -> str:
    """Return what the template keeps, what of it AWS's index of tags shows, or why it does not."""
    none = f"nobody can say which: {why}" if why else "none that AWS's index of tags shows"
    return "\n".join(
        [
            "the template keeps these when its stack is deleted, and they are yours to delete:",
            *(f"  {name} ({what})" for name, what in RETAINED.items()),
            "of this stack:",
            *(f"  {each}" for each in found or [none]),
            "and what `machine-identity client register` kept, if anything, is under",
            f"  ssm:/machine-identity/{stack}/ and secretsmanager:machine-identity/{stack}/",
        ]
    )


def counted(keys: Sequence[object]) -> str:
    """Return how many keys those are."""
    return "1 key" if len(keys) == 1 else f"{len(keys)} keys"


def day_and_time(at: datetime) -> str:
    """Return an instant to the minute, as people read it."""
    return f"{_utc(at):%Y-%m-%d %H:%M} UTC"


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
