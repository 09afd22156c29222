"""Public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6) and their names (RFC 7638).

Our own keys only: what KMS or a PEM file gives becomes the JWK that we publish. Keys of strangers
are judged in ``key_set``. No private member ever passes through here.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, TypedDict, cast

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from machine_identity.errors import SettingsError

type PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class PublicJwk(TypedDict, total=False):
    """The members that we publish; ``kty`` decides which of them follow ``alg``."""

    kty: str
    kid: str
    use: str
    alg: str
    n: str
    e: str
    crv: str
    x: str
    y: str


ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384")
"""What a key of ours may sign with (RFC 7518 section 3.1); one algorithm a key, for its life."""

_CURVES: Final = {"secp256r1": ("P-256", "ES256"), "secp384r1": ("P-384", "ES384")}
_LEAST_RSA_BITS: Final = 2048
"""RFC 7518 sections 3.3 and 3.5."""
_REQUIRED: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}


def from_public_key(key: PublicKey, algorithm: str) -> PublicJwk:
    """Return the JWK to publish for ``key``, named by its thumbprint, for signatures only.

    Raises SettingsError when the key cannot, or must not, sign with ``algorithm``.
    """
    members: PublicJwk
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise SettingsError(f"an RSA key needs {_LEAST_RSA_BITS} bits, not {key.key_size}")
        fits = algorithm.startswith(("RS", "PS"))
        numbers = key.public_numbers()
        members = {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
    else:
        curve, only = _CURVES.get(key.curve.name, (key.curve.name, ""))
        fits = algorithm == only
        size = (key.curve.key_size + 7) // 8
        point = key.public_numbers()
        x, y = base64url(point.x.to_bytes(size)), base64url(point.y.to_bytes(size))
        members = {"kty": "EC", "crv": curve, "x": x, "y": y}
    if algorithm not in ALGORITHMS or not fits:
        kind = "RSA" if isinstance(key, rsa.RSAPublicKey) else key.curve.name
        raise SettingsError(f"a key of kind {kind} cannot sign with {algorithm}")
    return {**members, "kid": thumbprint(members), "use": "sig", "alg": algorithm}


def from_der(der: bytes, algorithm: str) -> PublicJwk:
    """Return the JWK of a SubjectPublicKeyInfo, which is what KMS answers to GetPublicKey.

    Raises SettingsError when the key cannot, or must not, sign with ``algorithm``.
    """
    key = load_der_public_key(der)
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise SettingsError(f"a key that is neither RSA nor EC cannot sign with {algorithm}")
    return from_public_key(key, algorithm)


def default_algorithm(key: PublicKey) -> str:
    """Return what a key signs with where nothing else is said."""
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    return "ES384" if key.curve.name == "secp384r1" else "ES256"


def thumbprint(jwk: PublicJwk) -> str:
    """Return the SHA-256 thumbprint of a JWK, base64url without padding (RFC 7638 section 3)."""
    members = cast("dict[str, str]", jwk)
    required = {name: members[name] for name in _REQUIRED[jwk["kty"]]}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return base64url(hashlib.sha256(canonical.encode()).digest())


def true_name(members: Mapping[str, Any]) -> str:
    """Return by what name a JWK should go: its thumbprint, or its own ``kid`` if it has none."""
    try:
        return thumbprint(cast("PublicJwk", members))
    except (KeyError, TypeError):
        return str(members.get("kid"))


def _integer(number: int) -> str:
    """Base64urlUInt of RFC 7518 section 2: big-endian, no leading zero octet."""
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))


def base64url(octets: bytes) -> str:
    """Encode base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
