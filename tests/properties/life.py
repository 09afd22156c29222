"""A run after the other against a bucket and a key service in memory: the outside of a life.

What ``rotation`` does with stores and locks is not repeated here: one run at a time, which ends
when it must wait or when it is made to die. Every proof of rule 2 comes as soon as it may.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from machine_identity import canary, lifecycle, publication, sightings, transitions
from machine_identity.evidence import Evidence, Observation, Seen, Standing, Unseen
from machine_identity.forecast import Planned
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.steps import Action, AdoptKey, CreateKey, Intend, Publish, Wait
from machine_identity.transitions import Made
from tests.keyrings import shown

PATIENCE = 50
"""More steps than any run needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What stood in the bucket from an instant on: what anybody could fetch and keep."""

    at: datetime
    kids: frozenset[str]
    max_age: timedelta


@dataclass(slots=True, kw_only=True)
class Life:
    """One identity's keyring, bucket and keys."""

    keyring: Keyring
    standing: Standing = field(default_factory=Standing)
    history: list[Published] = field(default_factory=list)
    tagged: dict[str, str] = field(default_factory=dict)
    steps: list[Planned] = field(default_factory=list)
    """What was recorded."""

    def run(
        self,
        now: datetime,
        policy: Policy,
        observation: Observation | None = None,
        *,
        patience: int = PATIENCE,
        is_last_record_lost: bool = False,
    ) -> datetime:
        """Run once, and return until when there is nothing to do.

        A run that dies takes ``patience`` steps, and may fail to record the last.
        """
        own_intent = None
        observation = observation or self.seen(now)
        for left in reversed(range(patience)):
            self.save(sightings.noted(self.keyring, policy, shown(observation)))
            evidence = Evidence(
                observation=observation,
                standing=self.standing,
                tagged=dict(self.tagged),
                own_intent=own_intent,
                testimony=canary.foreseen(self.keyring, now),
            )
            step = lifecycle.next_step(self.keyring, policy, evidence, now)
            if isinstance(step, Wait):
                return step.until
            after = self.after(step, policy, now)
            if is_last_record_lost and not left:
                return now
            self.steps.append(Planned(at=now, step=step))
            self.save(after)
            own_intent = after.intent.id if after.intent else None
            if isinstance(step, Publish):
                observation = self.seen(now)
        assert patience < PATIENCE, self.steps[-PATIENCE:]
        return now

    def seen(self, now: datetime, stale: timedelta = timedelta()) -> Observation:
        """Return what the public URL shows, from a copy that old if there was one by then."""
        shown = [each for each in self.history if each.at <= now - stale]
        if not shown:
            return Unseen(at=now, why="503")
        return Seen(at=now, kids=shown[-1].kids, max_age=shown[-1].max_age)

    def after(self, step: Action, policy: Policy, now: datetime) -> Keyring:
        """Do the step outside; return the keyring that is to be recorded."""
        keyring = self.keyring
        match step:
            case Intend():
                name = f"intent-{keyring.revision}"
                return transitions.intended(keyring, step, intent=name, now=now)
            case CreateKey():
                kid = self.tagged[step.intent] = f"key-to-come-{keyring.revision}"
            case AdoptKey():
                kid = step.arn
            case _:
                if isinstance(step, Publish):
                    self.publish(policy, now)
                return transitions.taken(keyring, step, policy=policy, now=now)
        made = Made(arn="", jwk={"kid": kid, "alg": policy.algorithm})
        return transitions.created(keyring, step, made, policy=policy, now=now)

    def publish(self, policy: Policy, now: datetime) -> None:
        wanted = publication.documents(self.keyring, policy.max_age)
        self.standing = Standing(
            jwks=wanted.jwks,
            configuration=wanted.configuration,
            cache_control=wanted.cache_control,
        )
        kids = frozenset(key.kid for key in self.keyring.published)
        self.history.append(Published(at=now, kids=kids, max_age=policy.max_age))

    def undo(self, at: datetime) -> None:
        """Put the set back that stood before the last one, by hand."""
        if len(self.history) > 1:
            self.history.append(replace(self.history[-2], at=at))
            self.standing = Standing()

    def save(self, after: Keyring) -> None:
        if after != self.keyring:
            self.keyring = transitions.revised(self.keyring, after)
