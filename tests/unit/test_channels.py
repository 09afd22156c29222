"""How keys reach servers that do not come for them: rules 1, 2, 3 and 8 over an upload channel."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from machine_identity import lifecycle, transitions
from machine_identity.canary import PUBLISHED_SET
from machine_identity.channels import uploaded
from machine_identity.forecast import forecast
from machine_identity.keyring import Key, Keyring, State
from machine_identity.policy import CERTIFICATE_MARGIN, Policy
from machine_identity.steps import Discard, Forget, Promote, Step, Wait
from machine_identity.testimony import Testimony, Trial, Upload
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
    step_at,
)

UPLOADS = replace(POLICY, uploads=True)
ZERO = timedelta()
PUBLICATION = timedelta(seconds=1 + 10 + 3_000 + 50_000)
"""Without the provider's cache, which is not waited for."""
FALLBACK = timedelta(seconds=1 + 10 + 70_000 + 50_000)
DUE = START + POLICY.rotation_interval
LATE = [(-SECOND, False), (ZERO, True), (1000 * DAY, True)]
PUBLISHED = Trial(client=PUBLISHED_SET, kid="standby", first_success_at=START, last_success_at=DUE)
PROMOTE = Promote(kid="standby", retires="active")


def keyring(**members: Any) -> Keyring:
    return ring(active(), standby(first_seen_at=START), **members)


def trial(client: str = "default", **members: Any) -> Trial:
    return Trial(client=client, kid="standby", **members)


def proof(at: datetime = DUE, **members: Any) -> Trial:
    return trial(first_success_at=at - DAY, last_success_at=at, **members)


def step(found: Keyring, *told: Trial, at: datetime = DUE, policy: Policy = UPLOADS) -> Step:
    published = replace(PUBLISHED, last_success_at=at)
    return step_at(found, at, policy, testimony=Testimony(trials=(published, *told)))


def alarms(
    found: Keyring, *told: Trial, at: datetime, policy: Policy = UPLOADS
) -> tuple[str, ...]:
    answer = step(found, *told, at=at, policy=policy)
    assert isinstance(answer, Wait), answer
    return answer.alarms


# Rule 1: a sign that the server has the key


def test_rule_1_without_a_client_no_key_takes_over_before_somebody_confirms_it() -> None:
    for at in (DUE, DUE + 1000 * DAY):
        answer = step(keyring(), at=at)
        assert isinstance(answer, Wait)
        assert "to be brought to the server, and confirmed" in answer.why
    assert step(keyring(confirmed_kid="standby")) == PROMOTE
    assert isinstance(step(keyring(confirmed_kid="another")), Wait)


def test_rule_1_the_token_of_one_client_is_enough() -> None:
    assert step(keyring(), proof()) == PROMOTE


@pytest.mark.parametrize(
    "other",
    [trial(), trial(refused_at=DUE, refusals=1, code="invalid_client"), replace(proof(), kid="x")],
    ids=["none", "refused", "of another key"],
)
def test_rule_1_no_other_trial_is(other: Trial) -> None:
    answer = step(keyring(), other)
    assert isinstance(answer, Wait)
    assert "no client has had a token" in answer.why


def test_rule_1_where_keys_are_fetched_neither_is_asked_for() -> None:
    assert step(keyring(), policy=POLICY) == PROMOTE
    assert alarms(keyring(), at=START + 2 * DAY, policy=POLICY) == ()


@pytest.mark.parametrize(("late", "is_over"), LATE)
def test_rule_1_a_confirmed_key_waits_until_the_caches_of_the_published_set_have_it(
    late: timedelta, *, is_over: bool
) -> None:
    """Not for the provider's own: of that the operator has spoken."""
    asked = keyring(confirmed_kid="standby", rollover_requested_at=START)
    answer = step(asked, at=START + PUBLICATION + late)
    if is_over:
        assert answer == PROMOTE
    else:
        assert isinstance(answer, Wait)
        assert answer.until == START + PUBLICATION
        assert "(rule 1)" in answer.why
    fetched = step(asked, at=START + PUBLICATION + min(late, ZERO), policy=POLICY)
    assert isinstance(fetched, Wait)


def test_rule_1_a_confirmed_key_that_the_public_url_does_not_show_waits_for_that() -> None:
    unseen = ring(active(), standby(), confirmed_kid="standby")
    blank = step_at(unseen, DUE, UPLOADS, testimony=Testimony())
    assert isinstance(blank, Wait)
    assert "does not show the standby key" in blank.why


def test_rule_2_a_confirmed_key_that_a_client_s_server_refuses_does_not_take_over() -> None:
    refused = trial(refused_at=DUE, refusals=1, code="invalid_client")
    confirmed = keyring(confirmed_kid="standby")
    answer = step(confirmed, refused)
    assert isinstance(answer, Wait)
    assert "refuses the standby key and takes the active one" in answer.why
    assert isinstance(step(confirmed, proof(), replace(refused, client="other")), Wait)


@pytest.mark.parametrize(("late", "is_over"), [(-SECOND, False), (ZERO, True)])
def test_rule_2_where_both_keys_are_refused_a_word_counts_when_the_proof_is_a_day_overdue(
    late: timedelta, *, is_over: bool
) -> None:
    at = DUE + UPLOADS.canary_deadline + late
    both = trial(refused_at=DUE, refusals=1, code="invalid_client", active_refused=True)
    confirmed = keyring(confirmed_kid="standby", rollover_due_at=DUE)
    answer = step(confirmed, both, at=at)
    assert (answer == PROMOTE) is is_over
    assert isinstance(step(keyring(rollover_due_at=DUE), both, at=at), Wait)


def test_rule_1_the_first_key_of_all_waits_for_nobody() -> None:
    first = ring(standby(first_seen_at=START), standby("next"), genesis=True)
    assert step(first, at=START) == Promote(kid="standby", retires=None)
    assert uploaded.wanted(first, UPLOADS, None, START) is None


# What people are reminded of


@pytest.mark.parametrize(("late", "is_said"), [*LATE[:2], (20 * DAY, True)])
def test_a_key_that_nobody_brings_is_asked_for_aloud_after_a_day(
    late: timedelta, *, is_said: bool
) -> None:
    at = START + DAY + late
    assert alarms(keyring(), at=at) == ((uploaded.WANTED,) if is_said else ())
    assert alarms(keyring(), proof(at), at=at) == ()
    assert alarms(keyring(confirmed_kid="standby"), at=at) == ()
    assert alarms(keyring(rollover_requested_at=START), at=at) == (
        (uploaded.WANTED,) if is_said else ()
    )
    assert alarms(keyring(confirmed_kid="another"), at=at) == (
        (uploaded.WANTED,) if is_said else ()
    )


def test_until_then_the_wait_is_told() -> None:
    answer = step(keyring(), at=START + DAY - SECOND)
    assert isinstance(answer, Wait)
    assert answer.until == START + DAY


def lapsing(until: datetime, **members: Any) -> Key:
    """Return an active key whose certificate lapses then."""
    dates = {"certificate_from": LONG_AGO, "certificate_until": until, "thumbprint": "made"}
    return active(**{**dates, **members})


AT = START + DAY
UNTIL = AT + UPLOADS.retire_interval


@pytest.mark.parametrize("policy", [POLICY, UPLOADS], ids=["fetched", "uploaded"])
@pytest.mark.parametrize(("late", "is_said"), LATE)
def test_a_certificate_that_is_about_to_lapse_is_told(
    policy: Policy, late: timedelta, *, is_said: bool
) -> None:
    at = AT + late
    unproven = Testimony(trials=(replace(proof(AT), last_success_at=LONG_AGO),))

    def said(key: Key) -> bool:
        answer = step_at(ring(key, standby()), at, policy, testimony=unproven)
        assert isinstance(answer, Wait)
        return uploaded.LAPSING in answer.alarms

    assert said(lapsing(UNTIL)) is is_said
    assert not said(lapsing(UNTIL, thumbprint=""))
    assert not said(lapsing(UNTIL, certificate_until=None))


def test_of_keys_that_do_not_sign_no_lapse_is_told() -> None:
    dates: dict[str, Any] = {"certificate_until": AT, "thumbprint": "made"}
    found = ring(active(), standby(**dates), retired(**dates, may_sign_until=AT + 90 * DAY))
    assert uploaded.LAPSING not in alarms(found, proof(AT), at=AT)


def test_a_lapse_is_told_too_while_the_next_key_is_still_to_be_brought() -> None:
    found = ring(lapsing(UNTIL), standby())
    assert set(alarms(found, at=AT)) == {uploaded.WANTED, uploaded.LAPSING}
    new = ring(lapsing(UNTIL), standby(since=AT))
    assert alarms(new, at=AT) == (uploaded.LAPSING,)


# What is to be gone before a key is forgotten (rule 3)


def ended(**members: Any) -> Keyring:
    dates = {"certificate_from": START, "certificate_until": AT, "deletion_at": START}
    return ring(active(), standby(), removed(disabled_at=START, **{**dates, **members}))


OPEN = Upload(client="default", kid="removed", registration="there", asked_at=START)


def forgotten(found: Keyring, *told: Upload, at: datetime = AT) -> bool:
    testimony = Testimony(uploads=told, trials=(proof(at),))
    return step_at(found, at, UPLOADS, testimony=testimony) == Forget(kid="removed")


@pytest.mark.parametrize(("late", "is_over"), [(ZERO, False), (SECOND, True), (1000 * DAY, True)])
def test_rule_3_a_key_that_a_server_has_is_remembered_until_its_certificate_lapses(
    late: timedelta, *, is_over: bool
) -> None:
    """A certificate is valid in its last second."""
    assert forgotten(ended(), OPEN, at=AT + late) is is_over
    assert forgotten(ended(certificate_until=None), OPEN, at=AT + late)


def test_rule_3_what_is_gone_there_or_is_another_key_s_keeps_none_from_being_forgotten() -> None:
    assert forgotten(ended())
    assert forgotten(ended(), replace(OPEN, ended_at=START))
    assert forgotten(ended(), replace(OPEN, asked_at=None))
    assert forgotten(ended(), replace(OPEN, kid="another"))
    assert not forgotten(ended(), replace(OPEN, ended_at=START), replace(OPEN, client="other"))


def test_rule_3_the_deletion_window_is_over_first() -> None:
    assert not forgotten(ended(deletion_at=AT + SECOND), at=AT)


# The timing contract


def test_over_an_upload_the_provider_s_cache_is_waited_for_only_before_a_key_goes() -> None:
    assert UPLOADS.publication_interval() == PUBLICATION
    longer = timedelta(seconds=80_000)
    assert UPLOADS.publication_interval(longer) == PUBLICATION - UPLOADS.max_age + longer
    assert UPLOADS.fallback_interval == POLICY.fallback_interval == FALLBACK
    assert UPLOADS.retire_interval == POLICY.retire_interval


@pytest.mark.parametrize("policy", [POLICY, UPLOADS], ids=["fetched", "uploaded"])
def test_rule_8_a_certificate_outlives_its_key_s_time_as_standby_active_and_retired(
    policy: Policy,
) -> None:
    least = 2 * policy.rotation_interval + policy.publication_interval() + policy.retire_interval
    assert policy.certificate_lifetime == least + timedelta(days=30)


def test_rule_8_the_dates_of_a_certificate_are_whole_seconds_and_begin_a_skew_before() -> None:
    at = START + timedelta(microseconds=999_999)
    key = transitions.ordered(standby(), UPLOADS, at)
    assert key.certificate_from == START - UPLOADS.clock_skew
    assert key.certificate_until == START - UPLOADS.clock_skew + UPLOADS.certificate_lifetime


def test_a_key_s_time_is_over_before_its_certificate_lapses_and_no_later_than_planned() -> None:
    margin = UPLOADS.retire_interval + CERTIFICATE_MARGIN / 2
    assert UPLOADS.rollover_at(START, None) == DUE
    for late, expected in ((-SECOND, DUE - SECOND), (ZERO, DUE), (SECOND, DUE), (DAY, DUE)):
        assert UPLOADS.rollover_at(START, DUE + margin + late) == expected
    assert UPLOADS.rollover_at(START, START + UPLOADS.certificate_lifetime) == DUE


def test_a_rollover_comes_earlier_for_a_certificate_that_is_about_to_lapse() -> None:
    until = START + UPLOADS.retire_interval + CERTIFICATE_MARGIN / 2 + 2 * DAY
    found = ring(lapsing(until), standby(first_seen_at=START))
    for late, is_due in LATE:
        at = START + 2 * DAY + min(late, DAY)
        answer = step(found, proof(at), at=at)
        assert (answer == PROMOTE) is is_due
    unnamed = ring(lapsing(until, thumbprint=""), standby(first_seen_at=START))
    assert isinstance(step(unnamed, proof(AT), at=START + 2 * DAY), Wait)


def test_a_promotion_writes_down_when_the_next_is_due_for_the_certificate_s_sake() -> None:
    until = START + UPLOADS.retire_interval + CERTIFICATE_MARGIN / 2 + 2 * DAY
    dates: dict[str, Any] = {"certificate_until": until, "thumbprint": "made"}
    found = ring(active(), standby(first_seen_at=START, **dates))
    after = transitions.taken(found, PROMOTE, policy=UPLOADS, now=START)
    assert after.rollover_due_at == START + 2 * DAY


# What is told


def test_a_plan_foresees_the_rollovers_as_if_each_key_were_brought_in_time() -> None:
    found = replace(keyring(), max_age=UPLOADS.max_age)
    ahead = forecast(found, UPLOADS, START, START + 3 * UPLOADS.rotation_interval)
    promoted = [each.at for each in ahead.steps if isinstance(each.step, Promote)]
    assert len(promoted) == 3
    assert promoted[0] == DUE
    names = {type(each.step).__name__ for each in ahead.steps}
    assert {"Withdraw", "Disable", "ScheduleDeletion", "Forget"} <= names
    assert [key.state for key in ahead.keyring.published].count(State.ACTIVE) == 1


def test_what_is_waited_for_is_told_long_before_it_is_due() -> None:
    told = Testimony(trials=(PUBLISHED,))
    wait = lifecycle.proof_wanted(keyring(), UPLOADS, told, START)
    assert wait is not None
    assert wait.alarms == (uploaded.WANTED,)
    for key in keyring().keys:
        outlook = lifecycle.outlook(key, keyring(), UPLOADS, wait)
        assert outlook.not_before == DUE
        assert outlook.held_by == "rule 1: the server is to be told of the standby key"
    proven = Testimony(trials=(PUBLISHED, proof(START)))
    assert lifecycle.proof_wanted(keyring(), UPLOADS, proven, START) is None
    assert lifecycle.proof_wanted(ring(active(), standby()), UPLOADS, told, START) is None
    confirmed = keyring(confirmed_kid="standby")
    assert lifecycle.proof_wanted(confirmed, UPLOADS, told, START) is None


@pytest.mark.parametrize(("late", "is_over"), [(ZERO, False), (SECOND, True), (100 * DAY, True)])
def test_a_standby_key_whose_certificate_lapsed_makes_room_for_another(
    late: timedelta, *, is_over: bool
) -> None:
    lapsed = standby(first_seen_at=START, certificate_until=START + DAY, thumbprint="made")
    answer = step_at(ring(active(), lapsed), START + DAY + late, UPLOADS)
    assert isinstance(answer, Discard) is is_over
    never_made = replace(lapsed, thumbprint="")
    assert not isinstance(step_at(ring(active(), never_made), START + DAY + late), Discard)
