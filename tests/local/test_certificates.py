"""Entra's certificate way at the token endpoint: every refusal by its code."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from local import key_credentials
from local.entra_errors import EntraError
from local.registrations import Certificates
from machine_identity.providers import PROVIDERS
from tests.local.authorization import (
    AT,
    CLIENT_ID,
    NOW,
    OTHER,
    SECOND,
    Publisher,
    World,
    verified,
)
from tests.local.certified import A, B, Certified, certificate, x5t, x5t_s256

KEY_NOT_FOUND = SIGNATURE = (401, "invalid_client", 700027)


@pytest.fixture
def world(publisher: Publisher) -> Iterator[Certified]:
    made = Certified(publisher)
    with made.server:
        made.enroll(A)
        yield made


def said(world: Certified, assertion: str) -> str:
    """Return Entra's words for the refusal, which tell reasons with one code apart."""
    return world.post(world.form(assertion)).body.decode()


# Accepted


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
@pytest.mark.parametrize(
    "header",
    [
        {"x5t#S256": x5t_s256(A)},
        {"x5t#S256": ..., "x5t": x5t(A)},
        {"x5t#S256": x5t_s256(A), "x5t": x5t(A)},
        {"x5t#S256": x5t_s256(A), "kid": "of-our-own"},
        {"x5t#S256": ..., "kid": base64.urlsafe_b64decode(x5t(A) + "=").hex().upper()},
        {"x5t#S256": x5t_s256(A) + "="},
        {"x5t#S256": ..., "x5t": x5t(A) + "="},
    ],
)
def test_a_token_is_given_for_a_certificate_by_whichever_name_it_goes(
    world: Certified, algorithm: str, header: dict[str, Any]
) -> None:
    granted = world.granted(world.signed(algorithm=algorithm, header=header))
    assert verified(world.server, granted["access_token"])["azp"] == CLIENT_ID
    assert world.publisher.paths == []


def test_the_decision_says_by_which_certificate_of_which_application(world: Certified) -> None:
    world.enroll(A, B)
    world.granted(world.signed(B, OTHER))
    (decision,) = world.server.decisions
    assert (decision.kid, decision.fault) == (x5t_s256(B), None)
    assert decision.found is not None
    assert decision.found.kids == (x5t_s256(A), x5t_s256(B))
    assert decision.found.url == f"{world.server.graph_url}/applications/{world.app.object_id}"


def test_one_assertion_may_be_used_again_as_msal_does(world: Certified) -> None:
    assertion = world.signed()
    world.granted(assertion)
    world.granted(assertion)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": AT + 10**8},
        {"iat": AT},
        {"nbf": ...},
        {"nbf": ..., "iat": ...},
        {"exp": AT + 600.5, "iat": AT + 0.25},
        {"nbf": AT + 60},
        {"exp": AT - 59},
    ],
)
def test_times_are_taken_as_entra_documents_them(world: Certified, claims: dict[str, Any]) -> None:
    world.granted(world.signed(**claims))


# Refused: the certificate


@pytest.mark.parametrize(
    "header",
    [
        {"x5t#S256": x5t_s256(B)},
        {"x5t#S256": x5t_s256(A)[:-1]},
        {"x5t#S256": x5t(A)},
        {"x5t#S256": ""},
        {"x5t#S256": 7},
        {"x5t#S256": ...},
        {"x5t#S256": ..., "kid": x5t_s256(A)},
        {"x5t#S256": ..., "x5t": x5t(B)},
        {"x5t#S256": x5t_s256(A), "x5t": x5t(B)},
        {"x5t#S256": x5t_s256(B), "x5t": x5t(A)},
    ],
)
def test_a_certificate_that_is_not_registered_or_not_named_is_not_found(
    world: Certified, header: dict[str, Any]
) -> None:
    assertion = world.signed(header=header)
    assert world.refused(assertion) == KEY_NOT_FOUND
    assert "[Reason - The key was not found.]" in said(world, assertion)


def test_a_certificate_in_the_header_is_not_trusted(world: Certified) -> None:
    chain = {"x5t#S256": x5t_s256(B), "x5c": [base64.b64encode(B).decode()]}
    assert world.refused(world.signed(B, OTHER, header=chain)) == KEY_NOT_FOUND
    assert world.refused(world.signed(A, OTHER, header=chain)) == KEY_NOT_FOUND


def test_a_signature_by_another_key_is_refused(world: Certified) -> None:
    assertion = world.signed(A, OTHER)
    assert world.refused(assertion) == SIGNATURE
    assert "failed signature validation" in said(world, assertion)


def test_an_app_without_certificates_is_refused(world: Certified) -> None:
    world.enroll()
    assert world.refused(world.signed()) == KEY_NOT_FOUND


def test_the_certificate_of_another_app_is_not_found(world: Certified) -> None:
    other = key_credentials.from_der(B, key_id="11111111-1111-4111-8111-111111111111")
    world.register("rfc7523", client_id="another", credential=Certificates(keys=(other,)))
    assert world.refused(world.signed(B, OTHER)) == KEY_NOT_FOUND


def test_a_certificate_counts_from_its_first_second_until_its_last(world: Certified) -> None:
    der = certificate(starts_at=NOW, ends_at=NOW + 60 * SECOND)
    world.enroll(der)
    world.instant = NOW - SECOND
    assert world.refused(world.signed(der)) == SIGNATURE
    assert "[Reason - The key used is expired.]" in said(world, world.signed(der))
    world.instant = NOW
    world.granted(world.signed(der))
    world.instant = NOW + 59 * SECOND
    world.granted(world.signed(der))
    world.instant = NOW + 60 * SECOND
    assert world.refused(world.signed(der)) == SIGNATURE
    assert "[Reason - The key used is expired.]" in said(world, world.signed(der))


def test_the_dates_that_were_registered_count_and_not_the_certificates(world: Certified) -> None:
    early = key_credentials.from_der(A, key_id="1", ends_at=NOW + SECOND)
    late = key_credentials.from_der(B, key_id="2", starts_at=NOW + SECOND)
    world.enroll_keys(early, late)
    world.granted(world.signed())
    assert world.refused(world.signed(B, OTHER)) == SIGNATURE
    world.instant += SECOND
    assert world.refused(world.signed()) == SIGNATURE


def test_of_a_certificate_that_is_there_twice_the_valid_entry_counts(world: Certified) -> None:
    past = key_credentials.from_der(A, key_id="1", ends_at=NOW)
    present = key_credentials.from_der(A, key_id="2")
    for keys in ((past, present), (present, past)):
        world.enroll_keys(*keys)
        world.granted(world.signed())


@pytest.mark.parametrize("header", [{}, {"alg": "PS256", "typ": "JWT"}])
def test_a_header_that_names_nothing_is_no_certificates(header: dict[str, Any]) -> None:
    keys = [key_credentials.from_der(A, key_id="1")]
    with pytest.raises(EntraError, match="UNKNOWN_CERTIFICATE"):
        key_credentials.signer(keys, header, NOW)


# Refused: the assertion


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "another"}, 700021),
        ({"sub": "another"}, 700021),
        ({"iss": ...}, 700021),
        ({"sub": ...}, 700021),
        ({"aud": "https://login.example/oauth2/v2.0/token"}, 700023),
        ({"aud": ...}, 700023),
        ({"exp": AT - 60}, 700024),
        ({"nbf": AT + 61}, 700024),
        ({"iat": AT + 61}, 700024),
        ({"exp": ...}, 50027),
        ({"exp": str(AT + 600)}, 50027),
        ({"exp": True}, 50027),
        ({"exp": float("inf")}, 50027),
        ({"nbf": float("nan")}, 50027),
        ({"iat": None}, 50027),
        ({"jti": ...}, 50013),
        ({"jti": 7}, 50013),
    ],
)
def test_a_claim_that_is_not_as_documented_is_refused(
    world: Certified, claims: dict[str, Any], code: int
) -> None:
    assert world.refused(world.signed(**claims)) == (401, "invalid_client", code)


def test_the_issuer_is_no_audience_here_nor_is_a_list(world: Certified) -> None:
    for audience in (world.server.issuer, [world.server.token_endpoint]):
        assert world.refused(world.signed(aud=audience)) == (401, "invalid_client", 700023)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"typ": "client-authentication+jwt"}, 50027),
        ({"typ": "at+jwt"}, 50027),
        ({"crit": ["x5t#S256"]}, 50027),
    ],
)
def test_a_header_that_is_not_as_documented_is_refused(
    world: Certified, header: dict[str, Any], code: int
) -> None:
    assert world.refused(world.signed(header=header)) == (401, "invalid_client", code)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512"])
def test_another_algorithm_than_entra_takes_is_refused(world: Certified, algorithm: str) -> None:
    refusal = (401, "invalid_client", 5002738)
    assert world.refused(world.signed(algorithm=algorithm)) == refusal


def test_what_is_no_jwt_is_refused(world: Certified) -> None:
    assert world.refused("not-a-jwt") == (401, "invalid_client", 50027)


def test_no_assertion_an_unknown_app_and_an_unknown_tenant_have_codes_of_their_own(
    world: Certified,
) -> None:
    assert world.refused(client_assertion=...) == (401, "invalid_client", 7000218)
    unknown = (400, "unauthorized_client", 700016)
    assert world.refused(world.signed(), client_id="nobody") == unknown
    elsewhere = world.server.token_endpoint.replace("8c1f2f4e", "11111111")
    response = world.post(world.form(world.signed()), elsewhere)
    assert world.refusal(response) == (400, "invalid_request", 90002)


# Registration


def test_what_is_no_certificate_of_an_rsa_key_cannot_be_registered() -> None:
    with pytest.raises(ValueError, match="parsing"):
        key_credentials.from_der(b"no certificate", key_id="1")
    curve = certificate(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(TypeError, match="RSA"):
        key_credentials.from_der(curve, key_id="1")


def test_federated_credentials_stay_as_strict_as_they_were(publisher: Publisher) -> None:
    world = World(publisher)
    with world.server:
        app = world.register()
        assert not isinstance(app.credential, Certificates)
        assertion = world.assertion()
        world.granted(assertion)
        assert world.refused(assertion) == (401, "invalid_client", 50013)
        assert world.refused(world.assertion(iat=...)) == (401, "invalid_client", 50027)
        limit = PROVIDERS["rfc10070"].lifetime_limit.total_seconds()
        too_long = world.assertion(exp=AT + int(limit) + 61)
        assert world.refused(too_long) == (401, "invalid_client", 50013)


def test_each_app_has_an_object_id_of_its_own_which_is_not_its_client_id(
    world: Certified,
) -> None:
    other = world.register("rfc7523", client_id="another")
    assert len({world.app.object_id, other.object_id, CLIENT_ID}) == 3
