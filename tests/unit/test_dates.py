"""How far a clock is from a server's: by its Date, by a cache's Age, and by nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from machine_identity import dates

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DATE = "Tue, 24 Nov 2026 12:00:00 GMT"


def error(
    asked_at: datetime, answered_at: datetime, date: str | None = DATE, age: str | None = None
) -> timedelta | None:
    told = dates.instant(date, age)
    return dates.clock_error(told, asked_at=asked_at, answered_at=answered_at)


@pytest.mark.parametrize(
    ("asked", "answered", "expected"),
    [
        (0 * SECOND, 0 * SECOND, 0 * SECOND),
        (SECOND, SECOND, 0 * SECOND),
        (2 * SECOND, 3 * SECOND, SECOND),
        (HOUR, HOUR + 5 * SECOND, HOUR - SECOND),
        (-5 * SECOND, 0 * SECOND, 0 * SECOND),
        (-5 * SECOND, -SECOND, -SECOND),
        (-HOUR, -HOUR, -HOUR),
        (-HOUR, HOUR, 0 * SECOND),
    ],
)
def test_neither_the_fraction_of_a_second_nor_a_slow_answer_is_an_error(
    asked: timedelta, answered: timedelta, expected: timedelta
) -> None:
    assert error(START + asked, START + answered) == expected


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (-SECOND, -SECOND),
        (0 * SECOND, 0 * SECOND),
        (2 * SECOND, 0 * SECOND),
        (HOUR, HOUR - 2 * SECOND),
    ],
)
def test_a_cache_s_copy_is_as_old_as_it_says(late: timedelta, expected: timedelta) -> None:
    at = START + timedelta(seconds=299) + late
    assert error(at, at, age="299") == expected


@pytest.mark.parametrize(
    ("date", "age"),
    [
        (None, None),
        ("", None),
        ("yesterday", None),
        (DATE, "soon"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "99999999999999999999"),
    ],
)
def test_what_tells_no_time_says_nothing(date: str | None, age: str | None) -> None:
    assert error(START, START, date=date, age=age) is None


def test_the_worst_of_several_is_the_furthest_either_way() -> None:
    assert dates.worst([]) is None
    assert dates.worst([None, None]) is None
    assert dates.worst([None, SECOND, -HOUR, None]) == -HOUR
    assert dates.worst([HOUR, -SECOND]) == HOUR
