"""The real rotation, stopped at every call, as a function of the answers that it has had.

A run is deterministic: between two calls it only computes. So where it stands is told by its
answers so far, and where it goes by the next one. The same beginning is lived through only once.
"""

from dataclasses import dataclass, fields, is_dataclass
from typing import Final

from machine_identity.errors import ConflictError, MachineIdentityError
from machine_identity.http1 import Response
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.steps import Step
from tests.model.calls import Answer, Call, Command, rotation

_BEFORE: Final = -1
"""The place before a run's first answer, which says nothing but when the run begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that is over; to lose a race is no failure."""

    failure: str | None = None


type Pending = Call | Ended


class Histories:
    """All beginnings of runs of one command, as a tree: a node is where a run can stand."""

    def __init__(self, policy: Policy, command: Command) -> None:
        self.name = command.__name__
        self.taken: set[str] = set()
        """The names of all steps that some run took."""
        self.races_lost = 0
        """In how many ways a run ended because somebody else wrote first."""
        self._policy = policy
        self._command = command
        self._nodes: list[tuple[int, Answer]] = []
        self._children: dict[tuple[int, object], int] = {}
        self._pending: list[Pending] = []

    def begun(self, answer: Answer) -> int:
        """Return where a run stands that begins at the time of ``answer``."""
        return self.follow(_BEFORE, answer)

    def pending(self, node: int) -> Pending:
        """Return what the run at that node asks next."""
        return self._pending[node]

    def follow(self, parent: int, answer: Answer) -> int:
        """Return where the run stands after an answer."""
        key = (parent, _frozen(answer))
        if key not in self._children:
            self._children[key] = len(self._nodes)
            self._nodes.append((parent, answer))
            self._pending.append(self._lived(self._answers(len(self._nodes) - 1)))
        return self._children[key]

    def _answers(self, node: int) -> list[Answer]:
        """Return what the run was answered up to a node, the last one first."""
        answers: list[Answer] = []
        while node != _BEFORE:
            node, answer = self._nodes[node]
            answers.append(answer)
        return answers

    def _lived(self, answers: list[Answer]) -> Pending:
        begun = answers.pop()

        def ask(call: Call) -> Answer:
            if not answers:
                raise _StoppedError(call)
            return answers.pop()

        run = rotation(ask, self._policy, begun.at, self._report)
        try:
            self._command(run)
        except _StoppedError as stopped:
            return stopped.call
        except ConflictError:
            self.races_lost += 1
        except MachineIdentityError as error:
            return Ended(failure=f"{type(error).__name__}: {error}")
        return Ended()

    def _report(self, step: Step, keyring: Keyring) -> None:
        del keyring
        self.taken.add(type(step).__name__)


class _StoppedError(BaseException):
    """No error of the run, which must not catch it: the recorded answers are used up."""

    def __init__(self, call: Call) -> None:
        self.call = call


def _frozen(value: object) -> object:
    """Return what tells one value from another, to look it up by."""
    if isinstance(value, Exception):
        return str(value)
    if isinstance(value, dict):
        return tuple(sorted(value.items()))
    if isinstance(value, tuple):
        return tuple(_frozen(each) for each in value)
    if isinstance(value, Response):  # a record, and not a dataclass
        return value.status, _frozen(value.headers), value.body
    if is_dataclass(value):
        return tuple(_frozen(getattr(value, each.name)) for each in fields(value))
    return value
