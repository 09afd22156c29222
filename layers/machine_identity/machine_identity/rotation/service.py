"""Carries out what ``lifecycle`` decides: read, decide, act, record, until it says to wait.

Each step is recorded by compare-and-swap before the next is decided, so a run that dies anywhere
leaves a keyring from which the next one goes on, and of two runs at once one loses and stops. The
outside world comes in as arguments: the key service (which cannot sign), the two stores, the
probe and the clock.

Not here: what to do (``lifecycle``), how it changes the keyring (``transitions``), and the answer
to an operator (``commands``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from machine_identity import lifecycle, publication, transitions
from machine_identity.aws import AwsError
from machine_identity.evidence import Evidence, Unseen
from machine_identity.forecast import Forecast, forecast
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Keyring, State
from machine_identity.policy import Policy
from machine_identity.rotation.documents import Held, KeyringDocument, PublishedDocuments
from machine_identity.rotation.world import World
from machine_identity.steps import (
    Action,
    AdoptKey,
    CreateKey,
    Disable,
    Intend,
    Promote,
    Publish,
    ScheduleDeletion,
    Wait,
)

TAGS_COUNT_AFTER: Final = timedelta(minutes=5)
"""How long KMS takes until a new tag counts in authorization; a new key is known far sooner."""

_MOST_STEPS: Final = 25
"""More than a run ever needs; a world that never agrees must not hold a run for ever."""
_NOT_YET: Final = frozenset({"AccessDenied", "AccessDeniedException", "NotFoundException"})
_JUDGED_BY_TAG: Final = frozenset(
    {"kms:GetPublicKey", "kms:DisableKey", "kms:ScheduleKeyDeletion"}
)
"""What the role allows on keys with our tags; CreateKey goes by the tags in its own request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run did, why it stopped, and the keyring that it left."""

    steps: tuple[Action, ...]
    wait: Wait
    keyring: Keyring


class Rotation:
    """The rotation of one identity's keys; raises ConflictError, AwsError and KeyringError."""

    def __init__(self, *, identity: str, issuer: str, policy: Policy, world: World) -> None:
        self.policy = policy
        self.clock = world.clock
        self._world = world
        self._keyring = KeyringDocument(world.state, identity=identity, issuer=issuer)
        self._published = PublishedDocuments(world.published, identity=identity)

    def tick(self) -> Run:
        """Do everything that can be done now."""
        held, evidence = self._looked()
        return self._go_on(held, evidence)

    def rotate(self, *, unsafe: bool) -> Run:
        """Ask for a rollover now; only ``unsafe`` breaks rule 1, and caches may then refuse us.

        Whoever asks twice gets one rollover: a request that is open stays as old as it is, and
        one that comes within a tick's interval of the last rollover was served by it. Without an
        active key there is nothing to ask for: the first one comes as soon as it may. ``unsafe``
        without a standby key asks like any other.
        """
        held, evidence = self._looked()
        standby, active = held.keyring.standby, held.keyring.active
        now = self.clock()
        if now < (again := self._may_roll_over_again_at(held.keyring)):
            why = "the last rollover is younger than a tick: this request counts as the same one"
            return replace(self._go_on(held, evidence), wait=Wait(until=again, why=why))
        if unsafe and standby is not None:
            step = Promote(kid=standby.kid, retires=None if active is None else active.kid)
            held, evidence = self._taken(held, evidence, step)
            run = self._go_on(held, evidence)
            return replace(run, steps=(step, *run.steps))
        if active is not None and held.keyring.rollover_requested_at is None:
            held = self._keyring.save(held, replace(held.keyring, rollover_requested_at=now))
        return self._go_on(held, evidence)

    def keyring(self) -> Keyring:
        """Return the keyring as it stands; an empty one before the first tick."""
        return self._keyring.read().keyring

    def plan(self, until: datetime) -> tuple[Keyring, Forecast]:
        """Return the keyring, and what will be done up to ``until`` in a world that works."""
        held, _ = self._looked()
        return held.keyring, forecast(held.keyring, self.policy, self.clock(), until)

    def _may_roll_over_again_at(self, keyring: Keyring) -> datetime:
        """Return until when an event may be the repetition of one that was served."""
        rollovers = [key.since for key in keyring.in_state(State.RETIRED)]
        return max(rollovers, default=datetime.min.replace(tzinfo=UTC)) + self.policy.tick_interval

    def _looked(self) -> tuple[Held, Evidence]:
        """Look at the world, then read the keyring; without one, find out whether ever one was."""
        evidence = Evidence(observation=self._world.probe(), standing=self._published.read())
        held = self._keyring.read_to_act(evidence.standing)
        if held.tag is None:
            genesis = self._is_genesis(evidence)
            held = replace(held, keyring=replace(held.keyring, genesis=genesis))
        return held, replace(evidence, tagged=self._tagged(held.keyring))

    def _is_genesis(self, evidence: Evidence) -> bool:
        """Whether there was never a keyring, a key or a set, so that no cache holds an old one."""
        return (
            isinstance(evidence.observation, Unseen)
            and evidence.standing.jwks is None
            and not self._keyring.was_ever_there()
            and not self._world.keys.any()
        )

    def _tagged(self, keyring: Keyring) -> Mapping[str, str]:
        """Return the key that an earlier run made for the open intent, if it shows."""
        intent = keyring.intent
        arn = None if intent is None else self._world.keys.find(intent.id)
        return {} if intent is None or arn is None else {intent.id: arn}

    def _go_on(self, held: Held, evidence: Evidence) -> Run:
        steps: list[Action] = []
        while len(steps) < _MOST_STEPS:
            seen = lifecycle.observed(held.keyring, self.policy, evidence.observation)
            held = self._keyring.save(held, seen)
            step = lifecycle.next_step(held.keyring, self.policy, evidence, self.clock())
            if isinstance(step, Wait):
                return self._ended(steps, step, held)
            try:
                held, evidence = self._taken(held, evidence, step)
            except AwsError as error:
                return self._ended(steps, self._not_yet(held.keyring, step, error), held)
            steps.append(step)
        wait = Wait(until=self.clock(), why=f"{_MOST_STEPS} steps are enough for one run")
        return self._ended(steps, wait, held)

    def _ended(self, steps: list[Action], wait: Wait, held: Held) -> Run:
        self._world.report(wait, held.keyring)
        return Run(steps=tuple(steps), wait=wait, keyring=held.keyring)

    def _taken(self, held: Held, evidence: Evidence, step: Action) -> tuple[Held, Evidence]:
        """Act, then record: whatever is repeated after a crash in between does no harm."""
        keyring, policy = held.keyring, self.policy
        match step:
            case Intend():
                intent = self._world.unique()
                after = transitions.intended(keyring, step, intent=intent, now=self.clock())
            case CreateKey() | AdoptKey():
                arn, jwk = self._taken_in(step)
                after = transitions.created(keyring, step, arn=arn, jwk=jwk, now=self.clock())
            case _:
                evidence = self._outside(keyring, evidence, step)
                after = transitions.taken(keyring, step, policy=policy, now=self.clock())
        held = self._keyring.save(held, after)
        self._world.report(step, held.keyring)
        own = after.intent.id if isinstance(step, Intend) and after.intent else None
        return held, replace(evidence, own_intent=own)

    def _taken_in(self, step: CreateKey | AdoptKey) -> tuple[str, PublicJwk]:
        """Return the key of the intent, made now or found again: its ARN and its public half."""
        keys, algorithm = self._world.keys, self.policy.algorithm
        arn = step.arn if isinstance(step, AdoptKey) else keys.create(algorithm, step.intent)
        return arn, keys.public_key(arn, algorithm)

    def _outside(self, keyring: Keyring, evidence: Evidence, step: Action) -> Evidence:
        """Do what a step does outside of the keyring; after a publication, look again."""
        match step:
            case Publish():
                wanted = publication.documents(keyring, self.policy.max_age)
                standing = self._published.write(wanted, evidence.standing)
                return replace(evidence, standing=standing, observation=self._world.probe())
            case Disable():
                self._world.keys.disable(keyring.key(step.kid).arn)
            case ScheduleDeletion():
                window = self.policy.deletion_window
                self._world.keys.schedule_deletion(keyring.key(step.kid).arn, window)
            case _:
                pass
        return evidence

    def _not_yet(self, keyring: Keyring, step: Action, error: AwsError) -> Wait:
        """Return the wait for a key that does not count everywhere yet; raise anything else."""
        created_at = _created_at(keyring, step)
        denied = error.code in _NOT_YET and error.operation in _JUDGED_BY_TAG
        if denied and created_at is not None:
            until = created_at + TAGS_COUNT_AFTER
            if self.clock() < until:
                return Wait(until=until, why="a new key and its tags do not count yet (rule 5)")
        raise error


def _created_at(keyring: Keyring, step: Action) -> datetime | None:
    """Return when the key that a step is about was created, or a moment before."""
    match step:
        case CreateKey() | AdoptKey():
            return None if keyring.intent is None else keyring.intent.written_at
        case Disable() | ScheduleDeletion():
            return keyring.key(step.kid).created_at
        case _:
            return None
