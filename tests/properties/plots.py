"""The life of an identity as a list of events, drawn by Hypothesis and shortened by hand.

Hypothesis's own shrinking is left out: it may take minutes and as many lives as it likes. What is
left of a life that fails when every event that can go is gone is a story, ready to be kept.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from hypothesis import strategies as st

from machine_identity.policy import Policy
from tests.properties.acts import HOUR, TICK, Act
from tests.properties.promise import NOTHING, SECOND, Tally
from tests.properties.stage import Stage

type After = timedelta | Literal["due"]
_MOST_TRIES: Final = 200
"""Lives that are lived through to shorten one: some twenty seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Event:
    """One act, after a while."""

    act: Act
    after: After = NOTHING
    """``due`` is when the last run wanted to be followed by another."""
    shift: timedelta = NOTHING
    """How much earlier or later than that it comes."""
    dial: int = 0

    def happen(self, stage: Stage) -> None:
        """Let the time pass, do it, and let everybody sign."""
        at = stage.due_at if self.after == "due" else stage.now + self.after
        stage.advance(min(at, stage.now + 80 * HOUR) + self.shift)
        stage.note(f"{self.act.__name__} {self.dial}")
        self.act(stage, self.dial)
        stage.sign()
        stage.tally.steps += 1

    def __repr__(self) -> str:
        shift = self.shift.total_seconds()
        return f"{self.after}{shift:+.0f}s {self.act.__name__}({self.dial})"


def lived(
    policy: Policy,
    events: Sequence[Event],
    tally: Tally,
    threads: ThreadPoolExecutor,
) -> None:
    """Live through a life, and end what still runs in it."""
    tally.lives += 1
    stage = Stage(policy, tally, threads)
    try:
        for each in events:
            each.happen(stage)
    finally:
        stage.stop()


def shortened(events: Sequence[Event], fails: Callable[[Sequence[Event]], bool]) -> list[Event]:
    """Return what is left of a life that fails when whatever can go is gone, in a bounded time."""
    left, size, tries = list(events), len(events) // 2, 0
    while size and tries < _MOST_TRIES:
        start = 0
        while start < len(left) and tries < _MOST_TRIES:
            without, tries = left[:start] + left[start + size :], tries + 1
            if fails(without):
                left = without
            else:
                start += size
        size //= 2
    return left


def lives(weights: Mapping[Act, int], least: int, most: int) -> st.SearchStrategy[list[Event]]:
    """Return as many events as are asked for, made of those acts as often as their weights say."""
    acts = [act for act, weight in weights.items() for _ in range(weight)]
    afters: list[After] = [NOTHING, TICK, "due", HOUR, SECOND, 30 * SECOND, 5 * HOUR, 20 * HOUR]
    drawn = st.builds(
        Event,
        act=st.sampled_from(acts),
        after=st.sampled_from(afters),
        shift=st.sampled_from([NOTHING, SECOND, -SECOND, -30 * SECOND]),
        dial=st.integers(0, 999),
    )
    return st.lists(drawn, min_size=least, max_size=most)
