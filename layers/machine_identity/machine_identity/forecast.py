"""What will happen: the real decisions, run ahead of time against a world that works.

Nothing here estimates. The forecast calls ``next_step`` and the transitions that a run calls;
only the world is assumed: every write lands, every fetch shows what was last written, every proof
comes as soon as it may, and so does the operator's word for another issuer.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from machine_identity import canary, lifecycle, publication, sightings, transitions
from machine_identity.evidence import Evidence, Observation, Seen, Standing, Unseen
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.steps import (
    Action,
    AdoptKey,
    ConfirmIssuer,
    CreateKey,
    Intend,
    Publish,
    Wait,
)
from machine_identity.transitions import Made

_MOST_STEPS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One step to come."""

    at: datetime
    step: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The steps up to an instant, and the keyring as it will stand then."""

    steps: tuple[Planned, ...]
    keyring: Keyring


def forecast(keyring: Keyring, policy: Policy, now: datetime, until: datetime) -> Forecast:
    """Run the life of the keys from ``now`` to ``until``, a tick whenever there is a step."""
    steps: list[Planned] = []
    public = keyring
    while now <= until and len(steps) < _MOST_STEPS:
        evidence = _evidence(public, keyring, policy, now)
        seen = sightings.noted(keyring, policy, evidence)
        keyring = _written(keyring, seen)
        if (word := _word(keyring)) is not None:
            steps.append(Planned(at=now, step=word))
            keyring = _written(keyring, _after(keyring, word, policy, now))
        step = lifecycle.next_step(keyring, policy, evidence, now)
        if isinstance(step, Wait):
            now = max(step.until, now + policy.tick_interval)
            continue
        steps.append(Planned(at=now, step=step))
        keyring = _written(keyring, _after(keyring, step, policy, now))
        public = keyring if isinstance(step, Publish) else public
    return Forecast(steps=tuple(steps), keyring=keyring)


def _evidence(public: Keyring, keyring: Keyring, policy: Policy, now: datetime) -> Evidence:
    """Return what a run would find: the documents of the keyring that was last published."""
    shown, incoming = publication.documents(public, policy.max_age), keyring.incoming
    return Evidence(
        observation=_observation(public, keyring.issuer, policy, now),
        standing=Standing(
            jwks=shown.jwks, configuration=shown.configuration, cache_control=shown.cache_control
        ),
        incoming=None if incoming is None else _observation(public, incoming.url, policy, now),
        own_intent=None if keyring.intent is None else keyring.intent.id,
        testimony=canary.foreseen(keyring, now),
    )


def _word(keyring: Keyring) -> ConfirmIssuer | None:
    """Return what an operator has to say of the issuer to be, who is taken to say it at once."""
    incoming = keyring.incoming
    if incoming is None or incoming.confirmed_at is not None:
        return None
    return ConfirmIssuer(url=incoming.url)


def _observation(public: Keyring, issuer: str, policy: Policy, now: datetime) -> Observation:
    """Return what a public URL would show; before the first key it shows no set."""
    kids = frozenset(key.kid for key in public.published)
    if not kids or issuer not in public.issuers:
        return Unseen(at=now, why="nothing is published yet")
    return Seen(at=now, kids=kids, max_age=policy.max_age, digest=public.seen_digest)


def _written(before: Keyring, after: Keyring) -> Keyring:
    """Return what a write leaves; a run writes nothing if nothing changed."""
    return before if after == before else transitions.revised(before, after)


def _after(keyring: Keyring, step: Action, policy: Policy, now: datetime) -> Keyring:
    match step:
        case Intend():
            return transitions.intended(keyring, step, intent="to come", now=now)
        case CreateKey() | AdoptKey():
            kid = f"key-to-come-{keyring.revision}"
            made = Made(arn="", jwk={"kid": kid, "alg": policy.algorithm})
            return transitions.created(keyring, step, made, policy=policy, now=now)
        case _:
            return transitions.taken(keyring, step, policy=policy, now=now)
