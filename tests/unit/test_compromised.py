"""Rule 10: the key is found in KMS, and disabled, whatever else is lost or fails."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from machine_identity.aws import AwsError
from machine_identity.rotation import UnknownKeyError
from machine_identity.rotation.aftermath import KMS_SETTLES
from machine_identity.steps import Disable
from tests.emergencies import (
    DAY,
    DOWN,
    HOUR,
    KEYRING,
    NOT_TOLD,
    SHOWN,
    THROTTLED,
    after_first_tick,
    alone,
    ask,
    assert_ended,
    condemned,
    done,
    fails,
    revoke,
)
from tests.world import POLICY, SECOND, START, World

NAMELESS = (
    "KMS shows no key with our tags that can sign under that name: one that cannot may be it"
)
UNKNOWN = AwsError("kms:DisableKey", "NotFoundException")


@pytest.fixture
def born() -> World:
    return after_first_tick()


def is_enabled(world: World, arn: str) -> bool:
    return world.kms.keys[arn].enabled


# By the ARN that a keyring has told


def no_index(world: World) -> None:
    fails(world, "state.write", "tag:", error=DOWN)


def no_index_yet(world: World) -> None:
    world.kms.index_lag = HOUR
    fails(world, "state.write", error=DOWN)


def no_other_key(world: World) -> None:
    fails(world, "state.write", "kms:DescribeKey", "kms:GetPublicKey", error=DOWN)


@pytest.mark.parametrize("harm", [no_index, no_index_yet, no_other_key])
def test_rule_10_a_key_that_the_keyring_names_is_disabled_without_looking_for_it(
    born: World, harm: Callable[[World], None]
) -> None:
    first = condemned(born, born.active())
    harm(born)
    told = revoke(born, first.kid)
    assert not is_enabled(born, first.arn)
    assert told.signing_stops_within == KMS_SETTLES
    assert told.notes == (
        f"not known to be recorded: {DOWN}; revoke it again as soon as it can be",
        SHOWN,
    )


def test_rule_10_a_record_whose_answer_was_lost_is_not_called_none(born: World) -> None:
    first = condemned(born, born.active())
    lost: list[str] = []

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("after", "state.write") and not lost:
            lost.append(call)
            raise DOWN

    born.meddler = meddle
    told = revoke(born, first.kid)
    assert born.keyring().key(first.kid).revoked_at == born.now
    assert told.wait.why == "the key is disabled in KMS, and nothing is known to be recorded"
    revoke(born, first.kid)
    assert_ended(born, first.kid)


def test_rule_10_without_the_right_to_disable_it_is_the_error_of_kms(born: World) -> None:
    fails(born, "state.write", "kms:DisableKey", error=DOWN)
    with pytest.raises(AwsError, match="s3:any"):
        revoke(born, born.active().kid)


def throttled(world: World) -> None:
    fails(world, "tag:", "kms:DisableKey")


def not_shown_yet(world: World) -> None:
    world.kms.index_lag = HOUR


@pytest.mark.parametrize("harm", [throttled, not_shown_yet])
def test_rule_10_a_key_that_cannot_be_disabled_before_the_keyring_is_back_is_so_afterwards(
    born: World, harm: Callable[[World], None]
) -> None:
    first, document, reads = born.active(), born.state.documents[KEYRING], 0
    born.state.documents[KEYRING] = replace(document, body=b"{")
    harm(born)
    harmed = born.meddler

    def meddle(moment: Literal["before", "after"], call: str) -> None:
        nonlocal reads
        reads += (moment, call) == ("after", "state.read")
        if reads == 3:
            born.state.documents[KEYRING] = document
            born.meddler = None
        elif harmed is not None:
            harmed(moment, call)

    born.meddler = meddle
    revoke(born, first.kid)
    assert_ended(born, first.kid)


# By its tags


def test_rule_10_without_a_keyring_the_key_is_found_by_its_tags(born: World) -> None:
    second = condemned(born, born.standby())
    fails(born, "state.", error=DOWN)
    revoke(born, second.kid)
    assert (is_enabled(born, second.arn), is_enabled(born, born.active().arn)) == (False, True)


def test_rule_10_a_key_that_does_not_answer_keeps_no_other_from_being_found(born: World) -> None:
    second = condemned(born, born.standby())
    throttled: list[str] = []

    def meddle(moment: str, call: str) -> None:
        if moment == "before" and call == "state.read":
            raise DOWN
        if (moment, call) == ("before", "kms:DescribeKey") and not throttled:
            throttled.append(call)
            raise THROTTLED

    born.meddler = meddle
    revoke(born, second.kid)
    assert throttled
    assert not is_enabled(born, second.arn)


@pytest.mark.parametrize(
    ("call", "error"),
    [("kms:DescribeKey", THROTTLED), ("tag:", THROTTLED), ("kms:DisableKey", UNKNOWN)],
)
def test_rule_10_a_key_that_can_be_neither_named_nor_disabled_is_the_error_of_kms(
    born: World, call: str, error: AwsError
) -> None:
    def meddle(moment: str, name: str) -> None:
        if moment == "before" and name.startswith(("state.", call)):
            raise error if name.startswith(call) else DOWN

    born.meddler = meddle
    with pytest.raises(AwsError, match=str(error)):
        revoke(born, born.active().kid)


def test_rule_10_what_was_disabled_once_is_not_asked_for_again(born: World) -> None:
    """It is disabled before it is recorded, because no other key signs; the record fails."""
    kid, asked = alone(born), list[str]()

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("before", "kms:DisableKey"):
            asked.append(call)
        if moment == "before" and (call == "kms:CreateKey" or len(asked) > 1):
            raise THROTTLED
        if (moment, call, len(asked)) == ("before", "state.write", 1):
            raise DOWN

    born.meddler = meddle
    assert revoke(born, kid).signing_stops_within == KMS_SETTLES
    assert len(asked) == 1


def test_rule_10_a_keyring_that_is_put_back_meanwhile_tells_where_the_key_is(born: World) -> None:
    first = born.active()
    revoke(born, first.kid)
    document = born.state.documents[KEYRING]
    born.kms.keys[first.arn].enabled, born.kms.keys[first.arn].deletion_at = True, None
    born.state.documents[KEYRING] = replace(document, body=b"{")

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("after", "state.read"):
            born.state.documents[KEYRING] = document
        if moment == "before" and call.startswith("tag:"):
            raise THROTTLED

    born.meddler = meddle
    assert revoke(born, first.kid).notes == ()
    assert not is_enabled(born, first.arn)


def test_rule_10_asked_again_without_s3_a_disabled_key_is_told_to_be_maybe_the_one(
    born: World,
) -> None:
    first = condemned(born, born.active())
    fails(born, "state.", "published.", error=DOWN)
    revoke(born, first.kid)
    told = ask(born, kid=first.kid, reason="again")
    assert told["notes"][0] == NAMELESS
    assert told["signing_stops_within_seconds"] is None
    assert told["wait"]["why"] == "nothing is known to be recorded"
    born.meddler = None
    revoke(born, first.kid)
    assert_ended(born, first.kid)


def test_rule_10_a_disabled_key_that_the_keyring_knows_by_another_name_is_none_of_them(
    born: World,
) -> None:
    revoke(born, born.active().kid)
    assert born.keyring().keys[0].disabled_at is not None
    with pytest.raises(UnknownKeyError):
        revoke(born, "nobody")


def test_rule_10_a_disabled_key_that_the_keyring_does_not_know_may_be_the_one(
    born: World,
) -> None:
    arn = born.kms.create("ES256", "lost")
    kid = born.kms.public_key(arn, "ES256")["kid"]
    born.kms.disable(arn)
    told = revoke(born, kid)
    assert told.notes == (NAMELESS, NOT_TOLD)
    assert told.signing_stops_within is None


# A key that KMS does not know


@pytest.mark.parametrize(
    ("age", "is_gone"),
    [(timedelta(minutes=5) - SECOND, False), (timedelta(minutes=5), True), (DAY, True)],
)
@pytest.mark.parametrize("can_record", [False, True])
def test_rule_5_a_young_key_that_kms_does_not_know_is_not_disabled_and_an_old_one_is_gone(
    age: timedelta, *, is_gone: bool, can_record: bool
) -> None:
    world = after_first_tick()
    second = condemned(world, world.standby())
    world.now = START + age
    fails(world, "kms:DisableKey", *([] if can_record else ["state.write"]), error=UNKNOWN)
    if not can_record and not is_gone:
        with pytest.raises(AwsError, match="NotFoundException"):
            revoke(world, second.kid)
        return
    told = revoke(world, second.kid)
    assert (Disable(kid=second.kid) in told.steps) == (is_gone and can_record)
    assert (NOT_TOLD in told.notes) != is_gone
    assert told.signing_stops_within == (KMS_SETTLES if is_gone else POLICY.signer_bound)


def test_rule_5_a_young_key_that_kms_did_not_know_is_disabled_by_the_next_tick() -> None:
    world = after_first_tick()
    second = world.standby()
    world.now = START + SECOND
    fails(world, "kms:DisableKey", error=UNKNOWN)
    revoke(world, second.kid)
    world.meddler = None
    world.live(HOUR)
    assert_ended(world, second.kid)


# A key that was revoked before


@pytest.mark.parametrize("pause", [0 * SECOND, DAY])
def test_rule_10_a_revoked_key_that_somebody_enabled_again_is_disabled_again(
    born: World, pause: timedelta
) -> None:
    first = born.active()
    revoke(born, first.kid)
    key = born.kms.keys[first.arn]
    key.enabled, key.deletion_at = True, None
    born.now += pause
    told = revoke(born, first.kid)
    assert not is_enabled(born, first.arn)
    assert (told.signing_stops_within, told.notes) == (KMS_SETTLES, ())
    assert "Revoke" not in done(told)


def test_rule_10_a_removed_key_is_disabled_whatever_the_keyring_says_of_it(born: World) -> None:
    first = condemned(born, born.active())
    revoke(born, first.kid)
    born.kms.keys[first.arn].deletion_at = born.now
    born.now += DAY
    told = revoke(born, first.kid)
    assert (told.signing_stops_within, told.notes) == (KMS_SETTLES, ())
