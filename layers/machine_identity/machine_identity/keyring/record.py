"""Our record of the keys and of every time that matters to them.

It says what was decided and when; it never says what a stranger can see (that is an observation)
nor what a setting is today (that is the policy), except where a wait has begun under a setting:
then the longest since is kept, so that a change of settings cannot shorten it (rule 4); and when a
rollover is due, for the signer's sake.

``revision`` grows with every write: an S3 ETag recurs with its content, a revision does not. A
document with a ``version`` newer than this code is read, as far as this code understands it, and
never written (rule 6).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from machine_identity.errors import MachineIdentityError
from machine_identity.jwk import PublicJwk

VERSION: Final = 1


class KeyringError(MachineIdentityError):
    """The document is not a keyring, or one that this code must not touch."""


class LostKeyringError(KeyringError):
    """The document was deleted, broken or rolled back: what it said must be found elsewhere."""


class State(StrEnum):
    """Where a key stands in its life; it only ever moves forward."""

    STANDBY = "standby"
    ACTIVE = "active"
    RETIRED = "retired"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: what it is, where its private half lives, and since when it is in which state."""

    jwk: PublicJwk
    arn: str
    """The KMS key's ARN: signing goes by it, never by an alias that could move."""
    created_at: datetime
    state: State
    since: datetime
    """When it came into its state."""
    first_seen_at: datetime | None = None
    """Since when every observation of the public URL has shown it; an absence resets it."""
    publication_interval: timedelta = timedelta()
    """The longest wait before signing that was in force since it was first seen."""
    retire_interval: timedelta = timedelta()
    """The longest wait before withdrawal that was in force since it first signed."""
    verified_interval: timedelta = timedelta()
    """The part of it that counts from ``may_sign_until``, the longest since it first signed."""
    may_sign_until: datetime | None = None
    """Until when, retired, it may still sign if its successor is refused (rule 9)."""
    disabled_at: datetime | None = None
    deletion_at: datetime | None = None
    """When KMS will have deleted it; set once the deletion is scheduled."""
    revoked_at: datetime | None = None
    """When an operator called it compromised (rule 10); it is trusted for nothing since."""
    reason: str = ""
    """Why, in the operator's words."""
    certificate_from: datetime | None = None
    """The order (rule 8): the first second of the certificate that the signer is to make of it."""
    certificate_until: datetime | None = None
    """The last one; both are fixed when the key is taken in, and so is the serial number."""
    thumbprint: str = ""
    """The ``x5t#S256`` of the certificate, once the signer has made it."""

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint by which the world names this key."""
        return self.jwk["kid"]

    @property
    def certified_until(self) -> datetime | None:
        """When its certificate lapses, if one was made."""
        return self.certificate_until if self.thumbprint else None

    @property
    def is_published(self) -> bool:
        """Whether the key belongs in the published set."""
        return self.state is not State.REMOVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A key about to be created; written first, so that a crash leaves no orphan (rule 5)."""

    id: str
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """A key in KMS that carries our tags, and that no record of ours knows (rule 5)."""

    arn: str
    found_at: datetime
    """When it was found; every search since has found it again."""
    retire_interval: timedelta = timedelta()
    """The longest wait before its end that was in force since then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """The issuer that the settings ask for, while assertions still name another one."""

    url: str
    since: datetime
    """When its documents were to be published beside those of the issuer in use."""
    first_seen_at: datetime | None = None
    """Since when every look at it has shown its documents, and the active key in them."""
    publication_interval: timedelta = timedelta()
    """The longest wait before assertions may name it that was in force since then."""
    confirmed_at: datetime | None = None
    """When an operator said that every provider trusts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """An issuer that assertions named before: its documents stay while one may be valid."""

    url: str
    since: datetime
    """When assertions ceased to name it."""
    retire_interval: timedelta
    """The longest wait before its documents go that was in force since then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """All keys of one identity."""

    identity: str
    version: int = VERSION
    """The schema of the document that this was read from."""
    issuer: str
    """The URL under which the keys are published, which federated assertions name as ``iss``."""
    incoming: Incoming | None = None
    outgoing: tuple[Outgoing, ...] = ()
    revision: int = 0
    published_revision: int = 0
    """The revision at which the published set last changed; the published documents carry it."""
    genesis: bool = False
    """No set was ever public, so the very first key need not wait for stale copies to expire."""
    keys: tuple[Key, ...] = ()
    intent: Intent | None = None
    rollover_requested_at: datetime | None = None
    rollover_due_at: datetime | None = None
    """When the active key's time is over, if nobody asks before; the signer has no policy."""
    rolled_over_at: datetime | None = None
    """When a key took over last: a request that comes soon after may be the same one again."""
    max_age: timedelta = timedelta()
    """The longest ``max-age`` that the set as it stands may have been published with."""
    longest_max_age: timedelta = timedelta()
    """The longest ``max-age`` that a copy still alive in some cache may have been served with."""
    longest_max_age_at: datetime | None = None
    """When one longer than ours was last served."""
    confirmed_kid: str | None = None
    """The standby key that an operator vouches for, where no proof is to be had (rule 2)."""
    searched_at: datetime | None = None
    """When KMS was last searched for keys of ours that nobody knows of (rule 5)."""
    surplus: tuple[Surplus, ...] = ()
    """What was found that nobody knows of."""
    seen_digest: str = ""
    """SHA-256, in hexadecimal, of the key set that the public URL served last."""
    seen_since: datetime | None = None
    """Since when every answer was that one."""

    def key(self, kid: str) -> Key:
        """Return the key of that name; raises KeyError."""
        if (key := self.find(kid)) is None:
            raise KeyError(kid)
        return key

    def find(self, kid: str) -> Key | None:
        """Return the key of that name, if there is one."""
        return next((key for key in self.keys if key.kid == kid), None)

    def in_state(self, state: State) -> tuple[Key, ...]:
        """Return the keys in ``state``, the longest there first."""
        return tuple(sorted((k for k in self.keys if k.state is state), key=lambda k: k.since))

    @property
    def active(self) -> Key | None:
        """The one key that signs."""
        return next(iter(self.in_state(State.ACTIVE)), None)

    @property
    def standby(self) -> Key | None:
        """The next key to sign."""
        return next(iter(self.in_state(State.STANDBY)), None)

    def previous(self, now: datetime) -> Key | None:
        """Return the key that may sign in the active one's place when that is refused (rule 9)."""
        for key in reversed(self.in_state(State.RETIRED)):
            ends_at = None if key.revoked_at is not None else key.may_sign_until
            if ends_at is not None and now < ends_at:
                return key
        return None

    @property
    def published(self) -> tuple[Key, ...]:
        """The keys that belong in the published set, in the order of their creation."""
        return tuple(key for key in self.keys if key.is_published)

    @property
    def issuers(self) -> tuple[str, ...]:
        """The URLs under which the keys are published; the first is the one in use."""
        incoming = () if self.incoming is None else (self.incoming.url,)
        others = (*incoming, *(each.url for each in self.outgoing))
        return (self.issuer, *dict.fromkeys(url for url in others if url != self.issuer))

    def with_key(self, changed: Key) -> Self:
        """Return the keyring with one key replaced by its new record."""
        keys = tuple(changed if key.kid == changed.kid else key for key in self.keys)
        return replace(self, keys=keys)
