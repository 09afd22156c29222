"""Worlds as data: keyrings, and what is seen of them, for the tests of the pure core."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from machine_identity import lifecycle, publication, sightings
from machine_identity.canary import PUBLISHED_SET
from machine_identity.evidence import Evidence, Observation, Seen, Standing, Unseen
from machine_identity.keyring import Key, Keyring, State
from machine_identity.policy import CanaryTimes, Policy
from machine_identity.steps import Step, Wait
from machine_identity.testimony import Testimony, Trial

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
LONG_AGO = START - timedelta(days=1000)
POLICY = Policy(
    rotation_interval=timedelta(days=30),
    key_set_cache=timedelta(seconds=70_000),
    provider_leeway=timedelta(seconds=200),
    max_age=timedelta(seconds=3_000),
    origin_staleness=timedelta(seconds=1),
    edge_staleness=timedelta(seconds=10),
    assertion_lifetime=timedelta(seconds=400),
    clock_skew=timedelta(seconds=50_000),
    signer_bound=timedelta(seconds=600_000),
    run_bound=timedelta(seconds=30),
    canary=CanaryTimes(apart=timedelta()),
)
"""No two durations, and no two sums of them, are alike: a wrong term shows.

One success is a proof, which these worlds have at once: rule 2 has tests of its own.
"""
PUBLICATION_INTERVAL = timedelta(seconds=1 + 10 + 70_000 + 50_000)
RETIRE_INTERVAL = timedelta(
    seconds=30 + 600_000 + (1 + 10 + 70_000 + 50_000) + 400 + 200 + 50_000 + 3_000
)


def key(name: str, state: State, **members: Any) -> Key:
    """Return a key called ``name`` that came into ``state`` at START."""
    return Key(
        jwk={"kty": "RSA", "n": name, "e": "AQAB", "kid": name, "use": "sig", "alg": "RS256"},
        arn=f"arn:{name}",
        created_at=LONG_AGO,
        state=state,
        **{"since": START, **members},
    )


def standby(name: str = "standby", **members: Any) -> Key:
    return key(name, State.STANDBY, **members)


def active(name: str = "active", **members: Any) -> Key:
    return key(name, State.ACTIVE, **members)


def retired(name: str = "retired", **members: Any) -> Key:
    return key(name, State.RETIRED, **members)


def removed(name: str = "removed", **members: Any) -> Key:
    return key(name, State.REMOVED, **members)


def ring(*keys: Key, **members: Any) -> Keyring:
    return Keyring(
        identity="default", issuer="https://identity.example", keys=keys, revision=7, **members
    )


def seen(at: datetime, *kids: str, max_age: timedelta = POLICY.max_age) -> Seen:
    return Seen(at=at, kids=frozenset(kids), max_age=max_age)


def unseen(at: datetime) -> Unseen:
    return Unseen(at=at, why="no answer")


def standing(keyring: Keyring, policy: Policy = POLICY) -> Standing:
    """Return the bucket as it is when the keyring is published as it stands."""
    wanted = publication.documents(keyring, policy.max_age)
    return Standing(
        jwks=wanted.jwks, configuration=wanted.configuration, cache_control=wanted.cache_control
    )


def proven(keyring: Keyring, at: datetime, apart: timedelta = POLICY.canary.apart) -> Testimony:
    """Return the testimony that the standby key was tried at that instant, and accepted."""
    standby = keyring.standby
    if standby is None:
        return Testimony()
    trial = Trial(
        client=PUBLISHED_SET, kid=standby.kid, first_success_at=at - apart, last_success_at=at
    )
    return Testimony(trials=(trial,))


def step_at(
    keyring: Keyring,
    now: datetime,
    policy: Policy = POLICY,
    observation: Observation | None = None,
    **evidence: Any,
) -> Step:
    """Return the next step at ``now``, in a world that shows what the keyring says if not told."""
    kids = (each.kid for each in keyring.published)
    found = Evidence(
        observation=observation or seen(now, *kids, max_age=policy.max_age),
        **{
            "standing": standing(keyring, policy),
            "testimony": proven(keyring, now),
            **evidence,
        },
    )
    return lifecycle.next_step(keyring, policy, found, now)


def after(
    keyring: Keyring, observations: Iterable[Observation], policy: Policy = POLICY
) -> Keyring:
    """Return the keyring when all of that was observed, in this order."""
    for each in observations:
        keyring = sightings.noted(keyring, policy, shown(each))
    return keyring


def shown(observation: Observation, **members: Any) -> Evidence:
    """Return what was found, of which nothing matters but what the public URL showed."""
    return Evidence(observation=observation, **{"standing": Standing(), **members})


def until(step: Step) -> datetime:
    """Return the end of a wait; anything but a wait fails."""
    assert isinstance(step, Wait), step
    return step.until


def under(policy: Policy = POLICY, **settings: Any) -> Policy:
    return replace(policy, **settings)
