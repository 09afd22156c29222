"""The token function as one warm process, and the authorization server that it asks.

Wired as ``functions/token/app.py`` wires it; the server keeps the client's key set as providers do
and knows no mercy: an assertion that it cannot verify is refused.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qs

from machine_identity.aws import AwsError
from machine_identity.client_assertion import SigningError
from machine_identity.errors import ConflictError, TokenRequestError
from machine_identity.http1 import Response
from machine_identity.testimony import NewerTestimonyError
from machine_identity.token_source import Fallback, TokenSource
from machine_identity.witness import Witness
from machine_identity.witness import World as SignersOutside
from tests.world import Provider, World, client

SERVER = "https://as.example"
FAILURES = (AwsError, ConflictError, NewerTestimonyError, SigningError, TokenRequestError)
"""What ``functions/token/app.py`` answers as an error."""


class AuthorizationServer:
    """Answers for the client ``name``, from the copy of the key set that its provider keeps."""

    def __init__(self, world: World, provider: Provider) -> None:
        self._world = world
        self._provider = provider
        self.failure: int | None = None
        """A status that is answered instead of anything else."""
        self.refusals: list[str] = []
        """The kid of each assertion that was refused."""

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        del headers, timeout
        with self._world.call(f"{method} as/{url.rpartition('/')[2]}"):
            if self.failure is not None:
                return _answer(self.failure, {"error": "temporarily_unavailable"})
            if body is None:
                return _answer(200, {"issuer": SERVER, "token_endpoint": f"{SERVER}/token"})
            return self._token(parse_qs(body.decode())["client_assertion"][0])

    def _token(self, assertion: str) -> Response:
        if not self._provider.accepts(assertion):
            self.refusals.append(assertion)
            return _answer(401, {"error": "invalid_client"})
        granted = {"access_token": "token", "token_type": "Bearer", "expires_in": 60}
        return _answer(200, granted)


class TokenFunction:
    """A process that answers its callers and runs the canary until it is killed."""

    def __init__(self, world: World, server: AuthorizationServer) -> None:
        self._world = world
        self.server = server
        self.client = client("default")
        self.revive()

    def revive(self) -> None:
        """Start anew, with nothing in memory."""
        self.signer = self._world.signer()
        self.source = TokenSource(
            signer=self.signer,
            transport=self.server,
            clock=self,
            sleep=self._sleep,
            fallback=Fallback(previous=self.signer.previous, told=self._told),
        )
        outside = SignersOutside(
            keys=self.signer,
            store=self._world.token_state,
            prove=self.source.prove,
            transport=self._world.fetch,
            clock=self,
        )
        times = self._world.policy.canary
        self.witness = Witness(identity="default", world=outside, times=times)

    def now(self) -> datetime:
        return self._world.now

    def unique(self) -> str:
        return "jti"

    def token(self) -> None:
        """Get an access token for a caller; raises TokenRequestError."""
        self.source.get(self.client, self.client.scope)

    def canary(self) -> None:
        """Run the canary; raises FAILURES."""
        self.witness.look([self.client])

    def _sleep(self, seconds: float) -> None:
        self._world.now += timedelta(seconds=seconds)

    def _told(self) -> None:
        raise AssertionError("rule 9: the active key was refused, and the previous one was used")


def _answer(status: int, members: Mapping[str, object]) -> Response:
    return Response(status=status, headers={}, body=json.dumps(members).encode())
