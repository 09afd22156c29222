"""A plan by its dates: the life of the first keys in a world that works."""

from datetime import datetime, timedelta

import pytest

from machine_identity.forecast import Planned, forecast
from machine_identity.keyring import Intent, Keyring, State
from machine_identity.policy import Policy
from machine_identity.steps import (
    Action,
    CreateKey,
    Disable,
    Forget,
    Intend,
    Promote,
    Publish,
    ScheduleDeletion,
    Withdraw,
)
from tests.keyrings import DAY, SECOND, START, active, retired, ring

POLICY = Policy()
NEW = Keyring(identity="default", issuer="https://identity.example", genesis=True)
RETIRE_INTERVAL = timedelta(hours=49, minutes=23)
ROLLOVER = START + 30 * DAY
WITHDRAWAL = ROLLOVER + RETIRE_INTERVAL


def plan(keyring: Keyring, until: datetime) -> list[tuple[datetime, Action]]:
    foreseen = forecast(keyring, POLICY, START, until)
    return [(each.at, each.step) for each in foreseen.steps]


FIRST_DAY = [
    (START, Intend()),
    (START, CreateKey(intent="to come")),
    (START, Intend()),
    (START, CreateKey(intent="to come")),
    (START, Publish(kids=("key-to-come-2", "key-to-come-4"), revision=5)),
    (START, Promote(kid="key-to-come-2", retires=None)),
]


def test_two_keys_come_first_and_the_first_of_them_signs_at_once() -> None:
    assert plan(NEW, START) == FIRST_DAY


def test_where_something_was_before_the_first_key_waits_like_any_other() -> None:
    steps = plan(ring(), START + 3 * DAY)
    waited = timedelta(hours=48, minutes=6)
    assert steps[-1][0] == START + waited
    assert isinstance(steps[-1][1], Promote)


def test_a_rollover_brings_a_key_moves_two_and_takes_one() -> None:
    steps = plan(NEW, ROLLOVER + 10 * DAY)
    assert steps[:6] == FIRST_DAY
    promotion, intention, creation, publication, *rest = steps[6:]
    old, young = "key-to-come-2", "key-to-come-4"
    assert promotion == (ROLLOVER, Promote(kid=young, retires=old))
    assert intention == (ROLLOVER, Intend())
    assert creation == (ROLLOVER, CreateKey(intent="to come"))
    assert publication[0] == ROLLOVER
    assert isinstance(publication[1], Publish)
    third = publication[1].kids[-1]
    assert publication[1].kids == (old, young, third)
    revision = publication[1].revision
    assert rest == [
        (WITHDRAWAL, Withdraw(kid=old)),
        (WITHDRAWAL, Publish(kids=(young, third), revision=revision + 2)),
        (WITHDRAWAL, Disable(kid=old)),
        (WITHDRAWAL, ScheduleDeletion(kid=old)),
        (WITHDRAWAL + 7 * DAY, Forget(kid=old)),
    ]


@pytest.mark.parametrize(
    ("until", "is_in_it"),
    [(ROLLOVER - SECOND, False), (ROLLOVER, True), (ROLLOVER + SECOND, True)],
)
def test_a_plan_ends_with_the_instant_that_was_asked_for(
    until: datetime, *, is_in_it: bool
) -> None:
    assert (ROLLOVER in [at for at, _ in plan(NEW, until)]) is is_in_it


def test_a_plan_that_ends_before_it_begins_is_empty() -> None:
    foreseen = forecast(NEW, POLICY, START, START - SECOND)
    assert (foreseen.steps, foreseen.keyring) == ((), NEW)


def test_the_keyring_of_a_plan_stands_as_its_steps_leave_it() -> None:
    foreseen = forecast(NEW, POLICY, START, ROLLOVER)
    assert foreseen.steps[0] == Planned(at=START, step=Intend())
    states = [each.state for each in foreseen.keyring.keys]
    assert states == [State.RETIRED, State.ACTIVE, State.STANDBY]
    assert all(each.jwk["alg"] == "RS256" for each in foreseen.keyring.keys)


def test_an_intent_that_is_open_is_taken_to_succeed() -> None:
    keyring = ring(active(), intent=Intent(id="open", written_at=START - SECOND))
    assert plan(keyring, START)[0] == (START, CreateKey(intent="open"))


def test_a_wait_without_a_known_end_is_looked_at_once_a_tick() -> None:
    policy = Policy(most_live_keys=3)
    full = ring(retired("one"), retired("two"), active())
    foreseen = forecast(full, policy, START, START + 3 * DAY)
    ticks = -(-RETIRE_INTERVAL // policy.tick_interval)
    assert foreseen.steps[0] == Planned(
        at=START + ticks * policy.tick_interval, step=Withdraw(kid="one")
    )


def test_a_plan_of_ten_years_ends() -> None:
    foreseen = forecast(NEW, POLICY, START, START + 3650 * DAY)
    promotions = [each.step for each in foreseen.steps if isinstance(each.step, Promote)]
    assert len(promotions) == 1 + 3650 // 30
    assert len(foreseen.keyring.keys) <= POLICY.most_live_keys
