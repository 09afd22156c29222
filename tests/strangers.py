"""JSON Web Keys as strangers publish them, some of their members otherwise."""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVES: dict[str, tuple[ec.EllipticCurve, str]] = {
    "P-256": (ec.SECP256R1(), "ES256"),
    "P-384": (ec.SECP384R1(), "ES384"),
    "P-521": (ec.SECP521R1(), "ES512"),
}


def octets(number: int, size: int = 0) -> str:
    content = number.to_bytes(size or (number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def rsa_jwk(**members: Any) -> dict[str, Any]:
    """Return the JWK of PRIVATE; a member that is ``...`` is left out."""
    numbers = PRIVATE.public_key().public_numbers()
    entry = {"kty": "RSA", "kid": "r1", "n": octets(numbers.n), "e": octets(numbers.e)}
    return {name: each for name, each in {**entry, **members}.items() if each is not ...}


def ec_jwk(crv: str = "P-256", **members: Any) -> dict[str, Any]:
    """Return the JWK of a new key; a member that is ``...`` is left out."""
    curve, _ = CURVES[crv]
    point = ec.generate_private_key(curve).public_key().public_numbers()
    size = (curve.key_size + 7) // 8
    entry = {"kty": "EC", "kid": "e1", "crv": crv}
    entry |= {"x": octets(point.x, size), "y": octets(point.y, size)}
    return {name: each for name, each in {**entry, **members}.items() if each is not ...}
