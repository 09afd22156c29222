"""All that a decision of the rotation rests on."""

from dataclasses import dataclass
from datetime import datetime

from machine_identity.evidence import Evidence
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.steps import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What stands there at ``now``, and the steps that this run tried in vain."""

    keyring: Keyring
    policy: Policy
    evidence: Evidence
    now: datetime
    failed: frozenset[Action]
