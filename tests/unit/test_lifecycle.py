"""The rules of the life of a key, by number, each wait one second early, on time and very late."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from machine_identity import lifecycle, repairs
from machine_identity.evidence import Observation, Standing
from machine_identity.keyring import Intent, Key, Keyring, State
from machine_identity.lifecycle import ADOPTION_INTERVAL, Outlook
from machine_identity.policy import Policy
from machine_identity.steps import (
    AdoptKey,
    CreateKey,
    Disable,
    Forget,
    Intend,
    Promote,
    Publish,
    ScheduleDeletion,
    Step,
    Wait,
    Withdraw,
)
from tests.keyrings import (
    DAY,
    LONG_AGO,
    POLICY,
    PUBLICATION_INTERVAL,
    RETIRE_INTERVAL,
    SECOND,
    START,
    active,
    after,
    key,
    removed,
    retired,
    ring,
    seen,
    shown,
    standby,
    standing,
    step_at,
    under,
    unseen,
    until,
)

LATE = timedelta(days=1000)
OVERDUE = active(since=LONG_AGO)
"""An active key whose rotation interval was over long ago: only rule 1 holds its successor."""
PROMOTION = Promote(kid="standby", retires="active")
TWO = ring(active(), standby(), published_revision=5)
SHORT = under(key_set_cache=timedelta(), clock_skew=timedelta())
"""A policy under which the max-age decides how long a key must be public."""


def waiting(first_seen_at: datetime | None = START, **members: Any) -> Keyring:
    """Return a keyring whose standby key has only rule 1 to wait for."""
    return ring(OVERDUE, standby(first_seen_at=first_seen_at), **members)


def assert_wait(keyring: Keyring, end: datetime, then: Step, policy: Policy = POLICY) -> None:
    """Assert all three cases of a wait."""
    assert until(step_at(keyring, end - SECOND, policy)) == end
    assert step_at(keyring, end, policy) == then
    assert step_at(keyring, end + LATE, policy) == then


# Rule 1: publish before sign


def test_rule_1_a_standby_key_signs_when_it_was_public_for_the_publication_interval() -> None:
    assert_wait(waiting(), START + PUBLICATION_INTERVAL, PROMOTION)


def test_rule_1_the_wait_runs_without_an_active_key_too() -> None:
    keyring = ring(standby(first_seen_at=START), standby("other", since=START + SECOND))
    then = Promote(kid="standby", retires=None)
    assert_wait(keyring, START + PUBLICATION_INTERVAL, then)


def test_rule_1_a_longer_max_age_served_while_it_was_absent_is_waited_for() -> None:
    longest = 90_000 * SECOND
    keyring = after(
        waiting(None), [seen(LONG_AGO, "active"), seen(START, "active", max_age=longest)]
    )
    keyring = after(keyring, [seen(START + 5 * SECOND, "active", "standby")])
    end = START + 5 * SECOND + PUBLICATION_INTERVAL - POLICY.key_set_cache + longest
    assert_wait(keyring, end, PROMOTION)


@pytest.mark.parametrize(("after_its_end", "counts"), [(0, True), (1, False), (10**8, False)])
def test_rule_1_a_max_age_counts_until_the_last_copy_served_with_it_is_stale(
    after_its_end: int, *, counts: bool
) -> None:
    longest, policy = 90_000 * SECOND, SHORT
    first = START + longest + after_its_end * SECOND
    keyring = after(waiting(None), [seen(START, "active", max_age=longest)], policy)
    keyring = after(keyring, [seen(first, "active", "standby")], policy)
    cached = longest if counts else policy.max_age
    assert_wait(keyring, first + 11 * SECOND + cached, PROMOTION, policy)


def test_rule_1_a_shorter_one_that_outlives_the_longest_is_not_forgotten_with_it() -> None:
    """At 0 h a copy for 4 h, at 3 h one for 3 h: a copy without the key is about until 6 h."""
    hour = timedelta(hours=1)
    keyring = after(
        waiting(None),
        [
            seen(START, "active", max_age=4 * hour),
            seen(START + 3 * hour, "active", max_age=3 * hour),
            seen(START + 5 * hour, "active", "standby"),
        ],
        SHORT,
    )
    assert until(step_at(keyring, START + 6 * hour, SHORT)) >= START + 6 * hour


def test_rule_1_a_longest_max_age_is_not_shortened_by_a_shorter_one_of_others() -> None:
    keyring = after(
        waiting(None),
        [
            seen(START, "active", max_age=9_000 * SECOND),
            seen(START + SECOND, "active", max_age=8_000 * SECOND),
        ],
        SHORT,
    )
    assert keyring.longest_max_age == 9_000 * SECOND
    assert keyring.longest_max_age_at == START + SECOND


@pytest.mark.parametrize("max_age", [timedelta(), POLICY.max_age - SECOND, POLICY.max_age])
def test_rule_1_a_max_age_no_longer_than_ours_needs_no_memory(max_age: timedelta) -> None:
    keyring = after(waiting(None), [seen(START, "active", max_age=max_age)])
    assert (keyring.longest_max_age, keyring.longest_max_age_at) == (timedelta(), None)


def test_rule_1_without_an_observation_in_this_very_run_nothing_signs() -> None:
    now = START + LATE
    step = step_at(waiting(), now, observation=unseen(now))
    why = "the public URL was not seen: no answer (rule 1)"
    assert step == Wait(until=now, why=why, alarms=("PublishedSetUnseen",))


@pytest.mark.parametrize(
    ("age", "is_evidence"),
    [(POLICY.run_bound, True), (POLICY.run_bound + SECOND, False), (LATE, False)],
)
def test_rule_1_an_observation_of_an_earlier_run_is_no_evidence(
    age: timedelta, *, is_evidence: bool
) -> None:
    now = START + 2 * LATE
    step = step_at(waiting(), now, observation=seen(now - age, "active", "standby"))
    nobody = "the public URL was not seen: nobody looked in this run (rule 1)"
    assert step == (PROMOTION if is_evidence else Wait(until=now, why=nobody))


def test_rule_1_a_set_without_the_key_in_this_very_run_holds_it_back() -> None:
    now = START + LATE
    step = step_at(waiting(), now, observation=seen(now, "active", "other"))
    why = "the public URL does not show the standby key (rule 1)"
    assert step == Wait(until=now, why=why)


def test_rule_1_a_key_that_was_never_recorded_as_seen_does_not_sign() -> None:
    now = START + LATE
    assert until(step_at(waiting(None), now)) == now


def test_rule_1_the_first_sight_counts_and_later_ones_change_nothing() -> None:
    keyring = after(waiting(None), [seen(START, "active", "standby")])
    assert keyring.key("standby").first_seen_at == START
    again = after(keyring, [seen(START + hours * DAY, "active", "standby") for hours in (1, 2)])
    assert again == keyring


def test_rule_1_an_absence_starts_the_wait_anew() -> None:
    keyring = after(waiting(), [seen(START + DAY, "active")])
    assert keyring.key("standby").first_seen_at is None
    keyring = after(keyring, [seen(START + 2 * DAY, "active", "standby")])
    assert_wait(keyring, START + 2 * DAY + PUBLICATION_INTERVAL, PROMOTION)


def test_rule_1_a_failed_fetch_neither_starts_a_wait_nor_ends_one() -> None:
    assert after(waiting(None), [unseen(START)]).key("standby").first_seen_at is None
    assert after(waiting(), [unseen(START + DAY)]).key("standby").first_seen_at == START


def test_rule_1_every_standby_key_is_watched_by_itself() -> None:
    keyring = ring(OVERDUE, standby("one"), standby("two", first_seen_at=START))
    keyring = after(keyring, [seen(START + DAY, "one")])
    assert keyring.key("one").first_seen_at == START + DAY
    assert keyring.key("two").first_seen_at is None


def test_rule_1_a_late_run_does_not_publish_and_promote_in_one_go() -> None:
    now = START + LATE
    keyring = after(waiting(None), [seen(now, "active", "standby")])
    assert until(step_at(keyring, now)) == now + PUBLICATION_INTERVAL


def test_rule_1_what_was_seen_of_other_keys_than_standby_ones_is_not_recorded() -> None:
    keyring = after(ring(OVERDUE, retired()), [seen(START, "active", "retired")])
    assert [each.first_seen_at for each in keyring.keys] == [None, None]


# Rule 1: the very first key


def test_the_first_key_signs_on_one_observation_if_there_was_never_a_set() -> None:
    new = ring(standby("first"), standby("second", since=START + SECOND), genesis=True)
    keyring = after(new, [unseen(START), seen(START + SECOND, "first", "second")])
    assert step_at(new, START, observation=unseen(START)) != Promote(kid="first", retires=None)
    assert step_at(keyring, START + SECOND) == Promote(kid="first", retires=None)


def test_the_first_key_is_not_promoted_before_it_was_observed() -> None:
    new = ring(standby("first"), standby("second"), genesis=True)
    assert until(step_at(new, START)) == START
    keyring = after(new, [seen(START, "first", "second")])
    assert until(step_at(keyring, START - SECOND)) == START


@pytest.mark.parametrize("shown", [(), ("second",), ("stranger",)])
def test_the_first_key_waits_like_any_other_once_a_set_without_it_was_seen(
    shown: tuple[str, ...],
) -> None:
    new = ring(standby("first"), standby("second", since=START + SECOND), genesis=True)
    keyring = after(new, [seen(START, *shown), seen(START + SECOND, "first", "second")])
    then = Promote(kid="first", retires=None)
    assert_wait(keyring, START + SECOND + PUBLICATION_INTERVAL, then)


def test_a_set_that_is_public_before_there_is_a_key_of_ours_ends_the_genesis() -> None:
    assert after(ring(genesis=True), [unseen(START)]).genesis
    assert not after(ring(genesis=True), [seen(START)]).genesis


def test_the_second_key_may_be_missing_when_the_first_is_seen() -> None:
    new = ring(standby("first"), standby("second", since=START + SECOND), genesis=True)
    keyring = after(new, [seen(START, "first")])
    assert step_at(keyring, START, observation=seen(START, "first")) == Promote(
        kid="first", retires=None
    )


def test_the_genesis_is_over_for_the_second_key() -> None:
    keyring = ring(OVERDUE, standby(first_seen_at=START), genesis=False)
    assert until(step_at(keyring, START)) == START + PUBLICATION_INTERVAL


# How long a key signs


def test_the_active_key_signs_for_its_rotation_interval() -> None:
    keyring = ring(active(), standby(first_seen_at=LONG_AGO))
    assert_wait(keyring, START + POLICY.rotation_interval, PROMOTION)


def test_a_rollover_that_was_asked_for_waits_for_nothing_but_rule_1() -> None:
    asked = START + DAY
    ready = ring(active(), standby(first_seen_at=LONG_AGO), rollover_requested_at=asked)
    assert_wait(ready, asked, PROMOTION)
    fresh = ring(active(), standby(first_seen_at=asked), rollover_requested_at=asked)
    assert_wait(fresh, START + DAY + PUBLICATION_INTERVAL, PROMOTION)


def test_without_a_standby_key_the_active_one_goes_on() -> None:
    assert step_at(ring(OVERDUE), START + LATE) == Intend()


# Rule 3: retire after the last signature


def retiring(**members: Any) -> Keyring:
    return ring(retired(**members), active(), standby())


def test_rule_3_a_retired_key_leaves_when_nothing_it_signed_can_be_valid() -> None:
    keyring = retiring()
    end = START + RETIRE_INTERVAL
    for now in (START, end - SECOND):
        assert until(step_at(keyring, now)) == end
    assert step_at(keyring, end) == Withdraw(kid="retired")
    assert step_at(keyring, end + 10 * DAY) == Withdraw(kid="retired")


def test_rule_3_of_several_the_one_that_was_retired_first_goes_first() -> None:
    older = retired("older", since=START - SECOND)
    keyring = ring(retired("younger"), older, active(), standby())
    assert step_at(keyring, START + RETIRE_INTERVAL + DAY) == Withdraw(kid="older")
    assert until(step_at(keyring, START)) == START - SECOND + RETIRE_INTERVAL


def test_rule_3_a_removed_key_leaves_the_set_before_anything_happens_to_it_in_kms() -> None:
    keyring = ring(removed(), active(), standby(), published_revision=7)
    shown = ring(retired("removed"), active(), standby(), published_revision=6)
    step = step_at(keyring, START, standing=standing(shown))
    assert step == Publish(kids=("active", "standby"), revision=7)
    assert step_at(keyring, START) == Disable(kid="removed")


# Rule 4: neither a change of settings nor a late run shortens a wait


LONGER = under(key_set_cache=POLICY.key_set_cache + DAY)


def test_rule_4_a_shorter_setting_does_not_shorten_a_publication_that_has_begun() -> None:
    keyring = after(waiting(None), [seen(START, "active", "standby")], LONGER)
    assert_wait(keyring, START + PUBLICATION_INTERVAL + DAY, PROMOTION)


def test_rule_4_a_shorter_setting_of_a_later_run_takes_nothing_back() -> None:
    keyring = after(waiting(None), [seen(START, "active", "standby")], LONGER)
    assert after(keyring, [seen(START + SECOND, "active", "standby")]) == keyring


def test_rule_4_a_longer_setting_prolongs_a_publication_that_has_begun() -> None:
    keyring = after(waiting(None), [seen(START, "active", "standby")])
    assert_wait(keyring, START + PUBLICATION_INTERVAL + DAY, PROMOTION, LONGER)


@pytest.mark.parametrize("observation", [unseen(START + SECOND), seen(START + SECOND, "standby")])
def test_rule_4_a_longer_setting_counts_even_if_it_came_and_went(
    observation: Observation,
) -> None:
    keyring = after(waiting(None), [seen(START, "active", "standby")])
    keyring = after(keyring, [observation], LONGER)
    assert_wait(keyring, START + PUBLICATION_INTERVAL + DAY, PROMOTION)


def test_rule_4_a_publication_that_has_not_begun_is_under_the_settings_of_its_own_time() -> None:
    keyring = after(waiting(None), [unseen(START)], LONGER)
    keyring = after(keyring, [seen(START + SECOND, "active", "standby")])
    assert_wait(keyring, START + SECOND + PUBLICATION_INTERVAL, PROMOTION)


def test_rule_4_a_lowered_max_age_is_waited_for_while_copies_with_the_old_one_live() -> None:
    long = replace(SHORT, max_age=9_000 * SECOND)
    keyring = after(waiting(None), [seen(START, "active", max_age=long.max_age)], SHORT)
    keyring = after(keyring, [seen(START + SECOND, "active", "standby")], SHORT)
    end = START + SECOND + 11 * SECOND + 9_000 * SECOND
    assert_wait(keyring, end, PROMOTION, SHORT)


@pytest.mark.parametrize("observation", [unseen(START), seen(START, "active", "standby")])
def test_rule_4_a_longer_max_age_is_written_down_before_anything_is_published_with_it(
    observation: Observation,
) -> None:
    raised = under(max_age=POLICY.max_age + SECOND)
    keyring = after(TWO, [observation], raised)
    assert keyring.max_age == raised.max_age
    assert after(keyring, [observation]).max_age == raised.max_age
    assert isinstance(step_at(keyring, START, raised, standing=standing(TWO)), Publish)


def test_rule_4_a_lowered_rotation_interval_hurries_no_key_past_rule_1() -> None:
    lowered = under(rotation_interval=timedelta(days=11))
    keyring = ring(active(), standby(first_seen_at=START + 10 * DAY))
    assert_wait(keyring, START + 10 * DAY + PUBLICATION_INTERVAL, PROMOTION, lowered)
    keyring = ring(active(), standby(first_seen_at=START))
    assert_wait(keyring, START + 11 * DAY, PROMOTION, lowered)


SLOWER = under(assertion_lifetime=POLICY.assertion_lifetime + DAY)


def test_rule_4_a_shorter_setting_does_not_shorten_a_retirement_that_has_begun() -> None:
    keyring = after(retiring(), [unseen(START)], SLOWER)
    end = START + RETIRE_INTERVAL + DAY
    assert until(step_at(keyring, end - SECOND)) == end
    assert step_at(keyring, end) == Withdraw(kid="retired")


def test_rule_4_a_longer_setting_prolongs_a_retirement_that_has_begun() -> None:
    keyring = after(retiring(), [unseen(START)])
    end = START + RETIRE_INTERVAL + DAY
    assert until(step_at(keyring, end - SECOND, SLOWER)) == end
    assert step_at(keyring, end, SLOWER) == Withdraw(kid="retired")


def test_rule_4_what_was_signed_under_a_longer_setting_before_retirement_counts() -> None:
    keyring = after(ring(OVERDUE, standby()), [unseen(START)], SLOWER)
    assert keyring.key("active").retire_interval == RETIRE_INTERVAL + DAY
    assert after(keyring, [unseen(START)]) == keyring


def test_rule_4_a_doubled_run_records_nothing_new() -> None:
    observation = seen(START, "active", "standby", max_age=POLICY.max_age + SECOND)
    once = after(ring(OVERDUE, standby(), retired()), [observation])
    assert after(once, [observation]) == once


# Rule 5: crash anywhere, run again, converge


def intending(written_at: datetime = START, *keys: Key) -> Keyring:
    return ring(*keys, intent=Intent(id="intent-1", written_at=written_at))


@pytest.mark.parametrize("keys", [(), (standby(),), (active(),), (retired(), removed(), active())])
def test_rule_5_an_active_and_a_standby_key_are_there_or_intended(keys: tuple[Key, ...]) -> None:
    assert step_at(ring(*keys), START) == Intend()


@pytest.mark.parametrize("keys", [(active(), standby()), (standby(), standby("other"))])
def test_rule_5_two_keys_are_enough(keys: tuple[Key, ...]) -> None:
    assert isinstance(step_at(ring(*keys), START), Wait)


def test_rule_5_only_the_run_that_wrote_the_intent_creates_its_key_at_once() -> None:
    keyring = intending()
    assert step_at(keyring, START, own_intent="intent-1") == CreateKey(intent="intent-1")
    assert isinstance(step_at(keyring, START, own_intent="intent-2"), Wait)
    assert isinstance(step_at(keyring, START), Wait)


@pytest.mark.parametrize("late", [timedelta(), LATE])
def test_rule_5_a_key_that_carries_the_intent_is_adopted_as_soon_as_it_shows(
    late: timedelta,
) -> None:
    step = step_at(intending(), START + late, tagged={"intent-1": "arn:found"})
    assert step == AdoptKey(intent="intent-1", arn="arn:found")


def test_rule_5_a_key_that_carries_another_intent_is_not_adopted() -> None:
    assert isinstance(step_at(intending(), START, tagged={"intent-2": "arn:found"}), Wait)


def test_rule_5_no_second_key_for_fifteen_minutes_after_the_last_moment_of_the_first() -> None:
    assert timedelta(minutes=15) == ADOPTION_INTERVAL
    end = START + POLICY.run_bound + ADOPTION_INTERVAL
    assert_wait(intending(), end, Intend(again=True))


def test_rule_5_at_the_cap_no_more_keys_are_created() -> None:
    capped = under(most_live_keys=4)
    dying = removed(disabled_at=START, deletion_at=START + 7 * DAY)
    three = ring(dying, retired("one"), retired("two"), active())
    assert step_at(three, START, capped) == Intend()
    four = replace(three, keys=(*three.keys, retired("three")))
    why = "4 keys are live, and no more are created"
    wait = Wait(until=START, why=why, alarms=("TooManyKeys",))
    assert step_at(four, START, capped) == wait
    five = replace(four, keys=(*four.keys, retired("four")))
    assert isinstance(step_at(five, START, capped), Wait)


# Rule 6: what stands in the bucket is what the keyring says


@pytest.mark.parametrize(
    "change",
    [
        {"jwks": None},
        {"jwks": b"{}"},
        {"configuration": None},
        {"configuration": b"{}"},
        {"cache_control": None},
        {"cache_control": "public, max-age=3001"},
    ],
)
def test_rule_6_whatever_was_done_to_the_published_documents_is_put_right(
    change: dict[str, Any],
) -> None:
    changed = replace(standing(TWO), **change)
    expected = Publish(kids=("active", "standby"), revision=5)
    assert step_at(TWO, START, standing=changed) == expected


def test_rule_6_documents_that_stand_are_left_alone() -> None:
    tagged = replace(standing(TWO), jwks_tag="a", configuration_tag="b")
    assert isinstance(step_at(TWO, START, standing=tagged), Wait)


def test_rule_6_an_empty_set_is_never_published() -> None:
    keyring = intending(START, removed(disabled_at=START, deletion_at=START + DAY))
    assert isinstance(step_at(keyring, START, standing=Standing()), Wait)


def test_rule_6_a_changed_max_age_is_published() -> None:
    step = step_at(TWO, START, under(max_age=SECOND), standing=standing(TWO))
    assert step == Publish(kids=("active", "standby"), revision=5)


def test_rule_6_a_withdrawn_key_does_not_come_back() -> None:
    keyring = ring(removed(), active(), standby())
    older = ring(retired("removed"), active(), standby())
    step = step_at(keyring, START, standing=standing(older))
    assert isinstance(step, Publish)
    assert "removed" not in step.kids


def test_rule_6_a_keyring_that_newer_code_wrote_is_left_alone() -> None:
    newer = replace(waiting(), version=2)
    step = step_at(newer, START + LATE, standing=Standing())
    assert step == Wait(
        until=START + LATE,
        why="newer code wrote the keyring, and this code only reads it (rule 6)",
        alarms=("KeyringNewer",),
    )
    assert after(newer, [seen(START + DAY, max_age=LATE)]) == newer


# The end of a key


def ending(**members: Any) -> Keyring:
    return ring(removed(**members), active(), standby())


def test_a_removed_key_is_disabled_then_scheduled_for_deletion_then_forgotten() -> None:
    end = START + 7 * DAY
    assert step_at(ending(), START) == Disable(kid="removed")
    assert step_at(ending(disabled_at=START), START) == ScheduleDeletion(kid="removed")
    deleted = ending(disabled_at=START, deletion_at=end)
    assert until(step_at(deleted, START)) == end
    assert until(step_at(deleted, end - SECOND)) == end
    assert step_at(deleted, end) == Forget(kid="removed")
    assert step_at(deleted, end + DAY) == Forget(kid="removed")


def test_a_removed_key_that_waits_does_not_hold_up_another() -> None:
    first = removed("first", disabled_at=START, deletion_at=START + 9 * DAY)
    second = removed("second", since=START + SECOND)
    assert step_at(ring(first, second, active(), standby()), START) == Disable(kid="second")
    both = replace(second, disabled_at=START, deletion_at=START + 8 * DAY)
    assert until(step_at(ring(first, both, active(), standby()), START)) == START + 8 * DAY


# Which answer wins


def test_an_action_is_taken_however_many_rules_wait() -> None:
    keyring = replace(retiring(), keys=(*retiring().keys, removed()))
    assert step_at(keyring, START) == Disable(kid="removed")


def test_of_several_waits_the_one_that_ends_first_is_told() -> None:
    end = removed(disabled_at=START, deletion_at=START + DAY)
    keyring = ring(retired(), active(), standby(), end)
    wait = Wait(until=START + DAY, why="KMS keeps the removed key until then")
    assert step_at(keyring, START) == wait


def test_of_several_actions_keys_come_first_then_the_set_then_the_rollover() -> None:
    now = START + LATE
    everything = replace(waiting(), keys=(*waiting().keys, retired(), removed()))
    without_standby = replace(everything, keys=(OVERDUE, retired(), removed()))
    assert step_at(without_standby, now, standing=Standing()) == Intend()
    assert isinstance(step_at(everything, now, standing=Standing()), Publish)
    assert step_at(everything, now) == PROMOTION
    assert step_at(everything, now, observation=unseen(now)) == Withdraw(kid="retired")


# What an operator is told


def test_the_outlook_of_a_rollover_is_that_of_both_keys() -> None:
    ready = START + PUBLICATION_INTERVAL
    due = START + POLICY.rotation_interval
    on_time = ring(active(), standby(first_seen_at=START))
    held = "rotation interval"
    assert outlooks(on_time) == {
        "active": Outlook(next="retired", not_before=due, held_by=held),
        "standby": Outlook(next="active", not_before=due, held_by=held),
    }
    held = "rule 1: publish before sign"
    assert outlooks(waiting()) == {
        "active": Outlook(next="retired", not_before=ready, held_by=held),
        "standby": Outlook(next="active", not_before=ready, held_by=held),
    }
    assert outlooks(waiting(None)) == {
        "active": Outlook(next="retired", not_before=None, held_by=held),
        "standby": Outlook(next="active", not_before=None, held_by=held),
    }


def test_the_outlook_of_a_rollover_due_as_the_wait_ends_names_the_interval() -> None:
    first_seen_at = START + POLICY.rotation_interval - PUBLICATION_INTERVAL
    keyring = ring(active(), standby(first_seen_at=first_seen_at))
    assert outlooks(keyring)["standby"].held_by == "rotation interval"


def test_the_outlook_of_a_first_key_is_rule_1_s() -> None:
    keyring = ring(standby(first_seen_at=START), genesis=True)
    held = "rule 1: publish before sign"
    expected = Outlook(next="active", not_before=START, held_by=held)
    assert outlooks(keyring) == {"standby": expected}
    assert outlooks(ring(active()))["active"].not_before is None


def test_the_outlook_keeps_the_longest_waits() -> None:
    interval = PUBLICATION_INTERVAL + DAY
    keyring = ring(OVERDUE, standby(first_seen_at=START, publication_interval=interval))
    assert outlooks(keyring)["standby"].not_before == START + PUBLICATION_INTERVAL + DAY
    keyring = ring(retired(retire_interval=RETIRE_INTERVAL + DAY))
    assert outlooks(keyring)["retired"].not_before == START + RETIRE_INTERVAL + DAY


def test_the_outlook_of_a_key_at_its_end() -> None:
    held = "rule 3: retire after the last signature"
    keyring = ring(retired(), removed(deletion_at=START + DAY), removed("gone"))
    assert outlooks(keyring) == {
        "retired": Outlook(next="removed", not_before=START + RETIRE_INTERVAL, held_by=held),
        "removed": Outlook(next="deleted", not_before=START + DAY, held_by="deletion window"),
        "gone": Outlook(next="deleted", not_before=None, held_by="deletion window"),
    }


def outlooks(keyring: Keyring) -> dict[str, Outlook]:
    return {each.kid: lifecycle.outlook(each, keyring, POLICY) for each in keyring.keys}


def test_every_state_has_an_outlook() -> None:
    keyring = ring(*(key(state.value, state) for state in State))
    assert len(outlooks(keyring)) == len(State)


def test_rule_11_whatever_is_due_waits_while_the_clocks_are_apart() -> None:
    keyring = ring(active(), standby(first_seen_at=LONG_AGO))
    due = START + POLICY.rotation_interval
    for error, step in ((POLICY.clock_skew, Promote), (POLICY.clock_skew + SECOND, Wait)):
        assert isinstance(step_at(keyring, due, clock_error=error), step)


def test_rule_6_a_keyring_of_newer_code_is_not_written_by_what_kms_says_either() -> None:
    newer = replace(ring(active()), version=2)
    broken = shown(unseen(START), unusable=frozenset({"active"}))
    assert repairs.noted(newer, broken, START) == newer


def test_an_active_key_that_kms_does_not_sign_with_is_an_alarm_beside_whatever_is_waited_for() -> (
    None
):
    keyring = ring(active(), standby(first_seen_at=START))
    wait = step_at(keyring, START, unusable=frozenset({"active"}))
    assert isinstance(wait, Wait)
    assert wait.alarms == ("ActiveKeyFails",)
    fine = step_at(keyring, START, unusable=frozenset({"standby-to-be"}))
    assert isinstance(fine, Wait)
    assert fine.alarms == ()
