"""The authorization server of the embedded stack: real HTTP, real keys, one movable clock."""

import base64
import hashlib
import json
from datetime import datetime
from typing import Any

import jwt
import pytest
from cryptography import x509

from local.authorization_server import API_AUDIENCE, AuthorizationServer
from local.registrations import app_for
from machine_identity import clock, transport
from machine_identity.client_assertion import SigningKey
from machine_identity.errors import InvalidClientError, TokenRequestError
from machine_identity.providers import NAMES, PROVIDERS, Client, Grant
from machine_identity.token_source import TokenSource
from tests.local.authorization import (
    ASSERTION_TYPE,
    AT,
    CLIENT_ID,
    CONFIGURATION,
    JWKS,
    KEYS,
    KID,
    NOW,
    OTHER,
    RSA,
    SCOPE,
    SECOND,
    Publisher,
    World,
    public,
    verified,
)

# Discovery and keys


def test_discovery_names_its_issuer_and_leads_to_everything_else(world: World) -> None:
    url = world.server.issuer + CONFIGURATION
    document = json.loads(transport.send("GET", url, headers={}, timeout=5 * SECOND).body)
    assert document["issuer"] == world.server.issuer
    assert document["token_endpoint"] == world.server.token_endpoint
    assert document["jwks_uri"] == world.server.jwks_uri
    assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]


def test_keys_are_published_as_entra_publishes_them(world: World) -> None:
    response = transport.send("GET", world.server.jwks_uri, headers={}, timeout=5 * SECOND)
    (key,) = json.loads(response.body)["keys"]
    assert key.keys() == {"kty", "use", "kid", "x5t", "n", "e", "x5c"}
    der = base64.b64decode(key["x5c"][0])
    thumbprint = base64.urlsafe_b64encode(hashlib.sha1(der).digest()).rstrip(b"=")  # noqa: S324
    assert key["kid"] == key["x5t"] == thumbprint.decode()
    certificate = x509.load_der_x509_certificate(der)
    assert certificate.public_key() == jwt.PyJWK(key, "RS256").key
    certificate.verify_directly_issued_by(certificate)
    assert certificate.not_valid_before_utc == NOW


def test_each_server_has_a_key_of_its_own(world: World) -> None:
    with AuthorizationServer(now=lambda: NOW) as other:
        token = world.granted()["access_token"]
        with pytest.raises(KeyError):
            verified(other, token)


@pytest.mark.parametrize(
    "path", ["oauth2/v2.0/token", f"v2.0{CONFIGURATION}", "discovery/v2.0/keys"]
)
def test_another_tenant_is_unknown(world: World, path: str) -> None:
    origin = world.server.issuer.split("/8c1f")[0]
    url = f"{origin}/11111111-1111-4111-8111-111111111111/{path}"
    if path.endswith("token"):
        response = world.post(world.form(), url)
    else:
        response = transport.send("GET", url, headers={}, timeout=5 * SECOND)
    assert world.refusal(response) == (400, "invalid_request", 90002)


# The token


def test_an_access_token_has_the_claims_of_entras_version_2(world: World) -> None:
    answer = world.granted()
    token = answer.pop("access_token")
    assert answer == {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}
    assert jwt.get_unverified_header(token).keys() == {"typ", "alg", "kid"}
    assert jwt.get_unverified_header(token)["typ"] == "JWT"
    claims = verified(world.server, token)
    assert claims.pop("uti")
    assert claims.pop("oid") == claims.pop("sub")
    assert claims == {
        "iss": world.server.issuer,
        "aud": API_AUDIENCE,
        "azp": CLIENT_ID,
        "azpacr": "2",
        "idtyp": "app",
        "tid": world.server.issuer.split("/")[3],
        "roles": ["Uppercase.Call"],
        "ver": "2.0",
        "iat": AT,
        "nbf": AT,
        "exp": AT + 3599,
    }


def test_an_app_is_the_same_principal_in_every_token_and_no_token_is_like_another(
    world: World,
) -> None:
    one, two = (verified(world.server, world.granted()["access_token"]) for _ in range(2))
    assert one["oid"] == two["oid"]
    assert one["uti"] != two["uti"]


def test_an_app_without_a_role_gets_a_token_without_roles(world: World) -> None:
    world.register(roles={})
    assert "roles" not in verified(world.server, world.granted()["access_token"])


def test_neither_an_answer_nor_a_refusal_is_to_be_stored(world: World) -> None:
    for form in (world.form(), world.form(scope="read")):
        headers = world.post(form).headers
        assert (headers["cache-control"], headers["pragma"]) == ("no-store", "no-cache")


def test_a_refusal_has_the_body_of_entra(world: World) -> None:
    body = json.loads(world.post(world.form(scope="read")).body)
    assert body.keys() == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
    }
    assert body["timestamp"] == "2026-11-24 12:00:00Z"
    assert body["error_description"].endswith(
        f" Trace ID: {body['trace_id']} Correlation ID: {body['correlation_id']}"
        " Timestamp: 2026-11-24 12:00:00Z"
    )
    assert body["trace_id"] != body["correlation_id"]


# The request


@pytest.mark.parametrize(
    ("overrides", "refusal"),
    [
        ({"grant_type": ...}, (400, "invalid_request", 900144)),
        ({"client_id": ...}, (400, "invalid_request", 900144)),
        ({"scope": ...}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"client_assertion": ...}, (401, "invalid_client", 7000218)),
        (
            {"client_assertion": ..., "client_assertion_type": ...},
            (401, "invalid_client", 7000218),
        ),
        ({"client_assertion_type": ...}, (401, "invalid_client", 7000218)),
        ({"client_assertion_type": ASSERTION_TYPE + " "}, (401, "invalid_client", 7000218)),
        ({"client_id": "another"}, (400, "unauthorized_client", 700016)),
        ({"client_id": CLIENT_ID.upper()}, (400, "unauthorized_client", 700016)),
        ({"scope": "read"}, (400, "invalid_scope", 1002012)),
        ({"scope": ""}, (400, "invalid_scope", 1002012)),
        ({"scope": "/.default"}, (400, "invalid_scope", 1002012)),
        ({"scope": "api://uppercase"}, (400, "invalid_scope", 1002012)),
        ({"scope": f"{SCOPE} {SCOPE}"}, (400, "invalid_scope", 1002012)),
        ({"scope": f"openid {SCOPE}"}, (400, "invalid_scope", 1002012)),
        ({"scope": "api://other/.default"}, (400, "invalid_resource", 500011)),
        ({"scope": "API://uppercase/.default"}, (400, "invalid_resource", 500011)),
    ],
)
def test_a_request_that_is_not_as_it_must_be_is_refused(
    world: World, overrides: dict[str, Any], refusal: tuple[int, str, int]
) -> None:
    assert world.refused(**overrides) == refusal


@pytest.mark.parametrize("name", ["client_assertion", "client_id", "scope", "grant_type"])
def test_a_parameter_that_is_given_twice_is_refused(world: World, name: str) -> None:
    form = world.form()
    response = world.post([*form.items(), (name, form[name])])
    assert world.refusal(response) == (400, "invalid_request", 90100)


def test_a_body_that_is_too_large_is_refused(world: World) -> None:
    response = world.post(world.form(padding="x" * 64 * 1024))
    assert world.refusal(response) == (400, "invalid_request", 90100)


def test_a_body_of_another_type_is_refused(world: World) -> None:
    response = transport.send(
        "POST",
        world.server.token_endpoint,
        headers={"content-type": "application/json"},
        body=json.dumps(world.form()).encode(),
        timeout=5 * SECOND,
    )
    assert world.refusal(response) == (400, "invalid_request", 900144)


# What was decided


def test_decisions_say_who_asked_when_by_which_key_and_where_that_was_found(
    world: World,
) -> None:
    world.granted()
    world.instant += SECOND
    world.refused(world.assertion(header={"kid": "another"}))
    world.refused(client_id="nobody")
    world.refused(world.assertion(sub="mallory"))
    granted, unknown_key, unknown_client, wrong = world.server.decisions
    assert (granted.at, granted.client_id, granted.kid) == (NOW, CLIENT_ID, KID)
    assert granted.fault is None
    assert granted.found is not None
    assert (granted.found.url, granted.found.fetched_at) == (world.publisher.url + JWKS, NOW)
    assert (unknown_key.at, unknown_key.kid, unknown_key.found) == (NOW + SECOND, "another", None)
    assert unknown_key.fault is not None
    assert unknown_key.fault.value.code == 7000272
    assert (unknown_client.client_id, unknown_client.kid) == (None, None)
    assert wrong.found == granted.found
    assert "mallory" not in repr(world.server.decisions)
    assert "object" not in repr(granted)


def test_only_so_many_decisions_are_kept(world: World) -> None:
    assert world.server.decisions.maxlen == 1000


def test_nothing_is_printed_or_logged(
    world: World, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    world.granted()
    world.refused(world.assertion(key=OTHER))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_without_a_clock_of_its_own_the_server_is_on_that_of_the_machine(
    publisher: Publisher,
) -> None:
    world = World(publisher)
    world.server = AuthorizationServer()
    world.instant = clock.now()
    with world.server:
        world.register()
        world.granted()


# End to end with the client of this project

CASES = [
    (name, algorithm)
    for name in NAMES
    if PROVIDERS[name].grant is Grant.CLIENT_CREDENTIALS
    and not PROVIDERS[name].wants_certificates  # see test_certificates
    for algorithm in PROVIDERS[name].algorithms
]


class Clock:
    """The client's clock, which is the server's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        return self._world.instant

    def unique(self) -> str:
        return clock.unique()


def _never(seconds: float) -> None:
    pytest.fail(f"nothing is to be tried again after {seconds} s")


def source(world: World, key: SigningKey) -> TokenSource:
    return TokenSource(signer=key, transport=transport.send, clock=Clock(world), sleep=_never)


def client(world: World, provider: str, subject: str = "") -> Client:
    return Client(
        name="default",
        provider=PROVIDERS[provider],
        authorization_server=world.server.issuer,
        client_id=CLIENT_ID,
        scope=SCOPE,
        subject=subject,
    )


@pytest.mark.parametrize(("provider", "algorithm"), CASES)
def test_the_token_source_gets_a_token_as_every_provider_wants_it(
    world: World, provider: str, algorithm: str
) -> None:
    private_key = KEYS[algorithm]
    published = public(private_key, algorithm)
    world.publisher.publish(published)
    world.register(provider)
    key = SigningKey(
        kid=published["kid"],
        algorithm=algorithm,
        private_key=private_key,
        issuer=world.publisher.url,
    )
    token = source(world, key).get(client(world, provider), SCOPE)
    assert token.expires_at == NOW + 3599 * SECOND
    assert verified(world.server, token.value)["azp"] == CLIENT_ID


def test_the_token_source_passes_entras_refusal_on(world: World) -> None:
    app = app_for(
        PROVIDERS["entra-federated"],
        client_id=CLIENT_ID,
        public_url=world.publisher.url,
        subject="machine-7",
    )
    world.server.register(app)
    key = SigningKey(kid=KID, algorithm="RS256", private_key=RSA, issuer=world.publisher.url)
    tokens = source(world, key)
    tokens.get(client(world, "entra-federated", "machine-7"), SCOPE)
    with pytest.raises(InvalidClientError, match="AADSTS700213: "):
        tokens.get(client(world, "entra-federated"), SCOPE)
    with pytest.raises(TokenRequestError, match="AADSTS500011: ") as refused:
        tokens.get(client(world, "entra-federated", "machine-7"), "api://other/.default")
    assert refused.value.code == "invalid_resource"
