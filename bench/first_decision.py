"""A Lambda's first call in a fresh interpreter: an event in, a decision and its cost out.

``python first_decision.py MODULE`` imports the module, which is the cold start, and calls its
handler. Only what the runtime itself has loaded is imported before.
"""

import json
import sys
import time
from importlib import import_module


class Context:
    """What a handler is given beside the event."""

    aws_request_id = "00000000-0000-4000-8000-000000000001"
    function_name = "authorizer"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:authorizer"


def peak_kib() -> int:
    """Return the most memory that this process ever held, in KiB."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - pathlib takes 4 ms
            # Not getrusage: there Linux counts what the parent held before exec, too.
            return next(int(line.split()[1]) for line in status if line.startswith(b"VmHWM"))
    except FileNotFoundError:
        pass
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
