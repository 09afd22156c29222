"""One run: look, decide, act, record, and so on until it says to wait.

Each step is recorded by compare-and-swap before the next is decided, so a run that dies anywhere
leaves a keyring from which the next one goes on, and of two runs at once one loses and stops. A
step that fails is left for the next run, and the rules after its own have their turn.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from machine_identity import lifecycle, recovery, repairs, sightings
from machine_identity.aws import AwsError
from machine_identity.errors import MachineIdentityError, SettingsError
from machine_identity.evidence import Evidence
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.rotation.acting import Actor
from machine_identity.rotation.documents import Held
from machine_identity.rotation.lookout import Found, Lookout
from machine_identity.rotation.world import World
from machine_identity.steps import Action, Decision, Done, Failed, Wait

_MOST_STEPS: Final = 25
"""More than a run ever needs; a world that never agrees must not hold a run for ever."""
_ENOUGH: Final = f"{_MOST_STEPS} steps are enough for one run"

type Decide = Callable[[Keyring, Policy, Evidence, datetime, frozenset[Action]], Decision]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run did, why it stopped, and the keyring that it left."""

    steps: tuple[Done, ...]
    wait: Wait
    keyring: Keyring
    notes: tuple[str, ...] = ()
    """What failed on the way, and is tried again by the next run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How far a run has come."""

    held: Held
    evidence: Evidence
    steps: tuple[Done, ...] = ()
    failed: frozenset[Action] = frozenset()
    errors: tuple[MachineIdentityError, ...] = ()
    not_yet: Wait | None = None
    wait: Wait | None = None

    def ended(self) -> Run:
        """Return the run. Raises what failed first in it, when all that could be done is done."""
        if self.errors:
            raise self.errors[0]
        return self.told()

    def told(self) -> Run:
        """Return the run, for somebody who asked for one thing: what else failed is a note."""
        if self.wait is None:
            raise AssertionError("the run has not ended")
        notes = tuple(str(error) for error in self.errors)
        return Run(steps=self.steps, wait=self.wait, keyring=self.held.keyring, notes=notes)


class Runner:
    """Runs on one identity; raises ConflictError, AwsError and KeyringError."""

    def __init__(self, *, identity: str, issuer: str, policy: Policy, world: World) -> None:
        self.identity = identity
        self.issuer = issuer
        self.policy = policy = replace(policy, issuer=issuer)
        self.world = world
        self.lookout = Lookout(identity=identity, issuer=issuer, policy=policy, world=world)
        self._keyring = self.lookout.keyring
        self._actor = Actor(policy=policy, world=world, published=self.lookout.published)

    def under(self, policy: Policy) -> "Runner":
        """Return the same under other settings."""
        return Runner(identity=self.identity, issuer=self.issuer, policy=policy, world=self.world)

    def begin(self) -> Course:
        """Look at the world; a lost keyring is written anew, unless no clock can be trusted."""
        found = self.lookout.look()
        course = Course(held=found.held, evidence=found.evidence)
        if found.rebuilt is None or self.apart(course) is not None:
            return course
        return self._with_rebuilt(course, found, found.rebuilt)

    def apart(self, course: Course) -> Wait | None:
        """Return the wait of rule 11, if the clocks are apart."""
        return repairs.clock_wait(self.policy, course.evidence, self.world.clock())

    def record(self, course: Course, after: Keyring) -> Course:
        """Write a keyring that no step leads to."""
        return replace(course, held=self._keyring.save(course.held, after))

    def take(self, course: Course, step: Action) -> Course:
        """Act and record; raises what fails."""
        after, evidence = self._actor.act(course.held.keyring, course.evidence, step)
        held = self._keyring.save(course.held, after)
        self.world.report(step, held.keyring)
        return replace(course, held=held, evidence=evidence, steps=(*course.steps, step))

    def go_on(self, course: Course) -> Course:
        """Do everything that can be done now."""
        wait = self.apart(course)
        if wait is None:
            course = self._decided(course, lifecycle.next_step, self._observed)
            wait = course.wait or Wait(until=self.world.clock(), why=_ENOUGH)
        self.world.report(wait, course.held.keyring)
        return replace(course, wait=wait)

    def hurry(self, course: Course) -> Course:
        """Do what is left of a revocation, and nothing that depends on a clock."""
        return self._decided(course, lifecycle.emergency_step, lambda unchanged: unchanged)

    def _decided(
        self, course: Course, decide: Decide, prepared: Callable[[Course], Course]
    ) -> Course:
        first = len(course.steps) + len(course.failed)
        while len(course.steps) + len(course.failed) < first + _MOST_STEPS:
            course = prepared(course)
            now = self.world.clock()
            step = decide(course.held.keyring, self.policy, course.evidence, now, course.failed)
            if isinstance(step, Wait):
                return replace(course, wait=course.not_yet or step)
            course = self._tried(course, step)
        return course

    def _tried(self, course: Course, step: Action) -> Course:
        """Act and record; what fails outside of the keyring is noted, and not tried again."""
        keyring = course.held.keyring
        try:
            after, evidence = self._actor.act(keyring, course.evidence, step)
        except (AwsError, SettingsError) as error:
            failed = course.failed | {step}
            not_yet = self._actor.not_yet(keyring, step, error)
            if not_yet is None:
                self.world.report(_failure(step, error), keyring)
            errors = course.errors if not_yet else (*course.errors, error)
            return replace(course, failed=failed, errors=errors, not_yet=course.not_yet or not_yet)
        held = self._keyring.save(course.held, after)
        self.world.report(step, held.keyring)
        return replace(course, held=held, evidence=evidence, steps=(*course.steps, step))

    def _observed(self, course: Course) -> Course:
        keyring, evidence = course.held.keyring, course.evidence
        told = repairs.noted(keyring, evidence, self.world.clock())
        return self.record(course, sightings.noted(told, self.policy, evidence))

    def _with_rebuilt(self, course: Course, found: Found, rebuilt: Keyring) -> Course:
        """Write the rebuilt keyring over the lost one; all its keys are news to the public."""
        before = replace(rebuilt, issuer="", keys=())
        held = self._keyring.save(Held(keyring=before, tag=found.held.tag), rebuilt)
        step = recovery.step(held.keyring, found.why)
        self.world.report(step, held.keyring)
        return replace(course, held=held, steps=(step,))


def _failure(step: Action, error: MachineIdentityError) -> Failed:
    about = (getattr(step, name, "") for name in ("kid", "intent", "arn", "url"))
    name = type(step).__name__
    return Failed(of=name, about=next(filter(None, about), ""), why=str(error))
