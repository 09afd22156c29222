"""Everything outside that a rotation needs, as verbs: it knows no AWS and no network by name.

Protocols have exactly the verbs that are used. The key service has no ``sign``: whoever rotates
the keys cannot sign with them (rule 8).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from machine_identity.aws.s3 import Document
from machine_identity.evidence import Observation, OwnedKey
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Keyring
from machine_identity.steps import Step


class Keys(Protocol):
    """What rotation asks of the key service; every verb may raise AwsError."""

    def create(self, algorithm: str, intent: str) -> str:
        """Create a key tagged with the intent, and return its ARN."""
        ...

    def public_key(self, arn: str, algorithm: str) -> PublicJwk:
        """Return the public half of a key."""
        ...

    def find(self, intent: str) -> str | None:
        """Return the ARN of the key that carries the tag of an intent, if one shows."""
        ...

    def any(self) -> bool:
        """Return whether this identity has any key already."""
        ...

    def is_usable(self, arn: str, algorithm: str) -> bool:
        """Return whether a key is enabled, and of the kind that signs with ``algorithm``."""
        ...

    def search(self) -> tuple[OwnedKey, ...]:
        """Return all keys of this identity that the key service tells about."""
        ...

    def arns(self) -> tuple[str, ...]:
        """Return the ARN of every key of this identity, whatever its state."""
        ...

    def kid(self, arn: str) -> str | None:
        """Return the name of a key; None of one that cannot sign."""
        ...

    def disable(self, arn: str) -> None:
        """Disable a key; again changes nothing."""
        ...

    def schedule_deletion(self, arn: str, window: timedelta) -> None:
        """Have a key deleted after ``window``; again changes nothing."""
        ...


class Store(Protocol):
    """Small documents with compare-and-swap; every verb may raise AwsError."""

    def read(self, key: str) -> Document | None:
        """Return the document, if there is one."""
        ...

    def has_history(self, key: str) -> bool:
        """Return whether the document was ever there."""
        ...

    def write(
        self, key: str, body: bytes, *, expected: str | None, cache_control: str | None = None
    ) -> str:
        """Replace the version ``expected`` and return the new one's tag; or ConflictError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The outside of one rotation."""

    keys: Keys
    state: Store
    published: Store
    probe: Callable[[str], Observation]
    """Looks at the documents of an issuer."""
    clock: Callable[[], datetime]
    unique: Callable[[], str]
    report: Callable[[Step, Keyring], None]
    """Told of each step as soon as it is recorded, and of the wait that ends a run, with the
    keyring as it then stands: what a run did before it died is not lost with its answer."""
