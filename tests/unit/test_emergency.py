"""Rule 10: a compromised key ends at once, whatever dies, fails or lies meanwhile."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from machine_identity.aws import AwsError
from machine_identity.keyring import serialise
from machine_identity.rotation import UnknownKeyError
from machine_identity.rotation.aftermath import KMS_SETTLES
from machine_identity.steps import Disable, Discard, Promote, Publish, Revoke
from tests.emergencies import (
    DAY,
    DOWN,
    HOUR,
    JWKS,
    KEYRING,
    NOT_TOLD,
    ROTATION,
    SHOWN,
    WHY,
    DiedError,
    after_first_tick,
    alone,
    assert_ended,
    done,
    fails,
    fails_from,
    published_kids,
    revoke,
)
from tests.world import POLICY, SECOND, START, TICK, World


@pytest.fixture
def born() -> World:
    return after_first_tick()


# Which key


def test_rule_10_the_active_key_ends_and_the_standby_key_signs_in_one_write(born: World) -> None:
    first, second = born.active().kid, born.standby().kid
    told = revoke(born, first)
    assert told.steps[0] == Revoke(kid=first, reason=WHY, promotes=second)
    assert done(told) == [
        "Revoke",
        "Disable",
        "Publish",
        "Intend",
        "CreateKey",
        "Publish",
        "ScheduleDeletion",
    ]
    assert born.active().kid == second
    assert told.notes == ()
    assert_ended(born, first)


def test_rule_10_a_standby_key_ends_and_the_active_one_signs_on(born: World) -> None:
    first, second = born.active().kid, born.standby().kid
    told = revoke(born, second)
    assert told.steps[0] == Revoke(kid=second, reason=WHY, promotes=None)
    assert (born.active().kid, told.refused_until) == (first, None)
    assert_ended(born, second)


def test_rule_10_a_retired_key_ends_before_its_time(born: World) -> None:
    first = born.active().kid
    born.tick(START + ROTATION)
    told = revoke(born, first)
    assert done(told) == ["Revoke", "Disable", "Publish", "ScheduleDeletion"]
    assert_ended(born, first)
    assert born.keyring().key(first).may_sign_until is None


def test_rule_10_a_removed_key_is_marked_and_stays_as_long_removed_as_it_was(born: World) -> None:
    first = born.active().kid
    born.tick(START + ROTATION)
    born.tick(START + 2 * ROTATION - HOUR)
    since = born.keyring().key(first).since
    born.now += HOUR / 2
    told = revoke(born, first)
    assert done(told) == ["Revoke"]
    assert born.keyring().key(first).since == since
    assert_ended(born, first)


def test_rule_10_an_unknown_key_is_refused_and_nothing_is_done(born: World) -> None:
    before = (born.keyring(), dict(born.kms.keys))
    with pytest.raises(UnknownKeyError, match="the keyring has no key of that name"):
        revoke(born, "nobody")
    assert (born.keyring(), born.kms.keys) == before


def test_rule_10_a_key_of_ours_that_only_kms_knows_is_disabled_there(born: World) -> None:
    arn = born.kms.create("ES256", "lost")
    told = revoke(born, born.kms.public_key(arn, "ES256")["kid"])
    assert not born.kms.keys[arn].enabled
    assert told.keyring == born.keyring()
    assert told.signing_stops_within == KMS_SETTLES
    assert told.notes == (
        "the keyring has no key of that name: it is disabled in KMS, and not recorded",
    )


@pytest.mark.parametrize("pause", [0 * SECOND, TICK, DAY])
def test_rule_10_revoking_again_changes_nothing(born: World, pause: timedelta) -> None:
    first, second = born.active().kid, born.standby().kid
    revoke(born, first)
    before = born.keyring()
    born.now += pause
    told = revoke(born, first)
    assert Revoke not in [type(step) for step in told.steps]
    assert born.active().kid == second
    assert born.keyring().key(first) == before.key(first)


# Without a standby key


def test_rule_10_without_a_standby_key_one_is_made_and_published_first(born: World) -> None:
    kid = alone(born)
    told = revoke(born, kid)
    assert done(told)[:4] == ["Intend", "CreateKey", "Publish", "Revoke"]
    assert born.active().kid in published_kids(born)
    assert_ended(born, kid)


def test_rule_10_a_standby_key_that_is_not_published_is_published_first(born: World) -> None:
    first, second = born.active().kid, born.standby().kid
    document = born.published.documents[JWKS]
    content = json.loads(document.body)
    content["keys"] = [key for key in content["keys"] if key["kid"] == first]
    edited = replace(document, body=json.dumps(content).encode(), tag="by hand")
    born.published.documents[JWKS] = edited
    told = revoke(born, first)
    assert done(told)[:2] == ["Publish", "Revoke"]
    assert born.active().kid == second


def test_rule_10_a_standby_key_that_kms_would_not_sign_with_is_no_successor(born: World) -> None:
    first, second = born.active(), born.standby()
    born.meddled.add(second.arn)
    born.kms.keys[second.arn].enabled = False
    told = revoke(born, first.kid)
    assert isinstance(told.steps[0], Discard)
    assert born.active().kid not in {first.kid, second.kid}
    assert_ended(born, first.kid)


@pytest.mark.parametrize("call", ["kms:CreateKey", "kms:GetPublicKey", "published.write"])
def test_rule_10_the_last_key_is_revoked_also_if_no_other_can_be_made(
    born: World, call: str
) -> None:
    kid = alone(born)
    fails(born, call)
    told = revoke(born, kid)
    assert born.keyring().active is None
    assert born.keyring().key(kid).revoked_at == born.now
    assert "no key signs until one is made, published and seen" in told.notes
    assert not born.kms.keys[born.keyring().key(kid).arn].enabled
    born.meddler = None
    born.live(timedelta(minutes=45))
    assert_ended(born, kid)


def test_rule_10_after_the_last_key_the_next_signs_as_soon_as_it_is_public(born: World) -> None:
    kid = alone(born)
    fails(born, "kms:CreateKey")
    told = revoke(born, kid)
    assert published_kids(born) == set()
    assert told.accepted_until is not None
    born.meddler = None
    run = born.tick(born.now + timedelta(minutes=16))
    assert [type(step) for step in run.steps][-1] is Promote


def test_rule_10_the_cap_on_live_keys_never_blocks_a_revocation(born: World) -> None:
    born.policy = replace(POLICY, most_live_keys=3)
    for _ in range(2):
        born.rotation().rotate(unsafe=True)
        born.now += TICK
    kid = born.active().kid
    assert (born.keyring().standby, born.rotation().tick().steps) == (None, ())
    told = revoke(born, kid)
    assert done(told)[:4] == ["Intend", "CreateKey", "Publish", "Revoke"]
    assert born.active().kid != kid


# What fails meanwhile


@pytest.mark.parametrize("call", ["state.read", "state.write"])
def test_rule_10_without_s3_the_key_is_disabled_all_the_same_and_the_answer_says_so(
    born: World, call: str
) -> None:
    first = born.active()
    born.meddled.add(first.arn)
    fails(born, call, error=DOWN)
    told = revoke(born, first.kid)
    assert not born.kms.keys[first.arn].enabled
    assert told.keyring is None
    assert told.notes[0].startswith("not known to be recorded: s3:any failed: EndpointConnection")
    assert "revoke it again" in told.notes[0]
    assert told.signing_stops_within == KMS_SETTLES
    born.meddler = None
    revoke(born, first.kid)
    assert_ended(born, first.kid)


def test_rule_10_without_s3_and_without_kms_it_is_an_error(born: World) -> None:
    fails(born, "state.", "kms:", error=DOWN)
    with pytest.raises(AwsError):
        revoke(born, born.active().kid)


def test_rule_10_without_s3_an_unknown_key_is_the_error_of_s3(born: World) -> None:
    fails(born, "state.", error=DOWN)
    with pytest.raises(AwsError, match="s3:any"):
        revoke(born, "nobody")


@pytest.mark.parametrize("call", ["published.read", "published.write"])
def test_rule_10_without_the_published_store_the_key_ends_and_is_withdrawn_later(
    born: World, call: str
) -> None:
    first, second = born.active().kid, born.standby().kid
    born.tick()
    fails(born, call, error=DOWN)
    told = revoke(born, first)
    assert done(told)[:2] == ["Revoke", "Disable"]
    assert born.active().kid == second
    assert told.accepted_until is None
    assert SHOWN in told.notes
    born.meddler = None
    with suppress(AwsError):
        born.tick(born.now + timedelta(minutes=16))
    assert_ended(born, first)


def test_rule_10_without_kms_it_is_recorded_and_published_and_disabled_later(born: World) -> None:
    first, second = born.active().kid, born.standby().kid
    fails(born, "kms:")
    told = revoke(born, first)
    assert done(told) == ["Revoke", "Publish", "Intend"]
    assert (born.active().kid, published_kids(born)) == (second, {second})
    assert told.notes == ("kms:any failed: ThrottlingException", NOT_TOLD)
    assert told.signing_stops_within == POLICY.signer_bound
    born.meddler = None
    run = born.tick(born.now + timedelta(minutes=16))
    assert run.steps[0] == Disable(kid=first)
    assert_ended(born, first)


def test_rule_10_a_keyring_of_newer_code_is_left_alone_and_the_key_disabled(born: World) -> None:
    first = born.active()
    newer = serialise(born.keyring()).replace(b'"version": 1', b'"version": 2')
    document = born.state.documents[KEYRING]
    born.state.documents[KEYRING] = replace(document, body=newer)
    born.meddled.add(first.arn)
    told = revoke(born, first.kid)
    assert not born.kms.keys[first.arn].enabled
    assert "newer code wrote the keyring" in told.notes[0]


@pytest.mark.parametrize("error", [HOUR, -HOUR])
def test_rule_11_a_clock_that_lies_does_not_hold_a_revocation_and_is_told(
    born: World, error: timedelta
) -> None:
    first, second = born.active().kid, born.standby().kid
    born.clock_error = error
    told = revoke(born, first)
    assert done(told) == ["Revoke", "Disable", "Publish"]
    assert (born.active().kid, published_kids(born)) == (second, {second})
    assert any("this run's clock is" in note for note in told.notes)
    born.clock_error = timedelta()
    born.live(HOUR)
    assert_ended(born, first)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("is_alone", [False, True])
def test_rule_10_a_revocation_that_dies_at_any_call_is_finished_by_ticks_or_again(
    moment: str, *, is_alone: bool
) -> None:
    def begun() -> tuple[World, str]:
        world = World()
        world.tick()
        world.is_unsafe = True
        kid = alone(world) if is_alone else world.active().kid
        world.calls.clear()
        return world, kid

    whole, kid = begun()
    revoke(whole, kid)
    finished = 0
    for number in range(1, len(whole.calls) + 1):
        world, kid = begun()

        def die(now: str, call: str, world: World = world, number: int = number) -> None:
            del call
            if now == moment and len(world.calls) == number:
                raise DiedError

        world.meddler = die
        with suppress(DiedError):
            revoke(world, kid)
        world.meddler = None
        if world.keyring().key(kid).revoked_at is None:
            revoke(world, kid)
        else:
            finished += 1
        world.live(HOUR)
        assert_ended(world, kid)
    assert finished > 0


def test_rule_10_whoever_writes_first_meanwhile_the_revocation_starts_over(born: World) -> None:
    first = born.active().kid
    writes = 0

    def meddle(moment: str, call: str) -> None:
        nonlocal writes
        if (moment, call) == ("before", "state.write") and writes < 3:
            writes += 1
            ring = born.keyring()
            born.replace_keyring(replace(ring, revision=ring.revision + 1))

    born.meddler = meddle
    told = revoke(born, first)
    assert writes == 3
    assert isinstance(told.steps[0], Revoke)
    assert_ended(born, first)


def test_rule_10_if_somebody_writes_all_the_time_the_key_is_disabled_all_the_same(
    born: World,
) -> None:
    first = born.active()
    born.meddled.add(first.arn)

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("before", "state.write"):
            ring = born.keyring()
            born.replace_keyring(replace(ring, revision=ring.revision + 1))

    born.meddler = meddle
    told = revoke(born, first.kid)
    assert not born.kms.keys[first.arn].enabled
    assert "written by somebody else" in told.notes[0]


def test_rule_9_a_revoked_key_may_not_sign_again_and_a_retired_one_goes_on(
    born: World,
) -> None:
    first, second = born.active().kid, born.standby().kid
    born.tick(START + ROTATION)
    revoke(born, second)
    ring = born.keyring()
    assert ring.key(second).may_sign_until is None
    assert ring.key(first).may_sign_until is not None
    assert Publish in [type(step) for _, step in born.steps]


# Between the parts


@pytest.mark.parametrize("number", [2, 3, 4])
def test_rule_10_a_state_store_that_fails_after_the_record_leaves_the_rest_to_the_next_tick(
    born: World, number: int
) -> None:
    first, second = born.active().kid, born.standby().kid
    fails_from(born, "state.write", number)
    told = revoke(born, first)
    assert told.keyring is not None
    assert isinstance(told.steps[0], Revoke)
    assert any("s3:any failed" in note for note in told.notes)
    assert not born.kms.keys[born.keyring().key(first).arn].enabled
    assert born.active().kid == second
    born.meddler = None
    born.live(HOUR)
    assert_ended(born, first)


def test_rule_10_a_lost_keyring_that_cannot_be_rebuilt_yet_leaves_the_key_disabled(
    born: World,
) -> None:
    first = born.active()
    born.meddled.add(first.arn)
    born.state.delete(KEYRING)
    fails_from(born, "tag:GetResources", 2)
    told = revoke(born, first.kid)
    assert not born.kms.keys[first.arn].enabled
    assert (told.keyring, told.steps) == (None, ())
    assert told.notes[0].startswith("not known to be recorded: s3:any failed")


def test_rule_10_a_key_that_is_relieved_while_a_successor_is_published_promotes_no_other(
    born: World,
) -> None:
    first, second = born.active().kid, born.standby().kid
    born.now = START + ROTATION
    born.prove()
    born.published.delete(JWKS)
    told = revoke(born, first)
    assert told.steps[:2] == (told.steps[0], Promote(kid=second, retires=first))
    assert Revoke(kid=first, reason=WHY, promotes=None) in told.steps
    assert born.active().kid == second
    assert_ended(born, first)
