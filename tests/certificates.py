"""One RSA key and the certificates that are ordered of it, for the tests of the pure core."""

import base64
from dataclasses import replace
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import certificate, certification, jwk
from machine_identity.client_assertion import PrivateKey, SigningKey
from machine_identity.keyring import Key, State
from tests.keyrings import DAY, START, key

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def kid_of(private: PrivateKey, algorithm: str) -> str:
    return jwk.from_public_key(private.public_key(), algorithm)["kid"]


KID = kid_of(PRIVATE, "RS256")
EC_KID = kid_of(EC, "ES256")


def certified(
    state: str = "standby", private: PrivateKey = PRIVATE, algorithm: str = "RS256", **members: Any
) -> Key:
    """Return a key that a certificate is ordered of, for ninety days from START on."""
    dates = {"certificate_from": START, "certificate_until": START + 90 * DAY}
    made = key("certified", State(state), **{**dates, **members})
    return replace(made, jwk=jwk.from_public_key(private.public_key(), algorithm))


def der_of(
    ordered: Key,
    private: PrivateKey = PRIVATE,
    algorithm: str = "RS256",
    identity: str = "default",
) -> bytes:
    """Return its certificate as the signer makes it, signed by whatever key."""
    signing = SigningKey(kid=ordered.kid, algorithm=algorithm, private_key=private)
    return certificate.self_signed(certification.terms(ordered, identity), signing)


DER = der_of(certified())


@lru_cache
def ordered() -> str:
    """Return the certificate of the key as the evidence holds it."""
    return base64.b64encode(DER).decode()
