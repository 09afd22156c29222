"""Rule 9, seen from rotation: while the previous key is needed, it may go on signing.

The signer falls back to it when the active key is refused, and says so in its testimony. Here the
time in which it may is prolonged for as long as that goes on; it is never shortened, and nothing
is switched back. How long the key stays published after that is rule 3's (see ``lifecycle``).
"""

from datetime import datetime, timedelta
from typing import Final

from machine_identity.keyring import Keyring, State
from machine_identity.policy import Policy
from machine_identity.steps import Prolong
from machine_identity.testimony import Testimony

NEXT_ASSERTION: Final = timedelta(days=1)
"""How long a client may live on one access token before it needs another assertion."""


def prolongation(
    keyring: Keyring, testimony: Testimony | None, policy: Policy, now: datetime
) -> Prolong | None:
    """Return by how much the previous key may sign longer, if the signer needed it."""
    fallback = None if testimony is None else testimony.fallback
    if fallback is None:
        return None
    # A signer's clock that is ahead must not open a door for longer than its need.
    until = min(fallback.at, now) + max(policy.fallback_interval, NEXT_ASSERTION)
    for key in keyring.in_state(State.RETIRED):
        ends_at = None if key.revoked_at is not None else key.may_sign_until
        if key.kid == fallback.previous and ends_at is not None and ends_at < until:
            return Prolong(kid=key.kid, until=until)
    return None
