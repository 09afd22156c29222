"""Private keys that are no KMS keys, as signers: in a PEM, a PKCS#12 file, or a variable.

RSA of at least 2048 bits, P-256 or P-384. A passphrase is asked of whoever holds it, and only for
a key that has one. A key may have a certificate, which a PKCS#12 file brings along: some servers
know us by that, and those that know us by a key set want none. Nothing of a key or of a passphrase
is ever told, and a file is read once: who replaces the key starts the program anew.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from machine_identity import jwk
from machine_identity.client_assertion import PrivateKey, SigningKey
from machine_identity.errors import SettingsError

if TYPE_CHECKING:
    from machine_identity.given_certificate import GivenCertificate

LEAST_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

type Passphrase = Callable[[], str]
"""Asked when a key needs it. Raises SettingsError."""


def pem_file(
    path: Path,
    algorithm: str | None = None,
    *,
    issuer: str = "",
    passphrase: Passphrase | None = None,
) -> SigningKey:
    """Return the key in a PEM file as a signer. Raises SettingsError."""
    key = _from_pem(_octets(path, "PEM"), str(path), passphrase)
    return _signing_key(key, str(path), algorithm, issuer)


def pkcs12_file(
    path: Path,
    algorithm: str | None = None,
    *,
    issuer: str = "",
    passphrase: Passphrase | None = None,
) -> SigningKey:
    """Return the key in a PKCS#12 file (RFC 7292) as a signer, with its certificate if it has one.

    Raises SettingsError.
    """
    octets = _octets(path, "PKCS#12")
    # In a module of its own with all of X.509, which nobody else here wants.
    from cryptography.hazmat.primitives.serialization import pkcs12  # noqa: PLC0415

    try:
        key, its_own, _ = pkcs12.load_key_and_certificates(octets, None)
    except (ValueError, UnsupportedAlgorithm):  # no such file, or one with a passphrase
        said = "" if passphrase is None else passphrase()
        try:
            key, its_own, _ = pkcs12.load_key_and_certificates(octets, said.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise SettingsError(
                f"{path} is not a readable PKCS#12 file, or its passphrase is another"
            ) from None
    if key is None:
        raise SettingsError(f"{path} has no private key in it")
    signer = _signing_key(key, str(path), algorithm, issuer)
    if its_own is None:
        return signer
    return certified(signer, _given(str(path), its_own.public_bytes(Encoding.DER)))


def variable(
    name: str,
    algorithm: str | None = None,
    *,
    issuer: str = "",
    variables: Mapping[str, str] = os.environ,
) -> SigningKey:
    r"""Return the key in a variable that holds a PEM as a signer. Raises SettingsError.

    Where a line must not break, as in some files of variables, ``\n`` stands for a break.
    """
    text = variables.get(_variable(name), "").replace("\\n", "\n")
    if not text.strip():
        raise SettingsError(f"{name} is not set, and a PEM with a private key is to be in it")
    return _signing_key(_from_pem(text.encode(), name, None), name, algorithm, issuer)


def certificate(path: Path) -> "GivenCertificate":
    """Return what is in a file that is to hold a certificate. Raises SettingsError."""
    try:
        return _given(str(path), path.read_bytes())
    except OSError:
        raise SettingsError(f"{path} is not a readable certificate, PEM or DER") from None


def certified(key: SigningKey, given: "GivenCertificate") -> SigningKey:
    """Return the key with the name of its certificate. Raises SettingsError if it is another's."""
    return replace(key, thumbprint=given.thumbprint(key.private_key.public_key()))


def passphrase_in(name: str, variables: Mapping[str, str] = os.environ) -> Passphrase:
    """Return who reads a passphrase from the variable of that name, when it is asked for."""
    _variable(name)

    def read() -> str:
        if name not in variables:
            raise SettingsError(f"{name} is not set, and the passphrase is to be in it")
        return variables[name]

    return read


def public_jwk(path: Path, algorithm: str | None = None) -> jwk.PublicJwk:
    """Return the public half of the key in a PEM file. Raises SettingsError."""
    key = pem_file(path, algorithm)
    return jwk.from_public_key(key.private_key.public_key(), key.algorithm)


def _signing_key(key: object, name: str, algorithm: str | None, issuer: str) -> SigningKey:
    private_key = _usable(key, name)
    public_key = private_key.public_key()
    chosen = algorithm or jwk.default_algorithm(public_key)
    return SigningKey(
        kid=jwk.from_public_key(public_key, chosen)["kid"],
        algorithm=chosen,
        private_key=private_key,
        issuer=issuer,
    )


def _usable(key: object, name: str) -> PrivateKey:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SettingsError(f"{name} is neither an RSA nor a P-256 or P-384 key")
    if key.key_size < LEAST_RSA_BITS:
        raise SettingsError(f"{name} has {key.key_size} bits, fewer than {LEAST_RSA_BITS}")
    return key


def _from_pem(octets: bytes, name: str, passphrase: Passphrase | None) -> object:
    try:
        return load_pem_private_key(octets, password=None)
    except TypeError:  # it is encrypted
        if passphrase is None:
            raise SettingsError(f"{name} is encrypted, and no passphrase is asked for") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"{name} is not a readable PEM file with a private key") from None
    try:
        return load_pem_private_key(octets, password=passphrase().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise SettingsError(f"{name} does not open with that passphrase") from None


def _given(name: str, octets: bytes) -> "GivenCertificate":
    # With all of X.509 behind it, as above.
    from machine_identity.given_certificate import GivenCertificate  # noqa: PLC0415

    return GivenCertificate(name=name, octets=octets)


def _octets(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise SettingsError(f"{path} is not a readable {kind} file with a private key") from None


def _variable(name: str) -> str:
    """Return the name, unless it cannot be one: it may be the secret itself, and is not told."""
    if not _VARIABLE.fullmatch(name):
        raise SettingsError("what holds the secret is to be named: the name of a variable")
    return name
