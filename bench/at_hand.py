"""What an access token costs that is at hand: ``python -m bench.at_hand [--json]``.

``tokens.get()`` of the front door beside ``acquire_token_for_client`` of MSAL (``bench.peers``),
each with one token in memory that it got once, with an assertion signed by the same key; and
beside them a look into a dict, which is what it comes to at best. Nobody asks a server while it is
measured: each was given a transport that answers itself, and counts how often it was asked.

It says nothing of getting a token, which is the server's time, nor of many scopes: MSAL looks
through all that it keeps.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from bench import ours, stage
from bench.outcome import plain_ratios
from bench.ratios import Ratio
from bench.rounds import interleaved, timed
from machine_identity import clock, jwk
from machine_identity.client import Tokens
from machine_identity.client_assertion import SigningKey
from machine_identity.http1 import Response
from machine_identity.providers import PROVIDERS, Client
from machine_identity.token_source import Ahead, TokenSource, in_thread

ROUNDS: Final = 300
CALLS: Final = 50
"""In each round, of each."""
DICT: Final = "a look into a dict"
TOKEN: Final = "eyJ" + "x" * 1358  # as long as bench/issuer.py's with RS256

SERVER: Final = "https://login.microsoftonline.com/0f9a4b1e-5d7c-4c35-9d53-8f1f2a6b7c10"
REGISTERED: Final = Client(
    name="default",
    provider=PROVIDERS["entra-federated"],
    authorization_server=f"{SERVER}/v2.0",
    client_id="5d7c0f9a-4b1e-4c35-9d53-8f1f2a6b7c10",
    scope="api://orders/.default",
)
_GRANTED: Final = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}


type Get = Callable[[object], str]
"""Returns an access token, whatever it is called with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """How long one takes to hand out a token that it has, in units of the peer's."""

    name: str
    ratio: Ratio
    is_unit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom we compare with: a client that gets its token from the server, signing with the key."""

    name: str
    make: Callable[[SigningKey, "Server"], Get]


class TokenError(Exception):
    """Somebody has no token at hand: how fast it is says nothing."""


class Server:
    """Answers what an authorization server does, to either client, and counts the requests."""

    def __init__(self) -> None:
        self.requests = 0

    def answer(self, url: str) -> str:
        """Return a discovery document or a token."""
        self.requests += 1
        if "openid-configuration" not in url:
            return json.dumps(_GRANTED)
        issuer = url.partition("/.well-known")[0]
        endpoints = {"token_endpoint": f"{issuer}/token", "authorization_endpoint": issuer}
        return json.dumps({"issuer": issuer, **endpoints})

    def send(
        self,
        method: str,  # noqa: ARG002 - a Transport
        url: str,
        *,
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes | None = None,  # noqa: ARG002
        timeout: timedelta,  # noqa: ARG002
    ) -> Response:
        """Be the Transport of this project."""
        return Response(status=200, headers={}, body=self.answer(url).encode())

    def get(self, url: str, **_: object) -> "HttpAnswer":
        """Be the ``http_client`` of MSAL."""
        return HttpAnswer(text=self.answer(url))

    post = get

    def close(self) -> None:
        """Have nothing to close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer as MSAL reads one."""

    text: str
    status_code: int = 200

    @property
    def headers(self) -> dict[str, str]:
        """Return none."""
        return {}

    def raise_for_status(self) -> None:
        """Have nothing to raise."""


def mine(key: SigningKey, server: Server) -> Get:
    """Return our client, as the front door makes it."""
    source = TokenSource(
        signer=key,
        transport=server.send,
        clock=clock,
        sleep=time.sleep,
        ahead=Ahead(start=in_thread, chance=clock.chance),
    )
    tokens = Tokens(source, REGISTERED)
    return lambda _: tokens.get().value


def _best() -> Get:
    kept = {REGISTERED.scope: TOKEN}
    return lambda _: kept[REGISTERED.scope]


def measure(peer: Peer, say: stage.Say, rounds: int = ROUNDS) -> tuple[AtHand, ...]:
    """Measure them. Raises TokenError."""
    say(f"a token at hand: {rounds} rounds")
    key = _key()
    servers = {ours.NAME: Server(), peer.name: Server()}
    gets = {
        ours.NAME: mine(key, servers[ours.NAME]),
        peer.name: peer.make(key, servers[peer.name]),
        DICT: _best(),
    }
    asked = _warmed(gets, servers)
    turns = {name: partial(timed, get, range(CALLS)) for name, get in gets.items()}
    samples = interleaved(turns, rounds)
    if {name: each.requests for name, each in servers.items()} != asked:
        raise TokenError("somebody asked its server while it was measured")
    unit = samples[peer.name]
    return tuple(
        AtHand(name=name, ratio=Ratio.of(taken, unit), is_unit=taken is unit)
        for name, taken in samples.items()
    )


def _key() -> SigningKey:
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kid = jwk.from_public_key(private_key.public_key(), "RS256")["kid"]
    issuer = "https://us.example"
    return SigningKey(kid=kid, algorithm="RS256", private_key=private_key, issuer=issuer)


def _warmed(gets: Mapping[str, Get], servers: Mapping[str, Server]) -> dict[str, int]:
    """Let each get its token, and return how often it asked for that."""
    for name, get in gets.items():
        if {get(None), get(None)} != {TOKEN}:
            raise TokenError(f"{name} does not hand out its token")
    asked = {name: each.requests for name, each in servers.items()}
    if 0 in asked.values():
        raise TokenError("somebody has a token that nobody gave it")
    return asked


def plain(rows: tuple[AtHand, ...]) -> list[dict[str, Any]]:
    """Return the outcome as JSON has it."""
    (unit,) = (each.name for each in rows if each.is_unit)
    return [
        {"client": each.name, "in_units_of": unit, **plain_ratios({"at_hand": each.ratio})}
        for each in rows
    ]


def main() -> None:
    """Measure, and print."""
    from bench import peers, report  # noqa: PLC0415 - a library that only bench/.venv has

    rows = measure(peers.msal_client(), stage.say)
    print(json.dumps(plain(rows)) if "--json" in sys.argv[1:] else report.at_hand(rows))


if __name__ == "__main__":
    main()
