import json
import re

import pytest

from rehearsal import report
from rehearsal.record import Record, Signed, Verdict
from tests.rehearsal.records import PARTIES, SERVER, VERIFIER, Told, at, reader

VERDICTS = ["accepted", "rejected", "unanswered"]
BOTH = (reader(SERVER), reader(VERIFIER))


def rotated() -> Told:
    """Both parties accept two keys, in time, and the old one leaves in time."""
    told = Told()
    for by in BOTH:
        told.fetched(0, "aaaaaaaaaa", by=by).used(0, "aaaaaaaaaa", by=by)
        told.used(64, "bbbbbbbbbb", by=by)
    return told.withdrawn(100, "aaaaaaaaaa")


def refused() -> Told:
    return Told().fetched(0, "n").used(0, "n").used(1, "m", verdict=Verdict.REJECTED, why="no")


def outcome(ours: Told, naive: Told | None = None, *faults: str) -> report.Outcome:
    return report.outcome(
        ours=ours.record,
        naive=(naive or refused()).record,
        parties=PARTIES,
        faults=faults,
    )


def test_a_rotation_that_lost_nothing_beside_a_naive_one_that_did_succeeds() -> None:
    assert outcome(rotated()).complaints == ()


def test_one_rejection_fails_it_and_is_told_once_however_often_it_came() -> None:
    ours = rotated()
    for second in (65, 66):
        ours.used(second, "bbbbbbbbbb", verdict=Verdict.REJECTED, why="no such key")

    assert outcome(ours).complaints == ("ours: 2 rejected by server-0, key bbbbbbbb: no such key",)


def test_an_assertion_without_an_answer_fails_it() -> None:
    ours = rotated().used(65, "bbbbbbbbbb", verdict=Verdict.UNANSWERED, why="no answer")

    (complaint,) = outcome(ours).complaints

    assert complaint.startswith("ours: 1 unanswered by server-0")


def test_an_assertion_that_nobody_judged_fails_it() -> None:
    ours = rotated()
    ours.record.signed.append(
        Signed(at=at(65), reader=reader(), kid="bbbbbbbbbb", expires_at=at(75))
    )

    assert outcome(ours).complaints == ("ours: 5 assertions were signed, and 4 judged",)


def test_a_fault_of_the_rotation_fails_it() -> None:
    assert outcome(rotated(), None, "s3:PutObject failed").complaints == ("s3:PutObject failed",)


@pytest.mark.parametrize("gone", ["bbbbbbbbbb", "cccccccccc", None])
def test_without_the_withdrawal_of_a_key_that_had_a_successor_it_was_no_rotation(
    gone: str | None,
) -> None:
    ours = rotated()
    ours.record.withdrawn.clear()
    if gone is not None:
        ours.withdrawn(100, gone)

    assert "ours: no key that had signed was withdrawn: this was no rotation" in (
        outcome(ours).complaints
    )


def test_a_party_that_saw_one_key_only_saw_no_rotation() -> None:
    ours = rotated()
    ours.record.signed[:] = ours.record.signed[:-1]
    ours.record.judged[:] = ours.record.judged[:-1]

    assert outcome(ours).complaints == (
        "ours: verifier accepted assertions of fewer than two keys: it saw no rotation",
        "ours: verifier never held a copy without a new key: nothing was put to the test",
    )


def test_a_party_whose_first_copy_had_every_key_was_not_put_to_the_test() -> None:
    ours = rotated()
    ours.record.fetched.clear()
    for by in BOTH:
        ours.fetched(0, "aaaaaaaaaa", "bbbbbbbbbb", by=by)

    assert outcome(ours).complaints == (
        "ours: server never held a copy without a new key: nothing was put to the test",
        "ours: verifier never held a copy without a new key: nothing was put to the test",
    )


def test_a_margin_of_nothing_is_luck_and_fails_it_though_nobody_refused() -> None:
    ours = Told()
    for by in BOTH:
        ours.fetched(0, "aaaaaaaaaa", by=by).used(0, "aaaaaaaaaa", by=by)
        ours.used(60, "bbbbbbbbbb", by=by)
    ours.withdrawn(100, "aaaaaaaaaa")

    assert outcome(ours).complaints == (
        "ours: server had a margin of +0.0 s (key bbbbbbbb at server-0): this was luck",
    )


def test_a_withdrawal_that_comes_too_early_fails_it() -> None:
    ours = rotated()
    ours.record.withdrawn.clear()
    ours.withdrawn(9, "aaaaaaaaaa")

    assert outcome(ours).complaints == (
        "ours: server had a margin of -1.0 s (key aaaaaaaa at server-0): this was luck",
        "ours: verifier had a margin of -1.0 s (key aaaaaaaa at verifier-0): this was luck",
    )


def test_a_naive_rotation_that_nobody_refuses_fails_it_since_nothing_is_proven() -> None:
    naive = Told().used(0, "n").used(1, "m", verdict=Verdict.UNANSWERED)

    assert outcome(rotated(), naive).complaints == (
        "naive: nobody refused the naive rotation, so that this run proves nothing",
    )


def test_a_rehearsal_in_which_nothing_happened_fails() -> None:
    nothing = report.outcome(ours=Record(), naive=Record(), parties=PARTIES, faults=())

    assert len(nothing.complaints) == 6


def test_the_table_has_a_row_for_each_party_of_each_rotation() -> None:
    ours = rotated()
    ours.used(65, "bbbbbbbbbb", by=reader(VERIFIER), verdict=Verdict.UNANSWERED)

    head, *rows = report.table(outcome(ours)).splitlines()

    assert head.split()[:7] == ["rotation", "party", "readers", "keys", *VERDICTS]
    assert [re.split(" {2,}", row) for row in rows] == [
        ["ours", "server 9.1", "1", "2", "2", "0", "0", "+4.0 s", "+90.0 s"],
        ["ours", "verifier 2.0", "1", "2", "2", "0", "1", "+64.0 s", "+90.0 s"],
        ["naive", "server 9.1", "1", "1", "1", "1", "0", "-59.0 s", "-"],
        ["naive", "verifier 2.0", "0", "0", "0", "0", "0", "-", "-"],
    ]
    assert {row.index(row.split()[1]) for row in (head, *rows)} == {head.index("party")}


def test_the_summary_says_how_many_of_how_many_and_the_tightest_margins() -> None:
    assert report.summary(outcome(rotated())) == [
        "ours:  0 rejected of 4",
        "       tightest margin before a new key signs: +4.0 s (key bbbbbbbb at server-0)",
        "       tightest margin after the old one's last: +90.0 s (key aaaaaaaa at server-0)",
        "naive: 1 rejected of 2, as it must be",
    ]


def test_the_summary_of_a_failure_does_not_make_it_look_better() -> None:
    naive = Told().used(0, "n", verdict=Verdict.UNANSWERED)

    lines = report.summary(outcome(Told(), naive))

    assert lines[1:] == [
        "       tightest margin before a new key signs: none",
        "       tightest margin after the old one's last: none",
        "naive: 0 rejected of 1 (1 more got no answer), and that proves nothing",
    ]


def test_as_json_it_says_the_same() -> None:
    told = report.plain(outcome(rotated()))

    assert json.loads(json.dumps(told)) == told
    assert told["ok"] is True
    assert told["rows"][0] == {
        "rotation": "ours",
        "party": "server",
        "version": "9.1",
        "readers": 1,
        "keys": 2,
        "accepted": 2,
        "rejected": 0,
        "unanswered": 0,
        "margin_before_seconds": 4.0,
        "margin_after_seconds": 90.0,
    }
    assert told["rows"][3]["margin_before_seconds"] is None
    assert report.plain(outcome(Told()))["ok"] is False
