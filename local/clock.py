"""One clock for the whole stack, which a person or a test can move.

Everything that takes time from here takes the same: the functions' processes (told with each
invocation), the authorization server, the schedules. It only moves between requests: a caller
whose assertion was made at one instant and judged a month later would be refused for a fault
that no machine in the world can have.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from machine_identity import clock


class MovableClock:
    """The present instant plus an offset; readers hold it still while they work."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._readers = 0
        self._is_moving = False
        self._changed = threading.Condition()

    @property
    def offset(self) -> timedelta:
        """How far this clock is ahead of the machine's."""
        return self._offset

    def now(self) -> datetime:
        """Return the stack's present instant, aware, in UTC."""
        return clock.now() + self._offset

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the clock from being moved; it goes on ticking. Does not nest."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_moving)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    def move_to(self, instant: datetime) -> None:
        """Let it be ``instant`` now, once nobody holds the clock; it never goes back."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_moving)
            self._is_moving = True
            try:
                self._changed.wait_for(lambda: self._readers == 0)
                self._offset += max(instant - self.now(), timedelta())
            finally:
                self._is_moving = False
                self._changed.notify_all()
