"""Certificates as Microsoft Graph keeps them on an application: its ``keyCredentials``.

An assertion or a proof names its certificate in the header: ``x5t#S256``, or ``x5t`` as older
libraries do (RFC 7515 sections 4.1.7 and 4.1.8), or ``kid`` with the thumbprint in hexadecimal if
there is neither. All that are there must name one certificate, and it must be valid now. MSAL
pads its thumbprints, which RFC 7515 does not allow and Entra takes, so it is taken here.

A certificate is only an envelope for a key with dates: no chain, name or usage is looked at, and
no ``x5c`` of a header is trusted.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import RSAKey

from local.entra_errors import EntraError, Fault

TYPE: Final = "AsymmetricX509Cert"
USAGE: Final = "Verify"
_THUMBPRINTS: Final = ("x5t#S256", "x5t")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCredential:
    """One certificate that an application may prove itself by, between two instants."""

    key_id: str
    """A GUID of Graph's own; the same certificate registered twice has two."""
    der: bytes = field(repr=False)
    starts_at: datetime
    ends_at: datetime
    display_name: str | None = None

    @property
    def names(self) -> Mapping[str, str]:
        """What a header calls this certificate, by the member that does."""
        certificate = x509.load_der_x509_certificate(self.der)
        # SHA-1 is what x5t means, a name and no proof.
        sha1 = certificate.fingerprint(hashes.SHA1())  # nosec B303 # noqa: S303
        sha256 = certificate.fingerprint(hashes.SHA256())
        return {"x5t#S256": _base64url(sha256), "x5t": _base64url(sha1), "kid": sha1.hex().upper()}

    @property
    def key(self) -> RSAKey:
        """The public key."""
        public_key = x509.load_der_x509_certificate(self.der).public_key()
        if not isinstance(public_key, rsa.RSAPublicKey):
            raise TypeError("only certificates of RSA keys are registered")
        return RSAKey.import_key(public_key)

    def is_valid_at(self, now: datetime) -> bool:
        """Whether it counts now: from its first instant up to, but not, its last."""
        return self.starts_at <= now < self.ends_at

    def resource(self, *, key: str | None = None) -> dict[str, Any]:
        """Return the keyCredential as Graph shows it; ``key`` is there only where it was asked."""
        return {
            "customKeyIdentifier": self.names["kid"],
            "displayName": self.display_name,
            "endDateTime": _written(self.ends_at),
            "key": key,
            "keyId": self.key_id,
            "startDateTime": _written(self.starts_at),
            "type": TYPE,
            "usage": USAGE,
        }


def from_der(
    der: bytes,
    *,
    key_id: str,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    display_name: str | None = None,
) -> KeyCredential:
    """Return the credential of a certificate; its own dates count where none are given.

    Raises ValueError if it is no certificate or its dates do not hold the others, TypeError if it
    is one of another kind of key than RSA.
    """
    certificate = x509.load_der_x509_certificate(der)
    if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
        raise TypeError("the certificate is not of an RSA key")
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    starts_at, ends_at = starts_at or first, ends_at or last
    if not first <= starts_at < ends_at <= last:
        raise ValueError("the dates are not within those of the certificate")
    return KeyCredential(
        key_id=key_id, der=der, starts_at=starts_at, ends_at=ends_at, display_name=display_name
    )


def named(header: Mapping[str, Any]) -> Mapping[str, str]:
    """Return by what the header names its certificate, which may be nothing."""
    members = {name: header[name] for name in _THUMBPRINTS if name in header}
    members = members or {name: header[name] for name in ("kid",) if name in header}
    return {name: str(value).rstrip("=") for name, value in members.items()}


def signer(
    keys: Sequence[KeyCredential], header: Mapping[str, Any], now: datetime
) -> KeyCredential:
    """Return the credential that the header names. Raises EntraError if none is valid now."""
    wanted = named(header)
    known = [each for each in keys if wanted and wanted.items() <= each.names.items()]
    if not known:
        raise EntraError(Fault.UNKNOWN_CERTIFICATE)
    valid = [each for each in known if each.is_valid_at(now)]
    if not valid:
        raise EntraError(Fault.EXPIRED_CERTIFICATE)
    return valid[0]


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _written(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
