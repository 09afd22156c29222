"""An issuer on loopback: its keys, the access tokens that it signs, and where it publishes.

The set and the discovery document are served over HTTPS and over HTTP alike, to whoever asks; each
address is an issuer of its own name with the same keys. Five keys, as an issuer has them who
rotates: one for each algorithm, and two that sign nothing now.
"""

import json
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bench.tls import LOOPBACK
from machine_identity import clock, jwk

ALGORITHMS: Final = ("RS256", "PS256", "ES256")
AUDIENCE: Final = "api://uppercase"
SCOPE: Final = "uppercase"
TYPE: Final = "at+jwt"
LIFETIME: Final = 3600
"""Seconds that a token lasts."""

type PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Issuer:
    """``with Issuer(context) as issuer``; its names are ``url`` (https) and ``plain_url``."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.keys: dict[str, PrivateKey] = {each: _new_key(each) for each in ALGORITHMS}
        jwks = {
            each: jwk.from_public_key(key.public_key(), each) for each, key in self.keys.items()
        }
        others = [
            jwk.from_public_key(_new_key(each).public_key(), each) for each in ALGORITHMS[:2]
        ]
        self.jwks: dict[str, Any] = {"keys": [*jwks.values(), *others]}
        self._kids = {algorithm: each["kid"] for algorithm, each in jwks.items()}
        self._servers = [self._server("https"), self._server("http")]
        self._servers[0].socket = context.wrap_socket(self._servers[0].socket, server_side=True)
        self._threads = [threading.Thread(target=each.serve_forever) for each in self._servers]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    @property
    def url(self) -> str:
        """Return the name by which it is known over HTTPS."""
        return f"https://{LOOPBACK}:{self._servers[0].server_port}"

    @property
    def plain_url(self) -> str:
        """Return the name by which it is known over HTTP."""
        return f"http://{LOOPBACK}:{self._servers[1].server_port}"

    @property
    def jwks_uri(self) -> str:
        """Return where the key set is, over HTTPS."""
        return f"{self.url}/keys"

    def claims(self, number: int = 0, issuer: str = "") -> dict[str, Any]:
        """Return what the token of this number says: as long, and as much, as one of Entra's."""
        now = int(clock.now().timestamp())
        return {
            "aud": AUDIENCE,
            "iss": issuer or self.url,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "aio": f"{number:0128}",
            "azp": "6f1c2c1e-8a37-4f43-9f0b-5d2a35b0a9c1",
            "azpacr": "2",
            "idtyp": "app",
            "oid": "3b2f9a44-2f1d-4b64-8f53-9b1f7d0f2a10",
            "rh": f"{number:056}.",
            "roles": ["Uppercase.Call", "Uppercase.Read"],
            "scope": f"openid profile {SCOPE}",
            "sub": "3b2f9a44-2f1d-4b64-8f53-9b1f7d0f2a10",
            "tid": "9c1a6c52-6c0e-4c9c-8d8e-2f6f0b8a7d11",
            "uti": f"{number:022}",
            "jti": f"{number:032}",
            "ver": "2.0",
        }

    def token(self, algorithm: str, claims: Mapping[str, Any] | str, **header: Any) -> str:  # noqa: ANN401 - JSON
        """Sign claims, or the text of some; ``header`` adds members or replaces them."""
        text = claims if isinstance(claims, str) else json.dumps(claims, separators=(",", ":"))
        members = {"typ": TYPE, "kid": self._kids[algorithm], **header}
        signer = jwt.PyJWS()
        return signer.encode(text.encode(), self.keys[algorithm], algorithm, headers=members)

    def tokens(self, algorithm: str, count: int) -> list[str]:
        """Return so many good tokens, no two of them alike."""
        return [self.token(algorithm, self.claims(number)) for number in range(count)]

    def _server(self, scheme: str) -> ThreadingHTTPServer:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                base = issuer.url if scheme == "https" else issuer.plain_url
                metadata = {"issuer": base, "jwks_uri": f"{base}/keys"}
                body = json.dumps(issuer.jwks if self.path == "/keys" else metadata).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing: standard error is for progress."""

        return ThreadingHTTPServer((LOOPBACK, 0), Handler)


def _new_key(algorithm: str) -> PrivateKey:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
