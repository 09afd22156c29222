"""One life: when what happens in it, if nothing goes wrong.

Bootstrap, two rollovers by the schedule with one that the operator asks for between them, the
revocation of the active key, and each key's way out: withdrawn, disabled, scheduled for deletion,
forgotten. Between them nothing happens, so the ticks come seldom there; where something does they
come as the template's schedule has them.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from machine_identity.policy import Policy

POLICY: Final = Policy(
    algorithm="ES256", rotation_interval=timedelta(days=10), key_set_cache=timedelta(hours=1)
)


class Act(StrEnum):
    """What is done at a moment, and by whom."""

    TICK = "rotation's schedule"
    CANARY = "the token function's schedule"
    TOKEN = "a caller of the token function"
    ROTATE = "an operator's rotate"
    REVOKE = "an operator's revoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant of a life, since its beginning, and what is done then."""

    at: timedelta
    act: Act


def _moments(begin: timedelta, *acts: tuple[str, Act]) -> list[Moment]:
    """Read instants as ``[days+]hours:minutes`` after ``begin``."""
    moments = []
    for written, act in acts:
        days, _, clock = written.rpartition("+")
        hours, minutes = (int(each) for each in clock.split(":"))
        at = begin + timedelta(days=int(days or 0), hours=hours, minutes=minutes)
        moments.append(Moment(at=at, act=act))
    return moments


_PROVEN: Final = (("1:15", Act.CANARY), ("2:00", Act.CANARY))
"""The new standby key's first trials, when its wait is over."""
_AFTERWARDS: Final = (
    ("0:00", Act.TOKEN),
    ("0:15", Act.TICK),
    ("0:30", Act.TICK),
    *_PROVEN,
    ("2:30", Act.TICK),
    ("2:30", Act.TOKEN),
    ("2:45", Act.TICK),
    ("1+0:00", Act.TICK),
    ("7+4:00", Act.TICK),
)
"""After a rollover: the new standby key, the old key's way out."""
_RENEWED: Final = (("-1+23:00", Act.CANARY), ("-1+23:30", Act.CANARY))
_BORN: Final = (
    ("0:00", Act.TICK),
    ("0:00", Act.TOKEN),
    ("0:15", Act.TICK),
    ("0:30", Act.TICK),
    *_PROVEN,
)
_ASKED: Final = (("0:00", Act.ROTATE), ("0:05", Act.CANARY), ("0:15", Act.CANARY))
_AT_LAST: Final = (("8+20:00", Act.TICK), ("8+20:15", Act.TICK))
_FIRST, _SECOND = timedelta(days=10), timedelta(days=19)
_THIRD = _SECOND + timedelta(minutes=15) + POLICY.rotation_interval
_END = _THIRD + timedelta(days=2)

TIMELINE: Final = (
    *_moments(timedelta(), *_BORN),
    *_moments(_FIRST, *_RENEWED, ("0:00", Act.TICK), *_AFTERWARDS),
    *_moments(_SECOND, *_ASKED),
    *_moments(_SECOND + timedelta(minutes=15), ("0:00", Act.TICK), *_AFTERWARDS),
    *_moments(_THIRD, *_RENEWED, ("0:00", Act.TICK), *_AFTERWARDS[:-1]),
    *_moments(_END, ("0:00", Act.REVOKE), *_AFTERWARDS, *_AT_LAST),
)
