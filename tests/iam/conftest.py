"""The evaluator, once a session; see test_judge.py for whether it can be trusted."""

import fcntl
import os
from collections.abc import Iterator

import pytest

from rehearsal import node
from tests.iam.judge import FOLDER, Judge

LEAST_NODE = 20
REQUIRED = "NODE_REQUIRED"
"""Set by .ci/run: there a role that nobody judged is a failure, and is not passed over."""


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """Start the evaluator. Without Node no role is judged, and the summary says so."""
    try:
        found = node.find(LEAST_NODE)
        _install()
    except node.NodeError as error:
        why = f"no role was judged by an IAM evaluator: {error}"
        if os.environ.get(REQUIRED):
            pytest.fail(why)
        pytest.skip(why)
    with Judge(found) as started:
        yield started


def _install() -> None:
    with (FOLDER / "package-lock.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # pytest-xdist has several of us
        node.install(print, FOLDER)
