"""Our own rotation under the compressed policy: the code that is deployed, ticked every second.

Its operator is an impatient one: while rollovers are still to come, every tick asks for one. That
is the worst that the rules allow, since a key then signs as soon as rule 1 lets it.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from local.aws import Aws
from machine_identity import clock, commands, transport, witness
from machine_identity.aws.kms_keys import KmsKeys, Owner
from machine_identity.aws.s3 import Bucket
from machine_identity.aws.signer import KeyringSigner
from machine_identity.errors import MachineIdentityError
from machine_identity.keyring import Keyring
from machine_identity.probe import Probe
from machine_identity.providers import Client
from machine_identity.rotation import Rotation, World
from machine_identity.steps import Intend, Promote, Step, Wait, Withdraw
from machine_identity.token_source import Signer, TokenSource
from machine_identity.witness import Witness
from rehearsal.compressed import POLICY, SIGNER_REFRESH
from rehearsal.readers import CANARY, WatchedSigner, client_of
from rehearsal.record import Withdrawn
from rehearsal.site import Site

IDENTITY: Final = "ours"
ROLLOVERS: Final = 2
"""The first one's key was in everybody's first copy; the second one's was in nobody's."""


class Ours:
    """One identity, its rotation, and its signers."""

    def __init__(  # noqa: PLR0913 - what the two sides need from the stage
        self,
        *,
        aws: Aws,
        buckets: tuple[str, str],
        site: Site,
        authorization_server: str,
        before_new_key: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._aws = aws
        self._state, published = buckets
        self._record = site.record
        self._before_new_key = before_new_key
        self._say = say
        self._promotions = 0
        self._why = ""
        self.faults: list[str] = []
        self._client = client_of(IDENTITY, CANARY, authorization_server)
        self._rotation = self._made_rotation(site, published)
        self._witness = self._made_witness()

    def _made_rotation(self, site: Site, published: str) -> Rotation:
        aws, s3 = self._aws, self._aws.client("s3")
        owner = Owner(stack="rehearsal", identity=IDENTITY)
        world = World(
            keys=KmsKeys(aws.client("kms"), aws.client("resourcegroupstaggingapi"), owner),
            state=Bucket(s3, self._state),
            published=Bucket(s3, published),
            probe=lambda issuer: Probe(issuer, transport.send, clock.now)(),
            clock=clock.now,
            unique=clock.unique,
            report=self._reported,
        )
        return Rotation(identity=IDENTITY, issuer=site.url, policy=POLICY, world=world)

    def _made_witness(self) -> Witness:
        signer = self.signer()
        source = TokenSource(
            signer=signer, transport=transport.send, clock=clock, sleep=time.sleep
        )

        def prove(client: Client, candidate: Signer) -> None:
            source.prove(client, WatchedSigner(candidate, CANARY, self._record))

        world = witness.World(
            keys=signer,
            store=Bucket(self._aws.client("s3"), self._state),
            prove=prove,
            transport=transport.send,
            clock=clock,
        )
        return Witness(identity=IDENTITY, world=world, times=POLICY.canary)

    def look(self) -> None:
        """Do what the token function's own schedule does: prove the standby key (rule 2)."""
        try:
            self._witness.look([self._client])
        except MachineIdentityError as error:
            self.faults.append(f"the canary: {error}")

    def tick(self) -> None:
        """Do what an invocation of the rotation function does."""
        wanted = self._promotions in range(1, ROLLOVERS + 1)  # the very first key is no rollover
        answer = self._answer({"command": "rotate" if wanted else "tick"})
        if "error" in answer:
            self.faults.append(answer["error_description"])

    def signer(self) -> KeyringSigner:
        """Return a signer as an execution environment of the token function has it."""
        return KeyringSigner(
            bucket=Bucket(self._aws.client("s3"), self._state),
            kms=self._aws.client("kms"),
            identity=IDENTITY,
            refresh_interval=SIGNER_REFRESH,
            bound=POLICY.signer_bound,
        )

    def states(self) -> list[str]:
        """Return every key with its state."""
        keys = self._answer({"command": "status"})["keys"]
        return [f"{key['kid'][:8]} {key['state']}" for key in keys]

    def withdrawn_at(self) -> datetime | None:
        """Return when the first key left the set, if one has."""
        return next((each.at for each in self._record.withdrawn), None)

    def _answer(self, event: object) -> Any:  # noqa: ANN401 - any JSON
        return commands.answer(self._rotation, event, lambda _: POLICY)

    def _reported(self, step: Step, keyring: Keyring) -> None:
        """Be told of each step when it is recorded."""
        match step:
            case Wait():
                self._waits(step)
                return
            case Intend() if keyring.active is not None:
                self._before_new_key()
            case Promote():
                self._promotions += 1
            case Withdraw():
                self._record.withdrawn.append(Withdrawn(at=clock.now(), kid=step.kid))
        kid = getattr(step, "kid", "")[:8]
        self._say(f"ours: {type(step).__name__} {kid}".rstrip())

    def _waits(self, wait: Wait) -> None:
        if wait.why != self._why:
            self._why = wait.why
            self._say(f"ours: waits: {wait.why}")
