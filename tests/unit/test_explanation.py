"""Why a key waits: the inequality with its numbers, which must be those that are decided by."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from machine_identity import lifecycle
from machine_identity.commands import answer
from machine_identity.explanation import because
from machine_identity.keyring import Key, Keyring, State
from tests.handlers import event
from tests.keyrings import (
    DAY,
    LONG_AGO,
    POLICY,
    SECOND,
    START,
    active,
    removed,
    retired,
    ring,
    standby,
)
from tests.world import TICK, World

OVERDUE = active(since=LONG_AGO)
SEEN = standby(first_seen_at=START)


def why(key: Key, keyring: Keyring) -> str:
    return because(key, keyring, POLICY)


def test_rule_1_is_told_as_its_sum() -> None:
    keyring = ring(OVERDUE, SEEN)
    said = (
        "first seen 2026-11-24T12:00:00+00:00 + origin staleness 0:00:01 + edge staleness 0:00:10"
        " + max(max-age 0:50, provider's cache 19:26:40) + skew 13:53:20"
        " = 2026-11-25T21:20:11+00:00"
    )
    assert why(SEEN, keyring) == why(OVERDUE, keyring) == said


def test_a_longer_max_age_that_was_served_is_in_the_sum() -> None:
    keyring = ring(OVERDUE, SEEN, longest_max_age=DAY)
    assert "max(max-age 24:00, provider's cache 19:26:40)" in why(SEEN, keyring)


def test_rule_4_a_longer_interval_that_was_in_force_is_told() -> None:
    key = replace(SEEN, publication_interval=4 * DAY)
    said = "+ longest interval since then 96:00 = 2026-11-28T12:00:00+00:00"
    assert why(key, ring(OVERDUE, key)).endswith(said)


def test_the_rotation_interval_is_told_when_it_is_what_holds() -> None:
    keyring = ring(active(), SEEN)
    said = "active since 2026-11-24T12:00:00+00:00 + rotation interval 720:00"
    assert why(SEEN, keyring) == f"{said} = 2026-12-24T12:00:00+00:00"


def test_a_rollover_that_was_asked_for_is_told() -> None:
    keyring = ring(active(), SEEN, rollover_requested_at=START + 9 * DAY)
    assert why(SEEN, keyring) == "the rollover was asked for at 2026-12-03T12:00:00+00:00"


@pytest.mark.parametrize(
    ("keyring", "said"),
    [
        (ring(OVERDUE, standby()), "the public URL has not shown the standby key yet (rule 1)"),
        (ring(OVERDUE), "there is no standby key yet that could take over"),
        (
            ring(retired(retire_interval=40 * DAY)),
            "retire interval 960:00 = 2027-01-03T12:00:00+00:00",
        ),
        (
            ring(retired(may_sign_until=START + 40 * DAY)),
            "+ what it signed is verified for 181:33:50 = 2027-01-11T01:33:50+00:00",
        ),
        (ring(removed()), "it is still to be disabled in KMS"),
        (ring(removed(disabled_at=START)), "its deletion is still to be scheduled in KMS"),
        (
            ring(removed(disabled_at=START, deletion_at=START + DAY, revoked_at=START)),
            "revoked at 2026-11-24T12:00:00+00:00; KMS deletes it at 2026-11-25T12:00:00+00:00",
        ),
    ],
)
def test_every_other_state_is_told(keyring: Keyring, said: str) -> None:
    assert why(keyring.keys[0], keyring).endswith(said)


def test_of_two_standby_keys_the_later_waits_for_the_first() -> None:
    other = standby("other", since=START + SECOND, first_seen_at=START)
    keyring = ring(SEEN, other)
    assert why(other, keyring) == "another standby key comes first"
    genesis = replace(keyring, genesis=True)
    assert "no cache can hold" in why(SEEN, genesis)


@pytest.mark.parametrize(
    "keyring",
    [
        ring(OVERDUE, SEEN),
        ring(active(), SEEN),
        ring(OVERDUE, SEEN, longest_max_age=DAY),
        ring(OVERDUE, replace(SEEN, publication_interval=4 * DAY)),
        ring(active(), SEEN, rollover_requested_at=START + 9 * DAY),
        ring(retired(retire_interval=40 * DAY)),
        ring(retired(may_sign_until=START + 40 * DAY)),
        ring(retired(verified_interval=90 * DAY, may_sign_until=START)),
        ring(removed(disabled_at=START, deletion_at=START + DAY)),
    ],
)
def test_the_sum_is_what_status_says(keyring: Keyring) -> None:
    for key in keyring.keys:
        ahead = lifecycle.outlook(key, keyring, POLICY)
        assert ahead.not_before is not None
        assert why(key, keyring).endswith(ahead.not_before.isoformat())


# The command


@pytest.fixture
def born() -> World:
    world = World()
    world.tick()
    return world


def explained(world: World, asked: object) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(
        json.dumps(answer(world.rotation(), asked, lambda _: POLICY))
    )
    return told


def test_explain_is_status_with_its_reasons(born: World) -> None:
    told = explained(born, event("rotation", "explain"))
    status = explained(born, {"command": "status"})
    assert told.keys() == {"identity", "revision", "now", "at", "keys"}
    assert told["at"] == told["now"] == START.isoformat()
    reasons = [row.pop("because") for row in told["keys"]]
    assert told["keys"] == status["keys"]
    assert all("rotation interval 12:00 = 2026-11-25T00:00:00+00:00" in each for each in reasons)


def test_explain_at_a_date_tells_how_it_will_be_then_and_writes_nothing(born: World) -> None:
    before = born.keyring()
    at = START + born.policy.rotation_interval + TICK
    told = explained(born, {"command": "explain", "at": at.isoformat()})
    assert [row["state"] for row in told["keys"]] == ["retired", "active", "standby"]
    assert told["keys"][0]["because"].startswith("may sign until")
    assert (told["at"], told["now"]) == (at.isoformat(), START.isoformat())
    assert (told["revision"], born.keyring()) == (before.revision, before)
    assert born.keyring().in_state(State.RETIRED) == ()


@pytest.mark.parametrize("at", [START - SECOND, datetime.max.replace(tzinfo=START.tzinfo)])
def test_explain_looks_neither_back_nor_beyond(born: World, at: datetime) -> None:
    told = explained(born, {"command": "explain", "at": at.isoformat()})
    assert told["error"] == "invalid_request"


def test_durations_are_hours_and_minutes_and_seconds_if_there_are_any() -> None:
    key = replace(SEEN, publication_interval=timedelta(days=4, seconds=61))
    assert "96:01:01" in why(key, ring(OVERDUE, key))
