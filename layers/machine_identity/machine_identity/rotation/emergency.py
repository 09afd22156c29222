"""Rule 10: a compromised key ends at once, whatever fails on the way.

One write of the keyring takes the key away and, if it signed, lets the standby key sign; then KMS
disables it, the set is published without it, and a new standby key is made. Each part is a step
that follows from the keyring, so a tick finishes what died here. A part that fails keeps no other
from being done: without S3 the key is disabled, without KMS it is recorded and withdrawn, and what
is still to come is told.

A clock that is apart (rule 11) holds back what can wait, and is told too. Not here: what follows
from it for whoever trusted the key (``aftermath``).
"""

from dataclasses import replace
from typing import Final

from machine_identity import publication
from machine_identity.aws import AwsError
from machine_identity.errors import ConflictError, MachineIdentityError, SettingsError
from machine_identity.evidence import Evidence, Standing, Unseen
from machine_identity.keyring import (
    VERSION,
    Key,
    Keyring,
    KeyringError,
    LostKeyringError,
    State,
)
from machine_identity.rotation.aftermath import KMS_SETTLES, Outcome, Revocation, revocation
from machine_identity.rotation.documents import Held
from machine_identity.rotation.runner import Course, Runner
from machine_identity.steps import Done, Revoke, Wait

_ATTEMPTS: Final = 5
"""How often to start over when somebody else wrote first."""
_FAILS: Final = (AwsError, KeyringError, SettingsError)


class UnknownKeyError(MachineIdentityError):
    """Neither the keyring nor KMS has a key of that name."""


def revoke(runner: Runner, kid: str, reason: str) -> Revocation:
    """Revoke a key; doing so again finishes what is left, and changes nothing else.

    Raises UnknownKeyError, and AwsError or KeyringError if the key could not even be disabled.
    """
    lost: MachineIdentityError = ConflictError("")
    done: tuple[Done, ...] = ()
    for _ in range(_ATTEMPTS):
        attempt = _Attempt(runner, kid, reason, done)
        try:
            return attempt.revocation()
        except ConflictError as error:
            lost, done = error, attempt.done
    return _Attempt(runner, kid, reason, done).disabled_only(lost)


class _Attempt:
    """One attempt, from what is there now; raises ConflictError."""

    def __init__(self, runner: Runner, kid: str, reason: str, done: tuple[Done, ...]) -> None:
        self._runner = runner
        self._kid = kid
        self._reason = reason
        self._notes: list[str] = []
        self.done = done
        """What was done by now, by earlier attempts too."""

    def revocation(self) -> Revocation:
        """Record, disable, and finish as far as it goes."""
        try:
            held = self._read()
            key = held.keyring.key(self._kid)
        except KeyError:
            return self.disabled_only(UnknownKeyError("the keyring has no key of that name"))
        except LostKeyringError as lost:
            return self._after_loss(lost)
        except (AwsError, KeyringError) as error:
            return self.disabled_only(error)
        if held.keyring.version > VERSION:
            newer = KeyringError("newer code wrote the keyring, and this code only reads it")
            return self.disabled_only(newer)
        try:
            course = self._recorded(held, key)
        except AwsError as error:
            return self.disabled_only(error)
        return self._told(self._finished(self._disabled(course)))

    def disabled_only(self, why: MachineIdentityError) -> Revocation:
        """Disable the key in KMS, found by its tags, for want of a keyring to record it in."""
        keys = self._runner.world.keys
        found = (each.arn for each in keys.search() if each.jwk and each.jwk["kid"] == self._kid)
        arn = next(found, None)
        if arn is None:
            raise why
        keys.disable(arn)
        again = (
            "" if isinstance(why, UnknownKeyError) else "; revoke it again as soon as it can be"
        )
        now = self._runner.world.clock()
        return Revocation(
            kid=self._kid,
            reason=self._reason,
            steps=self.done,
            wait=Wait(until=now, why="the key is disabled in KMS, and nothing is recorded"),
            keyring=None,
            signing_stops_within=KMS_SETTLES,
            accepted_until=None,
            refused_until=None,
            notes=(f"disabled in KMS only: {why}{again}",),
        )

    def _read(self) -> Held:
        """Return the keyring; whether it is lost shows only if the published set can be read."""
        standing, keyring = self._standing(), self._runner.lookout.keyring
        return keyring.read() if standing is None else keyring.read_to_act(standing)

    def _after_loss(self, lost: LostKeyringError) -> Revocation:
        """Disable the key, so that it is not taken in again; then rebuild, and record it there."""
        told = self.disabled_only(lost)
        try:
            course = self._runner.begin()
        except (AwsError, KeyringError):
            return told
        self.done = course.steps
        key = next((each for each in course.held.keyring.keys if each.kid == self._kid), None)
        if key is None or self._runner.apart(course) is not None:
            return replace(told, steps=self.done)
        return self._told(self._finished(self._disabled(self._recorded(course.held, key))))

    def _recorded(self, held: Held, key: Key) -> Course:
        """Record the revocation, and who signs now, in one write."""
        now = self._runner.world.clock()
        unlooked = Evidence(observation=Unseen(at=now, why="not yet"), standing=Standing())
        course = Course(held=held, evidence=unlooked, steps=self.done)
        if key.revoked_at is None:
            successor = None
            if key.state is State.ACTIVE:
                course, successor = self._with_successor(course)
            if course.held.keyring.key(self._kid).state is not State.ACTIVE:
                successor = None
            step = Revoke(kid=self._kid, reason=self._reason, promotes=successor)
            course = self._runner.take(replace(course, evidence=unlooked), step)
            self.done = course.steps
        return course

    def _disabled(self, course: Course) -> Course:
        """Have KMS disable the key before anything else is looked at."""
        try:
            course = self._runner.hurry(course)
        except AwsError as error:
            self._notes.append(str(error))
        self.done = course.steps
        return course

    def _with_successor(self, course: Course) -> tuple[Course, str | None]:
        """Return the key that can sign in place of the active one; make one if there is none."""
        if (kid := self._successor(course.held.keyring, self._standing())) is not None:
            return course, kid
        try:
            made = self._made(course)
        except _FAILS as error:
            self._notes.append(f"no key could be made to sign in its place: {error}")
            return replace(course, held=self._runner.lookout.keyring.read()), None
        self._notes += [str(error) for error in made.errors]
        course = replace(course, held=made.held, steps=made.steps)
        self.done = course.steps
        return course, self._successor(made.held.keyring, made.evidence.standing)

    def _made(self, course: Course) -> Course:
        """Make a standby key and publish it; the cap on live keys does not hold it back."""
        cap = self._runner.policy.most_live_keys + 1
        spare = self._runner.under(replace(self._runner.policy, most_live_keys=cap))
        begun = spare.begin()
        return spare.go_on(replace(begun, steps=(*course.steps, *begun.steps)))

    def _standing(self) -> Standing | None:
        try:
            return self._runner.lookout.published.read()
        except AwsError:
            return None

    def _successor(self, keyring: Keyring, standing: Standing | None) -> str | None:
        """Return the first standby key that is published, and that KMS would sign with."""
        public = None if standing is None else publication.standing_keys(standing)
        unusable = self._runner.lookout.unusable(keyring)
        for key in keyring.in_state(State.STANDBY):
            is_public = key.first_seen_at is not None if public is None else key.kid in public
            if is_public and key.kid not in unusable and key.kid != self._kid:
                return key.kid
        return None

    def _finished(self, course: Course) -> Course:
        """Look at the world and do the rest, as a tick would; what fails is left to the next."""
        try:
            begun = self._runner.begin()
        except (AwsError, KeyringError) as error:
            self._notes.append(f"the rest is left to the next tick: {error}")
            return course
        steps, failed, errors = (*course.steps, *begun.steps), course.failed, course.errors
        begun = replace(begun, steps=steps, failed=failed, errors=errors)
        self.done = steps
        apart = self._runner.apart(begun)
        try:
            finished = self._runner.go_on(begun) if apart is None else self._runner.hurry(begun)
        except AwsError as error:
            self._notes.append(f"the rest is left to the next tick: {error}")
            return begun
        self._notes += [apart.why] if apart is not None else []
        self.done = finished.steps
        return finished

    def _told(self, course: Course) -> Revocation:
        outcome = Outcome(
            kid=self._kid,
            reason=self._reason,
            keyring=course.held.keyring,
            standing=course.evidence.standing,
            steps=course.steps,
            wait=course.wait,
            notes=(*self._notes, *(str(error) for error in course.errors)),
        )
        return revocation(outcome, self._runner.policy, self._runner.world.clock())
