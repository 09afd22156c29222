"""Self-signed certificates for keys of ours (RFC 5280): a shape in which a key is uploaded.

A server that takes a certificate takes the public key in it; nobody vouches for it but the key
itself, so issuer and subject are one name. ``cryptography`` encodes and signs, with whatever it
calls a private key: one whose ``sign`` asks KMS, too. Nothing of X.509 is written here.

1. A certificate says what its terms say and is made of nothing else: no clock, no randomness.
2. RSA keys sign it as PKCS #1 v1.5, also those whose assertions are PS256: every reader takes
   that, and it comes out the same each time. So a certificate made again has the thumbprint of the
   one that was uploaded; with PSS or ECDSA, which draw a random number, it has another one.
3. It is an end entity's, for signatures (sections 4.2.1.2, 4.2.1.3 and 4.2.1.9), and holds nothing
   else that a strict reader could stumble over: no name of a host, no purpose, no policy.
4. What is read back names its key, is signed by it, and holds what is made here and nothing
   else, or it is refused.

Not here: chains, authorities, revocation lists, and other people's certificates.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from machine_identity import jwk
from machine_identity.client_assertion import SigningKey
from machine_identity.errors import MachineIdentityError, SettingsError
from machine_identity.jwk import PublicKey

LONGEST_NAME: Final = 64
"""Characters of a common name (RFC 5280 appendix A.1, ub-common-name)."""
FIRST_INSTANT: Final = datetime(1950, 1, 1, tzinfo=UTC)
LAST_INSTANT: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Between these lies what a certificate can name (RFC 5280 section 4.1.2.5)."""

_SERIAL_OCTETS: Final = 16
"""Of at most twenty (RFC 5280 section 4.1.2.2)."""
_HASHES: Final[dict[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "RS256": hashes.SHA256(),
    "RS384": hashes.SHA384(),
    "RS512": hashes.SHA512(),
    "PS256": hashes.SHA256(),
    "ES256": hashes.SHA256(),
    "ES384": hashes.SHA384(),
}
_SIGNATURES: Final = {
    SignatureAlgorithmOID.RSA_WITH_SHA256: "RS256",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "RS384",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "RS512",
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "ES256",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ES384",
}
"""What a certificate of ours may be signed with, as the algorithm that its key must fit."""
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    KeyError,
    SettingsError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What is raised for octets that somebody else made."""


class CertificateError(MachineIdentityError):
    """The octets are no certificate that could have been made here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a certificate is to say, beside the key; all of it is fixed before it is made."""

    identity: str
    serial: int
    not_before: datetime
    not_after: datetime
    """The last instant at which it is valid, itself included (RFC 5280 section 4.1.2.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate of ours, read back."""

    der: bytes = field(repr=False)
    thumbprint: str
    public_key: PublicKey = field(repr=False)
    not_before: datetime
    not_after: datetime

    def is_valid_at(self, now: datetime) -> bool:
        """Return whether a reader whose clock is right takes it at ``now``."""
        return self.not_before <= now <= self.not_after


def serial_number(kid: str, not_before: datetime, not_after: datetime) -> int:
    """Return a serial number for these terms: the same for the same ones, for others another."""
    text = f"{kid} {not_before.isoformat()} {not_after.isoformat()}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:_SERIAL_OCTETS])


def self_signed(terms: Terms, key: SigningKey) -> bytes:
    """Return the certificate of ``key`` in DER, signed by the key itself.

    Raises SettingsError for terms that no certificate can have, and whatever the key raises when
    it does not sign: AwsError, if it lives in KMS.
    """
    public_key = key.private_key.public_key()
    kid = jwk.from_public_key(public_key, key.algorithm)["kid"]
    _check(terms)
    made = _builder(terms, kid, public_key).sign(
        key.private_key,
        _HASHES[key.algorithm],
        rsa_padding=padding.PKCS1v15() if isinstance(public_key, rsa.RSAPublicKey) else None,
    )
    return made.public_bytes(Encoding.DER)


def thumbprint(der: bytes) -> str:
    """Return ``x5t#S256``: base64url of the SHA-256 of the DER (RFC 7515 section 4.1.8)."""
    return jwk.base64url(hashlib.sha256(der).digest())


def sha1(der: bytes) -> str:
    """Return by what Entra and Graph name a certificate to people: SHA-1 of its DER, in hex."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def parse(der: bytes) -> Certificate:
    """Read a certificate of ours. Raises CertificateError for any other (rule 4)."""
    try:
        read = x509.load_der_x509_certificate(der)
        public_key = _own_key(read)
        read.verify_directly_issued_by(read)
    except InvalidSignature as error:
        raise CertificateError("the certificate is not signed by the key in it") from error
    except _UNREADABLE as error:
        raise CertificateError("this is not a certificate that was made here") from error
    return Certificate(
        der=der,
        thumbprint=thumbprint(der),
        public_key=public_key,
        not_before=read.not_valid_before_utc,
        not_after=read.not_valid_after_utc,
    )


def _own_key(read: x509.Certificate) -> PublicKey:
    """Return the key in a certificate that is as ours are. Raises what ``parse`` translates."""
    public_key = read.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise TypeError
    kid = jwk.from_public_key(public_key, _SIGNATURES[read.signature_algorithm_oid])["kid"]
    (common_name,) = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    identity = str(common_name.value).partition(" ")[0]
    found = tuple((each.value, each.critical) for each in read.extensions)
    if (read.version, read.subject, found) != (
        x509.Version.v3,
        _name(identity, kid),
        _extensions(public_key),
    ):
        raise ValueError
    return public_key


def _check(terms: Terms) -> None:
    """Refuse what could not be written, or would be read otherwise than it was meant."""
    if not terms.identity or " " in terms.identity:
        raise SettingsError("a certificate is for an identity whose name is one word")
    for instant in (terms.not_before, terms.not_after):
        if instant.utcoffset() is None or instant.microsecond:
            raise SettingsError("a certificate's dates are whole seconds with a time zone")
    if not FIRST_INSTANT <= terms.not_before < terms.not_after <= LAST_INSTANT:
        raise SettingsError("a certificate ends after it begins, between the years 1950 and 9999")
    if not 0 < terms.serial < 1 << (8 * _SERIAL_OCTETS):
        raise SettingsError(f"a serial number is positive and has {_SERIAL_OCTETS} octets at most")


def _name(identity: str, kid: str) -> x509.Name:
    """Name the key; of a long identity, which is for people's eyes, as much as there is room."""
    room = LONGEST_NAME - len(kid) - 1
    common_name = f"{identity[:room]} {kid}"
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(terms: Terms, kid: str, public_key: PublicKey) -> x509.CertificateBuilder:
    name = _name(terms.identity, kid)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=public_key,
        serial_number=terms.serial,
        not_valid_before=terms.not_before,
        not_valid_after=terms.not_after,
    )
    for extension, is_critical in _extensions(public_key):
        builder = builder.add_extension(extension, critical=is_critical)
    return builder


def _extensions(public_key: PublicKey) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage, True),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
    )
