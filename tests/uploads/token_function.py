"""The world with a real token function in it, whose one client is at a real server over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from machine_identity import clock, transport
from machine_identity.http1 import Response
from machine_identity.policy import CanaryTimes, Policy
from machine_identity.providers import Client
from machine_identity.sites import Sites
from machine_identity.token_source import Fallback, TokenSource
from machine_identity.witness import Sight, Witness
from machine_identity.witness.hand import Errand, Hand
from tests import world
from tests.world import TICK

QUARTER = timedelta(minutes=15)
POLICY = Policy(
    algorithm="RS256",
    rotation_interval=timedelta(hours=12),
    key_set_cache=timedelta(hours=1),
    canary=CanaryTimes(apart=timedelta(minutes=10)),
    uploads=True,
)


@dataclass(slots=True, kw_only=True)
class Names:
    """The world's time, and names of this process."""

    world: world.World

    def now(self) -> datetime:
        return self.world.now

    def unique(self) -> str:
        return clock.unique()


class World(world.World):
    """Of one client; whoever inherits says where it is, and how keys are brought there."""

    def __init__(self, *, policy: Policy = POLICY) -> None:
        super().__init__(policy=policy)
        self.tokens = 0
        self.fallbacks = 0
        """How many tokens were had only with the previous key (rule 9)."""

    @property
    def client(self) -> Client:
        raise NotImplementedError

    def begin(self) -> None:
        """Live until the client is registered with the first key."""
        raise NotImplementedError

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        """Send to the server, as a transport does; each call counts as one to the outside."""
        if url.startswith(world.ISSUER):
            return self.fetch(method, url, headers=headers, body=body, timeout=timeout)
        with self.call(f"{method} {url.rpartition('/')[2].partition('?')[0]}"):
            return transport.send(method, url, headers=headers, body=body, timeout=timeout)

    def source(self) -> TokenSource:
        """Return the token source of a token function just started."""
        signer = self.signer()
        return TokenSource(
            signer=signer,
            transport=self.send,
            clock=Names(world=self),
            sleep=lambda _: None,
            fallback=Fallback(previous=signer.previous, told=self._fall_back),
        )

    def sites(self) -> Sites:
        """Return who opens the client's server."""
        return Sites(
            keys=self.signer(), token=self.source().get, transport=self.send, now=self.clock
        )

    def hand(self) -> Hand:
        """Return the hand of a token function just started."""
        return Hand(
            identity="default",
            keys=self.signer(),
            store=self.token_state,
            clock=Names(world=self),
            open_server=self.sites().open,
        )

    def bring(self) -> tuple[Errand, ...]:
        """Run the hand."""
        return self.hand().work([self.client])

    def prove(self) -> Sight:
        """Run the token function's schedule."""
        self.bring()
        return self._witness().look([self.client])

    def _witness(self) -> Witness:
        return super().witness(self.source().prove)

    def live_on(self, duration: timedelta) -> None:
        """Let the time pass as the schedules have it, and get a token at every instant."""
        until = self.now + duration
        while self.now + TICK <= until:
            self.now += TICK
            self._prove_if_possible()
            self.rotation().tick()
            self.check()
            self.get_token()
        self.now = until

    def get_token(self) -> None:
        """Get a token with a new assertion; a refusal is an error."""
        before = self.fallbacks
        self.source().get(self.client, self.client.scope)
        assert self.fallbacks == before, "rule 9 was needed"
        self.tokens += 1

    def _fall_back(self) -> None:
        self.fallbacks += 1
