"""A world whose client registered itself with its key set, at a server that never fetches one.

Two real servers over HTTP on loopback: one keeps registrations (RFC 7591, RFC 7592), the other
gives tokens and believes exactly the keys that the first has of the client. The operator
registers the client once; after that the signer puts the set, and nobody else does anything.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from machine_identity import publication
from machine_identity.client_registration.metadata import Metadata
from machine_identity.client_registration.record import Kept
from machine_identity.errors import ConflictError, TransportError
from machine_identity.http1 import Response
from machine_identity.policy import Policy
from machine_identity.providers import PROVIDERS, ByManagement, Client
from machine_identity.registrar import Registrar
from machine_identity.sites import Sites
from tests.outside import Meddler
from tests.registration_endpoint import INITIAL, RegistrationEndpoint
from tests.token_endpoint import Answer, TokenEndpoint
from tests.uploads import token_function
from tests.uploads.token_function import POLICY, Names

NAME = "billing"
STORE = "ssm:/machine-identity/default"


class Secrets:
    """Documents with compare-and-swap, as the stores of registrations are."""

    def __init__(self, called: Meddler) -> None:
        self._called = called
        self.documents: dict[str, Kept] = {}

    def read(self, name: str) -> Kept | None:
        self._called("before", "secret.read")
        standing = self.documents.get(name)
        self._called("after", "secret.read")
        return standing

    def write(self, name: str, body: str, *, expected: str | None) -> str:
        self._called("before", "secret.write")
        standing = self.documents.get(name)
        if (None if standing is None else standing.tag) != expected:
            raise ConflictError(name)
        tag = str(int(expected or 0) + 1)
        self.documents[name] = Kept(body=body, tag=tag)
        self._called("after", "secret.write")
        return tag


class Judge(TokenEndpoint):
    """Gives a token for an assertion by a key that the client is registered with, and by none."""

    def __init__(self, registered: RegistrationEndpoint) -> None:
        super().__init__([])
        self._registered = registered

    def token(self, form: dict[str, str]) -> Answer:
        client = self._registered.clients.get(form["client_id"], {})
        assert "jwks_uri" not in client
        self.keys = client.get("jwks", {}).get("keys", [])
        self.client_id = self.issuer = self.subject = form["client_id"]
        return super().token(form)


class World(token_function.World):
    """``with World() as world``: see the module."""

    def __init__(self, *, policy: Policy = POLICY) -> None:
        super().__init__(policy=policy)
        self.endpoint = RegistrationEndpoint()
        self.judge = Judge(self.endpoint)
        self.secrets = Secrets(self._called)
        self.client_id = ""
        self.slept: list[float] = []
        self.answers_lost = 0
        """How many answers to a PUT will not arrive."""

    def __enter__(self) -> Self:
        self.endpoint.__enter__()
        self.judge.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.judge.__exit__()
        self.endpoint.__exit__()

    @property
    def client(self) -> Client:
        return Client(
            name=NAME,
            provider=PROVIDERS["rfc10070"],
            authorization_server=self.judge.url,
            client_id=self.client_id,
            scope="read",
            upload=ByManagement(store=STORE),
        )

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        """Send as ever, and lose answers."""
        self.judge.now = self.now
        answer = super().send(method, url, headers=headers, body=body, timeout=timeout)
        if method == "PUT" and self.answers_lost:
            self.answers_lost -= 1
            raise TransportError("the answer was lost")
        return answer

    def registrar(self) -> Registrar:
        return Registrar(
            transport=self.send,
            store=self.secrets,
            clock=Names(world=self),
            sleep=self.slept.append,
        )

    def registrations(self, of: ByManagement) -> Registrar:
        assert of.store == STORE
        return self.registrar()

    def sites(self) -> Sites:
        return Sites(
            keys=self.signer(),
            token=self.source().get,
            transport=self.send,
            now=self.clock,
            registrations=self.registrations,
        )

    def begin(self) -> None:
        """Live until the operator has registered the client with the set that is published."""
        self.tick()
        asked = Metadata(client_name=NAME, jwks={"keys": self.wanted()}, scope="read")
        registered = self.registrar().register(
            NAME, asked, endpoint=self.endpoint.endpoint, initial_access_token=INITIAL
        )
        self.client_id = registered.client.client_id

    def adopt(self) -> None:
        """Have a new token made at the server and kept, as an operator does who lost it."""
        token = self.endpoint.issue(self.client_id)
        uri = f"{self.endpoint.endpoint}/{self.client_id}"
        self.registrar().adopt(
            NAME, endpoint=self.endpoint.endpoint, uri=uri, client_id=self.client_id, token=token
        )

    def puts(self) -> int:
        """Return how often the server was asked to change the client."""
        return self.endpoint.methods().count("PUT")

    def registered(self) -> list[dict[str, Any]]:
        """Return the keys that the server has."""
        keys: list[dict[str, Any]] = self.endpoint.clients[self.client_id]["jwks"]["keys"]
        return keys

    def wanted(self) -> list[dict[str, Any]]:
        """Return the keys of the set that is published."""
        return publication.entries(self.keyring())
