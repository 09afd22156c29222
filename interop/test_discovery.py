"""Other people's strict readers of discovery documents take ours, as an OpenID provider's."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from authlib.oidc import discovery
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from interop.recording import Shown
from interop.trials import from_pypi
from machine_identity import jwk, publication
from machine_identity.client_assertion import PrivateKey
from machine_identity.keyring import Incoming
from tests import keyrings

READER = "reader of our discovery document"

KEYS: dict[str, PrivateKey] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
}


def served(*algorithms: str, host: str = "identity.example") -> dict[str, Any]:
    """Return the document that a host serves when keys of these algorithms are published."""
    keys = (
        replace(keyrings.retired(each), jwk=jwk.from_public_key(KEYS[each].public_key(), each))
        for each in algorithms
    )
    incoming = Incoming(url="https://new.example/machines", since=keyrings.START)
    ring = keyrings.ring(*keys, incoming=incoming)
    documents = publication.documents(ring, timedelta(minutes=5))
    return publication.as_served(json.loads(documents.configuration), host)


@pytest.mark.parametrize("algorithms", [("RS256",), ("ES256", "RS256")])
@pytest.mark.parametrize(
    ("host", "issuer"),
    [
        ("identity.example", "https://identity.example"),
        ("new.example", "https://new.example/machines"),
    ],
)
def test_authlib_takes_every_issuer_s_document(
    algorithms: tuple[str, ...], host: str, issuer: str, shown: Shown
) -> None:
    document = served(*algorithms, host=host)
    discovery.OpenIDProviderMetadata(document).validate()
    assert document["issuer"] == issuer
    shown(
        from_pypi("authlib", "Authlib"), READER, "takes it, of either issuer in a change", "RS256"
    )


@pytest.mark.parametrize(
    "member", sorted({"issuer", "jwks_uri", *served("RS256")} - {"grant_types_supported"})
)
def test_authlib_misses_each_member(member: str) -> None:
    document = served("RS256")
    del document[member]
    with pytest.raises(ValueError, match=f'"{member}" is required'):
        discovery.OpenIDProviderMetadata(document).validate()


def test_without_its_grant_authlib_would_ask_for_a_token_endpoint() -> None:
    document = served("RS256")
    del document["grant_types_supported"]
    with pytest.raises(ValueError, match='"token_endpoint" is required'):
        discovery.OpenIDProviderMetadata(document).validate()


def test_without_an_rs256_key_such_a_reader_refuses_us_and_we_do_not_pretend(
    shown: Shown,
) -> None:
    """OpenID Connect Discovery 1.0 section 3 wants RS256 among the algorithms."""
    with pytest.raises(ValueError, match='"RS256" MUST be included'):
        discovery.OpenIDProviderMetadata(served("ES256")).validate()
    shown(from_pypi("authlib", "Authlib"), READER, "wants RS256 among the algorithms", "ES256")
