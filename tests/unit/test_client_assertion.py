"""What an assertion says, checked by another library than the one that wrote it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import KeySet

from machine_identity import client_assertion, jwk
from machine_identity.client_assertion import Draft, PrivateKey, SigningKey
from machine_identity.errors import SettingsError

NOW = datetime(2026, 11, 24, 12, 0, 0, 999_999, tzinfo=UTC)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS: dict[str, PrivateKey] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256"), RSA),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
}
DRAFT = Draft(
    issuer="client-1",
    subject="client-1",
    audience="https://as.example",
    typ="client-authentication+jwt",
    algorithms=jwk.ALGORITHMS,
    lifetime=timedelta(seconds=300),
)


def signing_key(algorithm: str, issuer: str = "") -> SigningKey:
    key = KEYS[algorithm]
    kid = jwk.from_public_key(key.public_key(), algorithm)["kid"]
    return SigningKey(kid=kid, algorithm=algorithm, private_key=key, issuer=issuer)


def read(assertion: str, algorithm: str) -> jwt.Token:
    published: Any = jwk.from_public_key(KEYS[algorithm].public_key(), algorithm)
    keys = KeySet.import_key_set({"keys": [published]})
    return jwt.decode(assertion, keys, algorithms=[algorithm])


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_another_library_verifies_the_assertion_with_the_published_key(algorithm: str) -> None:
    key = signing_key(algorithm)
    token = read(key.sign(DRAFT, now=NOW, jti="jti-1"), algorithm)
    assert token.header == {
        "alg": algorithm,
        "kid": key.kid,
        "typ": "client-authentication+jwt",
    }


def test_the_claims_are_those_of_rfc_7523_and_no_others() -> None:
    token = read(signing_key("RS256").sign(DRAFT, now=NOW, jti="jti-1"), "RS256")
    issued_at = int(NOW.timestamp())
    assert token.claims == {
        "iss": "client-1",
        "sub": "client-1",
        "aud": "https://as.example",
        "iat": issued_at,
        "exp": issued_at + 300,
        "jti": "jti-1",
    }


def test_the_header_names_the_key_as_its_reader_asks_for_it() -> None:
    key = replace(
        signing_key("PS256"), thumbprint="of-the-certificate", jwks_uri="https://us/jwks"
    )
    asked = replace(DRAFT, header=("x5t#S256", "jku"))
    header = read(key.sign(asked, now=NOW, jti="jti-1"), "PS256").header
    assert header == {
        "alg": "PS256",
        "typ": "client-authentication+jwt",
        "x5t#S256": "of-the-certificate",
        "jku": "https://us/jwks",
    }


@pytest.mark.parametrize("name", ["x5t#S256", "jku"])
def test_a_name_that_the_key_does_not_have_is_no_assertion_without_it(name: str) -> None:
    asked = replace(DRAFT, header=("kid", name))
    with pytest.raises(SettingsError, match=f"the header must carry {name}, and the key has none"):
        signing_key("RS256").sign(asked, now=NOW, jti="jti-1")


def test_a_provider_s_own_claims_stand_beside_those_of_rfc_7523_and_replace_none() -> None:
    asked = replace(DRAFT, extra_claims={"tenant": "7", "sub": "somebody else"})
    claims = read(signing_key("RS256").sign(asked, now=NOW, jti="jti-1"), "RS256").claims
    assert (claims["tenant"], claims["sub"]) == ("7", "client-1")


def test_nbf_is_written_only_where_asked_for_and_then_in_the_past() -> None:
    backdated = replace(DRAFT, not_before_backdate=timedelta(seconds=30))
    members = client_assertion.claims(backdated, issuer="client-1", now=NOW, jti="jti-1")
    assert members["nbf"] == int(NOW.timestamp()) - 30


def test_a_draft_without_issuer_is_issued_by_the_url_that_publishes_the_key() -> None:
    key = signing_key("RS256", issuer="https://identity.example")
    token = read(key.sign(replace(DRAFT, issuer=None), now=NOW, jti="jti-1"), "RS256")
    assert (token.claims["iss"], token.claims["sub"]) == ("https://identity.example", "client-1")


def test_a_draft_without_issuer_and_a_key_without_one_is_refused() -> None:
    with pytest.raises(SettingsError, match="our issuer"):
        signing_key("RS256").sign(replace(DRAFT, issuer=None), now=NOW, jti="jti-1")


def test_a_key_is_not_used_for_a_reader_that_does_not_take_its_algorithm() -> None:
    with pytest.raises(SettingsError, match="signs with ES256; accepted are RS256"):
        signing_key("ES256").sign(replace(DRAFT, algorithms=("RS256",)), now=NOW, jti="jti-1")


def test_the_private_key_is_not_in_the_repr_of_its_holder() -> None:
    assert "private_key" not in repr(signing_key("RS256"))
