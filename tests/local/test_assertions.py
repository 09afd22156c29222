"""What the authorization server refuses in an assertion, over real HTTP."""

import base64
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from local import assertions
from local.assertions import Accepted, UsedAssertions
from local.entra_errors import EntraError, Fault
from local.registrations import FederatedCredential, app_for
from machine_identity.providers import CAREFUL_KEY_SET_CACHE, PROVIDERS
from tests.local.authorization import (
    AT,
    CLIENT_ID,
    JWKS,
    KEYS,
    KID,
    NOW,
    OTHER,
    RSA,
    SECOND,
    Publisher,
    World,
    public,
)

# The assertion: form and header


@pytest.mark.parametrize(
    "assertion",
    [
        "",
        "x",
        "a.b",
        "a.b.c.d",
        "é.é.é",
        "bnVsbA.e30.",
        "WyJhbGciLCJiNjQiXQ.e30.",
        "eyJhbGciOiJSUzI1NiJ9=.e30.",
        "e30.e30.e30",
    ],
)
def test_what_is_no_jws_is_refused(world: World, assertion: str) -> None:
    form = world.form(assertion)
    assert world.refusal(world.post(form)) == (401, "invalid_client", 50027)


@pytest.mark.parametrize(
    "typ", ["JWT", "at+jwt", "application/client-authentication+jwt", "", None]
)
def test_another_typ_is_refused(world: World, typ: str | None) -> None:
    sent = world.assertion(header={"typ": typ})
    assert world.refused(sent) == (401, "invalid_client", 50027)


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"b64": False}]
)
def test_a_header_that_must_be_understood_is_not(world: World, header: dict[str, Any]) -> None:
    token = world.assertion().split(".")
    raw = {"typ": "client-authentication+jwt", "kid": KID, "alg": "RS256", **header}
    token[0] = base64.urlsafe_b64encode(json.dumps(raw).encode()).rstrip(b"=").decode()
    assert world.refused(".".join(token)) == (401, "invalid_client", 50027)


def test_a_header_that_nobody_knows_is_ignored(world: World) -> None:
    world.granted(world.assertion(header={"x": "y", "x5t": "z", "jku": "https://evil.example"}))
    assert world.publisher.paths == [JWKS]


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_an_assertion_of_more_than_8_kib_is_refused_before_any_key_is_looked_for(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    spare: int,
    fits: bool,  # noqa: FBT001
) -> None:
    assert assertions.MOST_BYTES == 8192
    assertion = world.assertion(padding="x" * 4096)
    monkeypatch.setattr(assertions, "MOST_BYTES", len(assertion) + spare)
    if fits:
        world.granted(assertion)
    else:
        assert world.refused(assertion) == (401, "invalid_client", 50027)
        assert world.publisher.paths == []


def test_alg_none_is_refused(world: World) -> None:
    assertion = world.assertion(key=None, algorithm="none")
    assert world.refused(assertion) == (401, "invalid_client", 5002738)


def test_the_public_key_is_no_shared_secret(world: World) -> None:
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    hs256 = jwt.PyJWS()
    hs256.unregister_algorithm("HS256")
    hs256.register_algorithm("HS256", _HmacWithAnything(jwt.algorithms.HMACAlgorithm.SHA256))
    payload = world.assertion().split(".")[1]
    claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    headers = {"typ": "client-authentication+jwt", "kid": KID}
    assertion = hs256.encode(claims, pem, algorithm="HS256", headers=headers)
    assert world.refused(assertion) == (401, "invalid_client", 5002738)


class _HmacWithAnything(jwt.algorithms.HMACAlgorithm):
    def prepare_key(self, key: Any) -> bytes:
        """Take a public key as a secret, which PyJWT refuses."""
        return bytes(key)


def test_an_algorithm_that_the_provider_does_not_take_is_refused(world: World) -> None:
    federated = world.register("entra-federated")
    assert isinstance(federated.credential, FederatedCredential)
    sent = world.assertion(algorithm="RS384", header={"typ": "JWT"})
    assert world.refused(sent) == (401, "invalid_client", 5002738)


@pytest.mark.parametrize("kid", [..., ""])
def test_an_assertion_without_a_kid_is_refused(world: World, kid: Any) -> None:
    headers = {"typ": "client-authentication+jwt"} | ({} if kid is ... else {"kid": kid})
    assertion = jwt.encode({"sub": "x"}, RSA, algorithm="RS256", headers=headers)
    assert world.refused(assertion) == (401, "invalid_client", 5002723)
    assert world.publisher.paths == []


# The assertion: key and signature


def test_a_kid_that_is_not_in_the_key_set_is_refused(world: World) -> None:
    sent = world.assertion(header={"kid": "another"})
    assert world.refused(sent) == (401, "invalid_client", 7000272)


def test_a_signature_by_another_key_is_refused(world: World) -> None:
    assert world.refused(world.assertion(key=OTHER)) == (401, "invalid_client", 700027)


def test_claims_that_were_changed_are_refused(world: World) -> None:
    head, _, signature = world.assertion(sub="mallory").split(".")
    payload = world.assertion().split(".")[1]
    assert world.refused(f"{head}.{payload}.{signature}") == (401, "invalid_client", 700027)


def test_a_signature_with_another_algorithm_than_the_keys_own_is_refused(world: World) -> None:
    assert world.refused(world.assertion(algorithm="PS256")) == (401, "invalid_client", 700027)


def test_a_key_of_another_kind_or_use_than_the_algorithm_is_refused(world: World) -> None:
    curve = {**public(KEYS["ES384"], "ES384"), "kid": KID}
    del curve["alg"]
    for key, algorithm in (
        (curve, "RS256"),
        (curve, "ES256"),
        ({**public(RSA), "use": "enc"}, "RS256"),
    ):
        world.publisher.publish(key)
        world.instant += CAREFUL_KEY_SET_CACHE
        signer = RSA if algorithm == "RS256" else KEYS["ES256"]
        sent = world.assertion(key=signer, algorithm=algorithm)
        assert world.refused(sent) == (401, "invalid_client", 700027)


@pytest.mark.parametrize("payload", [b"[]", b"x", b'"iss"', b"\xff", b"[" * 3000])
def test_a_signed_payload_that_is_no_object_is_refused(world: World, payload: bytes) -> None:
    headers = {"typ": "client-authentication+jwt", "kid": KID}
    sent = jwt.PyJWS().encode(payload, RSA, algorithm="RS256", headers=headers)
    assert world.refused(sent) == (401, "invalid_client", 50027)


# The assertion: claims


@pytest.mark.parametrize(("claim", "code"), [("iss", 700211), ("sub", 700213), ("aud", 700212)])
@pytest.mark.parametrize("value", ["another", "", ..., None, ["list"], 1])
def test_a_wrong_issuer_subject_or_audience_is_refused(
    world: World, claim: str, code: int, value: Any
) -> None:
    headers = {"typ": "client-authentication+jwt", "kid": KID}
    standard = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": world.server.issuer}
    times = {"iat": AT, "exp": AT + 300, "jti": "jti"}
    members = {**standard, **times, claim: value}
    raw = json.dumps({name: each for name, each in members.items() if each is not ...}).encode()
    sent = jwt.PyJWS().encode(raw, RSA, algorithm="RS256", headers=headers)
    assert world.refused(sent) == (401, "invalid_client", code)


def test_an_audience_is_one_string_and_exactly_the_issuer(world: World) -> None:
    issuer = world.server.issuer
    for audience in ([issuer], f"{issuer}/", issuer.upper(), world.server.token_endpoint):
        sent = world.assertion(aud=audience)
        assert world.refused(sent) == (401, "invalid_client", 700212)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": AT - 59}, None),
        ({"exp": AT - 60}, 700024),
        ({"exp": AT - 10**7}, 700024),
        ({"iat": AT + 60}, None),
        ({"iat": AT + 61}, 700024),
        ({"nbf": AT + 60}, None),
        ({"nbf": AT + 61}, 700024),
        ({"nbf": AT + 10**20}, 700024),
        ({"exp": AT + 360}, None),
        ({"exp": AT + 361}, 50013),
        ({"exp": AT + 10**20}, 50013),
    ],
)
def test_times_are_judged_with_a_leeway_of_a_minute(
    world: World, claims: dict[str, Any], code: int | None
) -> None:
    if code is None:
        world.granted(world.assertion(**claims))
    else:
        assert world.refused(world.assertion(**claims)) == (401, "invalid_client", code)


def test_no_leeway_goes_beyond_what_the_provider_grants(publisher: Publisher) -> None:
    world = World(publisher, leeway=timedelta(hours=1))
    with world.server:
        world.register()
        world.granted(world.assertion(exp=AT - 299))
        refused = world.refused(world.assertion(exp=AT - 300))
    assert refused == (401, "invalid_client", 700024)


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["300", True, None, 1.5, float("nan"), float("inf"), [1]])
def test_a_time_that_is_no_whole_number_is_refused(
    world: World, claim: str, value: object
) -> None:
    headers = {"typ": "client-authentication+jwt", "kid": KID}
    standard = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": world.server.issuer, "jti": "jti"}
    raw = json.dumps({**standard, "iat": AT, "exp": AT + 300, claim: value}).encode()
    sent = jwt.PyJWS().encode(raw, RSA, algorithm="RS256", headers=headers)
    assert world.refused(sent) == (401, "invalid_client", 50027)


@pytest.mark.parametrize("claim", ["exp", "iat"])
def test_a_time_that_is_missing_is_refused(world: World, claim: str) -> None:
    missing: dict[str, Any] = {claim: ...}
    sent = world.assertion(**missing)
    assert world.refused(sent) == (401, "invalid_client", 50027)


def test_a_provider_that_wants_them_shorter_refuses_longer_ones(world: World) -> None:
    world.register("keycloak")
    typ, keycloak = {"typ": "JWT"}, PROVIDERS["keycloak"]
    longest = int((keycloak.lifetime_limit + keycloak.leeway).total_seconds())
    world.granted(world.assertion(header=typ, exp=AT + longest))
    sent = world.assertion(header=typ, exp=AT + longest + 1)
    assert world.refused(sent) == (401, "invalid_client", 50013)


# Used once


@pytest.mark.parametrize("jti", [..., "", "x" * 257])
def test_an_assertion_needs_a_jti_of_sane_length(world: World, jti: Any) -> None:
    assert world.refused(world.assertion(jti=jti)) == (401, "invalid_client", 50013)
    for sane in ("x", "x" * 256):
        world.granted(world.assertion(jti=sane))


def test_an_assertion_is_good_once_until_its_very_end(world: World) -> None:
    assertion = world.assertion()
    world.granted(assertion)
    assert world.refused(assertion) == (401, "invalid_client", 50013)
    world.instant += 359 * SECOND
    assert world.refused(assertion) == (401, "invalid_client", 50013)
    world.instant += SECOND
    assert world.refused(assertion) == (401, "invalid_client", 700024)


def test_a_jti_is_forgotten_when_its_assertion_is_past(world: World) -> None:
    world.granted(world.assertion(jti="same"))
    world.instant += 359 * SECOND
    assert world.refused(world.assertion(jti="same")) == (401, "invalid_client", 50013)
    world.instant += SECOND
    world.granted(world.assertion(jti="same"))


def test_two_apps_may_use_the_same_jti(world: World) -> None:
    world.granted(world.assertion(jti="same"))
    world.server.register(
        app_for(PROVIDERS["rfc10070"], client_id="two", public_url=world.publisher.url)
    )
    world.granted(world.assertion(jti="same", iss="two", sub="two"), client_id="two")


def test_a_refused_assertion_uses_nothing_up_except_where_only_the_scope_was_wrong(
    world: World,
) -> None:
    world.refused(world.assertion(key=OTHER, jti="same"))
    world.refused(world.assertion(aud="another", jti="same"))
    assertion = world.assertion(jti="same")
    assert world.refused(assertion, scope="read") == (400, "invalid_scope", 1002012)
    assert world.refused(assertion) == (401, "invalid_client", 50013)


def test_when_no_more_can_be_remembered_nothing_is_granted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert assertions.MOST_REMEMBERED == 10_000
    monkeypatch.setattr(assertions, "MOST_REMEMBERED", 2)
    world.granted()
    world.granted()
    assert world.refused() == (503, "temporarily_unavailable", 90033)
    world.instant += 360 * SECOND
    world.granted()


def test_of_requests_with_one_assertion_at_the_same_time_exactly_one_is_granted() -> None:
    used, barrier = UsedAssertions(), threading.Barrier(8)
    for number in range(1000):  # so that looking through them takes its time
        used.use("one", Accepted(jti=f"{number}", acceptable_until=AT + 1), NOW)

    def is_granted(jti: str) -> bool:
        barrier.wait()
        try:
            used.use("two", Accepted(jti=jti, acceptable_until=AT + 1), NOW)
        except EntraError as error:
            assert error.fault is Fault.REPLAYED  # noqa: PT017
            return False
        return True

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for jti in map(str, range(10)):
                assert sum(pool.map(is_granted, [jti] * 8)) == 1
    finally:
        sys.setswitchinterval(interval)
