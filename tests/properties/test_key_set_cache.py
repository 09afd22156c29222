"""A stranger's key set under any answers at any times, judged by what the stranger published."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from machine_identity import jwk, jwks_cache, key_set
from machine_identity.jwks_cache import (
    FIRST_PAUSE,
    Action,
    Attempt,
    Cache,
    Limits,
    decide,
)
from machine_identity.key_set import TrustedKey

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIMITS = Limits()
SET = [
    jwk.from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key(), "ES256")
    for _ in range(5)
]
ALL = [*key_set.parse(json.dumps({"keys": SET}).encode()).values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A token that names a key, and what the issuer would answer if it were asked now."""

    after: timedelta
    key: int
    answer: frozenset[int] | None
    """The keys of its set by number; None is no answer."""
    took: timedelta
    chance: float


answers = st.none() | st.frozensets(st.integers(0, 3))  # the last of the keys is never published
calls = st.lists(
    st.builds(
        Call,
        after=st.sampled_from([1, 10, 29, 30, 31, 60, 300, 3599, 3600, 40_000]).map(
            lambda count: count * SECOND
        ),
        key=st.integers(0, 4),
        answer=answers,
        took=st.sampled_from([timedelta(), SECOND, 9 * SECOND]),
        chance=st.floats(0, 1, exclude_max=True),
    ),
    min_size=10,
    max_size=60,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One attempt."""

    at: datetime
    rests_from: datetime
    is_usable: bool
    """Whether there was a set to go on with."""
    is_answered: bool


class Life:
    """A client that makes every attempt that is due, and what it was answered."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.now = START
        self.attempts: list[Asked] = []
        self.sets: list[tuple[datetime, frozenset[int]]] = []
        """Those that were answered, the last one last."""

    def decided(self, call: Call) -> tuple[Action, TrustedKey | None]:
        kid = ALL[call.key].kid
        decision = decide(self.cache, kid, self.now, LIMITS)
        if decision.action is Action.REFRESH:
            self._ask(call)
            decision = decide(self.cache, kid, self.now, LIMITS)
        return decision.action, decision.key

    def _ask(self, call: Call) -> None:
        attempt = Attempt(begun_at=self.now, ended_at=self.now + call.took, chance=call.chance)
        is_usable = self.has_usable_set()
        self._try(call, attempt)
        rests_from = attempt.begun_at if self.cache.failures == 0 else attempt.ended_at
        asked = Asked(
            at=self.now,
            rests_from=rests_from,
            is_usable=is_usable,
            is_answered=call.answer is not None,
        )
        self.attempts.append(asked)

    def _try(self, call: Call, attempt: Attempt) -> None:
        if call.answer is None:
            self.cache = jwks_cache.failed(self.cache, attempt)
            return
        self.sets.append((self.now, call.answer))
        keys = {ALL[number].kid: ALL[number] for number in call.answer}
        new = jwks_cache.fetched(keys, self.now, max_age=None, etag="")
        self.cache = jwks_cache.successor(self.cache, new, attempt, LIMITS)

    def has_usable_set(self) -> bool:
        at = self.cache.fetched_at
        return at is not None and self.now - at < LIMITS.max_age


def within(sets: Iterable[tuple[datetime, frozenset[int]]], now: datetime) -> set[int]:
    """The keys of those sets that are not too old."""
    young = [keys for at, keys in sets if now - at < LIMITS.max_age]
    return set().union(*young)


@settings(max_examples=300, deadline=None)
@given(calls=calls)
def test_whom_a_key_set_trusts_and_how_often_it_is_asked_for(calls: list[Call]) -> None:
    life = Life()
    for call in calls:
        life.now += call.after
        action, key = life.decided(call)
        assert key is None or key is ALL[call.key]
        # No key serves that neither of the last two sets had, or that is too old.
        assert key is None or call.key in within(life.sets[-2:], life.now)
        # A key that both had, one of them young enough to count, always serves.
        if len(life.sets) > 1 and call.key in life.sets[-1][1] & life.sets[-2][1]:
            is_young = life.now - life.sets[-2][0] < LIMITS.max_age
            assert key is not None or not is_young
        # Refused is what the issuer's last set, taken for good, does not have.
        if action is Action.REFUSE:
            assert life.attempts[-1].is_answered
            assert call.key not in life.sets[-1][1]
        # While the issuer answers, a key that serves was published within the refresh interval;
        # one that went with most others may serve for two cooldowns more.
        if key is not None and life.attempts and life.attempts[-1].is_answered:
            is_published = call.key in life.sets[-1][1]
            since = life.now - life.attempts[-1].rests_from
            assert since < (LIMITS.refresh_interval if is_published else 2 * LIMITS.cooldown)
    for before, after in pairwise(life.attempts):
        pause = LIMITS.cooldown if after.is_usable else FIRST_PAUSE
        assert after.at - before.rests_from >= pause
