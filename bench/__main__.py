"""All of it in one run, two minutes, into ``bench/results.md``: ``python -m bench [--json]``.

A report and never a gate: no number makes it fail. Without Node the results are printed and the
file, which the README quotes, stays as it is.
"""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Final

from cryptography import __version__ as cryptography_version
from cryptography.hazmat.backends.openssl import backend

from bench import at_hand, cold_start, contenders, peers, report, stage, verify
from bench.outcome import plain
from machine_identity import clock

RESULTS: Final = Path(__file__).parent / "results.md"
_CPUS: Final = Path("/proc/cpuinfo")


def machine() -> str:
    """Return what it ran on, in one line."""
    models = [
        line.partition(":")[2].strip()
        for line in (_CPUS.read_text().splitlines() if _CPUS.exists() else [])
        if line.startswith("model name")
    ]
    processor = models[0] if models else platform.processor() or platform.machine()
    return (
        f"{os.cpu_count()} x {processor} ({platform.system()} {platform.machine()}), "
        f"Python {platform.python_version()}, cryptography {cryptography_version} "
        f"with {backend.openssl_version_text()}"
    )


def main() -> None:
    """Measure all, print it, and write it down."""
    began_at = clock.now()
    with stage.stage() as (issuer, authority):
        with stage.node(authority) as node:
            outcome = verify.measure(issuer, contenders.contenders, node, stage.say)
        starts = cold_start.measure(issuer, stage.say)
    hands = at_hand.measure(peers.msal_client(), stage.say)
    parts = (report.verification(outcome), report.cold_start(starts), report.at_hand(hands))
    document = report.document(machine(), f"{began_at:%d %B %Y}", parts)
    if outcome.node:
        RESULTS.write_text(document)
    else:
        stage.say("bench/results.md stays as it is: without Node this is not the whole of it")
    if "--json" in sys.argv[1:]:
        everything = {"machine": machine(), **plain(outcome)}
        more = {"cold_start": cold_start.plain(starts), "at_hand": at_hand.plain(hands)}
        print(json.dumps({**everything, **more}))
    else:
        print(document)
    stage.say(f"it took {(clock.now() - began_at).total_seconds():.0f} s")


if __name__ == "__main__":
    main()
