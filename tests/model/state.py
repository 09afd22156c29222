"""One state of everything: all that can make a difference later, and nothing else.

States are values, compared and hashed: two ways that lead to the same state are one from there on.
A key is told by its number, in the order of creation; the keys are the same in every state.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from machine_identity import jwk
from machine_identity import keyring as keyrings
from machine_identity.aws.s3 import Document
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Keyring
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH, object_key
from tests.world import START

KEYRING: Final = "default/keyring.json"
EVIDENCE: Final = "default/evidence.json"
KEY_SET: Final = object_key("default", JWKS_PATH)
CONFIGURATION: Final = object_key("default", CONFIGURATION_PATH)
_numbers: Final[dict[str, int]] = {}
"""The numbers of all keys that were made, by name."""


@dataclass(frozen=True, slots=True)
class KmsKey:
    """A key as KMS knows it."""

    intent: str
    created_at: datetime
    enabled: bool = True
    deletion_at: datetime | None = None

    @property
    def is_usable(self) -> bool:
        return self.enabled and self.deletion_at is None


@dataclass(frozen=True, slots=True)
class Run:
    """A run: where it stands, and until when the function's time-out lets it live."""

    command: int
    node: int
    deadline: datetime
    letter: str = field(compare=False)
    """What a trace calls it; two runs of one command are as good as each other."""


@dataclass(frozen=True, slots=True)
class SignerCopy:
    """What matters of the keyring that the signer has read: the keys that it signs with."""

    active: int
    previous: int | None
    previous_until: datetime | None
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the key set, and when it was fetched."""

    document: Document
    at: datetime

    @property
    def keys(self) -> frozenset[int]:
        return keys_of(self.document)


@dataclass(frozen=True, slots=True)
class State:
    """One state of everything."""

    now: datetime = START
    documents: tuple[tuple[str, Document], ...] = ()
    keys: tuple[KmsKey, ...] = ()
    intents: int = 0
    runs: tuple[Run, ...] = ()
    runs_left: int = 0
    signer: SignerCopy | None = None
    live: tuple[tuple[int, datetime], ...] = ()
    """By which keys assertions were made, and until when the last of each may be accepted."""
    edge: Copy | None = None
    """What a CDN holds."""
    provider: Copy | None = None
    failure: str | None = None
    """Why a run failed; one that lost a race did not."""

    def document(self, key: str) -> Document | None:
        return next((document for name, document in self.documents if name == key), None)

    def keyring(self) -> Keyring | None:
        document = self.document(KEYRING)
        return None if document is None else _keyring(document.body)

    def shown(self) -> frozenset[int]:
        """Return the keys in the published set."""
        document = self.document(KEY_SET)
        return frozenset() if document is None else keys_of(document)


def signer_copy(keyring: Keyring, now: datetime) -> SignerCopy | None:
    """Return what a signer learns that reads the keyring now."""
    active, previous = keyring.active, keyring.previous(now)
    if active is None:
        return None
    if previous is None:
        return SignerCopy(number_of(active.arn), None, None, now)
    until = previous.may_sign_until
    return SignerCopy(number_of(active.arn), number_of(previous.arn), until, now)


@cache
def document(body: bytes, caching: str | None = None) -> Document:
    """Return a document as the store keeps it: its tag is a hash of the content, as S3's is."""
    return Document(body=body, tag=hashlib.sha256(body).hexdigest(), cache_control=caching)


@cache
def jwk_of(number: int) -> PublicJwk:
    """Return the public half of the key of that number, made when first asked for."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    made = jwk.from_public_key(public, "ES256")
    _numbers[made["kid"]] = number
    return made


def number_of(arn: str) -> int:
    return int(arn.removeprefix("arn:"))


def keys_of(document: Document) -> frozenset[int]:
    """Return the keys in a key set."""
    return _key_set(document.body)[0]


def revision_of(document: Document) -> int:
    """Return the revision of a key set."""
    return _key_set(document.body)[1]


@cache
def _key_set(body: bytes) -> tuple[frozenset[int], int]:
    members = json.loads(body)
    return frozenset(_numbers[key["kid"]] for key in members["keys"]), members["revision"]


@cache
def _keyring(body: bytes) -> Keyring:
    return keyrings.parse(body)
