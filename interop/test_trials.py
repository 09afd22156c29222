"""The document says what passed, and nothing else."""

import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

from interop.trials import Party, Trial, document
from local.template import ROOT

ONE = Party(name="one", version="1.2.3")
TRIALS = [
    Trial(party=ONE, role="verifier", shown="takes it", algorithm="ES256"),
    Trial(party=ONE, role="verifier", shown="takes it", algorithm="RS256"),
    Trial(party=ONE, role="client", shown="asks"),
]
ROWS = [
    "| one | 1.2.3 | client | asks |  |",
    "| one | 1.2.3 | verifier | takes it | RS256 ES256 |",
]
SHOWS = """
from interop.trials import Party

def test_it(shown):
    shown(Party(name="one", version="1.2.3"), "client", "asks")
"""


@pytest.mark.parametrize("trials", list(permutations(TRIALS)))
def test_what_differs_in_the_algorithm_only_is_one_row_whatever_came_first(
    trials: tuple[Trial, ...],
) -> None:
    lines = document(trials).splitlines()
    assert [line for line in lines if line.startswith("| one")] == ROWS


@pytest.mark.parametrize(
    ("tests", "options", "is_written"),
    [
        (SHOWS, [], True),
        (SHOWS + "\ndef test_other():\n    assert False", [], False),
        (SHOWS + "\ndef test_other():\n    pass", ["-k", "not other"], False),
    ],
)
def test_the_run_writes_it_if_all_of_it_passed(
    tests: str, options: list[str], tmp_path: Path, *, is_written: bool
) -> None:
    (tmp_path / "test_it.py").write_text(tests)
    into = tmp_path / "interop.md"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "interop.recording",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, f"--into={into}", *options, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode == 0) is is_written, done.stdout + done.stderr
    assert into.exists() is is_written
    if is_written:
        assert ROWS[0] in into.read_text()
