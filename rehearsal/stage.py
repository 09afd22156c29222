"""Puts the rehearsal together, runs it in real time, and says what happened.

On the stage: AWS as the embedded stack has it, two identities with a key set each (ours, and a
naive rotation's), one authorization server that knows the clients of both, and each verifier in a
process of its own, one set of them an identity. Nobody's clock is moved.
"""

import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, Final, Self

from local.aws import REGION, Aws
from machine_identity import clock
from machine_identity.aws.s3 import Bucket
from machine_identity.token_source import Signer
from rehearsal import naive, ours, parties
from rehearsal.naive import Naive
from rehearsal.ours import Ours
from rehearsal.processes import Process, ProcessError, Questions
from rehearsal.readers import CANARY, MOST_GENERATIONS, Readers, client_id
from rehearsal.record import Judged, Reader, Record, Verdict
from rehearsal.report import Outcome, outcome
from rehearsal.site import Site

LONGEST: Final = timedelta(minutes=6)
ENCORE: Final = timedelta(seconds=15)
"""How long clients go on asking after the old key has left the set."""
_STATE, _PUBLISHED = "rehearsal-state", "rehearsal-published"
_TICK_SECONDS: Final = 1.0
_TELL_INTERVAL: Final = timedelta(seconds=5)
_START_SECONDS: Final = 30
_LAST_VERDICTS: Final = timedelta(seconds=5)

type Say = Callable[[str], None]


class Part:
    """One identity on the stage: its key set, its record, its verifiers and its readers."""

    def __init__(self, identity: str, stage: "Stage", opening: ExitStack) -> None:
        self.record = Record()
        bucket = Bucket(stage.aws.client("s3"), _PUBLISHED)
        self.site = opening.enter_context(Site(bucket, identity, self.record))
        self._stage = stage
        self._verifiers = {}
        for party, command in parties.verifiers(stage.executable).items():
            questions = Questions(command, stage.logs / f"{identity}-{party}.log")
            opening.enter_context(questions.process)
            self._verifiers[party] = questions

    def clients(self) -> list[dict[str, str]]:
        """Return the clients of this identity as the authorization server registers them."""
        readers = [
            CANARY,
            *(
                Reader(party=parties.AUTHORIZATION_SERVER, instance=str(number))
                for number in range(MOST_GENERATIONS)
            ),
        ]
        return [
            {
                "client_id": client_id(self.site.identity, reader),
                "jwks_uri": self.site.key_set_for(reader.name),
            }
            for reader in readers
        ]

    def readers(self, signer: Callable[[], Signer]) -> Readers:
        """Return who reads this identity's key set, none of them started yet."""
        return Readers(
            site=self.site,
            signer=signer,
            verifiers=self._verifiers,
            authorization_server=self._stage.authorization_server,
        )


class Stage:
    """``with Stage(executable, say) as stage: stage.play()``."""

    def __init__(self, executable: str, say: Say) -> None:
        self.executable = executable
        self._say = say
        self._open = ExitStack()
        self._issuer: str | None = None
        self._ready = Event()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self.logs = Path(
                opening.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-"))
            )
            self.aws = opening.enter_context(Aws())
            self._make_buckets()
            self._parts = {
                identity: Part(identity, self, opening)
                for identity in (ours.IDENTITY, naive.IDENTITY)
            }
            self._start_authorization_server(opening)
            self._ours = self._make_ours()
            self._naive = self._make_naive()
            self._readers = {
                ours.IDENTITY: self._parts[ours.IDENTITY].readers(self._ours.signer),
                naive.IDENTITY: self._parts[naive.IDENTITY].readers(lambda: self._naive),
            }
            for readers in self._readers.values():
                opening.callback(readers.stop)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def authorization_server(self) -> str:
        """Return the issuer of the authorization server."""
        assert self._issuer is not None  # noqa: S101 - nobody asks before it is ready
        return self._issuer

    def play(self) -> Outcome:
        """Rotate until the first key has left the set, and a little longer."""
        began_at = told_at = clock.now()
        self._ours.tick()
        self._naive.tick()
        for readers in self._readers.values():
            readers.start_generation()
        while not self._is_over(began_at):
            self._ours.look()
            self._ours.tick()
            self._naive.tick()
            if clock.now() - told_at >= _TELL_INTERVAL:
                told_at = clock.now()
                self._tell(told_at - began_at)
            Event().wait(_TICK_SECONDS)
        for readers in self._readers.values():
            readers.stop()
        self._wait_for_verdicts()
        return outcome(
            ours=self._parts[ours.IDENTITY].record,
            naive=self._parts[naive.IDENTITY].record,
            parties=parties.parties(),
            faults=self._ours.faults,
        )

    def _is_over(self, began_at: datetime) -> bool:
        now, gone_at = clock.now(), self._ours.withdrawn_at()
        return now - began_at > LONGEST or (gone_at is not None and now - gone_at > ENCORE)

    def _wait_for_verdicts(self) -> None:
        """Wait for the authorization server's own word on the last assertions."""
        ends_at = clock.now() + _LAST_VERDICTS
        while clock.now() < ends_at and any(
            len(part.record.judged) < len(part.record.signed) for part in self._parts.values()
        ):
            Event().wait(_TICK_SECONDS)

    def _tell(self, passed: timedelta) -> None:
        counts = []
        for identity, part in self._parts.items():
            accepted, total = part.record.count(Verdict.ACCEPTED), len(part.record.judged)
            counts.append(f"{identity} {accepted} accepted, {total - accepted} rejected")
        keys = ", ".join(self._ours.states())
        self._say(f"{passed.total_seconds():5.0f} s  {' · '.join(counts)} · {keys}")

    def _make_buckets(self) -> None:
        s3 = self.aws.client("s3")
        for name in (_STATE, _PUBLISHED):
            where: Any = {"LocationConstraint": REGION}
            s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def _make_ours(self) -> Ours:
        return Ours(
            aws=self.aws,
            buckets=(_STATE, _PUBLISHED),
            site=self._parts[ours.IDENTITY].site,
            before_new_key=lambda: self._newcomers(ours.IDENTITY),
            authorization_server=self.authorization_server(),
            say=self._say,
        )

    def _make_naive(self) -> Naive:
        return Naive(
            aws=self.aws,
            bucket=_PUBLISHED,
            issuer=self._parts[naive.IDENTITY].site.url,
            before_new_key=lambda: self._newcomers(naive.IDENTITY),
        )

    def _newcomers(self, identity: str) -> None:
        """Have somebody fetch the key set right before it changes: the worst moment to do so."""
        self._readers[identity].start_generation()

    def _start_authorization_server(self, opening: ExitStack) -> None:
        clients = [client for part in self._parts.values() for client in part.clients()]
        command = parties.authorization_server(self.executable, json.dumps({"clients": clients}))
        log = self.logs / "authorization-server.log"
        opening.enter_context(Process(command, log, self._decided))
        if not self._ready.wait(_START_SECONDS):
            raise ProcessError(f"the authorization server does not start: {log.read_text()}")

    def _decided(self, line: dict[str, Any]) -> None:
        """Write down what the authorization server says that it decided."""
        if "issuer" in line:
            self._issuer = line["issuer"]
            self._ready.set()
            return
        identity, _, instance = line["client_id"].rpartition("-")
        self._parts[identity].record.judged.append(
            Judged(
                reader=Reader(party=parties.AUTHORIZATION_SERVER, instance=instance),
                kid=line.get("kid", ""),
                verdict=Verdict.ACCEPTED if line["accepted"] else Verdict.REJECTED,
                why=str(line.get("why", "")),
            )
        )
