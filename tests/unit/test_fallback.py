"""Rule 9 by number: how long the previous key may sign, what prolongs it, and what rule 3 adds."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from machine_identity.evidence import Evidence
from machine_identity.fallback import prolongation
from machine_identity.keyring import Keyring
from machine_identity.steps import Prolong, Withdraw
from machine_identity.testimony import Fallback, Testimony
from tests.keyrings import (
    DAY,
    POLICY,
    PUBLICATION_INTERVAL,
    RETIRE_INTERVAL,
    SECOND,
    START,
    active,
    after,
    removed,
    retired,
    ring,
    shown,
    standby,
    step_at,
    under,
    unseen,
    until,
)

ENDS = START + PUBLICATION_INTERVAL
VERIFIED = RETIRE_INTERVAL - PUBLICATION_INTERVAL
SHORT = under(key_set_cache=SECOND, clock_skew=SECOND, max_age=SECOND)
"""A fallback interval far below a day."""


def rolled_over(**members: Any) -> Keyring:
    """Return a keyring whose key was retired at START."""
    return ring(retired(**{"may_sign_until": ENDS, **members}), active(), standby())


def told(testimony: Testimony | None, **members: Any) -> Evidence:
    return shown(unseen(START), testimony=testimony, **members)


def needed(at: datetime, previous: str = "retired") -> Testimony:
    return Testimony(fallback=Fallback(kid="active", previous=previous, at=at))


@pytest.mark.parametrize("late", [timedelta(), 300 * DAY])
def test_a_fallback_prolongs_by_the_fallback_interval(late: timedelta) -> None:
    at = ENDS - SECOND
    step = prolongation(rolled_over(), told(needed(at)), POLICY, at + late)
    assert step == Prolong(kid="retired", until=at + PUBLICATION_INTERVAL)


def test_a_fallback_prolongs_by_a_day_at_least_since_a_token_may_live_so_long() -> None:
    step = prolongation(rolled_over(), told(needed(ENDS)), SHORT, ENDS)
    assert step == Prolong(kid="retired", until=ENDS + DAY)


def test_rule_4_nothing_is_ever_shortened_and_what_stands_is_left_alone() -> None:
    for beyond in (timedelta(), SECOND):
        long = rolled_over(may_sign_until=ENDS + PUBLICATION_INTERVAL + beyond)
        assert prolongation(long, told(needed(ENDS)), POLICY, ENDS) is None


def test_a_signer_s_clock_that_is_ahead_opens_the_door_no_longer_than_from_now() -> None:
    step = prolongation(rolled_over(), told(needed(ENDS + 999 * DAY)), POLICY, ENDS)
    assert step == Prolong(kid="retired", until=ENDS + PUBLICATION_INTERVAL)


@pytest.mark.parametrize(
    "keyring",
    [
        rolled_over(revoked_at=START),
        rolled_over(may_sign_until=None),
        ring(removed("retired", may_sign_until=ENDS), active(), standby()),
        ring(active("retired"), standby()),
    ],
    ids=["revoked", "never allowed", "removed", "active again"],
)
def test_only_a_retired_key_that_was_allowed_and_not_revoked_is_prolonged(
    keyring: Keyring,
) -> None:
    assert prolongation(keyring, told(needed(ENDS)), POLICY, ENDS) is None


@pytest.mark.parametrize("testimony", [None, Testimony(), needed(ENDS, previous="another")])
def test_without_a_fallback_to_that_key_nothing_is_prolonged(
    testimony: Testimony | None,
) -> None:
    assert prolongation(rolled_over(), told(testimony), POLICY, ENDS) is None


def test_a_key_is_prolonged_day_by_day_while_kms_does_not_sign_with_its_successor() -> None:
    keyring = rolled_over(may_sign_until=ENDS)
    broken = told(None, unusable=frozenset({"active"}))
    now = ENDS - SECOND
    step = prolongation(keyring, broken, SHORT, now)
    assert isinstance(step, Prolong)
    assert now < step.until <= now + DAY
    keyring = keyring.with_key(replace(keyring.key("retired"), may_sign_until=ENDS + 9 * DAY))
    since = keyring.key("active").since
    again = prolongation(keyring, broken, SHORT, ENDS + 9 * DAY - SECOND)
    assert again == Prolong(kid="retired", until=ENDS + 9 * DAY + (since - ENDS) % DAY)
    prolonged = keyring.with_key(replace(keyring.key("retired"), may_sign_until=again.until))
    assert prolongation(prolonged, broken, SHORT, ENDS + 9 * DAY - SECOND) is None


def test_a_key_whose_time_was_over_is_not_called_back_when_its_successor_breaks() -> None:
    broken = told(None, unusable=frozenset({"active"}))
    assert prolongation(rolled_over(may_sign_until=ENDS), broken, POLICY, ENDS) is None
    standby_only = told(None, unusable=frozenset({"standby"}))
    assert prolongation(rolled_over(), standby_only, POLICY, START) is None


def test_a_fallback_from_a_key_that_is_not_active_any_more_prolongs_nothing() -> None:
    """A testimony of the future would prolong for ever else, whoever signs by then."""
    stale = Testimony(fallback=Fallback(kid="gone", previous="retired", at=ENDS))
    assert prolongation(rolled_over(), told(stale), POLICY, ENDS) is None


def test_rule_3_retired_keys_leave_in_the_order_in_which_they_retired() -> None:
    older = retired("older", since=START - DAY, retire_interval=RETIRE_INTERVAL + 9 * DAY)
    keyring = ring(older, retired(), active(), standby())
    end = START + RETIRE_INTERVAL + 8 * DAY
    assert until(step_at(keyring, end - SECOND)) == end
    assert step_at(keyring, end) == Withdraw(kid="older")
    gone = replace(keyring, keys=keyring.keys[1:])
    assert step_at(gone, end) == Withdraw(kid="retired")


def test_the_next_tick_prolongs_before_anything_is_withdrawn_and_switches_nothing_back() -> None:
    now = START + RETIRE_INTERVAL
    keyring = rolled_over()
    assert step_at(keyring, now) == Withdraw(kid="retired")
    assert step_at(keyring, now, testimony=needed(now)) == Prolong(
        kid="retired", until=now + PUBLICATION_INTERVAL
    )


# Rule 3


def test_rule_3_a_prolonged_key_stays_until_its_last_signature_cannot_be_valid() -> None:
    keyring = rolled_over(may_sign_until=ENDS + 9 * DAY)
    end = ENDS + 9 * DAY + VERIFIED
    for now in (START + RETIRE_INTERVAL, end - SECOND):
        assert until(step_at(keyring, now)) == end
    for now in (end, end + 99 * DAY):
        assert step_at(keyring, now) == Withdraw(kid="retired")


def test_rule_3_a_key_that_was_not_prolonged_stays_as_long_as_ever() -> None:
    end = START + RETIRE_INTERVAL
    assert until(step_at(rolled_over(), end - SECOND)) == end
    assert step_at(rolled_over(), end) == Withdraw(kid="retired")


def test_rule_4_a_prolonged_key_stays_as_the_longest_settings_since_had_it() -> None:
    slower = under(assertion_lifetime=POLICY.assertion_lifetime + DAY)
    keyring = after(rolled_over(may_sign_until=ENDS + 9 * DAY), [unseen(START)], slower)
    end = ENDS + 9 * DAY + VERIFIED + DAY
    assert until(step_at(keyring, end - SECOND)) == end
    assert step_at(keyring, end) == Withdraw(kid="retired")
    assert until(step_at(rolled_over(may_sign_until=end), end, slower)) == end + VERIFIED + DAY


# Who may sign


@pytest.mark.parametrize(
    ("late", "may"), [(-SECOND, True), (timedelta(), False), (99 * DAY, False)]
)
def test_the_previous_key_may_sign_until_its_time_is_over(late: timedelta, *, may: bool) -> None:
    previous = rolled_over().previous(ENDS + late)
    assert (previous is not None) is may


def test_of_several_the_one_that_signed_last_is_the_previous_one() -> None:
    older = retired("older", since=START - DAY, may_sign_until=ENDS + DAY)
    keyring = ring(retired(may_sign_until=ENDS), older, active())
    for now, name in ((START, "retired"), (ENDS, "older")):
        previous = keyring.previous(now)
        assert previous is not None
        assert previous.kid == name


def test_rule_10_a_revoked_key_is_never_the_previous_one() -> None:
    assert rolled_over(revoked_at=START).previous(START) is None
    assert rolled_over(may_sign_until=None).previous(START) is None
    gone = ring(removed(may_sign_until=ENDS), active(may_sign_until=ENDS))
    assert gone.previous(START) is None
