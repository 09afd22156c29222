"""The operator's word for the standby key: only for it, and only where a proof is long overdue."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from machine_identity.commands import answer
from machine_identity.steps import Confirm, Promote
from tests.world import POLICY, SECOND, START, TICK, World

ROTATION = POLICY.rotation_interval
DEADLINE = timedelta(hours=24)
PUBLICATION = timedelta(hours=1, minutes=6)


@pytest.fixture
def born() -> World:
    world = World()
    world.tick()
    return world


def confirm(world: World, kid: str) -> dict[str, Any]:
    told = answer(world.rotation(), {"command": "confirm", "kid": kid}, lambda _: POLICY)
    read: dict[str, Any] = json.loads(json.dumps(told))
    return read


@pytest.mark.parametrize(
    ("late", "is_taken"), [(-SECOND, False), (timedelta(), True), (30 * DEADLINE, True)]
)
def test_rule_2_an_operator_may_vouch_when_the_promotion_was_due_for_a_day(
    born: World, late: timedelta, *, is_taken: bool
) -> None:
    kid = born.standby().kid
    born.now = START + ROTATION + DEADLINE + late
    told = confirm(born, kid)
    if not is_taken:
        assert told["error"] == "invalid_request"
        assert (START + ROTATION + DEADLINE).isoformat() in told["error_description"]
        assert born.keyring().confirmed_kid is None
        return
    assert told["confirmed"] == kid
    assert told["steps"][0] == {"step": "Confirm", "kid": kid}
    assert told["steps"][1]["step"] == "Promote"
    assert (born.active().kid, born.keyring().confirmed_kid) == (kid, None)


def test_rule_1_still_counts_from_when_the_key_was_seen(born: World) -> None:
    ring = born.keyring()
    seen_at = START + 3 * ROTATION
    late = replace(born.standby(), first_seen_at=seen_at)
    born.replace_keyring(replace(ring.with_key(late), revision=ring.revision + 1))
    born.now = seen_at + PUBLICATION + DEADLINE - SECOND
    assert confirm(born, late.kid)["error"] == "invalid_request"
    born.now += SECOND
    assert confirm(born, late.kid)["confirmed"] == late.kid


@pytest.mark.parametrize("which", ["active", "nobody"])
def test_rule_2_only_the_standby_key_is_vouched_for(born: World, which: str) -> None:
    born.now = START + ROTATION + DEADLINE
    kid = born.active().kid if which == "active" else which
    assert confirm(born, kid) == {
        "error": "invalid_request",
        "error_description": "only the standby key can be confirmed, and that is another one",
    }


def test_rule_2_a_standby_key_that_nobody_has_seen_is_not_vouched_for(born: World) -> None:
    ring = born.keyring()
    unseen = replace(born.standby(), first_seen_at=None)
    born.replace_keyring(replace(ring.with_key(unseen), revision=ring.revision + 1))
    born.url.failure = 503
    born.now = START + ROTATION + DEADLINE
    assert "has not shown" in confirm(born, unseen.kid)["error_description"]


def test_rule_2_to_confirm_again_changes_nothing(born: World) -> None:
    kid = born.standby().kid
    born.url.failure = 503
    born.now = START + ROTATION + DEADLINE
    assert [step["step"] for step in confirm(born, kid)["steps"]] == ["Confirm"]
    before = born.keyring()
    assert before.confirmed_kid == kid
    born.now += TICK
    assert (confirm(born, kid)["steps"], born.keyring()) == ([], before)
    born.url.failure = None
    assert isinstance(born.rotation().tick().steps[0], Promote)
    assert [type(step) for _, step in born.steps].count(Confirm) == 1
