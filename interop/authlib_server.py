"""An authorization server made of Authlib's parts, joined as its documentation joins them.

Authlib reads the assertion, verifies it, and gives the token, a JWT (RFC 9068). What it leaves to
its user is here: one client, known by its ``jwks_uri``, and the memory of each ``jti``. Which
algorithms it takes is left as it is. The key set is fetched anew for each request.
"""

import json
import urllib.request
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final, Self

with warnings.catch_warnings(action="ignore"):  # its own words about its own older parts
    from authlib.integrations.flask_oauth2 import AuthorizationServer
    from authlib.oauth2.rfc6749 import ClientCredentialsGrant, ClientMixin
    from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
    from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, Response, jsonify
from joserfc.jwk import KeySet, RSAKey

from interop.deployment import AUDIENCE, CLIENT_ID, SCOPE, Trust
from local.loopback import LoopbackServer
from machine_identity import clock
from machine_identity.publication import CONFIGURATION_PATH

METHOD: Final = "private_key_jwt"


class _Client(ClientMixin):  # type: ignore[misc] # Authlib's types are not ours to check
    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str) -> str:
        return scope if scope == SCOPE else ""

    def check_endpoint_auth_method(self, method: str, _: str) -> bool:
        return method == METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class _Grant(ClientCredentialsGrant):  # type: ignore[misc] # the same
    TOKEN_ENDPOINT_AUTH_METHODS: Final = [METHOD]


class _Assertions(JWTBearerClientAssertion):  # type: ignore[misc] # the same
    CLIENT_AUTH_METHOD: Final = METHOD

    def __init__(self, issuer: str, jwks_uri: str) -> None:
        super().__init__()
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._used: set[str] = set()

    def get_audiences(self) -> list[str]:
        return [self._issuer]

    def validate_jti(self, _: Mapping[str, Any], jti: str) -> bool:
        is_new = jti not in self._used
        self._used.add(jti)
        return is_new

    def resolve_client_public_key(self, _: _Client) -> KeySet:
        with urllib.request.urlopen(self._jwks_uri) as answer:  # noqa: S310 - loopback, https
            return KeySet.import_key_set(json.load(answer))


class _Tokens(JWTBearerTokenGenerator):  # type: ignore[misc] # the same
    def __init__(self, issuer: str, keys: KeySet) -> None:
        super().__init__(issuer)
        self._keys = keys

    def get_jwks(self) -> KeySet:
        return self._keys

    def get_audiences(self, *_: object) -> str:
        return AUDIENCE


class AuthlibServer:
    """``with AuthlibServer(trust) as server``; it knows its client once it is opened."""

    def __init__(self, trust: Trust) -> None:
        self._app = Flask("authlib_server")
        self._keys = KeySet([RSAKey.generate_key(2048, {"kid": "1", "use": "sig"})])
        self._server = LoopbackServer(self._app, now=clock.now, tls=trust.context)
        self._open = ExitStack()

    @property
    def issuer(self) -> str:
        """Its issuer identifier."""
        return self._server.url

    def __enter__(self) -> Self:
        self._open.enter_context(self._server)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def open(self, jwks_uri: str) -> None:
        """Register the one client, and answer requests."""
        clients = {CLIENT_ID: _Client()}
        authorization = AuthorizationServer(self._app, clients.get, lambda *_: None)
        authorization.register_client_auth_method(METHOD, _Assertions(self.issuer, jwks_uri))
        authorization.register_grant(_Grant)
        authorization.register_token_generator("default", _Tokens(self.issuer, self._keys))

        def token() -> Response:
            answer: Response = authorization.create_token_response()
            return answer

        self._app.add_url_rule("/token", view_func=token, methods=["POST"])
        self._app.add_url_rule(CONFIGURATION_PATH, view_func=self._configuration)
        self._app.add_url_rule("/keys", view_func=self._key_set)

    def _configuration(self) -> Response:
        return jsonify(
            issuer=self.issuer,
            token_endpoint=f"{self.issuer}/token",
            jwks_uri=f"{self.issuer}/keys",
        )

    def _key_set(self) -> Response:
        return jsonify(self._keys.as_dict(private=False))
