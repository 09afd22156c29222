"""The stage for ``test_life_of_keys``: one identity's outside, its time, and what happens in it.

The rotation, the witness, the signer and everything below them are the real ones; stores, key
service and time are simulated. What must hold at every instant is ``promise``'s.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from typing import Literal

from machine_identity import keyring as keyrings
from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.client_assertion import SigningError
from machine_identity.errors import ConflictError, InvalidClientError, SettingsError
from machine_identity.keyring import Keyring, KeyringError, State
from machine_identity.policy import Policy
from machine_identity.probe import Probe
from machine_identity.providers import Client
from machine_identity.publication import JWKS_PATH
from machine_identity.rotation import RefusedError, Rotation, UnknownKeyError
from machine_identity.rotation import World as Outside
from machine_identity.steps import Promote, Rebuild, Step, Wait, Withdraw
from machine_identity.witness import Signer as OneKeySigner
from machine_identity.witness import Witness
from machine_identity.witness import World as WitnessWorld
from tests.outside import KeyService, Meddler, Store
from tests.properties.processes import MOST, DiedError, Process
from tests.properties.promise import FOREVER, Promise, Tally
from tests.properties.public_side import PublicSide, shown
from tests.properties.signers import Reads, Signers, keyring_signer, kid_of
from tests.world import ISSUER, START, client

NOTHING = timedelta()
KEYRING = "default/keyring.json"
EXPECTED = (
    ConflictError,
    AwsError,
    KeyringError,
    DiedError,
    SettingsError,
    SigningError,
    RefusedError,
    UnknownKeyError,
)
"""What a run may end with; anything else is a bug."""


class Stage:
    """A world with its time, which moves only by ``advance``."""

    def __init__(self, policy: Policy, tally: Tally, threads: ThreadPoolExecutor) -> None:
        self.now = START
        self.promise = Promise(policy, tally, clock=self.clock, told=self.told)
        self.tally = tally
        self.processes: list[Process] = []
        """The runs that stand still, the oldest first."""
        self.is_unsafe = False
        """Whether an operator says so in the run that goes on."""
        self.public = PublicSide(self._called, self.clock)
        self.state = Store("state", self._called, self.clock)
        self.kms = KeyService(self.clock, self._called)
        self.due_at = START
        """Until when the last run had nothing to do."""
        self.past: list[Document] = []
        """Every version of the keyring by which a key signed."""
        self._trace: deque[tuple[datetime, object]] = deque(maxlen=60)
        self._threads = threads
        self._fault: Meddler | None = None
        self._names = count()
        self._signers = Signers(self.state.documents, self.kms, self.promise, self.clock)
        self._signed: set[str] = set()
        """The kids of all keys that were ever active."""
        self._active: str | None = None
        self._parsed: tuple[Document | None, Keyring | None] = None, None

    def clock(self) -> datetime:
        return self.now

    @property
    def policy(self) -> Policy:
        """The settings in force."""
        return self.promise.policy

    # Runs

    def rotation(self, clock_error: timedelta = NOTHING) -> Rotation:
        """Return the rotation of a process just started, under the settings in force now."""

        def clock() -> datetime:
            return self.now + clock_error

        outside = Outside(
            keys=self.kms,
            state=self.state,
            published=self.public.store,
            probe=lambda issuer: Probe(issuer, self.public.get, clock)(),
            clock=clock,
            unique=lambda: f"intent-{next(self._names)}",
            report=self._reported,
        )
        return Rotation(identity="default", issuer=ISSUER, policy=self.policy, world=outside)

    def run(self, act: Callable[[], object], fault: Meddler | None = None) -> None:
        """Let something run to its end, whatever it meets."""
        self._fault = fault
        try:
            with suppress(*EXPECTED):
                act()
        finally:
            self._fault = None

    def begin(self, act: Callable[[], object]) -> Process:
        """Start a run that stands still before its first call; of three the oldest dies."""
        if len(self.processes) == MOST:
            self.processes.pop(0).kill()
        process = Process(self._threads, act, deadline=self.now + self.policy.run_bound)
        self.processes.append(process)
        return process

    def go_on(self, process: Process, calls: int) -> None:
        """Let a run that stands still come to a later call."""
        outcome = process.advance(calls)
        if process.is_over:
            self.processes.remove(process)
        if outcome is not None and not isinstance(outcome, EXPECTED):
            raise outcome

    def stop(self) -> None:
        """Kill every run that stands still."""
        while self.processes:
            self.processes.pop().kill()

    # Time

    def advance(self, to: datetime) -> None:
        """Let the time pass, and judge at every instant at which a life or a copy ends."""
        while stops := [at for at in self._stops() if at < to]:
            self.now = max(self.now, min(stops))
            self._end()
        self.now = max(self.now, to)
        self._end()

    def _stops(self) -> list[datetime]:
        deadlines = [each.deadline for each in self.processes]
        return [*self.promise.ends(), *self._signers.leave_at(), *deadlines]

    def _end(self) -> None:
        """At this instant: sign with the copies that leave, judge, and let go what is over."""
        self._signers.let_go()
        self.promise.judge()
        self.promise.forget()
        for each in [run for run in self.processes if run.deadline <= self.now]:
            self.processes.remove(each)
            each.kill()

    # Signers

    def sign(self) -> None:
        """Let every signer make an assertion."""
        self._signers.sign()

    def thaw(self, *, can_read: bool) -> None:
        """Sign in a process that was frozen since it last signed, and perhaps cannot read now."""
        self._signers.thaw(can_read=can_read)

    def prove(self) -> None:
        """Let the canary run, with a client at each provider."""
        names = [str(each) for each in range(len(self.promise.providers))]
        self.run(lambda: self.witness().look([client(name) for name in names]))

    def witness(self) -> Witness:
        """Return the witness of a token function just started."""
        store = Store("token", self._called)
        store.documents = self.state.documents
        outside = WitnessWorld(
            keys=keyring_signer(Reads(documents=self.state.documents), self.kms),
            store=store,
            prove=self._proved,
            transport=self.public.get,
            clock=_Clock(self),
        )
        return Witness(identity="default", world=outside, times=self.policy.canary)

    def _proved(self, at: Client, signer: OneKeySigner) -> None:
        draft = at.draft("https://as.example/token")
        kid = kid_of(signer.sign(draft, now=self.now, jti="one"))
        if not self.promise.is_accepted(kid, int(at.name)):
            raise InvalidClientError("invalid_client", "the key is not known")

    # What stands there

    def edit(self, path: str, document: Document | None) -> None:
        """Replace a published document by hand."""
        if path == JWKS_PATH:
            self.promise.edited(shown(self.now, document), watched=self._watched())
        self.public.edit(path, document)
        self._published()

    def _watched(self) -> set[str]:
        """Return the keys whose absence rotation finds out, unless a run has looked already."""
        keyring = None if self.processes else self.keyring()
        return set() if keyring is None else {k.kid for k in keyring.in_state(State.STANDBY)}

    def _published(self) -> None:
        self.public.remember()
        self.promise.published(self.public.key_set())

    def keyring(self) -> Keyring | None:
        """Return the keyring as it stands, if one stands that can be read."""
        document = self.state.documents.get(KEYRING)
        if document is not self._parsed[0]:
            self._parsed = document, None if document is None else _parsed(document)
        return self._parsed[1]

    def active(self) -> str | None:
        """Return the key that the keyring has sign."""
        keyring = self.keyring()
        return None if keyring is None or keyring.active is None else keyring.active.kid

    def told(self, what: str) -> str:
        """Return what went wrong, and how it came to it."""
        lines = [f"  {at:%d %H:%M:%S} {each}" for at, each in self._trace]
        return "\n".join([f"{self.now:%d %H:%M:%S} {what}", *lines])

    def note(self, what: object) -> None:
        """Keep a line for the story that a failure is told with."""
        self._trace.append((self.now, what))

    # Round every call

    def _called(self, moment: Literal["before", "after"], call: str) -> None:
        for each in self.processes:
            if each.is_current:
                each.stop()
        if (moment, call) == ("before", "state.write"):
            self._signers.before_a_write()
        if (moment, call) == ("after", "published.write"):
            self._published()
        if (moment, call) == ("after", "state.write"):
            self._recorded()
        if self._fault is not None:
            self._fault(moment, call)

    def _recorded(self) -> None:
        """After the keyring changed: whoever read it a moment before goes on with the old one."""
        keyring = self.keyring()
        assert keyring is not None
        active = None if keyring.active is None else keyring.active.kid
        revoked = {key.kid for key in keyring.keys if key.revoked_at is not None}
        assert active or revoked or self._active is None, self.told("nobody signs")
        for kid in revoked:
            self.promise.exempt(kid, FOREVER)
        if active is not None:
            self.past.append(self.state.documents[KEYRING])
        if active is not None and active != self._active:
            self._takes_over(active, revoked)
        if active != self._active:
            self._signers.after_a_change()
        self._active = active

    def _takes_over(self, active: str, revoked: set[str]) -> None:
        """A key that had to sign at once (rule 10), or by force, is not known everywhere yet."""
        was = self._active
        is_emergency = was in revoked or (was is None and bool(revoked))
        if is_emergency or self.is_unsafe:
            self.promise.forced(active)
        self._signed.add(active)

    def _reported(self, step: Step, keyring: Keyring) -> None:
        del keyring
        self.note(step)
        match step:
            case Wait():
                self.due_at = step.until
            case Promote():
                self.tally.promotions += 1
            case Withdraw():
                self.tally.withdrawals += 1
            case Rebuild():
                self.tally.rebuilds += 1
            case _:
                pass


class _Clock:
    """The stage's time, and names, as the token function takes them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def now(self) -> datetime:
        return self._stage.now

    def unique(self) -> str:
        return "one"


def _parsed(document: Document) -> Keyring | None:
    with suppress(KeyringError):
        return keyrings.parse(document.body)
    return None
