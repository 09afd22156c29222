"""A function in a process of its own, as Lambda starts it: ``python -m local.runner HANDLER``.

The environment, the folder and the handler are the function's; a line of JSON on standard input
is an invocation, a line on standard output its answer. Whatever the function itself prints goes
to standard error. Before ``app.py`` is imported the package's clock is replaced by one that runs
ahead by what the last invocation said: that is the only way in which the stack moves time, and
deployed code has none.

Errors are told as Lambda tells them (type and message). Here alone anything at all is caught.
"""

import importlib
import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TextIO

from machine_identity import clock

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({})))


@dataclass(slots=True, kw_only=True)
class Context:
    """What a handler is given beside the event."""

    aws_request_id: str
    function_name: str
    ends_at: datetime
    real_now: Callable[[], datetime]
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 256

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:eu-central-1:123456789012:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may still take, on the machine's own clock."""
        return max(0, int((self.ends_at - self.real_now()).total_seconds() * 1000))


class JsonFormatter(logging.Formatter):
    """One JSON object a record, as Lambda's JSON log format makes it, ``extra`` included."""

    request_id: str | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        extra = {name: each for name, each in vars(record).items() if name not in _STANDARD}
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": self.request_id,
            **extra,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def main(handler: str) -> None:
    """Start the function and answer invocations until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    formatter = JsonFormatter()
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(formatter)
    logging.getLogger().addHandler(output)
    # As Lambda's own runtime does: on the root, so that it is every library's level, too.
    logging.getLogger().setLevel(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"))
    real_now, offset = clock.now, timedelta()

    def moved() -> datetime:
        return real_now() + offset

    clock.now = moved
    function: Callable[[object, Context], object] | None = None
    for line in sys.stdin:
        invocation = json.loads(line)
        offset = timedelta(seconds=invocation["offset"])
        formatter.request_id = invocation["request_id"]
        context = Context(
            aws_request_id=invocation["request_id"],
            function_name=invocation["function_name"],
            ends_at=real_now() + timedelta(seconds=invocation["timeout"]),
            real_now=real_now,
        )
        try:
            function = function or _imported(handler)
            result = function(invocation["event"], context)
            _answer(answers, {"result": result})
        except Exception as error:
            logging.getLogger().exception("the invocation failed")
            _answer(answers, {"errorType": type(error).__name__, "errorMessage": str(error)})


def _imported(handler: str) -> Callable[[object, Context], object]:
    module, _, name = handler.rpartition(".")
    function: Callable[[object, Context], object] = getattr(importlib.import_module(module), name)
    return function


def _answer(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
