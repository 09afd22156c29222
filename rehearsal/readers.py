"""Clients that keep asking, and readers that keep judging: the load under which keys rotate.

A generation is one new reader of each party, with a client of its own: like servers that somebody
starts, each with a cache that begins to run when it is started. Each client asks about once a
second, with a new assertion each time, until the rehearsal ends.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

import jwt

from machine_identity import clock, transport
from machine_identity.client_assertion import Draft
from machine_identity.errors import InvalidClientError
from machine_identity.providers import Client
from machine_identity.token_source import Signer, TokenSource
from rehearsal.compressed import PROVIDER
from rehearsal.parties import AUTHORIZATION_SERVER
from rehearsal.processes import Questions
from rehearsal.record import Judged, Reader, Record, Signed, Verdict
from rehearsal.site import Site

MOST_GENERATIONS: Final = 8
CANARY: Final = Reader(party=AUTHORIZATION_SERVER, instance="canary")
"""The authorization server, as the client sees it that proves the standby key (rule 2)."""
_PAUSE_SECONDS: Final = 1.0
_FIRST_SECONDS: Final = 30


class WatchedSigner:
    """Signs for one reader, and writes down by which key and until when."""

    def __init__(self, signer: Signer, reader: Reader, record: Record) -> None:
        self._signer = signer
        self._reader = reader
        self._record = record
        self.kid = ""

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Return the assertion, signed. Raises what the signer raises."""
        assertion = self._signer.sign(draft, now=now, jti=jti)
        self.kid = jwt.get_unverified_header(assertion)["kid"]
        expires_at = now + draft.lifetime
        self._record.signed.append(
            Signed(at=now, reader=self._reader, kid=self.kid, expires_at=expires_at)
        )
        return assertion


class Readers:
    """All readers of one identity's key set."""

    def __init__(
        self,
        *,
        site: Site,
        signer: Callable[[], Signer],
        verifiers: Mapping[str, Questions],
        authorization_server: Callable[[], str],
    ) -> None:
        self._site = site
        self._record = site.record
        self._signer = signer
        self._verifiers = verifiers
        self._authorization_server = authorization_server
        self._generations = 0
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start_generation(self) -> None:
        """Start a reader of each party, and wait until each has judged once."""
        number = self._generations
        if number == MOST_GENERATIONS:
            return
        self._generations += 1
        started = []
        for party in (AUTHORIZATION_SERVER, *self._verifiers):
            judged = threading.Event()
            reader = Reader(party=party, instance=str(number))
            ask = self._asking(reader)  # here: boto3 makes no two clients at once
            thread = threading.Thread(target=self._run, args=(reader, ask, judged))
            thread.start()
            self._threads.append(thread)
            started.append(judged)
        for judged in started:
            judged.wait(_FIRST_SECONDS)

    def stop(self) -> None:
        """Let every client finish what it asked, and ask no more."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, reader: Reader, ask: Callable[[], None], judged: threading.Event) -> None:
        while not self._stopped.is_set():
            try:
                ask()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody has judged
                self._judged(reader, "", Verdict.UNANSWERED, str(error) or type(error).__name__)
            judged.set()
            self._stopped.wait(_PAUSE_SECONDS)

    def _asking(self, reader: Reader) -> Callable[[], None]:
        signer = WatchedSigner(self._signer(), reader, self._record)
        if reader.party == AUTHORIZATION_SERVER:
            return self._asking_for_tokens(reader, signer)
        return self._asking_for_verdicts(reader, signer)

    def _asking_for_tokens(self, reader: Reader, signer: WatchedSigner) -> Callable[[], None]:
        """Return how to ask for a token; what is decided, the server tells: see ``stage``.

        There is no fallback to the previous key (rule 9): it would hide what is counted here.
        """
        source = TokenSource(
            signer=signer, transport=transport.send, clock=clock, sleep=time.sleep
        )
        client = client_of(self._site.identity, reader, self._authorization_server())

        def ask() -> None:
            # A refusal is counted by the server's own word for it, once.
            with suppress(InvalidClientError):
                source.get(client, client.scope)

        return ask

    def _asking_for_verdicts(self, reader: Reader, signer: WatchedSigner) -> Callable[[], None]:
        questions = self._verifiers[reader.party]
        draft = Draft(
            issuer=None,
            subject=reader.name,
            audience=reader.party,
            typ="JWT",
            algorithms=("RS256",),
            lifetime=PROVIDER.assertion_lifetime,
        )
        about = {
            "reader": reader.name,
            "jwks_uri": self._site.key_set_for(reader.name),
            "issuer": self._site.url,
            "audience": reader.party,
        }

        def ask() -> None:
            assertion = signer.sign(draft, now=clock.now(), jti=clock.unique())
            answer = questions.ask({**about, "assertion": assertion})
            verdict = Verdict.ACCEPTED if answer["accepted"] else Verdict.REJECTED
            self._judged(reader, signer.kid, verdict, answer.get("why", ""))

        return ask

    def _judged(self, reader: Reader, kid: str, verdict: Verdict, why: str) -> None:
        self._record.judged.append(Judged(reader=reader, kid=kid, verdict=verdict, why=why))


def client_of(identity: str, reader: Reader, authorization_server: str) -> Client:
    """Return the client that is registered for that reader."""
    return Client(
        name=reader.name,
        provider=PROVIDER,
        authorization_server=authorization_server,
        client_id=client_id(identity, reader),
        scope="rehearse",
    )


def client_id(identity: str, reader: Reader) -> str:
    """Return the name under which a reader's client is registered."""
    return f"{identity}-{reader.instance}"
