"""How public keys reach those who verify with them: one interface, and the two kinds of it.

Servers that *fetch* come for the published documents; to others keys are *uploaded*, by an
operator's hand or by the signer's (``uploads``). Rotation asks both the same three things, and
does not know which it is asking. Our documents are published in any case: one deployment may have
clients of both kinds.
"""

from typing import Final, Protocol

from machine_identity.channels import fetched, uploaded
from machine_identity.keyring import Key
from machine_identity.situation import Situation
from machine_identity.steps import Publish, Wait

__all__ = ["CHANNELS", "Channel"]


class Channel(Protocol):
    """What the life of a key asks of a way to its readers; decisions, and nothing is done."""

    def publish(self, at: Situation) -> Publish | Wait | None:
        """Return what is to be done, or asked of people, for the keyring's keys to be known."""
        ...

    def observe(self, at: Situation) -> Wait | None:
        """Return what has to be seen before the standby key may sign; None if it was (rule 1)."""
        ...

    def withdraw(self, at: Situation, key: Key) -> Wait | None:
        """Return what has to happen before a removed key may be forgotten; None if it has."""
        ...


CHANNELS: Final[tuple[Channel, ...]] = (fetched, uploaded)
