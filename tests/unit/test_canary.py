"""Rule 2 by number: when the standby key is tried, when it is proven, and what blocks it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from machine_identity import canary
from machine_identity.canary import PUBLISHED_SET
from machine_identity.forecast import forecast
from machine_identity.keyring import Keyring
from machine_identity.policy import CanaryTimes, Policy
from machine_identity.steps import Promote, Wait
from machine_identity.testimony import Testimony, Trial
from tests.keyrings import DAY, SECOND, START, active, ring, seen, standby, step_at, under

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
POLICY = under(canary=CanaryTimes())
PUBLIC = 2 * DAY
"""How long the standby key must be public in these worlds."""
READY = START + PUBLIC
DUE = START + POLICY.rotation_interval
PROMOTION = Promote(kid="standby", retires="active")
LATER = READY + 5 * DAY


def waiting(**members: Any) -> Keyring:
    """Return a keyring whose standby key is ready at READY, and due at DUE."""
    key = standby(first_seen_at=START, publication_interval=PUBLIC)
    return ring(active(), key, **{"rollover_due_at": DUE, **members})


def trial(client: str = PUBLISHED_SET, kid: str = "standby", **members: Any) -> Trial:
    return Trial(client=client, kid=kid, **members)


def proof(at: datetime, client: str = PUBLISHED_SET, kid: str = "standby") -> Trial:
    """Return a trial that proves from ``at`` on."""
    first = at - 10 * MINUTE
    return trial(client, kid, first_success_at=first, last_success_at=at)


def told(*trials: Trial) -> Testimony:
    return Testimony(trials=trials)


def hold(
    testimony: Testimony | None, now: datetime, keyring: Keyring | None = None
) -> Wait | None:
    return canary.hold(keyring or waiting(), testimony, POLICY, now)


def why(wait: Wait | None) -> str:
    assert wait is not None
    return wait.why


# Who is tried


def test_the_published_set_and_every_client_are_tried_begun_or_not() -> None:
    begun = trial("billing", first_success_at=READY, last_success_at=READY)
    found = canary.trials(waiting(), told(begun), {"default": "", "billing": ""})
    assert found == (trial(), trial("default"), begun)
    assert canary.trials(waiting(), told()) == (trial(),)


def test_a_client_that_is_configured_no_more_is_forgotten() -> None:
    assert canary.trials(waiting(), told(proof(LATER, "gone"))) == (trial(),)


def test_what_was_tried_with_another_key_than_today_s_standby_is_forgotten() -> None:
    assert canary.trials(waiting(), told(proof(LATER, kid="another"))) == (trial(),)


@pytest.mark.parametrize("member", ["first_success_at", "refused_at"])
def test_what_was_tried_before_the_wait_was_over_is_forgotten(member: str) -> None:
    times: list[dict[str, Any]] = [{member: READY - SECOND}, {member: READY}]
    early, on_time = (trial(**each) for each in times)
    assert canary.trials(waiting(), told(early)) == (trial(),)
    assert canary.trials(waiting(), told(on_time)) == (on_time,)


@pytest.mark.parametrize(
    "keyring",
    [
        ring(),
        ring(active()),
        ring(standby(first_seen_at=START)),
        ring(active(), standby()),
    ],
    ids=["nothing", "no standby", "no active", "unseen"],
)
def test_without_two_keys_of_which_one_waits_nothing_is_tried(keyring: Keyring) -> None:
    assert canary.trials(keyring, told(), {"default": ""}) == ()
    assert canary.next_trial_at(keyring, trial()) is None
    assert canary.ready_at(keyring) is None


# When


def test_the_first_trial_is_when_rule_1_s_wait_is_over() -> None:
    assert canary.next_trial_at(waiting(), trial()) == READY


def test_the_second_is_ten_minutes_after_the_first() -> None:
    once = canary.accepted(trial(), READY + MINUTE)
    assert canary.next_trial_at(waiting(), once) == READY + 11 * MINUTE
    almost = canary.accepted(once, READY + 11 * MINUTE - SECOND)
    assert canary.next_trial_at(waiting(), almost) == READY + 11 * MINUTE


def test_a_proof_is_renewed_a_day_before_the_promotion_and_then_twice_a_day() -> None:
    keyring = waiting()
    assert canary.next_trial_at(keyring, proof(LATER)) == DUE - DAY
    assert canary.next_trial_at(keyring, proof(DUE - DAY)) == DUE - DAY + 12 * HOUR
    assert canary.next_trial_at(keyring, proof(DUE + 9 * DAY)) == DUE + 9 * DAY + 12 * HOUR


def test_a_rollover_that_was_asked_for_needs_a_young_proof_at_once() -> None:
    keyring = waiting(rollover_requested_at=LATER + 3 * DAY)
    assert canary.next_trial_at(keyring, proof(LATER)) == LATER + 2 * DAY
    early = waiting(rollover_requested_at=START)
    assert canary.promotion_at(early) == READY


def test_while_nobody_knows_when_the_rollover_is_due_a_proof_is_enough() -> None:
    assert canary.next_trial_at(waiting(rollover_due_at=None), proof(LATER)) is None


def test_after_a_refusal_the_pause_doubles_from_15_minutes_to_6_hours() -> None:
    refused, pauses = trial(), []
    for _ in range(8):
        refused = canary.refused(refused, LATER, code="invalid_client", active_refused=False)
        at = canary.next_trial_at(waiting(), refused)
        assert at is not None
        pauses.append((at - LATER) / MINUTE)
    assert pauses == [15, 30, 60, 120, 240, 360, 360, 360]
    many = replace(refused, refusals=10**9)
    assert canary.next_trial_at(waiting(), many) == LATER + 6 * HOUR


def test_a_refusal_is_not_followed_by_a_trial_before_the_wait_is_over() -> None:
    refused = trial(refused_at=READY - DAY, refusals=1)
    assert canary.next_trial_at(waiting(), refused) == READY


# What a trial leaves


def test_a_success_ends_the_refusals_and_keeps_the_first_of_its_run() -> None:
    refused = trial(refused_at=READY, refusals=4, code="invalid_client", active_refused=True)
    once = canary.accepted(refused, READY + HOUR)
    assert once == trial(first_success_at=READY + HOUR, last_success_at=READY + HOUR)
    twice = canary.accepted(once, READY + 2 * HOUR)
    assert twice == replace(once, last_success_at=READY + 2 * HOUR)


def test_a_refusal_ends_the_successes_and_is_counted() -> None:
    once = canary.refused(proof(READY), LATER, code="invalid_client", active_refused=False)
    assert once == trial(refused_at=LATER, refusals=1, code="invalid_client")
    twice = canary.refused(once, LATER + HOUR, code="server_error", active_refused=True)
    assert (twice.refusals, twice.code, twice.active_refused) == (2, "server_error", True)


# What it means


def test_rule_2_two_successes_ten_minutes_apart_are_a_proof_and_less_is_not() -> None:
    first = READY
    for apart, proven in ((timedelta(), False), (10 * MINUTE - SECOND, False)):
        once = trial(first_success_at=first, last_success_at=first + apart)
        assert (hold(told(once), first + apart) is None) is proven
        wait = hold(told(once), first + apart)
        assert wait == Wait(
            until=first + 10 * MINUTE,
            why="the published set has yet to prove the standby key (rule 2)",
        )
    assert hold(told(proof(first + 10 * MINUTE)), first + 10 * MINUTE) is None


def test_rule_2_a_proof_is_good_for_a_day() -> None:
    assert hold(told(proof(LATER)), LATER + DAY) is None
    for late in (SECOND, 365 * DAY):
        assert "has yet to prove" in why(hold(told(proof(LATER)), LATER + DAY + late))


def test_rule_2_successes_before_the_wait_was_over_prove_nothing() -> None:
    early = trial(first_success_at=READY - SECOND, last_success_at=READY + HOUR)
    assert "has yet to prove" in why(hold(told(early), READY + HOUR))
    refused = trial(refused_at=READY - SECOND, refusals=1, code="unknown_key")
    assert "has yet to prove" in why(hold(told(refused), READY))


@pytest.mark.parametrize("testimony", [None, told(), Testimony(strangers=("x",))])
def test_rule_2_without_any_testimony_nothing_is_switched(testimony: Testimony | None) -> None:
    wait = Wait(until=LATER, why="the token function has told of no trial yet (rule 2)")
    assert hold(testimony, LATER) == wait


def test_rule_2_a_proof_by_a_client_is_none_without_the_published_set() -> None:
    expected = "the published set has yet to prove the standby key (rule 2)"
    assert why(hold(told(proof(LATER, "default")), LATER)) == expected


def test_rule_2_a_proof_of_another_key_is_none() -> None:
    assert "the published set has yet" in why(hold(told(proof(LATER, kid="another")), LATER))


def test_rule_2_every_client_must_prove_it() -> None:
    begun = told(proof(LATER), proof(LATER, "default"), trial("billing"))
    expected = "the client billing has yet to prove the standby key (rule 2)"
    assert why(hold(begun, LATER)) == expected
    assert hold(told(proof(LATER), proof(LATER, "billing")), LATER) is None


REFUSED = trial("default", refused_at=LATER, refusals=1, code="invalid_client")


def test_rule_2_a_refusal_of_the_standby_key_alone_blocks_and_says_who_and_why() -> None:
    wait = Wait(
        until=DUE + 9 * DAY,
        why="the client default refuses the standby key and takes the active one: "
        "invalid_client (rule 2)",
    )
    assert hold(told(proof(DUE + 9 * DAY), REFUSED), DUE + 9 * DAY) == wait
    confirmed = waiting(confirmed_kid="standby")
    assert hold(told(proof(DUE + 9 * DAY), REFUSED), DUE + 9 * DAY, confirmed) == wait


def test_rule_2_a_refusal_of_both_blocks_until_the_operator_confirms() -> None:
    both = told(proof(DUE + 2 * DAY), replace(REFUSED, active_refused=True))
    deadline = DUE + DAY
    neither = "the client default takes neither key: invalid_client; "
    assert why(hold(both, deadline - SECOND)) == f"{neither}the next trial may tell (rule 2)"
    for now in (deadline, deadline + DAY):
        assert why(hold(both, now)) == f"{neither}an operator may confirm (rule 2)"
        assert hold(both, now, waiting(confirmed_kid="standby")) is None
    assert hold(both, deadline, waiting(confirmed_kid="another")) is not None


def test_rule_2_the_operator_s_word_stands_for_a_proof_that_nobody_gave() -> None:
    confirmed = waiting(confirmed_kid="standby")
    assert hold(None, LATER, confirmed) is None
    assert hold(told(trial()), LATER, confirmed) is None


def test_rule_2_the_worst_is_told_first() -> None:
    both = trial("b", refused_at=LATER, refusals=1, code="x", active_refused=True)
    assert "the client b takes neither" in why(hold(told(trial(), both), LATER))
    assert "the client default refuses" in why(hold(told(both, REFUSED, trial()), LATER))


@pytest.mark.parametrize("keyring", [ring(), ring(active()), ring(standby())])
def test_a_first_key_replaces_none_and_is_not_held(keyring: Keyring) -> None:
    assert hold(None, LATER, keyring) is None


# In the life of the keys


def decided(keyring: Keyring, now: datetime, testimony: Testimony | None) -> Any:
    return step_at(keyring, now, POLICY, testimony=testimony)


def test_rule_2_a_key_is_promoted_when_it_is_due_and_proven_and_not_before() -> None:
    proven = told(proof(DUE))
    assert decided(waiting(), DUE - SECOND, proven).until == DUE
    assert decided(waiting(), DUE, proven) == PROMOTION
    assert decided(waiting(), DUE, None) == hold(None, DUE)
    assert decided(waiting(), DUE + DAY, proven) == PROMOTION


def test_rule_1_comes_before_rule_2() -> None:
    now = DUE
    unseen = step_at(waiting(), now, POLICY, seen(now, "active"), testimony=told(proof(now)))
    assert isinstance(unseen, Wait)
    assert "(rule 1)" in unseen.why


def test_a_plan_assumes_that_the_proof_comes_as_soon_as_it_may() -> None:
    keyring = waiting(rollover_requested_at=START)
    ahead = forecast(keyring, POLICY, START, READY + DAY)
    (promotion,) = (each for each in ahead.steps if each.step == PROMOTION)
    lengthened = max(PUBLIC, POLICY.publication_interval())
    proven_at = START + lengthened + 10 * MINUTE
    assert proven_at <= promotion.at <= proven_at + POLICY.tick_interval


# When people are called


@pytest.mark.parametrize(
    ("late", "overdue"), [(DAY - SECOND, False), (DAY, True), (400 * DAY, True)]
)
def test_a_promotion_is_overdue_a_day_after_it_was_due(late: timedelta, *, overdue: bool) -> None:
    assert canary.is_overdue(waiting(), Policy().canary_deadline, DUE + late) is overdue
    asked = waiting(rollover_requested_at=START)
    assert canary.is_overdue(asked, DAY, READY + late) is overdue


@pytest.mark.parametrize("keyring", [ring(), ring(standby()), ring(active(), standby())])
def test_what_is_not_due_is_not_overdue(keyring: Keyring) -> None:
    assert not canary.is_overdue(keyring, DAY, START + 999 * DAY)


def test_an_unseen_standby_key_makes_a_promotion_overdue_too() -> None:
    unseen = ring(active(), standby(), rollover_due_at=DUE)
    assert canary.is_overdue(unseen, DAY, DUE + DAY)
