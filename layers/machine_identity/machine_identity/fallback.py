"""Rule 9, seen from rotation: while the previous key is needed, it may go on signing.

The signer falls back to it when the active key is refused, and says so in its testimony, or when
KMS does not sign with the active key, which a run sees for itself. Here the time in which it may
is prolonged for as long as that goes on; it is never shortened, and nothing is switched back. How
long the key stays published after that is rule 3's (see ``lifecycle``).
"""

from datetime import datetime, timedelta
from typing import Final

from machine_identity.evidence import Evidence
from machine_identity.keyring import Keyring, State
from machine_identity.policy import Policy
from machine_identity.steps import Prolong

NEXT_ASSERTION: Final = timedelta(days=1)
"""How long a client may live on one access token before it needs another assertion."""


def prolongation(
    keyring: Keyring, evidence: Evidence, policy: Policy, now: datetime
) -> Prolong | None:
    """Return by how much the previous key may sign longer, if the signer needs it."""
    needed = _needed(keyring, evidence, now)
    if needed is None:
        return None
    kid, at = needed
    until = at + max(policy.fallback_interval, NEXT_ASSERTION)
    for key in keyring.in_state(State.RETIRED):
        ends_at = None if key.revoked_at is not None else key.may_sign_until
        if key.kid == kid and ends_at is not None and ends_at < until:
            return Prolong(kid=key.kid, until=until)
    return None


def _needed(keyring: Keyring, evidence: Evidence, now: datetime) -> tuple[str, datetime] | None:
    """Return which key was needed in the active one's place, and when last."""
    active, previous = keyring.active, keyring.previous(now)
    if active is not None and active.kid in evidence.unusable and previous is not None:
        # Once a day is enough: a keyring that changed with every tick would tell nothing.
        return previous.kid, now - (now - active.since) % NEXT_ASSERTION
    fallback = None if evidence.testimony is None else evidence.testimony.fallback
    if fallback is None or active is None or fallback.kid != active.kid:
        return None
    # A signer's clock that is ahead must not open a door for longer than its need.
    return fallback.previous, min(fallback.at, now)
