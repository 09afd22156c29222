"""Whole lives under settings that change, fetches that fail and runs that die.

Judged not by the code's own intervals but by what is out there: every copy of the key set that
somebody may hold, and every assertion that somebody may have signed.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from machine_identity.evidence import Observation, Unseen
from machine_identity.forecast import Planned
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.steps import Promote, Withdraw
from tests.keyrings import START
from tests.properties.life import PATIENCE, Life

MINUTE = timedelta(minutes=1)
SIGNER_BOUND = 10 * MINUTE
LEEWAY = 5 * MINUTE
STALENESS = 5 * MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The next run: how long after the last, under which settings, and what befalls it."""

    after: timedelta | None
    """None is as soon as the last run said."""
    max_age: timedelta
    lifetime: timedelta
    fetch: str
    is_asked_to_rotate: bool
    is_undone: bool
    """Somebody put the set back by hand; the run sees what it shows."""
    patience: int
    is_last_record_lost: bool

    def policy(self, key_set_cache: timedelta) -> Policy:
        return Policy(
            rotation_interval=timedelta(days=3),
            key_set_cache=key_set_cache,
            provider_leeway=LEEWAY,
            max_age=self.max_age,
            origin_staleness=STALENESS,
            assertion_lifetime=self.lifetime,
            signer_bound=SIGNER_BOUND,
        )

    def run(self, life: Life, now: datetime, key_set_cache: timedelta) -> datetime:
        """Let it happen; return when the run wants to be followed by another."""
        if self.is_asked_to_rotate:
            ask(life, now)
        if self.is_undone:
            life.undo(now)
        return life.run(
            now,
            self.policy(key_set_cache),
            self.observation(life, now),
            patience=max(self.patience, int(self.is_undone)),
            is_last_record_lost=self.is_last_record_lost,
        )

    def observation(self, life: Life, now: datetime) -> Observation:
        match self.fetch:
            case "fails" if not self.is_undone:
                return Unseen(at=now, why="no answer")
            case "is stale" if not self.is_undone:
                return life.seen(now, STALENESS)
            case _:
                return life.seen(now)


def minutes(*counts: int) -> st.SearchStrategy[timedelta]:
    return st.sampled_from([count * MINUTE for count in counts])


one_in_ten = st.integers(0, 9).map(lambda number: number == 9)
events = st.lists(
    st.builds(
        Event,
        after=st.none() | minutes(1, 15, 60, 1000),
        max_age=minutes(5, 5, 60, 400),
        lifetime=minutes(5, 5, 600),
        fetch=st.sampled_from(["succeeds", "succeeds", "fails", "is stale"]),
        is_asked_to_rotate=st.booleans(),
        is_undone=one_in_ten,
        patience=st.just(PATIENCE) | st.integers(0, 6),
        is_last_record_lost=st.booleans(),
    ),
    min_size=20,
    max_size=50,
)


def plain(lifetime: timedelta = 5 * MINUTE, **members: Any) -> Event:
    """Return a run that nothing befalls."""
    usual: dict[str, Any] = {
        "after": None,
        "max_age": 5 * MINUTE,
        "fetch": "succeeds",
        "is_asked_to_rotate": False,
        "is_undone": False,
        "patience": PATIENCE,
        "is_last_record_lost": False,
    }
    return Event(lifetime=lifetime, **{**usual, **members})


FIRST_KEY_UNDER_NEW_SETTINGS = [
    plain(lifetime=10 * 60 * MINUTE),
    plain(),
    plain(after=MINUTE, is_asked_to_rotate=True),
    *[plain()] * 4,
]


@settings(max_examples=150, deadline=None)
@example(events=FIRST_KEY_UNDER_NEW_SETTINGS, cache=timedelta(), genesis=False)
@given(events=events, cache=minutes(0, 1, 60), genesis=st.booleans())
def test_no_copy_misses_a_key_that_signs_and_no_set_misses_a_key_that_verifies(
    *, events: list[Event], cache: timedelta, genesis: bool
) -> None:
    life = Life(keyring=Keyring(identity="i", issuer="https://i.example", genesis=genesis))
    now, wanted, lifetimes = START, START, dict[datetime, timedelta]()
    for each in events:
        now = max(wanted, now + MINUTE) if each.after is None else now + each.after
        if each.patience or each.is_undone:  # settings count once a run has begun with them
            lifetimes[now] = each.lifetime
        wanted = each.run(life, now, cache)
    for step in life.steps:
        match step.step:
            case Promote(kid=kid):
                assert step.at >= last_copy_without(kid, life, step.at, cache)
            case Withdraw(kid=kid):
                assert step.at >= last_assertion_of(kid, life.steps, lifetimes)


def ask(life: Life, now: datetime) -> None:
    if life.keyring.active and not life.keyring.rollover_requested_at:
        life.save(replace(life.keyring, rollover_requested_at=now))


def last_copy_without(kid: str, life: Life, now: datetime, cache: timedelta) -> datetime:
    """Return until when anybody may go on using a set that was fetched without the key in it."""
    ends = [each.at for each in life.history[1:]] + [now]
    return max(
        (
            min(end, now) + STALENESS + max(each.max_age, cache)
            for each, end in zip(life.history, ends, strict=True)
            if kid not in each.kids and each.at <= now
        ),
        default=START,
    )


def last_assertion_of(
    kid: str, steps: list[Planned], lifetimes: dict[datetime, timedelta]
) -> datetime:
    """Return until when an assertion that the key signed may be accepted.

    Settings count from the run that has them until the next, not into it: both functions change
    them together. (A signer that has the old ones for a moment longer is why keys leave one after
    another; only before the first key there is none that remembers them.)
    """
    promotions = [(each.at, each.step) for each in steps if isinstance(each.step, Promote)]
    began = min(at for at, step in promotions if step.kid == kid)
    ended = max(at for at, step in promotions if step.retires == kid) + SIGNER_BOUND
    starts = sorted(lifetimes)
    return max(
        min(end, ended) + lifetimes[start] + LEEWAY
        for start, end in zip(starts, [*starts[1:], ended], strict=True)
        if start <= ended and end > began
    )
