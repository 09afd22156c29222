"""A plan is what would happen: run the same life an hour at a time, and compare every step."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from machine_identity.forecast import forecast
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.steps import CreateKey
from tests.keyrings import START
from tests.properties.life import Life

HOUR = timedelta(hours=1)
HORIZON = 400
hours = st.integers(1, 9).map(lambda count: count * HOUR)


@st.composite
def policies_on_the_hour(draw: st.DrawFn) -> Policy:
    """Every wait ends with a run of an hourly schedule."""
    policy = Policy(
        rotation_interval=timedelta(days=365),
        tick_interval=HOUR,
        clock_skew=HOUR,
        run_bound=HOUR,
        provider_leeway=timedelta(),
        key_set_cache=draw(hours),
        max_age=draw(hours),
        origin_staleness=draw(hours),
        signer_bound=draw(hours),
        assertion_lifetime=draw(hours),
    )
    least = policy.publication_interval() + policy.retire_interval + 2 * HOUR
    return replace(policy, rotation_interval=least + draw(hours))


@settings(max_examples=30, deadline=None)
@given(policy=policies_on_the_hour(), genesis=st.booleans(), start=st.integers(0, HORIZON))
def test_a_plan_is_what_a_run_an_hour_does_step_by_step(
    *, policy: Policy, genesis: bool, start: int
) -> None:
    new = Keyring(identity="i", issuer="https://identity.example", genesis=genesis)
    life = Life(keyring=new)
    for hour in range(start + 1):
        life.run(START + hour * HOUR, policy)
    done = len(life.steps)
    plan = forecast(life.keyring, policy, START + start * HOUR, START + HORIZON * HOUR)
    for hour in range(start + 1, HORIZON + 1):
        life.run(START + hour * HOUR, policy)
    happened = [
        replace(each, step=CreateKey(intent="to come"))
        if isinstance(each.step, CreateKey)
        else each
        for each in life.steps[done:]
    ]
    assert list(plan.steps) == happened
    assert plan.keyring == life.keyring


@settings(max_examples=60, deadline=None)
@given(policy=policies_on_the_hour(), genesis=st.booleans())
def test_the_plan_of_the_very_first_run_is_what_the_run_does(
    *, policy: Policy, genesis: bool
) -> None:
    new = Keyring(identity="i", issuer="https://identity.example", genesis=genesis)
    life = Life(keyring=new)
    life.run(START, policy)
    plan = forecast(new, policy, START, START)
    assert [type(each.step) for each in plan.steps] == [type(each.step) for each in life.steps]
    assert plan.keyring == life.keyring
