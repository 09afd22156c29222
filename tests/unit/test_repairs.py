"""What nobody planned: clocks apart, keys that fail, keys too many, steps that fail for good."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from machine_identity.aws import AwsError
from machine_identity.keyring import State, Surplus
from machine_identity.repairs import SEARCH_INTERVAL
from machine_identity.rotation import Run
from machine_identity.steps import (
    Abandon,
    AdoptKey,
    CreateKey,
    Disable,
    Discard,
    EndSurplus,
    Forget,
    Intend,
    Promote,
    Publish,
    ScheduleDeletion,
    Wait,
    Withdraw,
)
from tests.outside import KmsKey
from tests.world import POLICY, SECOND, START, TICK, World

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
ROTATION = POLICY.rotation_interval
PUBLICATION = timedelta(hours=1, minutes=6)
RETIREMENT = timedelta(hours=2, minutes=23)
JWKS = "default/.well-known/jwks.json"
OTHER = replace(POLICY, algorithm="ES384")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def born(world: World) -> World:
    """A world after its first tick."""
    world.tick()
    return world


def fails(world: World, call: str, error: Exception, moment: str = "before") -> None:
    def meddle(now: Literal["before", "after"], name: str) -> None:
        if (now, name) == (moment, call):
            raise error

    world.meddler = meddle


def key_of(world: World, arn: str) -> KmsKey:
    world.meddled.add(arn)
    return world.kms.keys[arn]


# Rule 11: a clock that lies changes nothing


@pytest.mark.parametrize(
    ("error", "is_apart"),
    [
        (timedelta(minutes=1), False),
        (timedelta(minutes=1, seconds=1), False),  # the server's second is not over
        (timedelta(minutes=1, seconds=2), True),
        (HOUR, True),
        (-timedelta(minutes=1), False),
        (-timedelta(minutes=1, seconds=1), True),
        (-HOUR, True),
    ],
)
@pytest.mark.parametrize("by", ["tick", "rotate", "rotate unsafe", "confirm"])
def test_rule_11_a_run_whose_clock_is_apart_records_nothing_and_changes_nothing(
    born: World, error: timedelta, by: str, *, is_apart: bool
) -> None:
    born.is_unsafe = True
    born.now = START + ROTATION + 2 * DAY
    born.prove()
    standby = born.standby().kid
    born.clock_error = error
    before = (born.keyring(), dict(born.published.documents), dict(born.kms.keys))
    acts: dict[str, Callable[[], object]] = {
        "tick": lambda: born.rotation().tick(),
        "rotate": lambda: born.rotation().rotate(unsafe=False),
        "rotate unsafe": lambda: born.rotation().rotate(unsafe=True),
        "confirm": lambda: born.rotation().confirm(standby),
    }
    acts[by]()
    after = (born.keyring(), dict(born.published.documents), dict(born.kms.keys))
    assert (after == before) is is_apart
    last = born.steps[-1][1]
    assert isinstance(last, Wait)
    assert (last.alarms == ("ClockApart",)) is is_apart
    assert not is_apart or "this run's clock is" in last.why


@pytest.mark.parametrize(
    ("error", "said"), [(HOUR, "0:59:59 ahead of"), (-HOUR, "1:00:00 behind")]
)
def test_rule_11_the_wait_says_by_how_much_and_to_which_side(
    born: World, error: timedelta, said: str
) -> None:
    born.clock_error = error
    run = born.rotation().tick()
    assert said in run.wait.why
    assert run.wait.until == born.now + error


def test_rule_11_a_first_tick_with_a_wrong_clock_makes_nothing(world: World) -> None:
    world.clock_error = HOUR
    world.rotation().tick()
    assert (world.kms.keys, world.state.documents) == ({}, {})
    world.clock_error = timedelta()
    assert len(world.rotation().tick().keyring.keys) == 2


def test_rule_11_either_server_is_enough_to_tell(born: World) -> None:
    born.clock_error = HOUR
    born.url.clock = lambda: born.now + HOUR
    assert born.rotation().tick().wait.alarms == ("ClockApart",)
    born.url.clock = born.clock
    born.state.time = born.published.time = None
    assert born.rotation().tick().wait.alarms == ("ClockApart",)


def test_rule_11_without_a_date_there_is_no_statement(born: World) -> None:
    born.clock_error = HOUR
    born.url.clock = lambda: born.now + HOUR
    born.state.time = born.published.time = None
    assert born.rotation().tick().wait.alarms == ()


def test_rule_11_a_cdn_s_copy_is_dated_by_its_age() -> None:
    world = World(has_cdn=True)
    world.tick()
    world.now += timedelta(minutes=4)
    assert world.rotation().tick().wait.alarms == ()


# A key that KMS would not sign with


def disabled(key: KmsKey) -> None:
    key.enabled = False


def pending(key: KmsKey) -> None:
    key.deletion_at = START + 30 * DAY


def gone(key: KmsKey) -> None:
    key.deletion_at = START


def untagged(key: KmsKey) -> None:
    key.is_ours = False


HARMS = [disabled, pending, gone, untagged]


@pytest.mark.parametrize("harm", HARMS)
def test_a_standby_key_that_fails_is_replaced_and_the_new_one_waits_anew(
    born: World, harm: Callable[[KmsKey], None]
) -> None:
    old, active = born.standby(), born.active().kid
    harm(key_of(born, old.arn))
    born.steps.clear()
    # A key that is not ours any more can be replaced, but not ended: that stays an error.
    with pytest.raises(AwsError) if harm is untagged else nullcontext():
        born.tick(START + TICK)
    assert born.taken()[:4] == ["Discard", "Intend", "CreateKey", "Publish"]
    assert born.keyring().key(old.kid).state is State.REMOVED
    assert born.standby().first_seen_at == START + TICK
    assert born.active().kid == active


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize(("late", "promotions"), [(-SECOND, 0), (0 * SECOND, 1)])
def test_an_active_key_that_fails_is_rolled_over_as_soon_as_rule_1_lets(
    born: World, harm: Callable[[KmsKey], None], late: timedelta, promotions: int
) -> None:
    first, second = born.active(), born.standby()
    harm(key_of(born, first.arn))
    run = born.tick(START + TICK)
    assert run.steps == ()
    assert run.keyring.rollover_requested_at == START + TICK
    run = born.tick(START + PUBLICATION + late)
    expected = Promote(kid=second.kid, retires=first.kid)
    assert run.steps.count(expected) == promotions
    assert first.kid in {key.kid for key in born.keyring().published}


def test_both_keys_that_fail_leave_a_new_standby_and_a_request(born: World) -> None:
    for key in (born.active(), born.standby()):
        disabled(key_of(born, key.arn))
    run = born.tick(START + TICK)
    assert [type(step) for step in run.steps[:4]] == [Discard, Intend, CreateKey, Publish]
    assert isinstance(born.tick(START + TICK + PUBLICATION).steps[0], Promote)


def test_a_denial_that_strikes_both_keys_speaks_against_our_role_and_not_against_them(
    born: World,
) -> None:
    fails(born, "kms:DescribeKey", AwsError("kms:DescribeKey", "AccessDeniedException"))
    assert born.tick(START + HOUR).steps == ()
    assert born.keyring().rollover_requested_at is None


@pytest.mark.parametrize("code", ["ThrottlingException", "ReadTimeoutError"])
def test_what_kms_does_not_answer_proves_nothing(born: World, code: str) -> None:
    first = born.active()
    untagged(key_of(born, born.standby().arn))

    def meddle(moment: str, call: str) -> None:
        described = [each for each in born.calls if each == "kms:DescribeKey"]
        if (moment, call) == ("before", "kms:DescribeKey") and len(described) == 1:
            raise AwsError(call, code)

    born.calls.clear()
    born.meddler = meddle
    assert born.tick(START + TICK).steps == ()
    assert born.active().kid == first.kid


@pytest.mark.parametrize(
    ("age", "replaced"), [(timedelta(minutes=5) - SECOND, 0), (timedelta(minutes=5), 1)]
)
def test_rule_5_a_denial_counts_only_when_tags_do(
    born: World, age: timedelta, replaced: int
) -> None:
    untagged(key_of(born, born.standby().arn))
    with suppress(AwsError):
        born.tick(START + age)
    assert born.taken().count("Discard") == replaced


def test_where_every_standby_key_fails_keys_are_not_made_for_ever(born: World) -> None:
    for tick in range(1, 40):
        disabled(key_of(born, born.standby().arn))
        run = born.tick(START + tick * TICK)
    assert len(born.kms.keys) == 16
    assert run.wait.alarms == ("KeysFail",)
    assert Promote not in [type(step) for _, step in born.steps[7:]]


# Another algorithm


def test_another_algorithm_replaces_the_standby_key_while_the_active_one_signs_on(
    born: World,
) -> None:
    first, second = born.active(), born.standby()
    born.policy = OTHER
    _, plan = born.rotation().plan(START + TICK)
    born.now = START + TICK
    planned = [type(each.step) for each in plan.steps]
    assert planned[:4] == [Discard, Intend, CreateKey, Publish]
    run = born.rotation().tick()
    assert [type(step) for step in run.steps[:4]] == [Discard, Intend, CreateKey, Publish]
    assert isinstance(run.steps[0], Discard)
    assert run.steps[0].why == "the standby key is for ES256, and the settings ask for ES384"
    assert born.active() == first
    assert born.standby().jwk["alg"] == "ES384"
    assert born.keyring().key(second.kid).state is State.REMOVED
    born.rotation().rotate(unsafe=False)
    assert born.tick(START + TICK + PUBLICATION - SECOND).steps == ()
    assert isinstance(born.tick(START + TICK + PUBLICATION).steps[0], Promote)
    assert born.active().jwk["alg"] == "ES384"


@pytest.mark.parametrize(
    ("late", "state"), [(-SECOND, State.REMOVED), (0 * SECOND, State.RETIRED)]
)
def test_rule_3_a_standby_key_that_might_have_signed_is_retired_rather_than_thrown_away(
    born: World, late: timedelta, state: State
) -> None:
    standby = born.standby()
    born.policy = OTHER
    born.tick(START + PUBLICATION + late)
    assert born.keyring().key(standby.kid).state is state
    if state is State.RETIRED:
        born.tick(born.now + RETIREMENT - SECOND)
        assert standby.kid in {key.kid for key in born.keyring().published}
        born.tick(born.now + SECOND)
        assert standby.kid not in {key.kid for key in born.keyring().published}


def test_rule_1_what_comes_in_the_place_of_a_first_key_is_not_the_first(world: World) -> None:
    world.url.failure = 503
    world.rotation().tick()
    world.url.failure = None
    world.policy = OTHER
    world.now += TICK
    world.rotation().tick()
    assert world.taken().count("Discard") == 2
    assert world.keyring().active is None
    assert world.tick(START + TICK + PUBLICATION - SECOND).keyring.active is None
    assert world.tick(START + TICK + PUBLICATION).keyring.active is not None


def test_a_key_that_was_made_unseen_for_another_algorithm_is_ended_and_another_made(
    world: World,
) -> None:
    fails(world, "kms:CreateKey", AwsError("kms:CreateKey", "ReadTimeoutError"), "after")
    with pytest.raises(AwsError):
        world.tick()
    world.meddler = None
    (arn,) = world.kms.keys
    world.policy = OTHER
    run = world.rotation().tick()
    assert run.steps[:3] == (
        Abandon(intent="intent-0", arn=arn),
        Intend(),
        CreateKey(intent="intent-1"),
    )
    assert world.kms.keys[arn].deletion_at is not None
    assert not world.orphans()


# Rule 5: keys that nobody waits for


def search(world: World) -> Run:
    """Run a tick that searches KMS, whenever it was last searched."""
    ring = world.keyring()
    world.replace_keyring(replace(ring, revision=ring.revision + 1, searched_at=None))
    return world.rotation().tick()


@pytest.mark.parametrize(
    ("late", "ended"), [(-SECOND, False), (0 * SECOND, True), (365 * DAY, True)]
)
@pytest.mark.parametrize("is_enabled", [True, False])
def test_rule_5_a_key_of_ours_that_nobody_knows_is_ended_when_nothing_it_signed_can_be_valid(
    born: World, late: timedelta, *, ended: bool, is_enabled: bool
) -> None:
    arn = born.kms.create("ES256", "of nobody")
    born.kms.keys[arn].enabled = is_enabled
    (found,) = search(born).keyring.surplus
    assert found == Surplus(arn=arn, found_at=born.now, retire_interval=RETIREMENT)
    born.now += RETIREMENT + late
    run = search(born)
    assert run.steps.count(EndSurplus(arn=arn)) == int(ended)
    assert (born.kms.keys[arn].deletion_at is not None) is ended
    assert (run.keyring.surplus == ()) is ended
    retired = run.keyring.in_state(State.REMOVED)
    assert born.calls.count("kms:ScheduleKeyDeletion") == int(ended) + len(retired)


def test_rule_4_other_settings_do_not_hasten_the_end_of_what_nobody_knows(born: World) -> None:
    arn = born.kms.create("ES256", "of nobody")
    long = replace(POLICY, key_set_cache=timedelta(hours=2))
    born.policy = long
    search(born)
    born.policy = POLICY
    for late, ended in ((-SECOND, False), (0 * SECOND, True)):
        born.now = START + RETIREMENT + HOUR + late
        search(born)
        assert (born.kms.keys[arn].deletion_at is not None) is ended


def test_rule_5_all_that_nobody_knows_is_ended_in_one_run(born: World) -> None:
    arns = {born.kms.create("ES256", "of nobody") for _ in range(3)}
    search(born)
    born.now += RETIREMENT
    run = search(born)
    assert {step.arn for step in run.steps if isinstance(step, EndSurplus)} == arns
    assert len(run.steps) == 3


def test_rule_5_what_turned_out_to_be_known_or_ended_is_surplus_no_more(born: World) -> None:
    arn = born.kms.create("ES256", "of nobody")
    assert len(search(born).keyring.surplus) == 1
    born.kms.keys[arn].deletion_at = born.now + DAY
    assert search(born).keyring.surplus == ()


def test_a_published_key_that_nobody_knows_is_left_alone_for_a_person_to_look_at(
    born: World,
) -> None:
    ring = born.keyring()
    (standby,) = ring.in_state(State.STANDBY)
    known = tuple(key for key in ring.keys if key.kid != standby.kid)
    fails(born, "kms:CreateKey", AwsError("kms:CreateKey", "ThrottlingException"))
    for late in (timedelta(), RETIREMENT, 3 * RETIREMENT):
        born.now = START + late
        forgetful = replace(born.keyring(), keys=known, searched_at=None, intent=None)
        born.replace_keyring(replace(forgetful, revision=forgetful.revision + 1))
        standing = born.published.documents[JWKS]
        with pytest.raises(AwsError):
            born.rotation().tick()
        born.published.documents[JWKS] = standing  # somebody insists on publishing it
        assert [each.arn for each in born.keyring().surplus] == [standby.arn]
    assert born.kms.keys[standby.arn].deletion_at is None


@pytest.mark.parametrize("undo", ["enabled", "cancelled"])
def test_what_somebody_undid_to_a_removed_key_is_done_again(born: World, undo: str) -> None:
    born.is_unsafe = True
    key = born.active()
    born.rotation().revoke(key.kid, "stolen")
    ours = born.kms.keys[key.arn]
    assert (ours.enabled, ours.deletion_at is None) == (False, False)
    ours.deletion_at = None
    ours.enabled = undo == "enabled"
    born.now += HOUR
    run = search(born)
    expected = [Disable(kid=key.kid)] if undo == "enabled" else []
    assert run.steps == (*expected, ScheduleDeletion(kid=key.kid))
    assert (ours.enabled, ours.deletion_at is None) == (False, False)
    assert search(born).steps == ()


def test_rule_5_keys_are_searched_for_once_a_day(born: World) -> None:
    def searches(at: timedelta) -> int:
        born.calls.clear()
        born.now = START + at
        born.rotation().tick()
        return born.calls.count("tag:GetResources")

    assert born.keyring().searched_at == START
    assert searches(SEARCH_INTERVAL - SECOND) == 0
    assert searches(SEARCH_INTERVAL) == 1
    assert searches(SEARCH_INTERVAL + TICK) == 0


def test_rule_5_a_search_that_fails_keeps_no_run_from_its_work(born: World) -> None:
    fails(born, "tag:GetResources", AwsError("tag:GetResources", "ThrottlingException"))
    run = born.tick(START + 2 * DAY)
    assert isinstance(run.steps[0], Promote)
    assert run.keyring.searched_at == START
    born.meddler = None
    assert born.tick(START + 2 * DAY + TICK).keyring.searched_at == born.now


def test_rule_5_of_two_keys_for_one_intent_the_one_left_over_is_ended(world: World) -> None:
    world.kms.index_lag = timedelta(minutes=20)
    fails(world, "kms:CreateKey", AwsError("kms:CreateKey", "ReadTimeoutError"), "after")
    with pytest.raises(AwsError):
        world.tick()
    world.meddler = None
    (late,) = world.kms.keys
    assert world.tick(START + timedelta(minutes=16)).steps[0] == Intend(again=True)
    world.live(3 * DAY)
    assert world.kms.keys[late].deletion_at is not None
    assert not world.orphans()


def test_rule_5_the_key_of_an_open_intent_is_not_surplus(world: World) -> None:
    fails(world, "kms:CreateKey", AwsError("kms:CreateKey", "ReadTimeoutError"), "after")
    with pytest.raises(AwsError):
        world.tick()
    fails(world, "kms:GetPublicKey", AwsError("kms:GetPublicKey", "ThrottlingException"))
    with pytest.raises(AwsError):
        search(world)
    assert world.keyring().intent is not None
    assert world.keyring().surplus == ()


# A step that fails keeps no other from its turn


def test_a_key_that_cannot_be_adopted_keeps_nothing_else_from_being_done(born: World) -> None:
    first = born.active().kid
    fails(born, "kms:GetPublicKey", AwsError("kms:GetPublicKey", "ThrottlingException"))
    with pytest.raises(AwsError):
        born.tick(START + ROTATION)
    with pytest.raises(AwsError, match="kms:GetPublicKey failed: Throttling"):
        born.tick(START + ROTATION + 3 * HOUR)
    done = [type(step) for _, step in born.steps]
    assert done.count(Withdraw) == done.count(Disable) == done.count(ScheduleDeletion) == 1
    assert first not in {key.kid for key in born.keyring().published}
    assert AdoptKey not in done


def test_the_end_of_one_key_that_fails_does_not_hold_that_of_another(born: World) -> None:
    ring = born.keyring()
    ended = [
        replace(
            ring.keys[0],
            jwk={**ring.keys[0].jwk, "kid": f"ended-{number}"},
            arn=born.kms.create("ES256", "x"),
            state=State.REMOVED,
        )
        for number in range(2)
    ]
    born.replace_keyring(replace(ring, revision=ring.revision + 1, keys=(*ring.keys, *ended)))
    untagged(key_of(born, ended[0].arn))
    with pytest.raises(AwsError, match="kms:DisableKey failed: AccessDenied"):
        born.tick(START + HOUR)
    assert not born.kms.keys[ended[1].arn].enabled
    assert Forget not in [type(step) for _, step in born.steps]
