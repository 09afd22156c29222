"""Visits every state that can be reached, once, the nearest first; a broken promise has a trace.

Breadth first, so that a trace is as short as can be.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from machine_identity.errors import MachineIdentityError
from machine_identity.keyring import Keyring
from tests.model import promise
from tests.model.answering import Outside
from tests.model.calls import Command
from tests.model.moves import Moves
from tests.model.replay import Histories
from tests.model.running import Runs
from tests.model.state import KEY_SET, State, number_of

TICKS_TO_ORDER: Final = 3
"""An intent whose run died before KMS was asked is repeated after more than one interval."""


class BrokenPromiseError(AssertionError):
    """A state in which the promise is broken, with the moves that lead there."""

    def __init__(self, what: str, trace: list[str]) -> None:
        super().__init__("\n".join([what, *trace]))
        self.moves = len(trace)


@dataclass(slots=True)
class Count:
    """What was visited."""

    states: int = 1
    moves: int = 0
    depth: int = 0
    is_exhausted: bool = False
    """Whether there was nothing left to visit."""

    def __str__(self) -> str:
        end = "all there are" if self.is_exhausted else f"to a depth of {self.depth}"
        return f"{self.states} states, {self.moves} moves, {end}"


class Explorer:
    """Explores from a beginning; ``commands`` are what each run may be told to do."""

    def __init__(
        self,
        *commands: Command,
        outside: Outside,
        has_slow_runs: bool = False,
        is_every_call_one: bool = False,
    ) -> None:
        self.outside = outside
        self.histories = tuple(Histories(outside.policy, command) for command in commands)
        runs = Runs(outside=outside, histories=self.histories, is_every_call_one=is_every_call_one)
        self._moves = Moves(runs=runs, outside=outside, has_slow_runs=has_slow_runs)
        self._came_from: dict[State, tuple[State, str] | None] = {}

    def __len__(self) -> int:
        """How many states were visited by now."""
        return len(self._came_from)

    @property
    def taken(self) -> set[str]:
        """The names of all steps that some run took."""
        return {name for history in self.histories for name in history.taken}

    @property
    def races_lost(self) -> int:
        """In how many ways a run ended because somebody else wrote first."""
        return sum(history.races_lost for history in self.histories)

    def explore(self, start: State, *, depth: int) -> Count:
        """Visit all states within ``depth`` moves. Raises BrokenPromiseError."""
        start = self._moves.signed(start)
        self._came_from = {start: None}
        frontier, count = [start], Count()
        while frontier and count.depth < depth:
            count.depth += 1
            frontier = [after for state in frontier for after in self._visited(state, count)]
        count.states, count.is_exhausted = len(self._came_from), not frontier
        return count

    def _visited(self, state: State, count: Count) -> Iterator[State]:
        """Make every move, and return what it led to for the first time."""
        for name, after in self._moves.of(state):
            count.moves += 1
            if after in self._came_from:
                continue
            self._came_from[after] = state, name
            if (what := promise.broken(state, after)) is not None:
                raise BrokenPromiseError(what, self._trace(after))
            yield after

    def recover(self, tick: Command) -> int:
        """Have all runs die wherever they can stand, and ticks go on; return from how many states.

        What only caches and runs differ in counts as one. Raises BrokenPromiseError.
        """
        deaths: dict[object, State] = {}
        for state in self._came_from:
            deaths.setdefault((state.documents, state.keys), state)
        for state in deaths.values():
            if (what := self._disorder_after(state, tick)) is not None:
                what = f"{what}, {TICKS_TO_ORDER} ticks after all runs died"
                raise BrokenPromiseError(what, self._trace(state))
        return len(deaths)

    def _disorder_after(self, death: State, tick: Command) -> str | None:
        state = replace(death, edge=None, runs=())
        try:
            for _ in range(TICKS_TO_ORDER):
                state = replace(state, now=state.now + self.outside.policy.tick_interval)
                state = self.outside.run(state, tick)
        except MachineIdentityError as error:
            return f"a tick failed: {error}"
        return promise.disorder(state)

    def _trace(self, state: State) -> list[str]:
        """Return the moves that lead to a state, each with its time and what it changed."""
        lines: list[str] = []
        while (step := self._came_from[state]) is not None:
            before, name = step
            lines.append(f"{before.now:%d %H:%M:%S} {name}{_change(before, state)}")
            state = before
        return lines[::-1]


def _change(before: State, after: State) -> str:
    old, new = before.keyring(), after.keyring()
    if new is not None and new is not old:
        return f" → {_told(new)}"
    if before.document(KEY_SET) != after.document(KEY_SET):
        return f" → shows {sorted(after.shown())}"
    return ""


def _told(keyring: Keyring) -> str:
    keys = [f"{number_of(key.arn)} {key.state}" for key in keyring.keys]
    intent = [] if keyring.intent is None else [f"{keyring.intent.id} open"]
    return f"revision {keyring.revision}: {', '.join([*keys, *intent]) or 'no key'}"
