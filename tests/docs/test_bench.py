"""What the README says of speed is what the last `make bench` measured, row by row."""

import re
from pathlib import Path

import pytest

from bench import report
from bench.ours import NAME

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "bench" / "results.md").read_text()
QUOTED = (report.FIRST_HEAD, report.AGAIN_HEAD, report.START_HEAD)
"""The tables that the README must have; what it has of the others is held to them too."""
HEADS = (*QUOTED, report.HAND_HEAD)
PACKAGES = re.compile(r"^([\w-]+)==(\S+)", re.MULTILINE)


def tables(document: str) -> list[list[str]]:
    """Return the tables of a document, each as its lines."""
    blocks = re.findall(r"(?:^\|.*\n?)+", document, re.MULTILINE)
    return [block.splitlines() for block in blocks]


def unfounded(document: str) -> list[str]:
    """Return the lines of a document's tables of measurements that no measurement stands behind.

    A table may leave rows out; its head and what it has is as it was measured.
    """
    measured = {table[0]: table for table in tables(RESULTS)}
    subjects = {head[0] for head in HEADS}
    return [
        line
        for table in tables(document)
        if table[0].split("|")[1].strip() in subjects
        for line in table
        if line not in measured.get(table[0], ())
    ]


def test_the_readme_quotes_what_was_measured() -> None:
    assert unfounded(README) == []
    quoted = {report.table(head, ()).splitlines()[0] for head in QUOTED}
    assert quoted <= {table[0] for table in tables(README)}


def test_a_number_that_was_not_measured_is_found() -> None:
    for table in tables(RESULTS):
        text = "\n".join(table)
        assert unfounded(f"text\n\n{text}\n\nmore text") == []
        assert unfounded(re.sub(r"\d", "7", text)) != []
        assert unfounded(text.replace(" |", "| ")) != []


def test_the_results_have_the_tables_that_the_report_draws_and_ours_in_each() -> None:
    assert [table[0] for table in tables(RESULTS)] == [
        report.table(head, ()).splitlines()[0] for head in HEADS
    ]
    for table in tables(RESULTS):
        assert sum(row.startswith(f"| **{NAME}** |") for row in table) == 1


def test_a_token_at_hand_costs_at_most_a_third_of_what_it_costs_with_msal() -> None:
    (table,) = (
        each for each in tables(RESULTS) if each[0].startswith("| an access token at hand")
    )
    ours, msal = table[2:4]

    assert msal.startswith("| MSAL ")
    assert msal.endswith("| 1 |")
    assert float(ours.split("|")[2].split()[0]) <= 1 / 3


@pytest.mark.parametrize(
    "name",
    [
        "PyJWT",
        "joserfc",
        "Authlib",
        "python-jose",
        "Powertools",
        "aws-jwt-verify",
        "jose",
        "fast-jwt",
    ],
)
def test_the_results_have_everyone_whom_we_compare_with(name: str) -> None:
    first, *_ = tables(RESULTS)

    assert any(row.startswith(f"| {name} ") for row in first)


def test_the_results_are_of_the_versions_that_are_locked() -> None:
    locked = dict(PACKAGES.findall((ROOT / "bench" / "requirements.txt").read_text()))
    measured = re.findall(r"(PyJWT|joserfc|Authlib|python-jose|MSAL) ([\d.]+)", RESULTS)

    assert measured
    assert {(name, locked[name.lower()]) for name, _ in measured} == set(measured)


def test_what_is_measured_with_is_pinned_and_agrees_with_what_the_project_has_locked() -> None:
    text = (ROOT / "bench" / "requirements.txt").read_text()
    ours = dict(PACKAGES.findall((ROOT / "requirements" / "dev.txt").read_text()))
    theirs = dict(PACKAGES.findall(text))
    wanted = re.findall(r"^[\w-]+", (ROOT / "bench" / "requirements.in").read_text(), re.MULTILINE)

    assert {name for name in wanted if not name.startswith("-")} <= theirs.keys()
    assert {name: theirs[name] for name in theirs.keys() & ours.keys()} == {
        name: ours[name] for name in theirs.keys() & ours.keys()
    }
    assert text.count("--hash=sha256:") >= len(theirs)
    assert "://" not in text
