from datetime import timedelta

from rehearsal.record import Verdict, kids_in_order, margin_after, margin_before
from tests.rehearsal.records import SERVER, VERIFIER, Told, reader


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_a_key_in_the_readers_copy_is_ready_since_it_was_fetched() -> None:
    told = Told().fetched(0, "a").used(0, "a").fetched(61, "a", "b").used(65, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert (margin.by, margin.reader, margin.kid) == (seconds(4), "server-0", "b")


def test_a_key_that_was_in_the_readers_first_copy_has_no_margin() -> None:
    told = Told().fetched(0, "a", "b").used(0, "a").fetched(61, "a", "b").used(65, "b")

    assert margin_before(told.record, SERVER) is None


def test_a_key_is_ready_since_the_first_of_all_the_copies_that_followed_had_it() -> None:
    told = Told().fetched(0, "a").used(0, "a").fetched(10, "a", "b").fetched(70, "b").used(80, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(70)


def test_a_key_that_a_later_copy_lacks_again_is_not_ready() -> None:
    told = Told().fetched(0, "a", "b").used(0, "a").fetched(70, "a").used(100, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(100 - (70 + 60))


def test_a_key_that_came_with_the_third_copy_is_ready_since_then() -> None:
    told = Told().fetched(0, "a").fetched(10, "a").fetched(20, "a", "b").used(50, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(30)


def test_a_copy_that_came_at_the_very_instant_of_the_first_use_is_just_in_time() -> None:
    told = Told().fetched(0, "a").used(0, "a").fetched(5, "a", "b").used(5, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(0)


def test_a_key_that_vanished_and_came_back_counts_from_its_return() -> None:
    told = Told().fetched(0, "a", "b").fetched(10, "a").fetched(20, "a", "b")
    told.used(0, "a").used(50, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(30)


def test_without_the_key_a_reader_is_ready_when_it_is_free_to_fetch_again() -> None:
    told = Told().fetched(5, "a").used(5, "a").used(68, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(3)


def test_a_reader_that_may_not_fetch_yet_has_a_margin_below_zero() -> None:
    told = Told().fetched(5, "a").used(5, "a").used(6, "b").fetched(65, "a", "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(-59)


def test_a_reader_that_may_always_fetch_is_ready_since_its_last_copy() -> None:
    by = reader(VERIFIER)
    told = Told().fetched(5, "a", by=by).used(5, "a", by=by).used(6, "b", by=by)

    margin = margin_before(told.record, VERIFIER)

    assert margin is not None
    assert margin.by == seconds(1)


def test_a_reader_that_fetches_for_its_first_assertion_has_no_margin() -> None:
    told = Told().used(0, "a").fetched(0.1, "a").used(1, "a")

    assert margin_before(told.record, SERVER) is None


def test_a_reader_that_never_fetched_has_no_margin() -> None:
    assert margin_before(Told().used(0, "a").used(1, "b").record, SERVER) is None


def test_the_least_margin_of_all_readers_and_switches_counts() -> None:
    first, second = reader(number=0), reader(number=1)
    told = Told().fetched(0, "a", by=first).used(0, "a", by=first)
    told.fetched(60, "a", by=second).used(60, "a", by=second)
    told.used(130, "b", by=first).used(131, "b", by=second)

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert (margin.by, margin.reader) == (seconds(11), "server-1")


def test_of_entries_in_any_order_the_first_use_is_the_earliest() -> None:
    told = Told().used(80, "b").fetched(75, "a", "b").used(0, "a").fetched(0, "a").used(90, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(5)


def test_a_copy_of_another_reader_makes_nobody_ready() -> None:
    told = Told().fetched(0, "a").fetched(10, "a", "b", by=reader(number=1))
    told.used(0, "a").used(20, "b")

    margin = margin_before(told.record, SERVER)

    assert margin is not None
    assert margin.by == seconds(-40)


def test_after_counts_from_the_end_of_the_last_assertion_of_the_withdrawn_key() -> None:
    told = Told().used(0, "a").used(7, "a").used(3, "a").used(40, "b").withdrawn(100, "a")

    margin = margin_after(told.record, "server")

    assert margin is not None
    assert (margin.by, margin.kid) == (seconds(100 - 17), "a")


def test_a_withdrawal_before_the_end_of_an_assertion_has_a_margin_below_zero() -> None:
    margin = margin_after(Told().used(7, "a").withdrawn(16, "a").record, "server")

    assert margin is not None
    assert margin.by == seconds(-1)


def test_after_knows_nothing_of_a_party_that_the_key_never_signed_for() -> None:
    assert margin_after(Told().used(7, "a").withdrawn(100, "a").record, "verifier") is None
    assert margin_after(Told().used(7, "a").record, "server") is None


def test_keys_are_told_in_the_order_of_their_first_use() -> None:
    told = Told().used(5, "b").used(0, "a").used(6, "a")

    assert kids_in_order(told.record) == ("a", "b")


def test_verdicts_are_counted_by_party_and_in_all() -> None:
    told = Told().used(0, "a").used(1, "a", verdict=Verdict.REJECTED)
    told.used(2, "a", by=reader(VERIFIER), verdict=Verdict.REJECTED)

    assert told.record.count(Verdict.REJECTED) == 2
    assert told.record.count(Verdict.REJECTED, "server") == 1
    assert told.record.count(Verdict.ACCEPTED, "verifier") == 0
