"""What may go wrong at a call, and the hand that has it go wrong at one call of a life."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

from botocore.exceptions import ClientError, ReadTimeoutError

from machine_identity.aws import AwsError
from machine_identity.errors import TransportError

BURST: Final = 3
"""How many calls of one operation are throttled in a row."""
ONE_ATTEMPT: Final = timedelta(seconds=5)
THREE_ATTEMPTS: Final = timedelta(seconds=17)
"""How long the clients of ``aws.clients`` wait for a silent server, pauses included."""


class DiedError(BaseException):
    """The process is gone: nothing can catch it."""


class Kind(StrEnum):
    """How a call goes wrong."""

    REFUSED = "fails before it acts"
    LOST = "fails after it acted"
    THROTTLED = "is throttled, and the next two of its kind"
    TIMED_OUT = "times out, and did not act"
    TIMED_OUT_ACTED = "times out, and acted"
    KILLED_BEFORE = "is not reached by the process, which is killed"
    KILLED_AFTER = "is the last thing that the process does"
    OVERTAKEN = "comes after a whole tick of another process"


ENDS: Final = frozenset({Kind.LOST, Kind.TIMED_OUT_ACTED, Kind.KILLED_AFTER})
"""What happens after the call acted."""
_LATE: Final = frozenset({Kind.TIMED_OUT, Kind.TIMED_OUT_ACTED})
_CODES: Final = {
    Kind.REFUSED: "InternalFailure",
    Kind.LOST: "ConnectionClosedError",
    Kind.THROTTLED: "ThrottlingException",
    Kind.TIMED_OUT: "ReadTimeoutError",
    Kind.TIMED_OUT_ACTED: "ReadTimeoutError",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One thing that goes wrong: how, and at which call of which moment."""

    moment: int
    call: int
    kind: Kind


def error(call: str, kind: Kind) -> BaseException:
    """Return what the caller is met with."""
    code = _CODES.get(kind)
    if code is None:
        return DiedError()
    if is_http(call):
        return TransportError(code)
    if call == "kms:Sign":
        return _of_boto(code)
    return AwsError(call, code)


def patience(call: str) -> timedelta:
    """Return how long a call is waited for."""
    once = is_http(call) or (call.startswith("kms:") and call != "kms:Sign")
    return ONE_ATTEMPT if once else THREE_ATTEMPTS


def is_http(call: str) -> bool:
    """Whether it goes to a server that knows no AWS."""
    return call.startswith(("GET ", "POST "))


def _of_boto(code: str) -> Exception:
    if code.endswith("Error"):
        return ReadTimeoutError(endpoint_url="https://kms")
    return ClientError({"Error": {"Code": code, "Message": "as documented"}}, "Sign")


class Hand:
    """Has each of its strikes happen, once; asked round every call of a life."""

    def __init__(self, *strikes: Strike, answers: Callable[[str, int | None], None]) -> None:
        self._left = list(strikes)
        self._answers = answers
        """Sets the status that the server behind a call answers with, or None for its own."""
        self._burst: dict[str, int] = {}
        self.overtake: Callable[[], None] = lambda: None
        self.advance: Callable[[timedelta], None] = lambda _: None
        self.struck: list[int] = []
        """The moments in which something went wrong."""

    @property
    def is_spent(self) -> bool:
        """Whether nothing more goes wrong."""
        return not self._left and not self._burst

    def ended(self, moment: int) -> None:
        """Forget what can happen no more, since that moment of the life is over."""
        self._left = [each for each in self._left if each.moment > moment]
        if moment not in self.struck:
            self._burst.clear()

    def touch(
        self, when: Literal["before", "after"], call: str, *, moment: int, number: int
    ) -> None:
        """Have happen what is to happen there."""
        if when == "after" and is_http(call):
            self._answers(call, None)
        for strike in self._due(when, moment, number):
            self._left.remove(strike)
            self._strike(strike.kind, call, moment)
        if when == "before" and self._burst.get(call):
            self._throttle(call, moment)

    def _due(self, when: str, moment: int, number: int) -> Iterator[Strike]:
        for each in tuple(self._left):
            is_then = (when == "after") == (each.kind in ENDS)
            if is_then and (each.moment, each.call) == (moment, number):
                yield each

    def _strike(self, kind: Kind, call: str, moment: int) -> None:
        self.struck.append(moment)
        if kind is Kind.OVERTAKEN:
            self.overtake()
            return
        if kind is Kind.THROTTLED:
            self._burst[call] = BURST
            return
        if kind in _LATE:
            self.advance(patience(call))
        raise error(call, kind)

    def _throttle(self, call: str, moment: int) -> None:
        self.struck.append(moment)
        self._burst[call] -= 1
        if not self._burst[call]:
            del self._burst[call]
        if is_http(call):
            self._answers(call, 429)
            return
        raise error(call, Kind.THROTTLED)
