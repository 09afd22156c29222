"""A world whose client has certificates at the embedded Entra ID, which the signer rolls by Graph.

The server is the real stand-in over HTTP on loopback; its time is the world's. The administrator
registers the very first certificate, and does nothing after that.
"""

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Self

from cryptography.hazmat.primitives.asymmetric import rsa

from local import key_credentials, proofs
from local.authorization_server import AuthorizationServer
from local.graph import READ_ROLE
from local.registrations import API_URI, GRAPH, ROLE, App, Certificates
from machine_identity import certificate, clock, jwk
from machine_identity import testimony as testimonies
from machine_identity.aws.s3 import Document
from machine_identity.certificate import Terms, thumbprint
from machine_identity.client_assertion import SigningKey
from machine_identity.keyring import Key
from machine_identity.policy import Policy
from machine_identity.providers import PROVIDERS, ByGraph, Client
from machine_identity.testimony import Testimony
from tests import world
from tests.uploads import token_function
from tests.uploads.token_function import POLICY, QUARTER

CLIENT_ID = "6f0d3f0a-0f3b-4a39-9a3c-5d7f5b1f7c21"
SCOPE = f"{API_URI}/.default"


class World(token_function.World):
    """``with World() as world``: see the module."""

    def __init__(
        self,
        *,
        policy: Policy = POLICY,
        can_list: bool = False,
        propagation: timedelta = timedelta(minutes=2),
        proof_audience: str = proofs.AUDIENCE,
    ) -> None:
        super().__init__(policy=policy)
        self.server = AuthorizationServer(
            now=self.clock, propagation=propagation, proof_audience=proof_audience
        )
        graph = (READ_ROLE,) if can_list else ()
        self.app = App(
            client_id=CLIENT_ID,
            provider=PROVIDERS["entra-certificate"],
            credential=Certificates(keys=()),
            roles={API_URI: (ROLE,), GRAPH.app_id_uri: graph},
        )
        self.server.register(self.app)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__(None, None, None)

    @property
    def client(self) -> Client:
        return Client(
            name="default",
            provider=self.app.provider,
            authorization_server=self.server.issuer,
            client_id=CLIENT_ID,
            scope=SCOPE,
            upload=ByGraph(object_id=self.app.object_id, root=self.server.graph_url),
        )

    def begin(self) -> None:
        """Live until the administrator has registered the first key."""
        self.tick()
        self.prove()
        self.administrate()
        self.now += QUARTER

    def administrate(self) -> None:
        """Register the active key's certificate, as an administrator does."""
        self.register(self.active())

    def register(self, key: Key) -> None:
        """Register the certificate that was made of a key, known at once everywhere."""
        made = next(each for each in self.testimony().certificates if each.kid == key.kid)
        credential = key_credentials.from_der(base64.b64decode(made.der), key_id=clock.unique())
        self.server.graph.directory.add(self.app, credential, self.now - timedelta(days=1))

    def foreign_certificate(self) -> bytes:
        """Return the certificate of a key that is not ours, made as ours are."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        kid = jwk.from_public_key(private.public_key(), "RS256")["kid"]
        terms = Terms(
            identity="default",
            serial=7,
            not_before=world.START - timedelta(days=1),
            not_after=world.START + timedelta(days=90),
        )
        return certificate.self_signed(
            terms, SigningKey(kid=kid, algorithm="RS256", private_key=private)
        )

    def register_foreign_key(self) -> str:
        """Register it, as whoever has a stolen key can; return its SHA-1 thumbprint."""
        der = self.foreign_certificate()
        credential = key_credentials.from_der(der, key_id=clock.unique())
        self.server.graph.directory.add(self.app, credential, self.now)
        return certificate.sha1(der)

    def write_testimony(self, change: Callable[[Testimony], Testimony]) -> None:
        """Write the testimony by hand."""
        body = testimonies.serialise(change(self.testimony()))
        tag = hashlib.sha256(body).hexdigest()
        self.state.documents["default/evidence.json"] = Document(body=body, tag=tag)

    def registered(self) -> list[str]:
        """Return the x5t#S256 of each certificate that the application has."""
        later = self.now + timedelta(days=1)
        held = self.server.graph.directory.keys(self.app, later)
        return sorted(thumbprint(each.der) for each in held)

    def wanted(self) -> list[str]:
        """Return the x5t#S256 of each key that servers are to know."""
        return sorted(key.thumbprint for key in self.keyring().published)
