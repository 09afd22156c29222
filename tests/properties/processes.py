"""Runs that stop at their calls, so that anything may happen in between, and that may be killed.

A run is ordinary blocking code. Here it borrows a thread of a crew that outlives it, and of all
threads only one ever goes: whoever tells a run to go on waits until it has come to its next call.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

MOST: Final = 2
"""How many runs may stand still at one time, and how many threads a crew has."""
_PATIENCE: Final = 60
"""Seconds of real time in which any run comes to its next call, on any machine."""


class DiedError(BaseException):
    """The process is gone: nothing can catch it."""


def crew() -> ThreadPoolExecutor:
    """Return the threads that runs borrow, to be used in a ``with`` statement."""
    return ThreadPoolExecutor(max_workers=MOST, thread_name_prefix="run")


class Process:
    """One run, standing before or after a call until ``advance`` is called."""

    def __init__(
        self, threads: ThreadPoolExecutor, run: Callable[[], object], *, deadline: datetime
    ) -> None:
        self.deadline = deadline
        """When the function's time-out ends it, if it has not ended by then."""
        self.is_over = False
        self._run = run
        self._outcome: BaseException | None = None
        self._is_killed = False
        self._thread: int | None = None
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        threads.submit(self._live)

    @property
    def is_current(self) -> bool:
        """Whether the caller is this run itself."""
        return threading.get_ident() == self._thread

    def stop(self) -> None:
        """Stand still, until told to go on; for the run itself to call."""
        if not self._is_killed:
            self._stopped.release()
            self._is_killed |= not self._go.acquire(timeout=_PATIENCE)
        if self._is_killed:
            raise DiedError

    def advance(self, calls: int = 1) -> BaseException | None:
        """Let it come to its next call, or to its end; return what it ended with, if it did."""
        for _ in range(calls):
            if not self.is_over:
                self._go.release()
                assert self._stopped.acquire(timeout=_PATIENCE), "a run hangs"
        return self._outcome

    def kill(self) -> None:
        """End it where it stands."""
        self._is_killed = True
        self.advance()

    def _live(self) -> None:
        self._go.acquire()
        self._thread = threading.get_ident()
        try:
            if not self._is_killed:
                self._run()
        except BaseException as error:  # noqa: BLE001 - whatever ends it is the caller's to judge
            self._outcome = error
        self._thread = None
        self.is_over = True
        self._stopped.release()
