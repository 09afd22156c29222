"""Rule 10: a compromised key ends at once, whatever fails on the way.

In this order: one write of the keyring takes the key away and, if it signed, lets another sign
(``recording``); then KMS disables it; then all is done that a tick would do, which withdraws the
key and makes a new standby key. What cannot be recorded is disabled all the same. Whatever fails
after the write is left to the next tick, and told.

A clock that is apart (rule 11) holds back what can wait, and is told too. Not here: what follows
for whoever trusted the key (``aftermath``).
"""

from contextlib import suppress
from dataclasses import replace

from machine_identity import canary, uploads
from machine_identity.aws import AwsError
from machine_identity.errors import ConflictError, MachineIdentityError
from machine_identity.keyring import Keyring, KeyringError
from machine_identity.rotation import aftermath
from machine_identity.rotation.aftermath import Found, Outcome, Revocation
from machine_identity.rotation.compromised import CompromisedKey, UnknownKeyError
from machine_identity.rotation.recording import ATTEMPTS, NAMELESS, Recording
from machine_identity.rotation.runner import Course, Runner
from machine_identity.rotation.world import World
from machine_identity.steps import Disable, Done, Failed, Step, Wait
from machine_identity.testimony import Testimony


def revoke(runner: Runner, kid: str, reason: str) -> Revocation:
    """Revoke a key; doing so again finishes what is left, and changes nothing else.

    Raises UnknownKeyError, and AwsError, ConflictError or KeyringError if the key could not even
    be disabled.
    """
    return _Emergency(runner, kid, reason).revocation()


class _Journal:
    """What was done, as it is reported step by step, whatever becomes of the run that does it."""

    def __init__(self, world: World) -> None:
        self._report = world.report
        self.steps: list[Done] = []
        self.keyring: Keyring | None = None

    def __call__(self, step: Step, keyring: Keyring) -> None:
        self._report(step, keyring)
        self.keyring = keyring
        if not isinstance(step, Failed | Wait):
            self.steps.append(step)


class _Emergency:
    """One revocation, and what is to be told of it."""

    def __init__(self, runner: Runner, kid: str, reason: str) -> None:
        world = runner.world
        self._journal = _Journal(world)
        self._runner = Runner(
            identity=runner.identity,
            issuer=runner.issuer,
            policy=runner.policy,
            world=replace(world, report=self._journal),
        )
        self._reason = reason
        self._key = CompromisedKey(kid, world.keys, world.clock)
        self._notes: list[str] = []

    def revocation(self) -> Revocation:
        """Record, disable, and finish as far as it goes."""
        recording = Recording(self._runner, self._key, self._reason, self._notes)
        try:
            course = recording.course()
        except (AwsError, ConflictError, KeyringError) as why:
            return self._disabled_only(why)
        return self._told(self._finished(self._disabled(course)))

    def _disabled(self, course: Course) -> Course:
        """Have KMS disable the key before anything else is looked at.

        What is recorded does not bind KMS: an operator may have enabled the key again.
        """
        key = course.held.keyring.find(self._key.kid)
        if key is None:
            return course
        if key.disabled_at is None:
            with suppress(AwsError, ConflictError):
                return self._runner.hurry(course)
        try:
            self._key.disable()
        except AwsError as error:
            self._notes.append(str(error))
        return course

    def _finished(self, course: Course) -> Course:
        """Look at the world and do the rest, as a tick would; what fails is left to the next."""
        why: MachineIdentityError = ConflictError("")
        for _ in range(ATTEMPTS):
            try:
                return self._gone_on(self._runner.begin())
            except ConflictError as error:
                why = error
            except (AwsError, KeyringError) as error:
                why = error
                break
        self._notes.append(f"the rest is left to the next tick: {why}")
        return course

    def _gone_on(self, course: Course) -> Course:
        """Do what there is to do, and nothing that goes by a clock if ours is apart."""
        apart = self._runner.apart(course)
        if apart is None:
            return self._runner.go_on(course)
        course = self._runner.hurry(course)
        self._notes.append(apart.why)
        return course

    def _disabled_only(self, why: MachineIdentityError) -> Revocation:
        """Disable the key in KMS, for want of a keyring to record it in."""
        try:
            is_disabled = self._key.disable()
        except UnknownKeyError:
            raise why from None
        self._notes += [] if is_disabled else [NAMELESS]
        self._notes.append(
            f"not known to be recorded: {why}; revoke it again as soon as it can be"
        )
        return aftermath.unrecorded(self._outcome(), self._runner.world.clock())

    def _told(self, course: Course) -> Revocation:
        self._notes += [str(error) for error in course.errors]
        told = course.evidence.testimony or Testimony()
        self._notes += uploads.suspicions(told)
        self._notes += self._unproven(course.held.keyring, told)
        known = (course.held.keyring, self._journal.keyring or course.held.keyring)
        found = Found(
            keyring=max(known, key=lambda keyring: keyring.revision),
            standing=course.evidence.standing,
            observation=course.evidence.observation,
            wait=course.wait,
        )
        world = self._runner.world
        return aftermath.recorded(self._outcome(), found, self._runner.policy, world.clock())

    def _unproven(self, keyring: Keyring, told: Testimony) -> list[str]:
        """Return what is to be said of a key that signs where no server was seen to have it."""
        active = keyring.active
        if not self._runner.policy.uploads or active is None:
            return []
        if canary.is_taken(active.kid, told) or uploads.is_added(active.kid, told):
            return []
        return [f"no client has had a token with {active.kid}: bring it to the server yourself"]

    def _outcome(self) -> Outcome:
        steps, kid = tuple(self._journal.steps), self._key.kid
        return Outcome(
            kid=kid,
            reason=self._reason,
            steps=steps,
            is_disabled=self._key.is_disabled or Disable(kid=kid) in steps,
            notes=tuple(dict.fromkeys(self._notes)),
        )
