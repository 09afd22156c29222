"""The timing contract: a few inputs, and the waits that follow from them (RFC 7583's Ipub, Iret).

Every wait of the system is derived here and nowhere else. A combination that would let a key
sign before the world knows it, or leave the world while it may still be needed, or that lets
keys pile up, is refused at construction: the sentence prints the inequality with its numbers.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from machine_identity.errors import PolicyError

_ZERO: Final = timedelta()
KMS_DELETION_WINDOW: Final = (timedelta(days=7), timedelta(days=30))
"""What ScheduleKeyDeletion accepts."""
_LEAST_LIVE_KEYS: Final = 3
CERTIFICATE_MARGIN: Final = timedelta(days=30)
"""How long a rollover may be late before a key's certificate is what makes it due."""
_POSITIVE: Final = (
    "rotation_interval",
    "max_age",
    "assertion_lifetime",
    "signer_bound",
    "run_bound",
    "tick_interval",
)
_NOT_NEGATIVE: Final = (
    "key_set_cache",
    "provider_leeway",
    "origin_staleness",
    "edge_staleness",
    "clock_skew",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryTimes:
    """The rhythm in which the standby key is tried (rule 2); signer and rotation count on one."""

    apart: timedelta = timedelta(minutes=10)
    """Between the first success and the one that proves: a server may have several caches."""
    lifetime: timedelta = timedelta(days=1)
    """How old the last success may be at the promotion; it is renewed at half of that."""
    first_pause: timedelta = timedelta(minutes=15)
    """After a refusal; after each further one it is twice as long."""
    longest_pause: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that decides when a key changes its state."""

    algorithm: str = "RS256"
    issuer: str | None = None
    """The URL under which the keys are to be published; None is wherever they are."""
    rotation_interval: timedelta = timedelta(days=30)
    """How long a key signs."""
    key_set_cache: timedelta = timedelta(hours=48)
    """How long the provider may use a copy of our key set, whatever max-age says, or how long an
    upload may take to be known everywhere there."""
    uploads: bool = False
    """Whether keys are brought to the provider, which does not come for them."""
    provider_leeway: timedelta = timedelta(minutes=5)
    """How long after its ``exp`` the provider may still accept an assertion."""
    max_age: timedelta = timedelta(minutes=5)
    """The ``Cache-Control: max-age`` that we publish with."""
    origin_staleness: timedelta = timedelta(minutes=5)
    """How old the copy may be that the jwks function serves while S3 fails."""
    edge_staleness: timedelta = _ZERO
    """How much older than max-age a CDN in front may serve it."""
    assertion_lifetime: timedelta = timedelta(minutes=5)
    clock_skew: timedelta = timedelta(seconds=60)
    signer_bound: timedelta = timedelta(hours=1)
    """How old the copy of the keyring may be that the signer signs with."""
    run_bound: timedelta = timedelta(seconds=60)
    """How long after a decision its write may land: the rotation function's time-out."""
    tick_interval: timedelta = timedelta(minutes=15)
    deletion_window: timedelta = KMS_DELETION_WINDOW[0]
    """How long KMS keeps a key whose deletion is scheduled, in whole days."""
    canary: CanaryTimes = CanaryTimes()
    canary_deadline: timedelta = timedelta(hours=24)
    """How long a promotion that is due waits for its proof before an operator may vouch."""
    most_live_keys: int = 8
    """At so many keys whose deletion is not scheduled, no more are created."""

    def __post_init__(self) -> None:
        """Raise PolicyError unless every inequality holds."""
        for name in _POSITIVE:
            self._at_least(name, getattr(self, name), "one second", timedelta(seconds=1))
        for name in _NOT_NEGATIVE:
            self._at_least(name, getattr(self, name), "zero", _ZERO)
        bound = "an active, a standby and a retired key"
        self._at_least("most_live_keys", self.most_live_keys, bound, _LEAST_LIVE_KEYS)
        least, most = KMS_DELETION_WINDOW
        self._at_least("deletion_window", self.deletion_window, "KMS's least", least)
        self._at_least("KMS's most", most, "deletion_window", self.deletion_window)
        self._at_least(
            "rotation_interval",
            self.rotation_interval,
            "publication interval + retire interval + two ticks",
            self.publication_interval() + self.retire_interval + 2 * self.tick_interval,
        )

    def publication_interval(self, longest_max_age: timedelta = _ZERO) -> timedelta:
        """Return how long a key must have been public before it signs (rule 1, Ipub).

        ``longest_max_age`` is the longest that a copy without the key was served with. What a
        provider that is uploaded to knows, no interval tells: that is observed (``channels``).
        """
        cached = _ZERO if self.uploads else self.key_set_cache
        return self._spread(max(self.max_age, longest_max_age, cached))

    @property
    def fallback_interval(self) -> timedelta:
        """How long a retired key may still sign when its successor is refused (rule 9)."""
        return self._spread(max(self.max_age, self.key_set_cache))

    def _spread(self, cached: timedelta) -> timedelta:
        """Return how long what is published takes to reach whoever keeps it for ``cached``."""
        return self.origin_staleness + self.edge_staleness + cached + self.clock_skew

    @property
    def certificate_lifetime(self) -> timedelta:
        """How long the certificate of a key is valid: standby, active and retired, and then some.

        A standby key is made when its predecessor takes over, so it waits for a whole interval.
        """
        life = 2 * self.rotation_interval + self.publication_interval() + self.retire_interval
        return life + CERTIFICATE_MARGIN

    def rollover_at(self, since: datetime, certified_until: datetime | None) -> datetime:
        """Return when a key's time is over that signs ``since`` then, and its certificate's end.

        A certificate that is to lapse before (the interval was made longer) ends it earlier, while
        the key can still stand in for its successor.
        """
        planned = since + self.rotation_interval
        if certified_until is None:
            return planned
        return min(planned, certified_until - self.retire_interval - CERTIFICATE_MARGIN / 2)

    @property
    def retire_interval(self) -> timedelta:
        """How long a retired key must stay public (rule 3, Iret)."""
        return self.fallback_interval + self.verified_interval

    @property
    def verified_interval(self) -> timedelta:
        """Return how long a key stays public after the keyring lets it sign for the last time."""
        last_signature = self.run_bound + self.signer_bound
        verified_for = self.assertion_lifetime + self.provider_leeway + self.clock_skew
        return last_signature + verified_for + self.max_age

    @staticmethod
    def _at_least[T: (timedelta, int)](name: str, value: T, bound: str, least: T) -> None:
        if value < least:
            raise PolicyError(f"{name} ({value}) must be at least {bound} ({least})")
