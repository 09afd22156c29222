"""What rotation can do next: a closed union, one class a step.

The step is the log record, the plan's line and the test's expectation.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Intend:
    """Write down that a key is about to be created (again, when the first try was never seen)."""

    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateKey:
    """Create a KMS key tagged with the intent, and take it into the keyring as standby."""

    intent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptKey:
    """Take the KMS key that an earlier run created for the intent into the keyring."""

    intent: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Write the published documents, which differ from what the keyring says."""

    kids: tuple[str, ...]
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Let the standby key sign and retire the active one, in one write."""

    kid: str
    retires: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Take a retired key out of the set: nothing it signed can be valid any more."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disable:
    """Disable a removed key in KMS."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDeletion:
    """Have KMS delete a removed key after the deletion window."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Drop the record of a key that KMS has deleted."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Do nothing before ``until``; a time that has passed means: look again at the next tick."""

    until: datetime
    why: str


type Action = (
    Intend
    | CreateKey
    | AdoptKey
    | Publish
    | Promote
    | Withdraw
    | Disable
    | ScheduleDeletion
    | Forget
)
type Step = Action | Wait
