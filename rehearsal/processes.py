"""A party in a process of its own: lines of JSON in, lines of JSON out, its own log for the rest.

A process that ends, or does not answer in time, is an error of whoever asks, never of the party's
verdict: nobody judged.
"""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from local.template import ROOT

ANSWER_SECONDS: Final = 10
_END_SECONDS: Final = 5
_HAS_ENDED: Final = "the process has ended"

type Line = dict[str, Any]


class ProcessError(Exception):
    """The process has ended, or says nothing."""


class Process:
    """``with Process(command, log, told)``: each line that it prints is ``told``, and its end."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        told: Callable[[Line], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._command = command
        self._log = log
        self._told = told
        self._ended = ended
        self._writing = threading.Lock()

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                self._command,
                cwd=ROOT,
                env={**os.environ, "NO_PROXY": "127.0.0.1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it: first by closing its input, and then by force."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe by construction
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()

    def send(self, line: Line) -> None:
        """Write one line to it. Raises ProcessError."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe by construction
        try:
            with self._writing:
                self._process.stdin.write(json.dumps(line) + "\n")
                self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise ProcessError(_HAS_ENDED) from error

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - a pipe by construction
        with self._process.stdout as lines:
            for line in lines:
                self._told(json.loads(line))
        self._ended()


class Questions:
    """Asks a process that answers by id, from any number of threads."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._open: dict[int, Future[Line]] = {}
        self._ids = count()
        self._is_over = False
        self.process = Process(command, log, self._answered, self._ended)

    def ask(self, question: Line) -> Line:
        """Return the answer. Raises ProcessError."""
        number, future = next(self._ids), Future[Line]()
        self._open[number] = future
        try:
            if self._is_over:
                raise ProcessError(_HAS_ENDED)
            self.process.send({"id": number, **question})
            return future.result(ANSWER_SECONDS)
        except TimeoutError as error:
            raise ProcessError(f"no answer within {ANSWER_SECONDS} s") from error
        finally:
            self._open.pop(number, None)

    def _answered(self, answer: Line) -> None:
        future = self._open.pop(answer["id"], None)
        if future is not None:
            future.set_result(answer)

    def _ended(self) -> None:
        self._is_over = True  # before the open questions are told, so that none slips through
        for future in tuple(self._open.values()):
            future.set_exception(ProcessError(_HAS_ENDED))
