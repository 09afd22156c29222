"""The Node side of the bench: one process that takes its turn when it is told to.

It is asked a line at a time and answers a line at a time, so it works while everybody else waits,
and the way there and back is in no number: it measures itself.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, Self

from rehearsal.node import NodeError

FOLDER: Final = Path(__file__).parent / "node"
LEAST: Final = 20
"""fast-jwt's."""


def find() -> str:
    """Return where Node is. Raises NodeError if there is none, or one that is too old."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise NodeError("there is no node, or no npm, on the PATH")
    asked = "process.versions.node.split('.')[0]"
    major = subprocess.run([node, "-p", asked], capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own words
    if int(major) < LEAST:
        raise NodeError(f"Node {LEAST} or newer is needed, and this is {major.strip()}")
    return node


class Node:
    """``with Node(executable, authority) as node``; ``authority`` signs loopback's certificate."""

    def __init__(self, executable: str, authority: Path) -> None:
        self._command = [executable, str(FOLDER / "bench.mjs")]
        self._environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(authority)}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, which ends it

    def prepare(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Make the contenders of one algorithm ready, and return who they are."""
        return self._ask({"prepare": settings})

    def turn(self, name: str) -> float:
        """Have one of them judge all tokens; return its seconds for each."""
        seconds: float = self._ask({"turn": name})["seconds"]
        return seconds

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - a pipe by construction
        assert self._process.stdout is not None  # noqa: S101 - a pipe by construction
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise NodeError("the Node side ended; what it says is above")
        answer: dict[str, Any] = json.loads(line)
        return answer
