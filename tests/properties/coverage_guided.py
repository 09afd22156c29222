"""Mutation by coverage (atheris, libFuzzer) of all that a stranger writes; see test_differential.

    python -m tests.properties.coverage_guided CORPUS -max_total_time=120 -print_final_stats=1

The first octet of an input says what the others are: a token, a header or claims (which are then
signed), or a key set. Any exception ends the run: a crash of ours, or what a reference refuses.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")  # not everywhere, and without types
with atheris.instrument_imports(include=["machine_identity"]):
    from tests.properties.differential import CLAIMS, DOCUMENT, HEADERS, compare, good, signed

HEADER, TEXT = json.dumps(HEADERS["ES256"]).encode(), json.dumps(CLAIMS).encode()
TOKEN = good("ES256")
ODD_CLAIMS = json.dumps({**CLAIMS, "x": [1.5e3, None, "\ud83d\ude42", {"a": True}]}).encode()
SEEDS = (TOKEN.encode(), HEADER, TEXT, DOCUMENT, good("PS256").encode(), ODD_CLAIMS)
KINDS = (0, 1, 2, 3, 0, 2)


def judged(content: bytes) -> None:
    """Compare one input, whatever it is."""
    kind, rest = content[:1], content[1:]
    if kind == b"\0":
        compare(rest.decode("latin-1"))
    elif kind == b"\1":
        compare(signed("ES256", rest, TEXT))
    elif kind == b"\2":
        compare(signed("ES256", HEADER, rest))
    elif kind == b"\3":
        compare(TOKEN, rest)


def main(arguments: list[str]) -> None:
    """Write the seeds into the corpus, and fuzz until libFuzzer's bounds."""
    corpus = Path(arguments[1])
    for number, (kind, seed) in enumerate(zip(KINDS, SEEDS, strict=True)):
        (corpus / f"seed-{number}").write_bytes(bytes([kind]) + seed)
    atheris.Setup(arguments, judged)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
