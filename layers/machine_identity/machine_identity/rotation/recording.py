"""The write that revokes a key, and what has to be there before it (rule 10).

Where nobody could sign in its place, a key that can is made first. Where the keyring is lost, it
is rebuilt first. Where either fails, or may take long, the key is disabled before it is recorded.
Whatever changes meanwhile has all of it start over from what is there now.

What follows from the write is not done here.
"""

from typing import Final

from machine_identity.aws import AwsError
from machine_identity.errors import ConflictError, MachineIdentityError, SettingsError
from machine_identity.evidence import Evidence, Standing, Unseen
from machine_identity.keyring import (
    VERSION,
    Keyring,
    KeyringError,
    LostKeyringError,
    State,
)
from machine_identity.rotation import succession
from machine_identity.rotation.compromised import CompromisedKey
from machine_identity.rotation.runner import Course, Runner
from machine_identity.steps import Promote, Revoke

ATTEMPTS: Final = 5
"""How often to start over when somebody else wrote first."""
_NOT_OURS: Final = "the keyring has no key of that name: it is disabled in KMS, and not recorded"
NAMELESS: Final = (
    "KMS shows no key with our tags that can sign under that name: one that cannot may be it"
)


class Recording:
    """Records one revocation; what an operator should know of it is added to ``notes``."""

    def __init__(self, runner: Runner, key: CompromisedKey, reason: str, notes: list[str]) -> None:
        self._runner = runner
        self._key = key
        self._reason = reason
        self._notes = notes
        self._is_published_silent = False
        """The published store failed once; its time-outs must not hold back the rest."""
        self._no_other: str | None = None
        """Why there may be no key to sign in its place, although one was to be made."""

    def course(self) -> Course:
        """Return the run in which it is recorded, or in which there is nothing to record.

        Raises UnknownKeyError, and what keeps it from being recorded: AwsError, ConflictError or
        KeyringError.
        """
        self._key.remember(self._runner.lookout.keyring.salvage().keyring)
        why: MachineIdentityError = ConflictError("")
        for _ in range(ATTEMPTS):
            try:
                if isinstance(why, LostKeyringError):
                    self._rebuild()
                return self._recorded()
            except (ConflictError, LostKeyringError) as error:
                why = error
        raise why

    def _rebuild(self) -> None:
        """Disable the key, so that it is not taken in again; then have the keyring rebuilt."""
        self._key.disable_if_possible()
        self._runner.begin()

    def _recorded(self) -> Course:
        course, standing = self._read()
        keyring = course.held.keyring
        key = keyring.find(self._key.kid)
        if key is None:
            return self._unknown(course, standing)
        if key.revoked_at is not None:
            return course
        if key.state is not State.ACTIVE:
            return self._revoked(course, None)
        successor = succession.successor(self._runner, keyring, standing)
        if successor is None:
            return self._without_successor(course)
        return self._revoked(course, successor)

    def _read(self) -> tuple[Course, Standing | None]:
        """Return the keyring, and what is published, if that can be read.

        Whether the keyring is lost shows only if it can.
        """
        standing, documents = self._standing(), self._runner.lookout.keyring
        held = documents.read() if standing is None else documents.read_to_act(standing)
        if held.keyring.version > VERSION:
            raise KeyringError("newer code wrote the keyring, and this code only reads it")
        self._key.remember(held.keyring)
        unseen = Unseen(at=self._runner.world.clock(), why="nobody looked yet")
        evidence = Evidence(observation=unseen, standing=Standing())
        return Course(held=held, evidence=evidence), standing

    def _standing(self) -> Standing | None:
        if self._is_published_silent:
            return None
        try:
            return self._runner.lookout.published.read()
        except AwsError:
            self._is_published_silent = True
            return None

    def _unknown(self, course: Course, standing: Standing | None) -> Course:
        """End a key that only KMS knows; there is nothing to record. Raises UnknownKeyError.

        It may have been the one that signed, before the keyring was lost: then another has to.
        """
        is_disabled = self._key.disable()
        self._notes.append(_NOT_OURS if is_disabled else NAMELESS)
        keyring = course.held.keyring
        if keyring.active is not None:
            return course
        kid = succession.successor(self._runner, keyring, standing)
        return course if kid is None else self._runner.take(course, Promote(kid=kid, retires=None))

    def _without_successor(self, course: Course) -> Course:
        """Have a key made and start over; if that was in vain, nothing waits any longer."""
        if self._no_other is None:
            self._no_other = self._made(course.held.keyring)
            return self._recorded()
        self._key.disable_if_possible()
        course = self._revoked(course, None)
        self._notes.append(f"no key was there to sign in its place: {self._no_other}")
        return course

    def _made(self, keyring: Keyring) -> str:
        """Make a standby key; return why there may be none all the same."""
        if self._is_published_silent:
            return "what is published cannot be read"
        try:
            return succession.made(self._runner, keyring)
        except (AwsError, KeyringError, SettingsError) as error:
            self._key.disable_if_possible()
            return str(error)

    def _revoked(self, course: Course, successor: str | None) -> Course:
        step = Revoke(kid=self._key.kid, reason=self._reason, promotes=successor)
        return self._runner.take(course, step)
