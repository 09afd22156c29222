"""The parent's side of a function: starts its process, invokes it, and ends it.

One process a function, one invocation at a time, as one execution environment of Lambda has it.
A process that died or ran into its time-out is replaced at the next invocation. What a function
prints goes to a log file of its own.
"""

import json
import os
import selectors
import subprocess  # nosec B404 # our own programs
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from local.clock import MovableClock
from local.template import ROOT, FunctionSpec
from machine_identity import clock

_INHERITED: Final = (
    *("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT"),
    *("COVERAGE_PROCESS_START", "SSL_CERT_FILE"),
)
_MOST_BYTES: Final = 6 * 1024 * 1024
"""What Lambda takes and gives in one synchronous invocation."""


class FunctionError(Exception):
    """The function raised, died, or took too long; as Lambda reports it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class Function:
    """One Lambda function."""

    def __init__(
        self, spec: FunctionSpec, *, aws: Mapping[str, str], clock: MovableClock, log: Path
    ) -> None:
        self.spec = spec
        self.log = log
        self._clock = clock
        self._aws = aws
        self._lock = threading.Lock()
        self._is_closed = False
        self._process: subprocess.Popen[bytes] | None = None

    def invoke(self, event: object) -> Any:  # noqa: ANN401 - the answer is any JSON
        """Return the function's answer to ``event``. Raises FunctionError."""
        line = json.dumps(
            {
                "event": event,
                "offset": self._clock.offset.total_seconds(),
                "request_id": clock.unique(),
                "function_name": self.spec.name,
                "timeout": self.spec.timeout.total_seconds(),
            }
        ).encode()
        if len(line) > _MOST_BYTES:
            raise FunctionError("RequestTooLargeException", "the event is larger than 6 MB")
        with self._lock:
            answer = self._exchanged(line)
        if "errorType" in answer:
            raise FunctionError(answer["errorType"], answer["errorMessage"])
        return answer["result"]

    def close(self) -> None:
        """End the process, also under an invocation, which then fails, and start no other."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()

    def _exchanged(self, line: bytes) -> dict[str, Any]:
        process = self._running()
        assert process.stdin is not None  # nosec B101 # noqa: S101 - both are pipes
        assert process.stdout is not None  # nosec B101 # noqa: S101
        try:
            process.stdin.write(line + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._end()
            raise FunctionError("Runtime.ExitError", "the process ended") from None
        timeout = self.spec.timeout.total_seconds()
        with selectors.DefaultSelector() as answers:
            answers.register(process.stdout, selectors.EVENT_READ)
            is_answered = bool(answers.select(timeout))
        if not is_answered:
            self._end()
            raise FunctionError("Sandbox.Timedout", f"Task timed out after {timeout:.2f} seconds")
        answer = process.stdout.readline()
        if not answer:
            self._end()
            raise FunctionError("Runtime.ExitError", "the process ended without an answer")
        members: dict[str, Any] = json.loads(answer)
        return members

    def _running(self) -> subprocess.Popen[bytes]:
        if self._is_closed:
            raise FunctionError("Runtime.ExitError", "the stack is being ended")
        if self._process is None or self._process.poll() is not None:
            self._end()
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # nosec B603 # noqa: S603 - our own
                    [sys.executable, "-m", "local.runner", self.spec.handler],
                    cwd=ROOT,
                    env=self._environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is the parent's to handle
                )
        return self._process

    def _environment(self) -> Mapping[str, str]:
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "PYTHONPATH": f"{self.spec.folder}{os.pathsep}{ROOT / 'layers' / 'machine_identity'}",
            "AWS_LAMBDA_FUNCTION_NAME": self.spec.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_LEVEL": self.spec.log_level,
            "NO_PROXY": "127.0.0.1",
            **self._aws,
            **self.spec.environment,
        }

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None
