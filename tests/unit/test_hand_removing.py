"""The hand has removed keys dropped, and meets others at it: rules 3, 5 and 6."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from machine_identity.errors import ConflictError, UploadError
from machine_identity.testimony import NewerTestimonyError
from machine_identity.uploads import LEFT_BEHIND, SETTLES
from machine_identity.witness.hand import ENOUGH
from tests.certificates import DER, KID, certified
from tests.hands import CERTIFIED, HOUR, ONE, QUARTER, World, begun, record
from tests.keyrings import DAY, SECOND, START, ring

ZERO = timedelta()


@pytest.fixture
def world() -> World:
    return begun()


def remove(world: World, **members: Any) -> None:
    """Let the key be a removed one, of which so much is known."""
    world.keyring = ring(certified("removed"))
    world.tell(uploads=(record(**members),))


# What is removed


@pytest.mark.parametrize(
    ("late", "is_ended"), [(-SECOND, False), (timedelta(), True), (DAY, True)]
)
@pytest.mark.parametrize("since", ["asked_at", "added_at"])
def test_rule_3_a_key_that_the_server_does_not_know_is_gone_if_it_must_know_it(
    world: World, since: str, late: timedelta, *, is_ended: bool
) -> None:
    remove(world, **{"asked_at": START - DAY, since: START}, asked=1, key_id="gone")
    world.now = START + SETTLES + late
    did = world.work()
    assert did[0] == (("remove", "") if is_ended else ("remove", "unknown_key"))
    known = world.upload()
    assert (known.ended_at is not None) is is_ended
    assert known.failures == (0 if is_ended else 1)


@pytest.mark.parametrize("is_lost", [True, False])
def test_rule_5_a_removal_that_failed_or_whose_answer_was_lost_is_tried_again(
    world: World, *, is_lost: bool
) -> None:
    world.work()
    world.keyring = ring(certified("removed"))
    world.now += 2 * HOUR
    world.server.errors = [UploadError("busy", is_lost=is_lost)]
    world.server.is_done = is_lost
    assert world.work() == [("remove", "busy")]
    assert world.upload().code == "busy"
    world.now += QUARTER
    assert world.work() == [("remove", "")]
    assert world.server.held == {}
    assert world.upload().ended_at == world.now


def test_of_many_things_at_one_server_ten_are_done_in_a_run(world: World) -> None:
    other = certified("removed")
    kids = [f"gone-{number}" for number in range(12)]
    world.keyring = ring(*(replace(other, jwk={**other.jwk, "kid": kid}) for kid in kids))
    world.server.held = dict.fromkeys(kids, DER)
    known = record(asked_at=START - DAY, asked=1)
    world.tell(uploads=tuple(replace(known, kid=kid, key_id=kid) for kid in kids))
    assert world.work() == 10 * [("remove", "")]
    assert world.work() == [*2 * [("remove", "")], ("list", "")]


def test_rule_3_what_is_there_twice_is_removed_twice(world: World) -> None:
    world.work()
    world.server.held["copy"] = DER
    world.keyring = ring(certified("removed"))
    for _ in range(3 * 24):
        world.now += HOUR
        world.work()
    assert world.server.held == {}


def test_rule_3_a_standby_key_revoked_before_its_server_shows_it_is_not_left_there(
    world: World,
) -> None:
    world.server.errors, world.server.is_done = [UploadError("lost", is_lost=True)], True
    world.server.is_behind = True
    world.work()
    world.keyring = ring(certified("removed", revoked_at=START + SECOND))
    world.now += timedelta(minutes=1)
    assert world.work() == [("list", "")]
    assert world.upload().ended_at is None
    world.server.is_behind = False
    world.now = START + SETTLES
    assert world.work() == [("list", ""), ("remove", "")]
    assert world.server.held == {}


def test_rule_3_where_nothing_is_told_a_key_without_a_name_is_left_behind(world: World) -> None:
    remove(world, asked_at=START - DAY, asked=1)
    world.server.tells = False
    assert world.work() == [("list", "not_told")]
    assert (world.upload().ended_at, world.upload().code) == (START, LEFT_BEHIND)


def test_rule_1_a_key_that_cannot_be_looked_for_keeps_none_from_being_brought(
    world: World,
) -> None:
    other = certified("removed")
    gone = replace(other, jwk={**other.jwk, "kid": "gone"})
    world.keyring = ring(gone, certified("standby"))
    world.tell(uploads=(replace(record(asked_at=START - DAY, asked=1), kid="gone"),))
    world.server.cannot_list = True
    assert world.work() == [("add", ""), ("list", "invalid_response")]


# Two runs at once, and what changes meanwhile


def test_rule_5_of_two_runs_at_once_one_asks(world: World) -> None:
    def other() -> None:
        world.now += SECOND
        world.work()

    world.passing = other
    with pytest.raises(ConflictError):
        world.work()
    assert world.server.calls == [f"add {KID}", "list"]
    assert list(world.server.held.values()) == [DER]
    assert world.upload().key_id in world.server.held


def test_rule_5_a_run_that_could_not_ask_hides_nothing_of_one_that_did(world: World) -> None:
    def other() -> None:
        world.closed, closed = None, world.closed
        world.now += SECOND
        world.server.errors = [UploadError("lost", is_lost=True)]
        world.work()
        world.closed = closed

    world.closed, world.passing = UploadError("invalid_client"), other
    world.work()
    known = world.upload()
    assert (known.asked, known.failures) == (1, 0)


def test_what_somebody_else_writes_meanwhile_stays(world: World) -> None:
    world.server.meanwhile = lambda: world.tell(strangers=("stranger",))
    assert world.work() == [("add", ""), ("list", "")]
    assert world.testimony().strangers == ("stranger",)
    assert world.upload().key_id == "id-1"


def test_rule_6_what_newer_code_wrote_is_neither_read_nor_replaced(world: World) -> None:
    document = world.store.documents["default/evidence.json"]
    body = document.body.replace(b'"version": 1', b'"version": 2')
    world.store.documents["default/evidence.json"] = replace(document, body=body)
    with pytest.raises(NewerTestimonyError):
        world.work()
    assert world.store.documents["default/evidence.json"].body == body
    assert world.server.calls == []


def test_rule_6_by_a_keyring_that_was_rolled_back_nothing_is_done_and_nothing_forgotten(
    world: World,
) -> None:
    world.work()
    world.tell(keyring_revision=world.keyring.revision + 1)
    before = world.testimony()
    world.keyring = replace(ring(), revision=world.keyring.revision)
    assert world.work(is_certified=True) == []
    assert world.testimony() == before


def test_rule_6_a_run_that_is_overtaken_forgets_nothing(world: World) -> None:
    world.keyring = replace(ONE, keys=())
    asked = record(asked_at=START, asked=1)
    world.passing = lambda: world.tell(keyring_revision=ONE.revision + 1, uploads=(asked,))
    assert world.work() == []
    assert world.upload().asked == 1
    assert world.testimony().certificates == (CERTIFIED,)


def test_a_run_ends_when_it_took_long_enough() -> None:
    for late, calls in ((timedelta(), 2), (SECOND, 1)):
        fresh = begun()

        def slow(fresh: World = fresh, late: timedelta = late) -> None:
            fresh.now += ENOUGH + late

        fresh.server.meanwhile = slow
        fresh.work()
        assert len(fresh.server.calls) == calls
