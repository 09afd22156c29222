"""What of a run is counted, by the names of docs/runbook.md. Nothing is sent here."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from machine_identity import canary
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.steps import Failed, Publish, Rebuild, Step, Wait

SHOWN_AFTER: Final = timedelta(hours=1)
"""How long the public URL may take to show a new key; a CDN or a cache in front has its time."""

type Counts = Mapping[str, int]


def counts(step: Step, keyring: Keyring, policy: Policy, now: datetime) -> Counts:
    """Return what to count of a step that left that keyring; a wait ends a run, and sums it up."""
    match step:
        case Wait():
            return {**dict.fromkeys(step.alarms, 1), **_standing(keyring, policy, now)}
        case Failed():
            return {"StepsFailed": 1}
        case Rebuild():
            return {"StepsTaken": 1, "KeyringRebuilt": 1}
        case Publish():
            return {"StepsTaken": 1, "PublishedStrangers": len(step.strangers)}
        case _:
            return {"StepsTaken": 1}


def command_counts(answer: Mapping[str, object]) -> Counts:
    """Return what to count of an answer.

    Who lost a race, or asked for what cannot be, is told so, and nothing is the matter.
    """
    harmless = {None, "conflict", "invalid_request"}
    return {"CommandsFailed": int(answer.get("error") not in harmless)}


def _standing(keyring: Keyring, policy: Policy, now: datetime) -> Counts:
    return {
        "KeysLive": sum(key.deletion_at is None for key in keyring.keys),
        "KeysUnknown": len(keyring.surplus),
        "NobodySigns": int(keyring.active is None),
        "StandbyMissing": int(keyring.standby is None),
        "PublishedSetStale": int(_is_late(keyring, now)),
        "PromotionOverdue": int(canary.is_overdue(keyring, policy.canary_deadline, now)),
    }


def _is_late(keyring: Keyring, now: datetime) -> bool:
    """Whether the standby key was published long ago, and the public URL does not show it."""
    standby = keyring.standby
    if standby is None or standby.first_seen_at is not None:
        return False
    return now >= standby.created_at + SHOWN_AFTER
