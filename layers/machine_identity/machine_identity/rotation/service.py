"""The rotation of one identity's keys: what the schedule and an operator can ask of it.

The outside world comes in as arguments: the key service (which cannot sign), the two stores, the
probe and the clock. While the clock is apart from others' (rule 11) nothing is done, but for a
revocation.

Not here: what to do (``lifecycle``), how it changes the keyring (``transitions``), how a run goes
(``runner``), and the answer to an operator (``commands``).
"""

from dataclasses import replace
from datetime import UTC, datetime

from machine_identity import canary, lifecycle, publication, relocation
from machine_identity.channels import fetched
from machine_identity.errors import MachineIdentityError
from machine_identity.evidence import Evidence
from machine_identity.forecast import Forecast, forecast
from machine_identity.keyring import Key, Keyring
from machine_identity.policy import Policy
from machine_identity.rotation.aftermath import Revocation
from machine_identity.rotation.emergency import revoke
from machine_identity.rotation.runner import Run, Runner
from machine_identity.rotation.world import World
from machine_identity.steps import Action, Confirm, ConfirmIssuer, Promote, SwitchIssuer, Wait
from machine_identity.testimony import Testimony


class RefusedError(MachineIdentityError):
    """What an operator asks for cannot be done, or not yet; the sentence says from when."""


class Rotation:
    """The rotation of one identity's keys; raises ConflictError, AwsError and KeyringError."""

    def __init__(self, *, identity: str, issuer: str, policy: Policy, world: World) -> None:
        self.identity = identity
        self.clock = world.clock
        self._runner = Runner(identity=identity, issuer=issuer, policy=policy, world=world)
        self.policy = self._runner.policy

    def tick(self) -> Run:
        """Do everything that can be done now."""
        return self._runner.go_on(self._runner.begin()).ended()

    def rotate(self, *, unsafe: bool) -> Run:
        """Ask for a rollover now; only ``unsafe`` breaks rule 1, and caches may then refuse us.

        Whoever asks twice gets one rollover: a request that is open stays as old as it is, and
        one that comes within a tick's interval of the last rollover was served by it. Without an
        active key there is nothing to ask for: the first one comes as soon as it may. ``unsafe``
        without a standby key that is published, and that KMS signs with, asks like any other.
        """
        course = self._runner.begin()
        keyring, now = course.held.keyring, self.clock()
        standby, active = keyring.standby, keyring.active
        if self._runner.apart(course) is not None:
            return self._runner.go_on(course).told()
        if now < (again := self._may_roll_over_again_at(keyring)):
            why = "the last rollover is younger than a tick: this request counts as the same one"
            run = self._runner.go_on(course).told()
            return replace(run, wait=Wait(until=again, why=why))
        if unsafe and standby is not None and _can_sign(standby, course.evidence):
            retires = None if active is None else active.kid
            course = self._runner.take(course, Promote(kid=standby.kid, retires=retires))
        elif active is not None and keyring.rollover_requested_at is None:
            course = self._runner.record(course, replace(keyring, rollover_requested_at=now))
        return self._runner.go_on(course).told()

    def revoke(self, kid: str, reason: str) -> Revocation:
        """End a compromised key at once, whatever else fails (rule 10)."""
        return revoke(self._runner, kid, reason)

    def confirm(self, kid: str) -> Run:
        """Take the operator's word for the standby key, once a proof has been due for long.

        Where keys are brought to the server, his word is what there is, and is taken at any time.
        Raises RefusedError for any other key, and before that time.
        """
        course = self._runner.begin()
        if self._runner.apart(course) is not None:
            return self._runner.go_on(course).told()
        keyring = course.held.keyring
        if keyring.confirmed_kid != kid:
            self._refuse_before_its_time(keyring, kid)
            course = self._runner.take(course, Confirm(kid=kid))
        return self._runner.go_on(course).told()

    def confirm_issuer(self, url: str, *, unsafe: bool) -> Run:
        """Take the operator's word that every provider trusts the issuer that the settings name.

        Assertions name it as soon as rule 1 holds for its documents, too; ``unsafe`` does not wait
        for that, and caches may then refuse us. Raises RefusedError for any other URL, and if the
        documents are not there.
        """
        course = self._runner.go_on(self._runner.begin())
        keyring, incoming = course.held.keyring, course.held.keyring.incoming
        if self._runner.apart(course) is not None or keyring.issuer == url:
            return course.told()
        if incoming is None or incoming.url != url:
            raise RefusedError("the settings do not ask for that issuer (PublicUrl)")
        if not unsafe:
            step: Action = ConfirmIssuer(url=url)
        elif relocation.is_seen(keyring, self.policy, course.evidence, self.clock()):
            step = SwitchIssuer(url=url, retires=keyring.issuer)
        else:
            raise RefusedError(f"{url} does not show its own documents with the active key")
        if unsafe or incoming.confirmed_at is None:
            course = self._runner.take(course, step)
        return self._runner.go_on(course).told()

    def keyring(self) -> Keyring:
        """Return the keyring as it stands; an empty one before the first tick."""
        return self._runner.lookout.keyring.read().keyring

    def testimony(self) -> Testimony | None:
        """Return what the signer has told; None if it left nothing that can be read."""
        return self._runner.lookout.testimony.read()

    def proof_wanted(self, keyring: Keyring, testimony: Testimony | None) -> Wait | None:
        """Return what rule 2 has a promotion of that keyring wait for, if it is due now."""
        return lifecycle.proof_wanted(keyring, self.policy, testimony, self.clock())

    def plan(self, until: datetime, under: Policy | None = None) -> tuple[Keyring, Forecast]:
        """Return the keyring, and what will be done up to ``until`` in a world that works.

        ``under`` are other settings, as if they were deployed now.
        """
        found = self._runner.lookout.look()
        keyring = found.rebuilt or found.held.keyring
        return keyring, forecast(keyring, under or self.policy, self.clock(), until)

    def _may_roll_over_again_at(self, keyring: Keyring) -> datetime:
        """Return until when an event may be the repetition of one that was served."""
        at = keyring.rolled_over_at or datetime.min.replace(tzinfo=UTC)
        return at + self.policy.tick_interval

    def _refuse_before_its_time(self, keyring: Keyring, kid: str) -> None:
        standby = keyring.standby
        if standby is None or standby.kid != kid:
            is_any = "there is none" if standby is None else "that is another one"
            raise RefusedError(f"only the standby key can be confirmed, and {is_any}")
        if self.policy.uploads:
            return
        due = canary.promotion_at(keyring)
        ready = fetched.ready_at(standby, keyring, self.policy)
        if due is None or ready is None:
            raise RefusedError("the public URL has not shown the standby key yet (rule 1)")
        at = max(due, ready) + self.policy.canary_deadline
        if self.clock() < at:
            from_when = at.astimezone(UTC).isoformat()
            raise RefusedError(f"the proof of the standby key is waited for until {from_when}")


def _can_sign(standby: Key, evidence: Evidence) -> bool:
    """Whether anybody could verify what the key signs: it is published, and KMS signs with it."""
    is_published = standby.kid in publication.standing_keys(evidence.standing)
    return is_published and standby.kid not in evidence.unusable
