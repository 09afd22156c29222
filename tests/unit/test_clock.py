"""The door to time and randomness, and the only one."""

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from machine_identity import clock


def test_now_is_the_present_instant_aware_in_utc() -> None:
    before = datetime.now(UTC)  # noqa: TID251 - the clock itself is under test
    now = clock.now()
    assert before <= now <= datetime.now(UTC)  # noqa: TID251 - as above
    assert now.utcoffset() == timedelta()
    assert now.tzinfo is UTC


def test_an_identifier_is_a_random_uuid_and_never_the_same() -> None:
    identifiers = {clock.unique() for _ in range(1000)}
    assert len(identifiers) == 1000
    assert all(UUID(each).version == 4 and str(UUID(each)) == each for each in identifiers)


def test_chance_is_from_0_up_to_1_and_even() -> None:
    drawn = [clock.chance() for _ in range(10_000)]
    assert all(0 <= each < 1 for each in drawn)
    assert len(set(drawn)) == len(drawn)
    tenths = [sum(int(each * 10) == tenth for each in drawn) for tenth in range(10)]
    assert all(800 < each < 1200 for each in tenths)  # six standard deviations


@pytest.mark.parametrize(
    ("octets", "number"), [(b"\0" * 7, 0), (b"\x80" + b"\0" * 6, 0.5), (b"\xff" * 7, 1 - 2**-53)]
)
def test_chance_never_is_1(octets: bytes, number: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: octets[:size])
    assert clock.chance() == number
