"""A client with certificates at the embedded authorization server, which can do wrong."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from local import key_credentials
from local.key_credentials import KeyCredential
from local.proofs import AUDIENCE
from local.registrations import App, Certificates
from machine_identity import clock, transport
from machine_identity.client_assertion import PrivateKey, SigningKey
from machine_identity.http1 import Response
from machine_identity.providers import PROVIDERS
from tests.local.authorization import CLIENT_ID, NOW, OTHER, RSA, SECOND, World

DAY = timedelta(days=1)
GRAPH_SCOPE = "https://graph.microsoft.com/.default"
PROVIDER = PROVIDERS["entra-certificate"]


def certificate(
    key: PrivateKey = RSA, *, starts_at: datetime = NOW - DAY, ends_at: datetime = NOW + 90 * DAY
) -> bytes:
    """Return the DER of a self-signed certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "machine")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=starts_at,
        not_valid_after=ends_at,
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def x5t_s256(der: bytes) -> str:
    return base64url(hashlib.sha256(der).digest())


def x5t(der: bytes) -> str:
    return base64url(hashlib.sha1(der, usedforsecurity=False).digest())


def signing(key: PrivateKey, algorithm: str = "RS256") -> SigningKey:
    return SigningKey(kid="a-kid", algorithm=algorithm, private_key=key)


def present(members: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is given as ``...``."""
    return {name: each for name, each in members.items() if each is not ...}


A, B = certificate(RSA), certificate(OTHER)
"""Two certificates, of the keys RSA and OTHER."""


class Certified(World):
    """A world whose client has certificates, as many as ``enroll`` is told."""

    app: App

    def enroll(self, *ders: bytes, **overrides: Any) -> tuple[str, ...]:
        """Register the client with these certificates; return their key IDs."""
        keys = tuple(key_credentials.from_der(der, key_id=clock.unique()) for der in ders)
        self.enroll_keys(*keys, **overrides)
        return tuple(each.key_id for each in keys)

    def enroll_keys(self, *keys: KeyCredential, **overrides: Any) -> None:
        certificates = Certificates(keys=keys)
        app = App(client_id=CLIENT_ID, provider=PROVIDER, credential=certificates)
        self.app = replace(app, **overrides)
        self.server.register(self.app)

    def signed(
        self,
        der: bytes = A,
        key: PrivateKey = RSA,
        *,
        algorithm: str = "PS256",
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return an assertion as Entra documents it: no ``iat``, and ``nbf``."""
        self.count += 1
        at = int(self.instant.timestamp())
        standard = {
            "aud": self.server.token_endpoint,
            "exp": at + 600,
            "iss": CLIENT_ID,
            "jti": f"jti-{self.count}",
            "nbf": at,
            "sub": CLIENT_ID,
        }
        names = present({"typ": "JWT", "x5t#S256": x5t_s256(der), **(header or {})})
        members = present({**standard, **claims})
        return jwt.encode(members, key, algorithm=algorithm, headers=names)

    def graph_token(self, der: bytes = A, key: PrivateKey = RSA) -> str:
        token: str = self.granted(self.signed(der, key), scope=GRAPH_SCOPE)["access_token"]
        return token

    def proof(
        self,
        der: bytes = A,
        key: PrivateKey = RSA,
        *,
        algorithm: str = "RS256",
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a proof as Microsoft's sample makes one: ``kid`` in hex, and ``x5t``."""
        at = int(self.instant.timestamp())
        hexadecimal = hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
        standard = {"aud": AUDIENCE, "iss": self.app.object_id, "nbf": at, "exp": at + 600}
        names = present({"typ": "JWT", "kid": hexadecimal, "x5t": x5t(der), **(header or {})})
        members = present({**standard, **claims})
        return jwt.encode(members, key, algorithm=algorithm, headers=names)

    def graph(
        self,
        method: str,
        path: str,
        members: object = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        sent = {"content-type": "application/json"}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        return transport.send(
            method,
            self.server.graph_url + quote(path, safe="/()='?$&,"),
            headers={**sent, **(headers or {})},
            body=body if method == "POST" else None,
            timeout=5 * SECOND,
        )

    def new(self, der: bytes = B, **overrides: Any) -> dict[str, Any]:
        """Return the body of addKey; ``credential`` changes members of its keyCredential."""
        credential = {
            "type": "AsymmetricX509Cert",
            "usage": "Verify",
            "key": base64.b64encode(der).decode(),
            **overrides.pop("credential", {}),
        }
        standard = {
            "keyCredential": present(credential),
            "passwordCredential": None,
            "proof": overrides.pop("proof", None) or self.proof(),
        }
        return present({**standard, **overrides})

    def add(self, members: Any = None, *, token: str | None = None) -> Response:
        path = f"/applications/{self.app.object_id}/addKey"
        return self.graph("POST", path, members or self.new(), token=token or self.graph_token())

    def remove(self, key_id: object, *, proof: str = "", token: str | None = None) -> Response:
        path = f"/applications/{self.app.object_id}/removeKey"
        members = {"keyId": key_id, "proof": proof or self.proof()}
        return self.graph("POST", path, members, token=token or self.graph_token())

    def listed(self) -> list[dict[str, Any]]:
        """Return all that Graph knows of the client's certificates by now."""
        return [
            each.resource() for each in self.server.graph.directory.keys(self.app, self.instant)
        ]


def failure(response: Response, *sent: str) -> tuple[int, str]:
    """Return status and code of Graph's error; what was sent must not come back."""
    members = json.loads(response.body)
    assert members.keys() == {"error"}
    assert members["error"].keys() == {"code", "message", "innerError"}
    inner = members["error"]["innerError"]
    assert inner.keys() == {"date", "request-id", "client-request-id"}
    assert not any(part in response.body.decode() for each in sent for part in each.split("."))
    return response.status, members["error"]["code"]
