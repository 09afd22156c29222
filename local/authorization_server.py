"""A real authorization server on loopback, in the shape of Entra ID: paths, errors, tokens.

It issues access tokens for the client credentials grant to apps that prove themselves by a client
assertion (RFC 6749 section 4.4, RFC 7523, RFC 10070), verified with keys that it fetches over HTTP
from where the app publishes them. An app is registered with the provider that the server is to
stand in for, and everything is on one clock, which may be moved.

An app may have certificates instead, as Entra has them, and roll them by itself: ``graph`` stands
in for Microsoft Graph in the same process, for that alone.

It has no users, no secrets, no consent and no refresh; and it is for loopback only, since whoever
can reach it may ask for anything that is registered.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self, assert_never

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from local import (
    access_tokens,
    assertions,
    entra_errors,
    graph,
    key_credentials,
    proofs,
    token_requests,
)
from local.assertions import Assertion
from local.directory import Directory
from local.entra_errors import EntraError, Fault
from local.graph import Graph
from local.key_credentials import KeyCredential
from local.key_sets import Found, KeySets
from local.loopback import LoopbackServer
from local.proofs import ProofRules
from local.registrations import (
    API_AUDIENCE,
    GRAPH,
    TENANT,
    UPPERCASE,
    Api,
    App,
    Certificates,
    Expectations,
    FederatedCredential,
    PrivateKeyJwt,
    expectations,
)
from local.token_requests import TokenRequest
from local.trace import Moment, Trace
from machine_identity import clock, transport
from machine_identity.jwk import ALGORITHMS
from machine_identity.publication import CONFIGURATION_PATH

__all__ = ["API_AUDIENCE", "AuthorizationServer", "Decision"]

LEEWAY: Final = timedelta(seconds=60)
MOST_DECISIONS: Final = 1000
MOST_BODY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about one request for a token, without anything that is secret."""

    at: datetime
    client_id: str | None = None
    """Of a registered app; what an unknown one calls itself is not kept."""
    kid: str | None = None
    """As the assertion names it, verified only if the token was given."""
    found: Found | None = None
    fault: Fault | None = None
    """Why there was no token."""


def _untold(_: Moment) -> None:
    """Tell nobody."""


class AuthorizationServer:
    """``with AuthorizationServer(now=…) as server``; apps are registered at any time."""

    def __init__(  # noqa: PLR0913 - all of them by name, and none is needed
        self,
        *,
        now: Callable[[], datetime] = clock.now,
        apis: tuple[Api, ...] = (UPPERCASE, GRAPH),
        leeway: timedelta = LEEWAY,
        key_set_cache: timedelta | None = None,
        refetches_on_unknown_kid: bool = False,
        propagation: timedelta = timedelta(),
        proof_audience: str = proofs.AUDIENCE,
        trace: Trace = _untold,
        tls: SSLContext | None = None,
    ) -> None:
        """Prepare a server; ``key_set_cache`` None is the longest that each app's provider has.

        ``propagation`` is how long a certificate that Graph added or removed goes unnoticed.
        """
        self.decisions: deque[Decision] = deque(maxlen=MOST_DECISIONS)
        self._now = now
        self._apis = {api.app_id_uri: api for api in apis}
        self._leeway = leeway
        self._key_set_cache = key_set_cache
        self._key_sets = KeySets(transport.send, refetches_on_unknown_kid=refetches_on_unknown_kid)
        self._used = assertions.UsedAssertions()
        self._trace = trace
        self._directory = Directory(propagation=propagation)
        self._key = access_tokens.IssuerKey(now())
        rules = ProofRules(audience=proof_audience, leeway=leeway)
        self.graph = Graph(directory=self._directory, tokens=self._key, rules=rules, now=now)
        self._server = LoopbackServer(self._application(), now=now, tls=tls)

    @property
    def issuer(self) -> str:
        """The issuer identifier, from which everything else is discovered."""
        return f"{self._server.url}/{TENANT}/v2.0"

    @property
    def token_endpoint(self) -> str:
        """Where tokens are asked for."""
        return f"{self._server.url}/{TENANT}/oauth2/v2.0/token"

    @property
    def jwks_uri(self) -> str:
        """Where the keys are that verify the access tokens."""
        return f"{self._server.url}/{TENANT}/discovery/v2.0/keys"

    @property
    def graph_url(self) -> str:
        """What the paths of Microsoft Graph are appended to, its version included."""
        return self._server.url + graph.ROOT

    @property
    def fetches(self) -> dict[str, int]:
        """How often each URL of an app's key set or discovery document was asked for."""
        return self._key_sets.fetches

    def register(self, app: App) -> None:
        """Register an app, in the place of one with the same client ID."""
        self._directory.register(app)

    def register_certificate(self, app: App, credential: KeyCredential) -> None:
        """Register one more certificate of an app by hand; it is known at once everywhere."""
        self._directory.add(app, credential, datetime.min.replace(tzinfo=UTC))

    def __enter__(self) -> Self:
        """Serve."""
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._server.__exit__(kind, error, trace)

    def _application(self) -> Flask:
        app = Flask("authorization_server")
        app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
        app.add_url_rule(f"/<tenant>/v2.0{CONFIGURATION_PATH}", view_func=self._configuration)
        app.add_url_rule("/<tenant>/discovery/v2.0/keys", view_func=self._keys)
        app.add_url_rule("/<tenant>/oauth2/v2.0/token", view_func=self._token, methods=["POST"])
        self.graph.serve(app)
        app.register_error_handler(
            EntraError, lambda error: self._refused(error.fault, self._now())
        )
        return app

    def _configuration(self, tenant: str) -> Response:
        _check_tenant(tenant)
        return jsonify(
            issuer=self.issuer,
            # MSAL reads it before anything else, though there are no users here, and so no page.
            authorization_endpoint=f"{self._server.url}/{TENANT}/oauth2/v2.0/authorize",
            token_endpoint=self.token_endpoint,
            jwks_uri=self.jwks_uri,
            grant_types_supported=["client_credentials"],
            token_endpoint_auth_methods_supported=["private_key_jwt"],
            token_endpoint_auth_signing_alg_values_supported=list(ALGORITHMS),
            response_types_supported=["none"],
            subject_types_supported=["pairwise"],
            id_token_signing_alg_values_supported=["RS256"],
        )

    def _keys(self, tenant: str) -> Response:
        _check_tenant(tenant)
        return jsonify(self._key.jwks())

    def _token(self, tenant: str) -> Response:
        decision, asked, answer = self._decided(tenant)
        self.decisions.append(decision)
        details = {"decision": decision, "asked": asked, "answer": answer}
        self._trace(Moment(what="token_request", details=details))
        return answer

    def _decided(self, tenant: str) -> tuple[Decision, TokenRequest | None, Response]:
        decision, asked = Decision(at=self._now()), None
        try:
            _check_tenant(tenant)
            asked = token_requests.read(_form())
            app = self._app(asked.client_id)
            decision = replace(decision, client_id=app.client_id)
            expected = self._expectations(app)
            assertion = assertions.read(asked.assertion, expected)
            decision = replace(decision, kid=assertion.kid)
            found = self._find(app, assertion, decision.at)
            decision = replace(decision, found=found)
            claims = assertions.verify(assertion, found.key, expected)
            accepted = assertions.check(claims, expected, decision.at)
            if not expected.by_certificate:
                self._used.use(app.client_id, accepted, decision.at)
            api = self._api(asked.resource)
        except EntraError as error:
            refused = self._refused(error.fault, decision.at)
            return replace(decision, fault=error.fault), asked, refused
        return decision, asked, self._granted(app, api, decision.at)

    def _app(self, client_id: str) -> App:
        app = self._directory.app(client_id)
        if app is None:
            raise EntraError(Fault.UNKNOWN_CLIENT)
        return app

    def _api(self, resource: str) -> Api:
        # Here Graph is at no host of its own, and goes by the one at which it is.
        api = GRAPH if resource == self._server.url else self._apis.get(resource)
        if api is None:
            raise EntraError(Fault.UNKNOWN_RESOURCE)
        return api

    def _expectations(self, app: App) -> Expectations:
        return expectations(
            app, issuer=self.issuer, token_endpoint=self.token_endpoint, leeway=self._leeway
        )

    def _find(self, app: App, assertion: Assertion, now: datetime) -> Found:
        match app.credential:
            case Certificates():
                return self._certificate(app, assertion, now)
            case PrivateKeyJwt() | FederatedCredential():
                lifetime = self._key_set_cache
                if lifetime is None:
                    lifetime = app.provider.key_set_cache
                kid = assertion.kid
                return self._key_sets.find(app.credential, kid, lifetime=lifetime, now=now)
            case _:
                assert_never(app.credential)

    def _certificate(self, app: App, assertion: Assertion, now: datetime) -> Found:
        keys = self._directory.keys(app, now)
        return Found(
            key=key_credentials.signer(keys, assertion.header, now).key,
            url=f"{self.graph_url}/applications/{app.object_id}",
            fetched_at=now,
            kids=tuple(each.names["x5t#S256"] for each in keys),
        )

    def _granted(self, app: App, api: Api, now: datetime) -> Response:
        claims = access_tokens.claims(app, api, issuer=self.issuer, now=now, uti=clock.unique())
        seconds = int(access_tokens.LIFETIME.total_seconds())
        answer = jsonify(
            token_type="Bearer",  # nosec B106 # noqa: S106 - a type, no token
            expires_in=seconds,
            ext_expires_in=seconds,
            access_token=self._key.sign(claims),
        )
        return _never_stored(answer)

    def _refused(self, fault: Fault, now: datetime) -> Response:
        body = entra_errors.body(
            fault, now=now, trace_id=clock.unique(), correlation_id=clock.unique()
        )
        answer = jsonify(body)
        answer.status_code = fault.value.status
        return _never_stored(answer)


def _check_tenant(tenant: str) -> None:
    if tenant != TENANT:
        raise EntraError(Fault.UNKNOWN_TENANT)


def _form() -> token_requests.Form:
    try:
        return request.form
    except RequestEntityTooLarge:
        raise EntraError(Fault.BAD_REQUEST) from None


def _never_stored(answer: Response) -> Response:
    """Keep an answer out of every cache on its way (RFC 6749 section 5.1)."""
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Pragma"] = "no-cache"
    return answer
