"""One decision, whatever the keyring and whatever was seen: no step comes before its inequality.

The inequalities are derived here once more, from the inputs of the policy.
"""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from machine_identity import canary, lifecycle, sightings
from machine_identity.evidence import Evidence, Observation, Seen, Standing, Unseen
from machine_identity.keyring import Key, Keyring, State
from machine_identity.policy import Policy
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
    Step,
    Wait,
    Withdraw,
)
from machine_identity.testimony import Testimony
from tests.keyrings import POLICY, START, active, retired, ring, shown, standing
from tests.properties.strategies import accounts, instants, keyrings, observations, policies

tags = st.dictionaries(st.sampled_from(["i1", "i2"]), st.just("arn:found"))
own_intents = st.sampled_from([None, "i1", "i2"])


def decided(
    keyring: Keyring, policy: Policy, observation: Observation, now: datetime, **evidence: Any
) -> tuple[Keyring, Step]:
    """Observe and decide, as a run does; the bucket holds what it should if not told."""
    keyring = sightings.noted(keyring, policy, shown(observation))
    found = {
        "standing": standing(keyring, policy),
        "testimony": canary.foreseen(keyring, now),
        **evidence,
    }
    step = lifecycle.next_step(keyring, policy, Evidence(observation=observation, **found), now)
    return keyring, step


def publication_interval(key: Key, keyring: Keyring, policy: Policy) -> timedelta:
    theirs = timedelta() if policy.uploads else policy.key_set_cache
    cached = max(policy.max_age, theirs, keyring.longest_max_age)
    today = policy.origin_staleness + policy.edge_staleness + cached + policy.clock_skew
    return max(key.publication_interval, today)


def verified_for(p: Policy) -> timedelta:
    last_signature = p.run_bound + p.signer_bound
    return last_signature + p.assertion_lifetime + p.max_age + p.provider_leeway + p.clock_skew


def verified_interval(key: Key, policy: Policy) -> timedelta:
    return max(key.verified_interval, verified_for(policy))


def retire_interval(key: Key, policy: Policy) -> timedelta:
    return max(key.retire_interval, retire_interval_today(policy))


def retire_interval_today(p: Policy) -> timedelta:
    fallback = p.origin_staleness + p.edge_staleness + max(p.max_age, p.key_set_cache)
    return fallback + p.clock_skew + verified_for(p)


@settings(max_examples=500, deadline=None)
@given(
    before=keyrings(),
    policy=policies(),
    now=instants,
    at=st.data(),
    is_published=st.sampled_from([True, True, False]),
    is_proven=st.booleans(),
    tagged=tags,
    own_intent=own_intents,
)
def test_no_step_comes_before_its_time(  # noqa: C901, PLR0913 - the whole situation, a case a step
    *,
    before: Keyring,
    policy: Policy,
    now: datetime,
    at: st.DataObject,
    is_published: bool,
    is_proven: bool,
    tagged: dict[str, str],
    own_intent: str | None,
) -> None:
    observation = at.draw(observations(now, policy))
    told: dict[str, Any] = {} if is_published else {"standing": Standing()}
    testimony = at.draw(st.none() | accounts(before))
    if not is_proven:
        told["testimony"] = testimony
    keyring, step = decided(
        before, policy, observation, now, tagged=tagged, own_intent=own_intent, **told
    )
    event(type(step).__name__)
    match step:
        case Promote():
            assert_promotion(step, keyring, policy, observation, now)
            assert any([is_proven, not step.retires, is_proof(step, keyring, testimony, now)])
        case Prolong():
            assert_prolongation(step, keyring, testimony, now)
        case Withdraw():
            assert_withdrawal(keyring.key(step.kid), policy, now)
        case Disable() | ScheduleDeletion() | Forget():
            key = keyring.key(step.kid)
            assert key.state is State.REMOVED
            assert isinstance(step, Disable) or key.disabled_at is not None
            assert not isinstance(step, Forget) or (key.deletion_at and now >= key.deletion_at)
        case CreateKey():
            assert keyring.intent is not None
            assert keyring.intent.id == own_intent == step.intent
        case AdoptKey():
            assert keyring.intent is not None
            assert tagged[keyring.intent.id] == step.arn
        case Intend():
            assert_intent(step, keyring, now)
        case Publish():
            assert not is_published
            assert set(step.kids) == {k.kid for k in keyring.keys if k.state != "removed"}
        case Wait():
            assert step.why


def assert_intent(step: Intend, keyring: Keyring, now: datetime) -> None:
    if step.again:
        assert keyring.intent is not None
        assert now >= keyring.intent.written_at + timedelta(minutes=15)
    else:
        assert keyring.intent is None
        assert keyring.active is None or keyring.standby is None


def is_proof(step: Promote, keyring: Keyring, testimony: Testimony | None, now: datetime) -> bool:
    """Whether rule 2 is kept, as the design writes it."""
    kid, key = step.kid, keyring.key(step.kid)
    told = [each for each in testimony.trials if each.kid == kid] if testimony else []
    assert key.first_seen_at is not None
    ready = key.first_seen_at + key.publication_interval
    refused = [each for each in told if each.refused_at and each.refused_at >= ready]
    if keyring.confirmed_kid == kid:
        return all(each.active_refused for each in refused)
    return "the published set" in {each.client for each in told} and all(
        each.first_success_at
        and each.last_success_at
        and each.first_success_at >= ready
        and each.last_success_at >= each.first_success_at + timedelta(minutes=10)
        and now <= each.last_success_at + timedelta(days=1)
        for each in told
    )


def assert_prolongation(
    step: Prolong, keyring: Keyring, testimony: Testimony | None, now: datetime
) -> None:
    key, fallback = keyring.key(step.kid), testimony.fallback if testimony else None
    assert fallback is not None
    assert (key.state, key.kid) == (State.RETIRED, fallback.previous)
    assert key.may_sign_until is not None
    assert key.may_sign_until < step.until
    assert step.until >= min(fallback.at, now) + timedelta(days=1)


def assert_withdrawal(key: Key, policy: Policy, now: datetime) -> None:
    assert key.state is State.RETIRED
    assert now >= key.since + retire_interval(key, policy)
    if key.may_sign_until is not None:
        assert now >= key.may_sign_until + verified_interval(key, policy)


def assert_promotion(
    step: Promote, keyring: Keyring, policy: Policy, observation: Observation, now: datetime
) -> None:
    key = keyring.key(step.kid)
    assert key.state is State.STANDBY
    assert isinstance(observation, Seen)
    assert key.kid in observation.kids
    assert now - observation.at <= policy.run_bound
    assert key.first_seen_at is not None
    assert now >= key.first_seen_at
    if not keyring.genesis:
        assert now >= key.first_seen_at + publication_interval(key, keyring, policy)
    retires = keyring.active
    assert step.retires == (retires.kid if retires else None)
    if retires and not keyring.rollover_requested_at:
        due = retires.since + policy.rotation_interval
        lapses_at = retires.certificate_until if retires.thumbprint else None
        renewed = lapses_at and lapses_at - retire_interval_today(policy) - timedelta(days=15)
        assert now >= min(due, renewed or due)


@given(keyrings(), policies(), observations(START), instants)
def test_rule_4_observing_the_same_thing_twice_is_observing_it_once(
    keyring: Keyring, policy: Policy, observation: Observation, now: datetime
) -> None:
    once, step = decided(keyring, policy, observation, now)
    assert decided(once, policy, observation, now) == (once, step)


@given(keyrings(), policies(), policies(), observations(START))
def test_rule_4_no_observation_and_no_settings_shorten_a_wait_that_was_recorded(
    keyring: Keyring, policy: Policy, other: Policy, observation: Observation
) -> None:
    after = sightings.noted(keyring, policy, shown(observation))
    again = sightings.noted(after, other, shown(observation))
    for key in keyring.keys:
        for later in (after.key(key.kid), again.key(key.kid)):
            assert later.publication_interval >= key.publication_interval
            assert later.retire_interval >= key.retire_interval
            assert (later.state, later.since) == (key.state, key.since)
            if key.first_seen_at and later.first_seen_at:
                assert later.first_seen_at == key.first_seen_at


@given(keyrings(), policies(), instants)
def test_a_failed_fetch_is_no_observation(keyring: Keyring, policy: Policy, now: datetime) -> None:
    after, step = decided(keyring, policy, Unseen(at=now, why="no answer"), now)
    assert not isinstance(step, Promote)
    sights = [(key.kid, key.first_seen_at) for key in keyring.keys]
    assert [(key.kid, key.first_seen_at) for key in after.keys] == sights
    assert after.genesis is keyring.genesis


@given(keyrings(), policies(), instants)
@example(ring(active(), retired()), POLICY, START)
def test_what_an_operator_is_told_is_never_later_than_what_happens(
    keyring: Keyring, policy: Policy, now: datetime
) -> None:
    kids = frozenset(key.kid for key in keyring.keys)
    observation = Seen(at=now, kids=kids, max_age=policy.max_age)
    keyring, step = decided(keyring, policy, observation, now)
    if isinstance(step, Promote | Withdraw):
        told = lifecycle.outlook(keyring.key(step.kid), keyring, policy).not_before
        assert told is not None
        assert told <= now
