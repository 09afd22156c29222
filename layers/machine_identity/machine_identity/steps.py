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
    strangers: tuple[str, ...] = ()
    """What stood in the set that is overwritten and was nobody's (rule 8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Let the standby key sign and retire the active one, in one write."""

    kid: str
    retires: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prolong:
    """Let a retired key sign longer, because its successor was refused (rule 9)."""

    kid: str
    until: datetime


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
class Revoke:
    """Trust a key for nothing any more and, if it signed, let another sign, in one write."""

    kid: str
    reason: str
    promotes: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Take the operator's word for the standby key, for want of a proof."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Take a standby key, which never signed, out of the set: another is to take its place."""

    kid: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """Have KMS delete the key of the intent, which cannot be taken in, and drop the intent."""

    intent: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSurplus:
    """Have KMS delete a key of ours that was never published and that nobody waits for."""

    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIssuer:
    """Publish under another URL too, which the settings ask for."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmIssuer:
    """Take the operator's word that every provider trusts the issuer to be."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchIssuer:
    """Let assertions name the issuer that was to be, and the documents of the old one stay."""

    url: str
    retires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIssuer:
    """Publish under a URL no more."""

    url: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """Write a lost keyring anew, from what KMS and the published set still tell."""

    active: str | None
    kids: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A step did not succeed; the next run tries it again."""

    of: str
    """The name of the step's class."""
    about: str
    """The kid, the intent or the ARN that it was about, if there is one."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Do nothing before ``until``; a time that has passed means: look again at the next tick."""

    until: datetime
    why: str
    alarms: tuple[str, ...] = ()
    """The metrics that are to be raised, where somebody should look into it."""


type Action = (
    Intend
    | CreateKey
    | AdoptKey
    | Publish
    | Promote
    | Prolong
    | Withdraw
    | Disable
    | ScheduleDeletion
    | Forget
    | Revoke
    | Confirm
    | Discard
    | Abandon
    | EndSurplus
    | AddIssuer
    | ConfirmIssuer
    | SwitchIssuer
    | DropIssuer
)
type Decision = Action | Wait
type Done = Action | Rebuild
"""What a run can have done: to rebuild is decided by nothing but that the keyring is lost."""
type Step = Done | Failed | Wait
