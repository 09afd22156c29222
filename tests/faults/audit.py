"""Signs and verifies all along, beside whatever runs: what nobody may ever see refused.

It signs at the instants at which something changed, in a process that was just started and with
the oldest copy of the keyring that a signer may use, and has every provider accept both, and what
was signed a moment before as well, for as long as it lives. A key that the operator revokes is
none of its business. It makes no call that counts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import jwt

from machine_identity.aws.signer import KeyringSigner
from machine_identity.keyring import Keyring
from tests.outside import SigningService, Store
from tests.world import World, client

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_kms import KMSClient

    from machine_identity.aws.s3 import Bucket

_KEYRING = "default/keyring.json"


def _silent(moment: str, call: str) -> None:
    """Nobody is told of the audit's own calls."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was lived through, in all lives together."""

    ticks: int = 0
    calls: int = 0
    verified: int = 0
    """How often a provider verified an assertion."""
    emergencies: int = 0
    """How often nobody looked, because a key had to sign at once (rule 10)."""


class Audit:
    """Watches over one world."""

    def __init__(self, world: World, tally: Tally) -> None:
        self._world = world
        self._tally = tally
        self._store = Store("audit", _silent)
        self._store.documents = world.state.documents
        self._kms = SigningService(world.kms, _silent)
        self.signed: dict[str, tuple[datetime, str]] = {}
        """What each key signed last, and when."""
        self.condemned: str | None = None
        """The kid of the key that an operator has revoked, or is about to."""
        self._seen: object = None

    def look(self) -> None:
        """Assert that every provider accepts what may be signed now, and what was.

        A second look at the same world sees nothing new.
        """
        keyring = self.keyring()
        self._orphans(keyring)
        if keyring is None or self._seen == (seen := self._sight()):
            return
        self._seen = seen
        if self._world.is_emergency():
            self._tally.emergencies += 1
            self.signed.clear()
            return
        if self.has_active_key():
            self._sign()
        self._verify()

    def keyring(self) -> Keyring | None:
        return self._world.keyring() if _KEYRING in self._world.state.documents else None

    def has_active_key(self) -> bool:
        """Whether a key signs that nobody is about to revoke."""
        keyring = self.keyring()
        active = None if keyring is None else keyring.active
        return active is not None and active.kid != self.condemned

    def _sight(self) -> object:
        stores = self._world.state, self._world.published
        documents = [each.tag for store in stores for each in store.documents.values()]
        keys = [(each.enabled, each.deletion_at) for each in self._world.kms.keys.values()]
        return self._world.now, documents, keys, self.condemned

    def _sign(self) -> None:
        world = self._world
        fresh = KeyringSigner(
            bucket=cast("Bucket", self._store),
            kms=cast("KMSClient", self._kms),
            identity="default",
        )
        draft = client("audit").draft("https://as.example/token")
        for token in (
            fresh.sign(draft, now=world.now, jti="jti"),
            world.signed(world.policy.assertion_lifetime),
        ):
            self.signed[jwt.get_unverified_header(token)["kid"]] = world.now, token

    def _verify(self) -> None:
        policy, now = self._world.policy, self._world.now
        lifetime = policy.assertion_lifetime + policy.provider_leeway
        for kid, (at, token) in tuple(self.signed.items()):
            if kid == self.condemned or now > at + lifetime:
                del self.signed[kid]
                continue
            for provider in self._world.providers:
                assert provider.accepts(token), f"a provider refuses {kid}"
                self._tally.verified += 1

    def _orphans(self, keyring: Keyring | None) -> None:
        """Rule 5: a key that the keyring does not know is that of its open intent."""
        intent = None if keyring is None else keyring.intent
        known = set() if keyring is None else {key.arn for key in keyring.keys}
        for arn, key in self._world.kms.keys.items():
            is_waited_for = intent is not None and key.intent == intent.id
            is_kept = key.deletion_at is None and arn not in known
            assert not is_kept or is_waited_for, "rule 5: a key that nobody waits for"
