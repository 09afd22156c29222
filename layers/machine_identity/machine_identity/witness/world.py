"""Everything outside that a witness needs, as verbs.

It cannot create, publish, promote or end a key, and writes one document (rule 8).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from machine_identity.aws.s3 import Document
from machine_identity.client_assertion import Draft
from machine_identity.keyring import Key, Keyring
from machine_identity.providers import Client
from machine_identity.transport import Transport


class Signer(Protocol):
    """Signs with one key."""

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Return the assertion. Raises SigningError, or SettingsError if it can never work."""
        ...


class Keys(Protocol):
    """The keyring, and who signs with a key of it; reading may raise SigningError."""

    def keyring(self, now: datetime) -> Keyring:
        """Return the keyring, from a copy that is young enough to sign by."""
        ...

    def reread(self, now: datetime) -> Keyring:
        """Return the keyring as it stands."""
        ...

    def with_key(self, key: Key, keyring: Keyring) -> Signer:
        """Return who signs with that key."""
        ...


class Store(Protocol):
    """Small documents with compare-and-swap; both verbs may raise AwsError."""

    def read(self, key: str) -> Document | None:
        """Return the document, if there is one."""
        ...

    def write(self, key: str, body: bytes, *, expected: str | None) -> str:
        """Replace the version ``expected`` and return the new one's tag; or ConflictError."""
        ...


class Clock(Protocol):
    """Time and identifiers; the module ``clock`` is one."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...

    def unique(self) -> str:
        """Return an identifier never used before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The outside of one witness."""

    keys: Keys
    store: Store
    prove: Callable[[Client, Signer], None]
    """Gets a token for the client with an assertion of that signer. Raises TokenRequestError."""
    transport: Transport
    clock: Clock
