"""What each step writes into the keyring, and what it leaves alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from machine_identity import transitions
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Intent, Key, Keyring, State
from machine_identity.steps import (
    AdoptKey,
    CreateKey,
    Disable,
    Forget,
    Intend,
    Prolong,
    Promote,
    Publish,
    ScheduleDeletion,
    Withdraw,
)
from machine_identity.transitions import Made, Recorded
from tests.keyrings import (
    DAY,
    LONG_AGO,
    POLICY,
    PUBLICATION_INTERVAL,
    RETIRE_INTERVAL,
    SECOND,
    START,
    active,
    removed,
    retired,
    ring,
    standby,
    under,
)

NOW = START + 30 * DAY
JWK: PublicJwk = {"kty": "EC", "kid": "new", "alg": "ES256"}
VERIFIED_INTERVAL = RETIRE_INTERVAL - PUBLICATION_INTERVAL
FULL = ring(
    removed(),
    retired(retire_interval=RETIRE_INTERVAL, verified_interval=VERIFIED_INTERVAL),
    active(retire_interval=RETIRE_INTERVAL, verified_interval=VERIFIED_INTERVAL),
    standby(first_seen_at=START),
    max_age=POLICY.max_age,
)


def taken(step: Recorded, keyring: Keyring = FULL, **settings: Any) -> Keyring:
    return transitions.taken(keyring, step, policy=under(**settings), now=NOW)


def changed(kid: str, after: Keyring, before: Keyring = FULL) -> Key:
    """Return one key as it is now, after nothing else was found to have changed."""
    assert after.with_key(before.key(kid)) == before
    return after.key(kid)


# Intents and new keys


def test_an_intent_is_written_under_a_new_name() -> None:
    after = transitions.intended(ring(), Intend(), intent="intent-1", now=NOW)
    assert after == ring(intent=Intent(id="intent-1", written_at=NOW))


def test_rule_5_a_repeated_intent_keeps_its_name_so_that_a_late_key_is_adopted() -> None:
    first = ring(intent=Intent(id="intent-1", written_at=START))
    after = transitions.intended(first, Intend(again=True), intent="intent-2", now=NOW)
    assert after.intent == Intent(id="intent-1", written_at=NOW)
    after = transitions.intended(first, Intend(), intent="intent-2", now=NOW)
    assert after.intent == Intent(id="intent-2", written_at=NOW)


def test_an_intent_that_is_repeated_and_gone_is_a_new_one() -> None:
    after = transitions.intended(ring(), Intend(again=True), intent="intent-2", now=NOW)
    assert after.intent == Intent(id="intent-2", written_at=NOW)


@pytest.mark.parametrize("step", [CreateKey(intent="i"), AdoptKey(intent="i", arn="arn:new")])
def test_a_new_key_comes_last_as_standby_unseen_and_ends_the_intent(
    step: CreateKey | AdoptKey,
) -> None:
    before = replace(FULL, intent=Intent(id="i", written_at=START))
    made = Made(arn="arn:new", jwk=JWK)
    after = transitions.created(before, step, made, policy=POLICY, now=NOW)
    first = NOW - POLICY.clock_skew
    new = Key(
        jwk=JWK,
        arn="arn:new",
        created_at=NOW,
        state=State.STANDBY,
        since=NOW,
        certificate_from=first,
        certificate_until=first + POLICY.certificate_lifetime,
    )
    assert after == replace(FULL, keys=(*FULL.keys, new))
    assert new.first_seen_at is None


# One step, one key


def test_a_promotion_moves_two_keys_in_one_write() -> None:
    before = replace(FULL, rollover_requested_at=START, genesis=True)
    after = taken(Promote(kid="standby", retires="active"), before)
    was = before.key("standby")
    now_active = replace(
        was,
        state=State.ACTIVE,
        since=NOW,
        retire_interval=RETIRE_INTERVAL,
        verified_interval=VERIFIED_INTERVAL,
    )
    now_retired = replace(
        before.key("active"),
        state=State.RETIRED,
        since=NOW,
        may_sign_until=NOW + PUBLICATION_INTERVAL,
    )
    expected = FULL.with_key(now_active).with_key(now_retired)
    assert after == replace(expected, rollover_due_at=NOW + POLICY.rotation_interval)
    assert (after.genesis, after.rollover_requested_at) == (False, None)


def test_rule_2_a_promotion_ends_the_operator_s_word() -> None:
    before = replace(FULL, confirmed_kid="standby")
    assert taken(Promote(kid="standby", retires="active"), before).confirmed_kid is None


def test_rule_9_a_prolongation_moves_one_instant() -> None:
    before = taken(Promote(kid="standby", retires="active"), FULL)
    later = NOW + timedelta(days=9)
    after = taken(Prolong(kid="active", until=later), before)
    assert after == before.with_key(replace(before.key("active"), may_sign_until=later))


def test_the_first_promotion_retires_nobody() -> None:
    first = ring(standby("first"), standby(), genesis=True)
    after = taken(Promote(kid="first", retires=None), first)
    assert [each.state for each in after.keys] == [State.ACTIVE, State.STANDBY]
    assert after.standby == first.key("standby")


@pytest.mark.parametrize("change", [-10, 0, 10])
def test_rule_4_a_key_retires_under_the_longest_settings_since_it_first_signed(
    change: int,
) -> None:
    lifetime = POLICY.assertion_lifetime + change * SECOND
    after = taken(Promote(kid="standby", retires="active"), assertion_lifetime=lifetime)
    longest = RETIRE_INTERVAL + max(change, 0) * SECOND
    assert after.key("active").retire_interval == longest
    assert after.key("retired").retire_interval == longest
    assert after.key("standby").retire_interval == RETIRE_INTERVAL + change * SECOND


def test_a_key_that_never_signed_has_no_wait_before_withdrawal() -> None:
    after = transitions.with_longest_retire_interval(FULL, under(assertion_lifetime=DAY))
    assert after.key("standby") == FULL.key("standby")
    assert after.key("removed") == FULL.key("removed")


def test_a_withdrawal_removes_the_key_and_keeps_its_record() -> None:
    after = changed("retired", taken(Withdraw(kid="retired")))
    assert (after.state, after.since) == (State.REMOVED, NOW)
    assert (after.disabled_at, after.deletion_at) == (None, None)


def test_a_disabled_key_bears_the_time() -> None:
    after = changed("removed", taken(Disable(kid="removed")))
    assert (after.disabled_at, after.deletion_at) == (NOW, None)
    assert after.since == START


def test_a_scheduled_deletion_is_over_after_the_window() -> None:
    step = ScheduleDeletion(kid="removed")
    after = changed("removed", taken(step, deletion_window=timedelta(days=9)))
    assert (after.disabled_at, after.deletion_at) == (None, NOW + 9 * DAY)


def test_a_forgotten_key_is_gone_and_no_other() -> None:
    after = taken(Forget(kid="removed"))
    assert after == replace(FULL, keys=FULL.keys[1:])


@pytest.mark.parametrize(
    "step",
    [
        Promote(kid="unknown", retires="active"),
        Promote(kid="standby", retires="unknown"),
        Withdraw(kid="unknown"),
        Disable(kid="unknown"),
        ScheduleDeletion(kid="unknown"),
    ],
)
def test_a_step_about_an_unknown_key_is_an_error(step: Recorded) -> None:
    with pytest.raises(KeyError, match="unknown"):
        taken(step)


# Publication


PUBLISH = Publish(kids=("active", "standby"), revision=7)


def test_a_publication_records_the_max_age_that_it_went_out_with() -> None:
    assert taken(PUBLISH, replace(FULL, max_age=timedelta())) == FULL
    assert taken(PUBLISH) == FULL


def test_a_raised_max_age_leaves_no_copies_that_live_longer_than_it() -> None:
    after = taken(PUBLISH, max_age=POLICY.max_age + SECOND)
    assert after == replace(FULL, max_age=POLICY.max_age + SECOND)


@pytest.mark.parametrize("longest", [timedelta(), POLICY.max_age - SECOND])
def test_rule_4_a_lowered_max_age_is_remembered_from_the_moment_it_was_replaced(
    longest: timedelta,
) -> None:
    before = replace(FULL, longest_max_age=longest, longest_max_age_at=LONG_AGO)
    after = taken(PUBLISH, before, max_age=POLICY.max_age - SECOND)
    assert after.max_age == POLICY.max_age - SECOND
    assert (after.longest_max_age, after.longest_max_age_at) == (POLICY.max_age, NOW)


def test_rule_4_a_lowered_max_age_does_not_replace_a_longer_one_that_was_seen() -> None:
    before = replace(FULL, longest_max_age=DAY, longest_max_age_at=START)
    after = taken(PUBLISH, before, max_age=SECOND)
    assert (after.longest_max_age, after.longest_max_age_at) == (DAY, NOW)


# Revisions


def test_rule_6_every_write_has_the_next_revision() -> None:
    before = replace(FULL, revision=7, published_revision=3)
    after = transitions.revised(before, replace(before, rollover_requested_at=NOW))
    assert (after.revision, after.published_revision) == (8, 3)


@pytest.mark.parametrize(
    "after",
    [
        replace(FULL, issuer="https://other.example"),
        replace(FULL, keys=(*FULL.keys, standby("new"))),
        taken(Withdraw(kid="retired")),
        FULL.with_key(replace(FULL.key("active"), jwk={**FULL.key("active").jwk, "alg": "PS256"})),
    ],
    ids=["issuer", "a key more", "a key less", "a key changed"],
)
def test_rule_6_the_published_revision_follows_if_the_set_changes(after: Keyring) -> None:
    before = replace(FULL, revision=7, published_revision=3)
    revised = transitions.revised(before, replace(after, revision=7, published_revision=3))
    assert (revised.revision, revised.published_revision) == (8, 8)
    assert replace(revised, revision=FULL.revision, published_revision=0) == after


@pytest.mark.parametrize(
    "after",
    [
        taken(Promote(kid="standby", retires="active")),
        taken(Disable(kid="removed")),
        taken(ScheduleDeletion(kid="removed")),
        taken(Forget(kid="removed")),
        taken(PUBLISH, max_age=SECOND),
    ],
    ids=["promotion", "disabling", "deletion", "forgetting", "publication"],
)
def test_rule_6_the_published_revision_stays_if_the_set_does(after: Keyring) -> None:
    before = replace(FULL, published_revision=3)
    revised = transitions.revised(before, replace(after, published_revision=3))
    assert (revised.revision, revised.published_revision) == (FULL.revision + 1, 3)
