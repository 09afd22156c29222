"""Other people's verifiers read the set that we publish, and our assertions hold for them.

Both are made by the code that is deployed: the documents from a keyring in which a key of every
algorithm is published, the assertion signed by PyJWT with a key that ``cryptography`` knows.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from machine_identity import clock, jwk, publication, transport
from machine_identity.client_assertion import Draft, PrivateKey, SigningKey
from machine_identity.jwks_cache import Limits
from machine_identity.jwks_client import JwksClient, Location
from machine_identity.jws import parse, verify
from machine_identity.keyring import Key
from tests import keyrings
from tests.key_set_server import KeySetServer

SERVER = "https://as.example"
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}


def made(algorithm: str) -> PrivateKey:
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


PRIVATE: Mapping[str, PrivateKey] = {algorithm: made(algorithm) for algorithm in jwk.ALGORITHMS}


def key(algorithm: str) -> Key:
    public = jwk.from_public_key(PRIVATE[algorithm].public_key(), algorithm)
    state = keyrings.active if algorithm == "RS256" else keyrings.retired
    return replace(state(algorithm), jwk=public)


KEYS = {algorithm: key(algorithm) for algorithm in jwk.ALGORITHMS}


@pytest.fixture(scope="module")
def published() -> Iterator[KeySetServer]:
    """Serve the key set that a keyring with all of these keys asks for."""
    ring = keyrings.ring(*KEYS.values())
    documents = publication.documents(ring, timedelta(minutes=5))
    with KeySetServer(json.loads(documents.jwks)) as server:
        yield server


def assertion(algorithm: str) -> str:
    draft = Draft(
        issuer="client-1",
        subject="client-1",
        audience=SERVER,
        typ="client-authentication+jwt",
        algorithms=jwk.ALGORITHMS,
        lifetime=timedelta(minutes=5),
    )
    signing = SigningKey(
        kid=KEYS[algorithm].jwk["kid"], algorithm=algorithm, private_key=PRIVATE[algorithm]
    )
    return signing.sign(draft, now=clock.now(), jti="jti-1")


def by_pyjwt(uri: str, token: str, algorithm: str) -> dict[str, Any]:
    found = jwt.PyJWKClient(uri).get_signing_key_from_jwt(token)
    claims: dict[str, Any] = jwt.decode(token, found, algorithms=[algorithm], audience=SERVER)
    return claims


def by_joserfc(uri: str, token: str, algorithm: str) -> dict[str, Any]:
    answer = transport.send("GET", uri, headers={}, timeout=timedelta(seconds=5))
    keys = KeySet.import_key_set(json.loads(answer.body))
    return dict(joserfc_jwt.decode(token, keys, algorithms=[algorithm]).claims)


def by_ours(uri: str, token: str, algorithm: str) -> dict[str, Any]:
    keys = JwksClient(
        Location(issuer=SERVER, jwks_uri=uri),
        transport=transport.send,
        limits=Limits(),
        timeout=timedelta(seconds=5),
    )
    unverified = parse(token.encode(), frozenset({algorithm}))
    return dict(verify(unverified, keys.key(unverified.kid, clock.now())).claims)


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
@pytest.mark.parametrize("reader", [by_pyjwt, by_joserfc, by_ours])
def test_an_assertion_of_every_algorithm_holds_for_every_reader(
    reader: Callable[[str, str, str], dict[str, Any]], algorithm: str, published: KeySetServer
) -> None:
    claims = reader(published.jwks_uri, assertion(algorithm), algorithm)
    assert claims.items() >= {"iss": "client-1", "sub": "client-1", "aud": SERVER}.items()
    for other in set(jwk.ALGORITHMS) - {algorithm}:
        with pytest.raises(Exception, match=r"(?i)\balg"):
            reader(published.jwks_uri, assertion(algorithm), other)
