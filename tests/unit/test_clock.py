"""The door to time and randomness, and the only one."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

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
