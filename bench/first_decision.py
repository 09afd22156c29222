"""A Lambda's first call in a fresh interpreter: an event in, a decision and its cost out.

``python first_decision.py MODULE`` imports the module, which is the cold start, and calls its
handler. Only what the runtime itself has loaded is imported before.
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path

STATUS = Path("/proc/self/status")
"""Linux only."""


class Context:
    """What a handler is given beside the event."""

    aws_request_id = "00000000-0000-4000-8000-000000000001"
    function_name = "authorizer"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:authorizer"


def peak_kib() -> int:
    """Return the most memory that this process ever held, in KiB."""
    if STATUS.exists():
        # Not getrusage: there Linux counts what the parent held before exec, too.
        lines = STATUS.read_text().splitlines()
        return next(int(each.split()[1]) for each in lines if each.startswith("VmHWM"))
    import resource  # noqa: PLC0415 - after the decision, and where there is no /proc

    unit = 1024 if sys.platform == "darwin" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def main() -> None:
    """Decide once, and say so on the last line: what loggers print comes before it."""
    event = json.load(sys.stdin)
    answer = import_module(sys.argv[1]).handler(event, Context())
    sys.stdout.write(f"\n{json.dumps({'decision': answer['isAuthorized']})}\n")
    sys.stdout.flush()
    cost = {"cpu_seconds": time.process_time(), "peak_kib": peak_kib()}
    sys.stdout.write(f"{json.dumps({'cost': cost})}\n")


if __name__ == "__main__":
    main()
