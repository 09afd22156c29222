"""A stranger's key set, kept: for how long its keys are trusted, and when to ask for it again.

``decide`` is a function of (cache, kid, now):

1. A known key serves while the set is fresh. When it is not, one call asks again, and the key
   goes on serving, whatever comes of it, until the set reaches its hard age.
2. An unknown key may be new, so it is worth asking for, but at most once in a cooldown *for all
   of them together*: anybody can make up key identifiers.
3. While the issuer does not answer, the pauses between two attempts double, up to five minutes.
   Each is cut by up to a half, by chance, so that many who failed together do not ask together.
   For an unknown key none is shorter than the cooldown, unless there is no set to go on with.
4. Not in a fresh set: refused. Not known because the issuer does not answer: nobody can say.

``successor`` decides what a new set is worth:

5. A set that lost most of several keys, or all that could be used, may be a mistake: the old keys
   go on beside the new ones, until the next set, asked for after such a pause, counts,
   whatever is in it. So a removed key is trusted for the refresh interval; where most went at
   once, for that pause after the first call beyond it; and while the issuer cannot be asked,
   until the hard age.

All ages are measured on the wall clock, which goes on in a frozen environment. Where it went back,
an age is unknown: it is time to ask again, and beyond a few minutes the set counts as too old.
Nothing here fetches, waits, reads a clock or draws a number.
"""

from collections.abc import Mapping
from copy import replace
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Final

from machine_identity.key_set import TrustedKey
from machine_identity.records import hidden, record

LONGEST_PAUSE: Final = timedelta(minutes=5)
FIRST_PAUSE: Final = timedelta(seconds=1)
"""After a failure without a set to go on with, when every call fails; else it is the cooldown."""
SHORTEST_FRESHNESS: Final = timedelta(minutes=5)
"""However short a max-age is: Auth0's is 15 s, and a refresh is in line."""
STEP_BACK: Final = timedelta(minutes=5)
"""By which a clock may be put right without losing the set."""
DISORDER: Final = timedelta(seconds=10)
"""By which a caller that waited for another's attempt may have read its clock earlier."""


@record
class Limits:
    """How old a set may become, and how often an issuer is asked."""

    refresh_interval: timedelta = timedelta(hours=1)
    """A key that the issuer removed is trusted for so long at most, while the issuer answers."""
    max_age: timedelta = timedelta(hours=24)
    """And for so long while it does not."""
    cooldown: timedelta = timedelta(seconds=30)
    """Between two attempts that unknown keys cause, and the first pause, up to five minutes."""


@record
class Cache:
    """The last good set, and what is known about the last attempt to get one."""

    keys: Mapping[str, TrustedKey] = hidden(default=MappingProxyType({}))
    fetched_at: datetime | None = None
    """When the set was asked for; None if there has never been one."""
    max_age: timedelta | None = None
    """What the issuer said, if it did (RFC 9111 section 5.2.2.1)."""
    etag: str = hidden(default="")
    tried_at: datetime | None = None
    """When the last attempt began, or ended if it failed: the pause is not what it took."""
    failures: int = 0
    """Attempts that failed since the last one that did not; one that brought doubt did."""
    chance: float = 0
    """From 0 up to 1: how much of what is left to chance is added to the pause."""
    is_in_doubt: bool = False
    """Whether the issuer's last set is not taken for good: ``keys`` are the old and the new."""


class Action(Enum):
    """What to do with a token that names a key."""

    USE = "use"
    """The key is known and serves."""
    REFRESH = "refresh"
    """It is time to ask the issuer; a key that is known serves those who do not wait."""
    REFUSE = "refuse"
    """The issuer, asked a moment ago, has no such key."""
    FAIL = "fail"
    """The issuer does not answer, so nobody can say whether it has such a key."""


@record
class Decision:
    """What to do, and the key if it is known and its set not too old."""

    action: Action
    key: TrustedKey | None = None


def decide(cache: Cache, kid: str, now: datetime, limits: Limits) -> Decision:
    """Return what to do with a token that names the key ``kid``."""
    age = _age(cache, now)
    has_set = is_usable(cache, now, limits)
    key = cache.keys.get(kid) if has_set else None
    if key is not None and -DISORDER <= age < _freshness(cache, limits):
        return Decision(action=Action.USE, key=key)
    if cache.failures > 0:
        pause = _pause(cache, limits, has_set=has_set)
        if has_set and key is None:
            pause = max(pause, limits.cooldown)
        is_resting = _is_recent(cache, now, pause)
    else:
        is_resting = has_set and key is None and _is_recent(cache, now, limits.cooldown)
    if not is_resting:
        return Decision(action=Action.REFRESH, key=key)
    if key is not None:
        return Decision(action=Action.USE, key=key)
    return Decision(action=Action.REFUSE if cache.failures == 0 else Action.FAIL)


@record
class Attempt:
    """When an issuer was asked, when that was over, and a number from 0 up to 1 for the pause."""

    begun_at: datetime
    ended_at: datetime
    chance: float


def fetched(
    keys: Mapping[str, TrustedKey], now: datetime, *, max_age: timedelta | None, etag: str
) -> Cache:
    """Return the cache that a set makes, asked for at ``now``, if it is taken for good."""
    return Cache(keys=keys, fetched_at=now, max_age=max_age, etag=etag, tried_at=now)


def successor(cache: Cache, new: Cache, attempt: Attempt, limits: Limits) -> Cache:
    """Return what comes after ``cache`` when an attempt brought the set of ``new`` (rule 5)."""
    has_set = is_usable(cache, attempt.begun_at, limits)
    if has_set and not cache.is_in_doubt and _has_lost_most(cache.keys, new.keys):
        both = {**new.keys, **cache.keys}
        # Without its entity tag the next answer is a whole set again, never "the same".
        doubted = replace(cache, keys=both, etag="", is_in_doubt=True, failures=0)
        return failed(doubted, attempt)
    if not new.keys:
        return failed(Cache(failures=cache.failures), attempt)
    return new


def confirmed(cache: Cache, now: datetime, *, max_age: timedelta | None) -> Cache:
    """Return the cache after the issuer said that the set is still the same (304).

    What it does not say anew is as it was (RFC 9111 section 4.3.4).
    """
    lasting = cache.max_age if max_age is None else max_age
    return fetched(cache.keys, now, max_age=lasting, etag=cache.etag)


def failed(cache: Cache, attempt: Attempt) -> Cache:
    """Return the cache after an attempt that brought nothing."""
    failures, chance = cache.failures + 1, attempt.chance
    return replace(cache, failures=failures, tried_at=attempt.ended_at, chance=chance)


def _has_lost_most(old: Mapping[str, TrustedKey], new: Mapping[str, TrustedKey]) -> bool:
    """Whether fewer than half of several keys are left, or none that can be used.

    The one key of an issuer that has but one is replaced whenever it is renewed: no doubt there.
    """
    left = [
        kid for kid, key in old.items() if kid in new and new[kid].public_key == key.public_key
    ]
    return not new or (len(old) > 1 and 2 * len(left) < len(old))


def is_usable(cache: Cache, now: datetime, limits: Limits) -> bool:
    """Return whether there is a set that is not too old to serve."""
    return -STEP_BACK <= _age(cache, now) < limits.max_age


def _age(cache: Cache, now: datetime) -> timedelta:
    return timedelta.max if cache.fetched_at is None else now - cache.fetched_at


def _freshness(cache: Cache, limits: Limits) -> timedelta:
    if cache.is_in_doubt:
        return -DISORDER  # it is never fresh
    said = limits.refresh_interval if cache.max_age is None else cache.max_age
    return min(max(said, SHORTEST_FRESHNESS), limits.refresh_interval)


def _pause(cache: Cache, limits: Limits, *, has_set: bool) -> timedelta:
    """Return how long to leave the issuer alone: a half for sure, and a half by chance."""
    first = limits.cooldown if has_set else FIRST_PAUSE
    doublings = min(cache.failures, 10)  # beyond, it is the longest anyway
    longest = min(first * (1 << doublings), LONGEST_PAUSE)
    return longest * (1 + cache.chance) / 2


def _is_recent(cache: Cache, now: datetime, pause: timedelta) -> bool:
    return cache.tried_at is not None and -DISORDER <= now - cache.tried_at < pause
