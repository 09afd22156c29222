"""Rule 10: what has to be there before a revocation is recorded, and what keeps it from being."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from machine_identity.aws import AwsError
from machine_identity.keyring import serialise
from machine_identity.rotation.aftermath import KMS_SETTLES
from machine_identity.steps import Rebuild, Revoke
from tests.emergencies import (
    DOWN,
    HOUR,
    JWKS,
    KEYRING,
    SHOWN,
    WHY,
    after_first_tick,
    alone,
    assert_ended,
    condemned,
    done,
    fails,
    published_kids,
    revoke,
    unchecked,
)
from tests.world import POLICY, SECOND, TICK, World

SILENCE = timedelta(seconds=15)
"""How long a silent store holds a call, with all its attempts."""


@pytest.fixture
def born() -> World:
    return after_first_tick()


# A keyring that is lost


def truncate(world: World) -> None:
    document = world.state.documents[KEYRING]
    world.state.documents[KEYRING] = replace(document, body=b"{", tag="by hand")


def delete(world: World) -> None:
    world.state.delete(KEYRING)


def roll_back(world: World) -> None:
    ring = replace(world.keyring(), revision=2, published_revision=2)
    document = world.state.documents[KEYRING]
    world.state.documents[KEYRING] = replace(document, body=serialise(ring), tag="by hand")


def forget_all(world: World) -> None:
    delete(world)
    del world.published.documents[JWKS]


LOSSES = [truncate, delete, roll_back, forget_all]


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("has_successor", [False, True])
def test_rule_10_whenever_the_keyring_is_lost_meanwhile_the_key_is_disabled(
    born: World, lose: Callable[[World], None], number: int, *, has_successor: bool
) -> None:
    first = condemned(born, born.active() if has_successor else born.keyring().key(alone(born)))
    reads = 0

    def meddle(moment: str, call: str) -> None:
        nonlocal reads
        if (moment, call) == ("after", "state.read"):
            reads += 1
            if reads == number:
                lose(born)

    born.meddler = meddle
    with unchecked(born):
        told = revoke(born, first.kid)
        assert reads >= number
        assert not born.kms.keys[first.arn].enabled
        assert told.signing_stops_within == KMS_SETTLES


@pytest.mark.parametrize("lose", [truncate, delete, roll_back])
@pytest.mark.parametrize("is_enabled", [False, True])
def test_rule_10_in_a_lost_keyring_the_key_is_disabled_and_leaves_the_set_all_the_same(
    born: World, lose: Callable[[World], None], *, is_enabled: bool
) -> None:
    first = condemned(born, born.active())
    born.tick(born.now + TICK)
    with unchecked(born):
        born.kms.keys[first.arn].enabled = is_enabled
        lose(born)
        told = revoke(born, first.kid)
    assert isinstance(told.steps[0], Rebuild)
    assert not born.kms.keys[first.arn].enabled
    assert first.kid not in published_kids(born)
    assert told.accepted_until is not None
    assert SHOWN not in told.notes
    assert told.keyring == born.keyring()
    assert born.active().kid != first.kid, "another signs at once"
    born.live(2 * HOUR)
    assert first.kid not in published_kids(born)
    assert born.active().kid != first.kid


def test_rule_10_a_rolled_back_keyring_is_rebuilt_and_the_revocation_recorded_in_it(
    born: World,
) -> None:
    first = condemned(born, born.active())
    born.tick(born.now + TICK)
    with unchecked(born):
        roll_back(born)
        told = revoke(born, first.kid)
    assert done(told)[:2] == ["Rebuild", "Revoke"]
    assert_ended(born, first.kid)


@pytest.mark.parametrize("lose", [truncate, delete, roll_back])
def test_rule_10_a_rebuilt_keyring_that_cannot_be_written_again_is_no_error(
    born: World, lose: Callable[[World], None]
) -> None:
    first = condemned(born, born.active())
    born.tick(born.now + TICK)
    writes = 0

    def meddle(moment: str, call: str) -> None:
        nonlocal writes
        if (moment, call) == ("before", "state.write"):
            writes += 1
            if writes > 1:
                raise DOWN

    with unchecked(born):
        lose(born)
        born.meddler = meddle
        told = revoke(born, first.kid)
        assert not born.kms.keys[first.arn].enabled
        assert isinstance(told.steps[0], Rebuild)


@pytest.mark.parametrize("error", [HOUR, -HOUR])
def test_rule_11_a_lost_keyring_is_not_rebuilt_by_a_clock_that_lies(
    born: World, error: timedelta
) -> None:
    first = condemned(born, born.active())
    roll_back(born)
    born.clock_error = error
    with unchecked(born):
        told = revoke(born, first.kid)
        assert not born.kms.keys[first.arn].enabled
    assert (told.steps, told.keyring) == ((), None)
    assert "lost or rolled back" in told.notes[0]


def test_rule_10_a_keyring_that_is_lost_again_and_again_leaves_the_key_disabled(
    born: World,
) -> None:
    first = condemned(born, born.active())

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("after", "state.write"):
            truncate(born)

    with unchecked(born):
        truncate(born)
        born.meddler = meddle
        told = revoke(born, first.kid)
        assert not born.kms.keys[first.arn].enabled
    assert "cannot be read" in told.notes[0]


# What is slow


def silent(world: World, *stores: str, heard: int = 0) -> dict[str, timedelta]:
    """Let all but the first calls to these end in a time-out; return when others were called."""
    began, called, number = world.now, dict[str, timedelta](), 0

    def meddle(moment: str, call: str) -> None:
        nonlocal number
        if moment == "before" and call.startswith(stores):
            number += 1
            if number > heard:
                world.now += SILENCE
                raise DOWN
        called.setdefault(call, world.now - began)

    world.meddler = meddle
    return called


@pytest.mark.parametrize(
    "stores",
    [
        ("published.",),
        ("published.read",),
        ("state.",),
        ("state.", "published."),
        ("state.write",),
    ],
)
@pytest.mark.parametrize("has_successor", [False, True])
def test_rule_10_one_silence_of_s3_at_most_comes_before_the_key_is_disabled(
    born: World, stores: tuple[str, ...], *, has_successor: bool
) -> None:
    first = condemned(born, born.active() if has_successor else born.keyring().key(alone(born)))
    called = silent(born, *stores)
    began = born.now
    revoke(born, first.kid)
    assert called["kms:DisableKey"] <= SILENCE
    assert born.now - began < timedelta(seconds=60), "the function's time-out"


def test_rule_10_a_silence_while_another_key_is_made_has_the_key_disabled_at_once(
    born: World,
) -> None:
    kid = alone(born)
    called = silent(born, "published.read", heard=2)
    revoke(born, kid)
    assert called["kms:DisableKey"] == SILENCE


def test_rule_10_a_key_made_in_vain_has_the_key_disabled_before_it_is_recorded(
    born: World,
) -> None:
    kid = alone(born)
    called = silent(born, "published.write")
    revoke(born, kid)
    assert called["kms:DisableKey"] == SILENCE
    disabled = born.calls.index("kms:DisableKey")
    assert "state.write" in born.calls[disabled:]
    assert "state.write" not in born.calls[last_publication(born, disabled) : disabled]


def last_publication(world: World, before: int) -> int:
    """Return which call before that one was the last to write what is published."""
    return max(n for n, call in enumerate(world.calls[:before]) if call == "published.write")


def test_rule_10_what_cannot_be_published_is_not_made(born: World) -> None:
    kid = alone(born)
    fails(born, "published.read", error=DOWN)
    told = revoke(born, kid)
    assert done(told) == ["Revoke", "Disable"]
    assert "no key was there to sign in its place: what is published cannot be read" in told.notes


def test_rule_10_why_no_other_key_was_made_is_told(born: World) -> None:
    kid = alone(born)
    fails(born, "kms:CreateKey")
    told = revoke(born, kid)
    because = "kms:any failed: ThrottlingException"
    assert f"no key was there to sign in its place: {because}" in told.notes


def test_rule_10_without_an_answer_to_create_key_the_wait_is_told(born: World) -> None:
    kid = alone(born)
    fails(born, "kms:CreateKey")
    with suppress(AwsError):
        born.tick()
    born.now += SECOND
    told = revoke(born, kid)
    assert any("created unseen (rule 5)" in note for note in told.notes)


# The cap on live keys


def test_rule_10_the_cap_holds_no_revocation_back_however_many_there_were(born: World) -> None:
    born.policy = replace(POLICY, most_live_keys=3)
    denied = DOWN
    fails(born, "kms:ScheduleKeyDeletion", error=denied)
    for _ in range(5):
        kid = born.active().kid
        told = revoke(born, kid)
        assert born.active().kid in published_kids(born)
        assert born.active().kid != kid
        assert Revoke(kid=kid, reason=WHY, promotes=born.active().kid) in told.steps
        born.now += TICK


# Somebody else


def test_rule_10_whoever_publishes_meanwhile_does_not_end_the_rest(born: World) -> None:
    first, meddled = born.active().kid, list[str]()

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("before", "published.write") and not meddled:
            meddled.append(call)
            document = born.published.documents[JWKS]
            born.published.documents[JWKS] = replace(document, tag="by hand")

    born.meddler = meddle
    assert revoke(born, first).notes == ()
    assert_ended(born, first)


def test_rule_10_conflicts_after_the_record_are_left_to_the_next_tick_and_no_error(
    born: World,
) -> None:
    first = born.active()
    number = 0

    def meddle(moment: str, call: str) -> None:
        nonlocal number
        if (moment, call) == ("before", "published.write"):
            number += 1
            document = born.published.documents[JWKS]
            body = document.body + b" "
            born.published.documents[JWKS] = replace(document, body=body, tag=f"by hand {number}")

    born.meddler = meddle
    told = revoke(born, first.kid)
    assert done(told)[:2] == ["Revoke", "Disable"]
    assert told.signing_stops_within == KMS_SETTLES
    assert told.notes[0].startswith("the rest is left to the next tick: ")
    assert "written by somebody else" in told.notes[0]
    assert SHOWN in told.notes
    born.meddler = None
    born.live(HOUR)
    assert_ended(born, first.kid)


def test_rule_10_a_tick_that_records_the_disabling_first_takes_nothing_from_the_answer(
    born: World,
) -> None:
    first, second = born.active().kid, born.standby().kid
    writes = 0

    def meddle(moment: str, call: str) -> None:
        nonlocal writes
        if (moment, call) == ("before", "state.write"):
            writes += 1
            if writes == 2:
                born.meddler = None
                born.rotation().tick()

    born.meddler = meddle
    told = revoke(born, first)
    assert told.signing_stops_within == KMS_SETTLES
    assert told.notes == ()
    assert born.active().kid == second
    assert_ended(born, first)


def test_rule_10_a_keyring_of_somebody_else_is_left_alone_and_the_key_disabled(
    born: World,
) -> None:
    first = condemned(born, born.active())
    document = born.state.documents[KEYRING]
    body = serialise(replace(born.keyring(), identity="other"))
    born.state.documents[KEYRING] = replace(document, body=body)
    told = revoke(born, first.kid)
    assert not born.kms.keys[first.arn].enabled
    assert "that of other" in told.notes[0]
    assert born.state.documents[KEYRING].body == body
