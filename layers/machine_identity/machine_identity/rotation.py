"""Carries out what ``lifecycle`` decides: read, decide, act, record, until it says to wait.

Each step is recorded by compare-and-swap before the next is decided, so a run that dies anywhere
leaves a keyring from which the next one goes on, and of two runs at once one loses and stops. The
outside world comes in as arguments: the key service (which cannot sign), the two stores, the
probe and the clock.

Not here: what to do (``lifecycle``), how it changes the keyring (``transitions``), and the answer
to an operator (``commands``).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from machine_identity import forecast, keyring as documents, lifecycle, publication, transitions
from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.errors import ConflictError
from machine_identity.evidence import Evidence, Observation, Seen, Standing
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Keyring, KeyringError
from machine_identity.policy import Policy
from machine_identity.steps import (
    Action,
    AdoptKey,
    CreateKey,
    Disable,
    Intend,
    Promote,
    Publish,
    ScheduleDeletion,
    Step,
    Wait,
)

_MOST_STEPS: Final = 25
"""More than a run ever needs; a world that never agrees must not hold a run for ever."""
_TAGS_COUNT_AFTER: Final = timedelta(minutes=5)
"""How long KMS takes until a new tag counts in authorization."""


class Keys(Protocol):
    """What rotation asks of the key service. There is no ``sign``."""

    def create(self, algorithm: str, intent: str) -> str: ...
    def public_key(self, arn: str, algorithm: str) -> PublicJwk: ...
    def find(self, intent: str) -> str | None: ...
    def any(self) -> bool: ...
    def disable(self, arn: str) -> None: ...
    def schedule_deletion(self, arn: str, window: timedelta) -> None: ...


class Store(Protocol):
    """A store of small documents with compare-and-swap."""

    def read(self, key: str) -> Document | None: ...
    def has_history(self, key: str) -> bool: ...
    def write(
        self, key: str, body: bytes, *, expected: str | None, cache_control: str | None = None
    ) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside that a run needs."""

    keys: Keys
    state: Store
    published: Store
    probe: Callable[[], Observation]
    clock: Callable[[], datetime]
    unique: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run did, why it stopped, and the keyring that it left."""

    steps: tuple[Action, ...]
    wait: Wait
    keyring: Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The keyring as it stands in the store, and the tag to replace it by."""

    keyring: Keyring
    tag: str | None


class Rotation:
    """The rotation of one identity's keys."""

    def __init__(self, *, identity: str, issuer: str, policy: Policy, world: World) -> None:
        self._identity = identity
        self._issuer = issuer
        self._policy = policy
        self._world = world
        self._key = f"{identity}/keyring.json"

    def tick(self) -> Run:
        """Do everything that can be done now. Raises ConflictError, AwsError, KeyringError."""
        evidence = self._evidence(self._world.probe())
        return self._go_on(self._load(evidence), evidence)

    def rotate(self, *, unsafe: bool) -> Run:
        """Ask for a rollover now; only ``unsafe`` breaks rule 1, and caches may then refuse us."""
        evidence = self._evidence(self._world.probe())
        held = self._load(evidence)
        standby, active = held.keyring.standby, held.keyring.active
        if unsafe and standby is not None:
            step = Promote(kid=standby.kid, retires=None if active is None else active.kid)
            run = self._go_on(self._act(held, step), evidence)
            return replace(run, steps=(step, *run.steps))
        requested = replace(held.keyring, rollover_requested_at=self._world.clock())
        return self._go_on(self._save(held, requested), evidence)

    def keyring(self) -> Keyring:
        """Return the keyring as it stands; an empty one before the first tick."""
        return self._read().keyring

    def plan(self, until: datetime) -> forecast.Forecast:
        """Return what will be done up to ``until`` in a world that works."""
        return forecast.forecast(self.keyring(), self._policy, self._world.clock(), until)

    def _go_on(self, held: _Held, evidence: Evidence) -> Run:
        steps: list[Action] = []
        while len(steps) < _MOST_STEPS:
            seen = lifecycle.observed(held.keyring, self._policy, evidence.observation)
            held = self._save(held, seen)
            step = self._decide(held, evidence)
            if isinstance(step, Wait):
                return Run(steps=tuple(steps), wait=step, keyring=held.keyring)
            try:
                held = self._act(held, step)
            except AwsError as error:
                wait = self._not_yet(step, error)
                return Run(steps=tuple(steps), wait=wait, keyring=held.keyring)
            steps.append(step)
            evidence = self._after(step, held, evidence)
        wait = Wait(until=self._world.clock(), why=f"{_MOST_STEPS} steps are enough for one run")
        return Run(steps=tuple(steps), wait=wait, keyring=held.keyring)

    def _decide(self, held: _Held, evidence: Evidence) -> Step:
        standing = publication.standing_revision(evidence.standing)
        if standing > held.keyring.published_revision:
            raise KeyringError(
                f"the published set has revision {standing}, the keyring knows only "
                f"{held.keyring.published_revision}: the keyring was rolled back"
            )
        return lifecycle.next_step(held.keyring, self._policy, evidence, self._world.clock())

    def _act(self, held: _Held, step: Action) -> _Held:
        """Act, then record: whatever is repeated after a crash in between does no harm."""
        keys, keyring, now = self._world.keys, held.keyring, self._world.clock
        match step:
            case Intend():
                intent = self._world.unique()
                after = transitions.intended(keyring, step, intent=intent, now=now())
            case CreateKey():
                arn = keys.create(self._policy.algorithm, step.intent)
                after = self._taken_in(keyring, step, arn)
            case AdoptKey():
                after = self._taken_in(keyring, step, step.arn)
            case _:
                self._outside(keyring, step)
                after = transitions.taken(keyring, step, policy=self._policy, now=now())
        return self._save(held, after)

    def _outside(self, keyring: Keyring, step: Action) -> None:
        """Do what a step does outside of the keyring."""
        match step:
            case Publish():
                self._publish(keyring)
            case Disable():
                self._world.keys.disable(keyring.key(step.kid).arn)
            case ScheduleDeletion():
                window = self._policy.deletion_window
                self._world.keys.schedule_deletion(keyring.key(step.kid).arn, window)
            case _:
                pass
