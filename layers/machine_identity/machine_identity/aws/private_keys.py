"""Private keys that live in KMS, in the shape in which libraries take private keys.

``cryptography`` lets a subclass of its private keys implement ``sign``, so a KMS key goes wherever
a library takes one: ``jwt.encode``, ``x509.CertificateBuilder.sign``. The public half is given, as
the keyring has it: KMS refuses it for a disabled key, and asking costs a call.

KMS hashes the message itself (``RAW``); what it salts, and how, is its own choice, so a padding
that asks for anything else is refused here rather than signed differently.
"""

from typing import TYPE_CHECKING, Final, Literal, Never, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from machine_identity.aws.clients import translated

if TYPE_CHECKING:
    from collections.abc import Buffer

    from mypy_boto3_kms import KMSClient

_MOST_BYTES: Final = 4096
"""What kms:Sign takes as a RAW message."""
type _Algorithm = Literal[
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "RSASSA_PSS_SHA_256",
    "ECDSA_SHA_256",
    "ECDSA_SHA_384",
]

_RSA: Final[tuple[tuple[padding.AsymmetricPadding, hashes.HashAlgorithm, _Algorithm], ...]] = (
    (padding.PKCS1v15(), hashes.SHA256(), "RSASSA_PKCS1_V1_5_SHA_256"),
    (padding.PKCS1v15(), hashes.SHA384(), "RSASSA_PKCS1_V1_5_SHA_384"),
    (padding.PKCS1v15(), hashes.SHA512(), "RSASSA_PKCS1_V1_5_SHA_512"),
    # KMS salts with the digest's length, 32 bytes, as RFC 7518 section 3.5 asks; nothing else.
    (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256(), "RSASSA_PSS_SHA_256"),
)
_EC: Final[tuple[tuple[hashes.HashAlgorithm, _Algorithm], ...]] = (
    (hashes.SHA256(), "ECDSA_SHA_256"),
    (hashes.SHA384(), "ECDSA_SHA_384"),
)


class _Handle:
    """A key in KMS by its ARN: an alias could move between two signatures."""

    def __init__(self, kms: "KMSClient", arn: str) -> None:
        self._kms = kms
        self._arn = arn

    def sign(self, message: "Buffer", algorithm: _Algorithm) -> bytes:
        """Return KMS's signature over ``message`` as it is (KMS hashes). Raises AwsError."""
        content = bytes(message)
        if len(content) > _MOST_BYTES:
            raise UnsupportedAlgorithm(f"KMS signs at most {_MOST_BYTES} bytes unhashed")
        with translated("kms:Sign"):
            answer = self._kms.sign(
                KeyId=self._arn,
                Message=content,
                MessageType="RAW",
                SigningAlgorithm=algorithm,
            )
        return answer["Signature"]


class KmsRsaPrivateKey(rsa.RSAPrivateKey):
    """An RSA private key in KMS: signs as RS256, RS384, RS512 or PS256, and gives nothing away."""

    def __init__(self, kms: "KMSClient", arn: str, public_key: rsa.RSAPublicKey) -> None:
        self._handle = _Handle(kms, arn)
        self._public_key = public_key

    def sign(
        self,
        data: "Buffer",
        padding: padding.AsymmetricPadding,
        algorithm: utils.Prehashed | hashes.HashAlgorithm | utils.NoDigestInfo,
    ) -> bytes:
        """Sign ``data`` by kms:Sign. Raises AwsError, or UnsupportedAlgorithm."""
        for known_padding, known_hash, name in _RSA:
            if (padding, algorithm) == (known_padding, known_hash):
                return self._handle.sign(data, name)
        raise UnsupportedAlgorithm("this padding, salt or hash is not one of ours")

    @property
    def key_size(self) -> int:
        """The bits of the modulus."""
        return self._public_key.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public half, as the keyring has it."""
        return self._public_key

    def decrypt(self, *_: object, **__: object) -> Never:
        """Refuse: the key is for signatures."""
        raise UnsupportedAlgorithm("a SIGN_VERIFY key does not decrypt")

    def private_numbers(self) -> Never:
        """Refuse: the private half never leaves KMS."""
        _refuse_export()

    def private_bytes(self, *_: object, **__: object) -> Never:
        """Refuse: the private half never leaves KMS."""
        _refuse_export()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class KmsEcPrivateKey(ec.EllipticCurvePrivateKey):
    """A P-256 or P-384 private key in KMS: signs as ES256 or ES384, and gives nothing away."""

    def __init__(self, kms: "KMSClient", arn: str, public_key: ec.EllipticCurvePublicKey) -> None:
        self._handle = _Handle(kms, arn)
        self._public_key = public_key

    def sign(
        self, data: "Buffer", signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """Sign ``data`` by kms:Sign, in DER as both speak it. Raises as the RSA key does."""
        for known_hash, name in _EC:
            if signature_algorithm.algorithm == known_hash:
                return self._handle.sign(data, name)
        raise UnsupportedAlgorithm("this hash is not one of ours")

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve of the key."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """The bits of the curve's order."""
        return self._public_key.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half, as the keyring has it."""
        return self._public_key

    def exchange(self, *_: object, **__: object) -> Never:
        """Refuse: the key is for signatures."""
        raise UnsupportedAlgorithm("a SIGN_VERIFY key does not agree on secrets")

    def private_numbers(self) -> Never:
        """Refuse: the private half never leaves KMS."""
        _refuse_export()

    def private_bytes(self, *_: object, **__: object) -> Never:
        """Refuse: the private half never leaves KMS."""
        _refuse_export()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


def _refuse_export() -> Never:
    raise UnsupportedAlgorithm("the private half never leaves KMS")


def private_key(
    kms: "KMSClient", arn: str, public_key: object
) -> KmsRsaPrivateKey | KmsEcPrivateKey | None:
    """Return the private half of a public key as KMS holds it; None of a kind without one here."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return KmsRsaPrivateKey(kms, arn, public_key)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return KmsEcPrivateKey(kms, arn, public_key)
    return None
