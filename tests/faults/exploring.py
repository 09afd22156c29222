"""Repeats a life with something going wrong in it, until it has become like one that ends well.

A life is taken back to the moment before, not lived anew. It ends where what its future depends
on (see ``likeness``) is what it was in a life that is known to end well, and else at the end of
the timeline, where it must be in the steady state.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from tests.faults.audit import Tally
from tests.faults.kinds import Kind, Strike
from tests.faults.likeness import likeness
from tests.faults.lives import Life
from tests.faults.snapshots import Snapshot
from tests.faults.steady import assert_steady
from tests.faults.timeline import TIMELINE
from tests.world import START

KINDS: Final = tuple(Kind)


class Explorer:
    """All lives that differ from an undisturbed one in what goes wrong."""

    def __init__(self, make: Callable[[Tally], Life] = Life) -> None:
        self.tally = Tally()
        self.lives = 0
        self.whole_lives = 0
        """How many had to be lived to the end of the timeline."""
        self.is_patient = False
        """Whether every life is lived to the end, whatever it is like."""
        self.pairs_in_all = 0
        self.calls: list[tuple[str, ...]] = []
        """The undisturbed life's calls, moment for moment."""
        self._life = make(self.tally)
        self._before: list[Snapshot] = []
        self._known: list[set[tuple[Any, ...]]] = [set() for _ in TIMELINE]
        """How a life that ends well may be, moment for moment."""
        for number, moment in enumerate(TIMELINE):
            self._life.come_to(moment)
            self._known[number].add(likeness(self._life))
            self._before.append(Snapshot(self._life.parts()))
            self._life.live(number, moment)
            self.calls.append(tuple(self._life.world.calls))
        assert_steady(self._life)
        self.undisturbed_steps = self._life.world.taken()

    @property
    def calls_in_all(self) -> int:
        """How many calls the undisturbed life makes."""
        return sum(map(len, self.calls))

    def call(self, strike: Strike) -> str:
        """Return the name of the call that a strike hits."""
        return self.calls[strike.moment][strike.call - 1]

    def places(self) -> Iterator[tuple[int, int, str]]:
        """Yield the moment, the number and the name of every call of the undisturbed life."""
        for moment, calls in enumerate(self.calls):
            for number, call in enumerate(calls, start=1):
                yield moment, number, call

    def every_way(self) -> Iterator[Strike]:
        """Yield every call with every kind."""
        for moment, number, _ in self.places():
            for kind in KINDS:
                yield Strike(moment=moment, call=number, kind=kind)

    def in_rotation(self) -> Iterator[Strike]:
        """Yield every call with two kinds at least, and every operation with every kind."""
        often = Counter(call for _, _, call in self.places())
        turn: Counter[str] = Counter()
        for moment, number, call in self.places():
            for _ in range(max(2, -(-len(KINDS) // often[call]))):
                kind = KINDS[turn[call] % len(KINDS)]
                turn[call] += 1
                yield Strike(moment=moment, call=number, kind=kind)

    def live(self, *strikes: Strike) -> None:
        """Live a life in which these things go wrong. Raises AssertionError with its story."""
        self.lives += 1
        self._before[strikes[0].moment].restore()
        hand = self._life.struck(*strikes)
        try:
            self._live_on(strikes[0].moment)
            assert hand.struck or self._life.is_strained, "nothing went wrong"
        except Exception as error:
            raise AssertionError(self._story(strikes, error)) from error

    def pairs(self, firsts: Iterable[Strike], each: int) -> Iterator[tuple[Strike, Strike]]:
        """Yield strikes with another in the same moment or the next, so many for ``each``."""
        for number, first in enumerate(firsts):
            seconds = [
                Strike(moment=moment, call=call, kind=kind)
                for moment, call in self._calls_after(first)
                for kind in KINDS
            ]
            self.pairs_in_all += len(seconds)
            step = max(1, len(seconds) // each)
            for second in seconds[number % step :: step][:each]:
                yield first, second

    def counted(self) -> str:
        """Return what was lived through, in words."""
        tally = self.tally
        return (
            f"{self.lives} lives off one of {self.calls_in_all} calls, {self.whole_lives} of them "
            f"to the end: {tally.ticks} ticks, {tally.calls} calls, {tally.verified} assertions "
            f"verified, {tally.emergencies} looks away (rule 10)"
        )

    def _calls_after(self, strike: Strike) -> list[tuple[int, int]]:
        self._before[strike.moment].restore()
        self._life.struck(strike)
        places = []
        for moment in range(strike.moment, min(strike.moment + 2, len(TIMELINE))):
            self._life.live(moment, TIMELINE[moment])
            first = strike.call if moment == strike.moment else 0
            calls = len(self._life.world.calls)
            places += [(moment, number) for number in range(first + 1, calls + 1)]
        return places

    def _live_on(self, first: int) -> None:
        life, path = self._life, []
        for number in range(first, len(TIMELINE)):
            life.come_to(TIMELINE[number])
            if life.hand is None or life.hand.is_spent:
                like = likeness(life)
                if like in self._known[number] and not self.is_patient:
                    break
                path.append((number, like))
            life.live(number, TIMELINE[number])
        else:
            self.whole_lives += 1
            life.linger()
            assert_steady(life)
        for number, like in path:
            self._known[number].add(like)

    def _story(self, strikes: tuple[Strike, ...], error: Exception) -> str:
        begin = TIMELINE[strikes[0].moment].at
        lines = [f"{type(error).__name__}: {error}"]
        for each in strikes:
            moment = TIMELINE[each.moment]
            lines.append(f"call {each.call} at {moment.at} ({moment.act}) {each.kind}")
        world = self._life.world
        steps = [(at - START, step) for at, step in world.steps]
        lines += [f"  {at} {step}" for at, step in steps if at >= begin]
        return "\n".join([*lines, f"found at {world.now - START}"])
