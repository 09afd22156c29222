"""EventBridge Scheduler, on the stack's clock: every schedule of the template, when it is due.

A ``rate()`` schedule starts at once. When the clock is moved, each due instant in between is gone
to in its order and the function is invoked there, so that nothing is skipped over. A function may
say in its answer (``wait.until``) that nothing can be due before an instant; in the same move,
invocations before it would find that again, and are left out: so a month takes seconds. The next
move asks anew, since an operator may have had a word in between; and so does every schedule when
another's function changed what it keeps (its answer's ``revision`` tells), or failed to say.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from local.clock import MovableClock
from local.functions import Function, FunctionError
from local.template import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What an answer says about what is to come."""

    idle_until: datetime | None = None
    revision: object = None


@dataclass(slots=True)
class _Due:
    schedule: Schedule
    at: datetime
    idle_until: datetime
    revision: object = None


class Schedules:
    """Runs all schedules; in the background in real time, and when the clock is moved."""

    def __init__(
        self,
        schedules: tuple[Schedule, ...],
        functions: Mapping[str, Function],
        clock: MovableClock,
    ) -> None:
        self._functions = functions
        self._clock = clock
        now = clock.now()
        self._due = [_Due(each, now, now) for each in schedules]
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._in_real_time)

    def start(self) -> None:
        """Run what is due at the start, then go on in the background."""
        self.advance(timedelta())
        self._thread.start()

    def close(self) -> None:
        """Stop; an invocation under way is finished."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def advance(self, by: timedelta) -> datetime:
        """Move the clock forward, run what falls due on the way, and return the new present."""
        with self._lock:
            until = self._clock.now() + by
            self._ask_all_anew()
            while (due := self._next()) is not None and due.at <= until:
                if self._stopped.is_set():
                    return self._clock.now()
                if due.at >= due.idle_until:
                    self._clock.move_to(due.at)
                    self._run(due)
                due.at += due.schedule.every
            self._clock.move_to(until)
            return self._clock.now()

    def _in_real_time(self) -> None:
        while not self._stopped.wait(1):
            due = self._next()
            if due is not None and due.at <= self._clock.now():
                self.advance(timedelta())

    def _next(self) -> _Due | None:
        return min(self._due, key=lambda due: due.at, default=None)

    def _ask_all_anew(self) -> None:
        for each in self._due:
            each.idle_until = each.at

    def _run(self, due: _Due) -> None:
        """Invoke the function, and note before when it has nothing to do."""
        try:
            said = _said(self._functions[due.schedule.function].invoke(due.schedule.event))
        except FunctionError:
            said = _Said()  # in the function's log; the schedule goes on
        if said.revision is None or said.revision != due.revision:
            self._ask_all_anew()
        due.revision = said.revision
        due.idle_until = said.idle_until or due.at


def _said(answer: Any) -> _Said:  # noqa: ANN401 - whatever a function answers
    try:
        until = datetime.fromisoformat(answer["wait"]["until"])
    except (KeyError, TypeError, ValueError):
        return _Said()
    return _Said(idle_until=until, revision=answer.get("revision"))
