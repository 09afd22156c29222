import pytest

from bench import report
from bench.cold_start import NOTHING, TUTORIAL, Starts
from bench.ours import NAME
from bench.outcome import BASE, NODE_BASE, Outcome, Row
from bench.ratios import Ratio


def ratio(value: float) -> Ratio:
    return Ratio(value=value, low=value, high=value + 1)


def ratios(value: float, *algorithms: str) -> dict[str, Ratio]:
    return {each: ratio(value) for each in algorithms or ("RS256", "PS256", "ES256")}


@pytest.fixture
def outcome() -> Outcome:
    weak = dict.fromkeys(("expired", "no `exp`"))
    return Outcome(
        first={
            NAME: Row(name=NAME, base=BASE, ratios=ratios(2)),
            "jose": Row(name="jose", base=NODE_BASE, ratios=ratios(3, "RS256"), lets_in=weak),
        },
        again={
            NAME: Row(name=NAME, base=BASE, ratios=ratios(0.25)),
            "PyJWT": Row(name="PyJWT", base=BASE, ratios=ratios(8)),
        },
        token_bytes={"RS256": 1300, "ES256": 1100},
        node_base=ratios(1.5),
        node=["Node 20"],
    )


def rows(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines()]


def test_a_table_has_a_cell_for_each_head() -> None:
    assert report.table(("a", "b"), [("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_a_token_seen_first_is_told_with_what_the_verifier_lets_in(outcome: Outcome) -> None:
    head, _, mine, theirs = rows(report.first(outcome.first.values()))

    assert head == list(report.FIRST_HEAD)
    assert mine == [f"**{NAME}**", *["2.00 (2.00 to 3.00)"] * 3, report.NOTHING]
    assert theirs == [
        "jose (Node)",
        "3.00 (3.00 to 4.00)",
        *[report.UNKNOWN] * 2,
        "expired, no `exp`",
    ]


def test_a_token_seen_before_is_told_with_how_many_times_the_tutorials_way_takes(
    outcome: Outcome,
) -> None:
    text = report.verification(outcome)

    assert report.again(outcome.again.values()) in text
    assert f"PyJWT takes so many times as long as {NAME}: RS256 32, PS256 32, ES256 32." in text


def test_the_yardstick_of_node_is_told_in_units_of_python_s(outcome: Outcome) -> None:
    assert "(Node 20) are in units of its own `crypto.verify`" in report.verification(outcome)
    assert "in units of Python's: RS256 1.50 (1.50 to 2.50), " in report.verification(outcome)


def test_without_node_the_report_says_so() -> None:
    only = {name: Row(name=name, base=BASE, ratios=ratios(2)) for name in (NAME, "PyJWT")}

    assert "Node did not take part" in report.verification(Outcome(first=only, again=only))


def test_cold_starts_are_told_in_units_of_the_tutorial_s_with_their_memory() -> None:
    starts = [
        Starts(
            name=name,
            ratios={"HTTPS": ratio(value), "HTTP": ratio(value)},
            cpu=ratio(value / 2),
            peak_mib=34.4,
        )
        for name, value in ((NAME, 0.3), (TUTORIAL, 1.0), (NOTHING, 0.1))
    ]

    head, _, *cells = rows(report.starts(starts))

    assert head == list(report.START_HEAD)
    assert cells == [
        [f"**{NAME}**", *["0.300 (0.300 to 1.30)"] * 2, "0.150 (0.150 to 1.15)", "34 MiB"],
        [TUTORIAL, "1", "1", "1", "34 MiB"],
        [NOTHING, *["0.100 (0.100 to 1.10)"] * 2, "0.050 (0.050 to 1.05)", "34 MiB"],
    ]
    assert report.starts(starts) in report.cold_start(starts)


def test_the_document_says_where_it_was_measured_and_has_every_part() -> None:
    text = report.document("2 x a processor", "25 November 2026", ["one", "two"])

    assert text.startswith("# What `make bench` measured\n\nOn 25 November 2026, on 2 x a proc")
    assert text.endswith("\n\none\n\ntwo\n")
