"""Private keys in files, as signers. Nothing of a key is ever printed."""

from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from machine_identity import jwk
from machine_identity.client_assertion import PrivateKey, SigningKey
from machine_identity.errors import SettingsError

LEAST_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3."""


def signing_key(path: Path, algorithm: str | None = None, *, issuer: str = "") -> SigningKey:
    """Return the key in a PEM file as a signer. Raises SettingsError."""
    private_key, chosen = _private_key(path, algorithm)
    return SigningKey(
        kid=jwk.from_public_key(private_key.public_key(), chosen)["kid"],
        algorithm=chosen,
        private_key=private_key,
        issuer=issuer,
    )


def public_jwk(path: Path, algorithm: str | None = None) -> jwk.PublicJwk:
    """Return the public half of the key in a PEM file. Raises SettingsError."""
    private_key, chosen = _private_key(path, algorithm)
    return jwk.from_public_key(private_key.public_key(), chosen)


def _private_key(path: Path, algorithm: str | None) -> tuple[PrivateKey, str]:
    """Return the key in the file and what it signs with."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except TypeError:
        raise SettingsError(f"{path} is encrypted, and no passphrase is asked for") from None
    except (OSError, ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"{path} is not a readable PEM file with a private key") from None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key, algorithm or ("ES384" if key.curve.name == "secp384r1" else "ES256")
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SettingsError(f"{path} is neither an RSA nor a P-256 or P-384 key")
    if key.key_size < LEAST_RSA_BITS:
        raise SettingsError(f"{path} has {key.key_size} bits, fewer than {LEAST_RSA_BITS}")
    return key, algorithm or "RS256"
