"""Runs: where each stands, and what becomes of the state when one goes on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from tests.model.answering import Outside
from tests.model.calls import Answer, Call
from tests.model.replay import Ended, Histories
from tests.model.state import CONFIGURATION, Run, State

type Move = tuple[str, State]
"""What happens, in words, and the state after it."""

_LETTERS: Final = "BA"
"""What a trace calls the last run to begin, and the one before."""
_HARDLY_CHANGED: Final = frozenset(
    {"kms.any", "kms.is_usable", "kms.public_key", "kms.search", "state.has_history"}
)
"""Reads whose answer the others hardly change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """All runs there may be; each has its place in the tree of its command's histories."""

    outside: Outside
    histories: tuple[Histories, ...]
    is_every_call_one: bool
    """Whether each call is a move of its own; else some reads are made with the call before."""

    def moves(self, state: State) -> Iterator[Move]:
        """Return what each run can do next, and each that may begin."""
        for run in state.runs:
            history = self.histories[run.command]
            name = f"{run.letter}, a {history.name}: {history.pending(run.node)}"
            yield name, self._stepped(state, run)
        for command in range(len(self.histories)) if state.runs_left else ():
            yield self._started(state, command)

    def is_about_to_write(self, state: State, key: str) -> bool:
        """Whether some run's next call is a write of that document."""
        calls = [self.histories[run.command].pending(run.node) for run in state.runs]
        return any(
            isinstance(call, Call) and call.verb.endswith(".write") and call.arguments[0] == key
            for call in calls
        )

    def _started(self, state: State, command: int) -> Move:
        history, letter = self.histories[command], _LETTERS[state.runs_left - 1]
        node = history.begun(Answer(at=state.now))
        run = Run(command, node, state.now + self.outside.policy.run_bound, letter)
        after = self._gone_on(replace(state, runs_left=state.runs_left - 1), run, state.runs)
        return f"{letter}, a {history.name}, begins", after

    def _stepped(self, state: State, run: Run) -> State:
        """Carry out the call on which a run waits."""
        others = tuple(each for each in state.runs if each is not run)
        pending = self.histories[run.command].pending(run.node)
        return self._gone_on(*self._called(state, run, pending), others)

    def _gone_on(self, state: State, run: Run, others: tuple[Run, ...]) -> State:
        """Let a run go on up to the next call that is a move of its own."""
        pending = self.histories[run.command].pending(run.node)
        while isinstance(pending, Call) and self._is_joined(pending):
            state, run = self._called(state, run, pending)
            pending = self.histories[run.command].pending(run.node)
        if isinstance(pending, Ended):
            return replace(state, runs=others, failure=pending.failure)
        runs = sorted([*others, run], key=lambda each: (each.command, each.node, each.deadline))
        return replace(state, runs=tuple(runs))

    def _called(self, state: State, run: Run, pending: Call | Ended) -> tuple[State, Run]:
        assert isinstance(pending, Call), "a run that is over is in no state"
        state, answer = self.outside.answered(state, pending)
        return state, replace(run, node=self.histories[run.command].follow(run.node, answer))

    def _is_joined(self, call: Call) -> bool:
        """Whether a call is made in one go with the one before: it reads what hardly changes."""
        if self.is_every_call_one:
            return call.verb == "unique"
        reads = call.verb in {"url.get", "published.read"}
        is_configuration = reads and CONFIGURATION.endswith(call.arguments[0])
        return call.verb == "unique" or call.verb in _HARDLY_CHANGED or is_configuration
