"""A client of the embedded authorization server, which can do wrong, and its publisher."""

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from local.authorization_server import API_AUDIENCE, AuthorizationServer
from local.registrations import App, app_for
from machine_identity import jwk, transport
from machine_identity.client_assertion import PrivateKey
from machine_identity.http1 import Response
from machine_identity.jwk import PublicJwk
from machine_identity.providers import PROVIDERS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
SECOND = timedelta(seconds=1)
SCOPE = "api://uppercase/.default"
CLIENT_ID = "0f9a4b1e-5d7c-4c35-9d53-8f1f2a6b7c10"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWKS = "/.well-known/jwks.json"
CONFIGURATION = "/.well-known/openid-configuration"

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS: dict[str, PrivateKey] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256"), RSA),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
}


def public(key: PrivateKey, algorithm: str = "RS256") -> PublicJwk:
    return jwk.from_public_key(key.public_key(), algorithm)


KID = public(RSA)["kid"]


class Publisher:
    """Where a client's documents stand; a path that is not there is answered with 404."""

    def __init__(self) -> None:
        publisher = self
        self.documents: dict[str, object] = {}
        self.paths: list[str] = []
        self.status = 200
        """What a document that is there is answered with."""
        self.delay = 0.0
        """How long it takes to answer, in seconds."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.paths.append(self.path)
                time.sleep(publisher.delay)
                document = publisher.documents.get(self.path)
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(publisher.status if document is not None else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def publish(self, *keys: object, issuer: str | None = None) -> None:
        configuration = {"issuer": issuer or self.url, "jwks_uri": self.url + JWKS}
        self.documents = {JWKS: {"keys": keys}, CONFIGURATION: configuration}

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class World:
    """A server, a client's publisher, a clock, and a client that can be told to do wrong."""

    def __init__(self, publisher: Publisher, **options: Any) -> None:
        self.instant = NOW
        self.publisher = publisher
        self.publisher.publish(public(RSA))
        self.server = AuthorizationServer(now=lambda: self.instant, **options)
        self.count = 0

    def register(self, provider: str = "rfc10070", **overrides: Any) -> App:
        app = app_for(PROVIDERS[provider], client_id=CLIENT_ID, public_url=self.publisher.url)
        app = replace(app, **overrides)
        self.server.register(app)
        return app

    def assertion(
        self,
        *,
        key: Any = RSA,
        algorithm: str = "RS256",
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        self.count += 1
        at = int(self.instant.timestamp())
        standard = {
            "iss": CLIENT_ID,
            "sub": CLIENT_ID,
            "aud": self.server.issuer,
            "iat": at,
            "exp": at + 300,
            "jti": f"jti-{self.count}",
        }
        members = {name: each for name, each in {**standard, **claims}.items() if each is not ...}
        headers = {"typ": "client-authentication+jwt", "kid": KID, **(header or {})}
        return jwt.encode(members, key, algorithm=algorithm, headers=headers)

    def post(self, form: Any, url: str | None = None) -> Response:
        return transport.send(
            "POST",
            url or self.server.token_endpoint,
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            timeout=5 * SECOND,
        )

    def form(self, assertion: str | None = None, **overrides: Any) -> dict[str, Any]:
        standard = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion() if assertion is None else assertion,
            "scope": SCOPE,
        }
        return {name: each for name, each in {**standard, **overrides}.items() if each is not ...}

    def granted(self, assertion: str | None = None, **overrides: Any) -> dict[str, Any]:
        response = self.post(self.form(assertion, **overrides))
        body: dict[str, Any] = json.loads(response.body)
        assert (response.status, body.get("error_description")) == (200, None)
        return body

    def refused(self, assertion: str | None = None, **overrides: Any) -> tuple[int, str, int]:
        form = self.form(assertion, **overrides)
        return self.refusal(self.post(form), sent=form.get("client_assertion", "."))

    def refusal(self, response: Response, sent: str = ".") -> tuple[int, str, int]:
        """Return status, error and Entra's code; what was sent must not come back."""
        body = json.loads(response.body)
        (code,) = body["error_codes"]
        assert body["error_description"].startswith(f"AADSTS{code}: ")
        assert response.headers["cache-control"] == "no-store"
        assert not any(part in response.body.decode() for part in sent.split(".") if part)
        return response.status, body["error"], code


def verified(server: AuthorizationServer, token: str) -> dict[str, Any]:
    """Return the claims of an access token, verified with the server's published key."""
    response = transport.send("GET", server.jwks_uri, headers={}, timeout=5 * SECOND)
    keys = jwt.PyJWKSet.from_dict(json.loads(response.body))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    off = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims: dict[str, Any] = jwt.decode(
        token,
        key.key,
        algorithms=["RS256"],
        audience=API_AUDIENCE,
        options=off,  # type: ignore[arg-type]
    )
    return claims
