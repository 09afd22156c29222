"""KMS keys where libraries take private keys; one contract, run on moto and on tests/kms.py."""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import jwt
import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import NameOID
from moto import mock_aws

from machine_identity.aws import AwsError
from machine_identity.aws.clients import client
from machine_identity.aws.private_keys import KmsEcPrivateKey, KmsRsaPrivateKey
from machine_identity.client_assertion import PrivateKey
from tests.kms import Kms, arn

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SPECS: dict[str, Any] = {
    "RS256": "RSA_2048",
    "RS384": "RSA_2048",
    "RS512": "RSA_2048",
    "PS256": "RSA_2048",
    "ES256": "ECC_NIST_P256",
    "ES384": "ECC_NIST_P384",
}
KEYS: dict[str, PrivateKey] = {
    "RSA_2048": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ECC_NIST_P256": ec.generate_private_key(ec.SECP256R1()),
    "ECC_NIST_P384": ec.generate_private_key(ec.SECP384R1()),
}
# moto salts PS256 with the maximum length, which nobody but moto verifies.
EVERYWHERE = [("fake", each) for each in SPECS] + [
    ("moto", each) for each in SPECS if each != "PS256"
]


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


def in_kms(where: str, algorithm: str) -> tuple[PrivateKey, Any]:
    """Return a key held by the one KMS or the other, and its public half."""
    spec = SPECS[algorithm]
    if where == "moto":
        kms = client("kms")
        key_id = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec=spec)["KeyMetadata"]["Arn"]
        public: Any = load_der_public_key(kms.get_public_key(KeyId=key_id)["PublicKey"])
    else:
        fake, key_id = Kms(), arn(spec)
        fake.keys[key_id] = KEYS[spec]
        kms, public = cast("KMSClient", fake), KEYS[spec].public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return KmsRsaPrivateKey(kms, key_id, public), public
    return KmsEcPrivateKey(kms, key_id, public), public


@pytest.mark.parametrize(("where", "algorithm"), EVERYWHERE)
def test_pyjwt_signs_with_a_kms_key_what_the_public_key_verifies(
    where: str, algorithm: str
) -> None:
    key, public = in_kms(where, algorithm)
    token = jwt.encode({"sub": "client-1"}, key, algorithm=algorithm)
    assert jwt.decode(token, public, algorithms=[algorithm]) == {"sub": "client-1"}


@pytest.mark.parametrize(("where", "algorithm"), EVERYWHERE)
def test_the_signature_is_over_the_message_and_no_other(where: str, algorithm: str) -> None:
    key, public = in_kms(where, algorithm)
    head, _, signature = jwt.encode({"sub": "client-1"}, key, algorithm=algorithm).split(".")
    other = jwt.encode({"sub": "client-2"}, KEYS[SPECS[algorithm]], algorithm=algorithm)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(f"{head}.{other.split('.')[1]}.{signature}", public, algorithms=[algorithm])


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_certificate_is_signed_by_a_kms_key_as_by_any_other(algorithm: str) -> None:
    key, public = in_kms("fake", algorithm)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "machine")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=public,
        serial_number=1,
        not_valid_before=NOW,
        not_valid_after=NOW + timedelta(days=1),
    )
    builder.sign(key, hashes.SHA256()).verify_directly_issued_by(
        builder.sign(key, hashes.SHA256())
    )


def test_a_padding_that_kms_would_replace_by_its_own_is_refused() -> None:
    key, _ = in_kms("fake", "PS256")
    assert isinstance(key, rsa.RSAPrivateKey)
    for salt in (20, padding.PSS.MAX_LENGTH, padding.PSS.AUTO):
        with pytest.raises(UnsupportedAlgorithm, match="not one of ours"):
            key.sign(b"x", padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())
    mixed = padding.PSS(padding.MGF1(hashes.SHA384()), 32)
    for pad, digest in ((mixed, hashes.SHA256()), (padding.PKCS1v15(), hashes.SHA1())):  # noqa: S303
        with pytest.raises(UnsupportedAlgorithm, match="not one of ours"):
            key.sign(b"x", pad, digest)


def test_a_hash_that_is_none_of_ours_is_refused_on_a_curve_too() -> None:
    key, _ = in_kms("fake", "ES256")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    with pytest.raises(UnsupportedAlgorithm, match="not one of ours"):
        key.sign(b"x", ec.ECDSA(hashes.SHA512()))


@pytest.mark.parametrize(("size", "fits"), [(4096, True), (4097, False)])
def test_a_message_beyond_what_kms_takes_unhashed_is_refused_here(
    size: int,
    fits: bool,  # noqa: FBT001
) -> None:
    key, public = in_kms("fake", "RS256")
    assert isinstance(key, rsa.RSAPrivateKey)
    if fits:
        signature = key.sign(b"x" * size, padding.PKCS1v15(), hashes.SHA256())
        public.verify(signature, b"x" * size, padding.PKCS1v15(), hashes.SHA256())
    else:
        with pytest.raises(UnsupportedAlgorithm, match="at most 4096 bytes"):
            key.sign(b"x" * size, padding.PKCS1v15(), hashes.SHA256())


def test_an_error_of_kms_carries_its_code() -> None:
    key = KmsRsaPrivateKey(cast("KMSClient", Kms()), arn("gone"), in_kms("fake", "RS256")[1])
    with pytest.raises(AwsError, match="kms:Sign failed: NotFoundException") as failed:
        jwt.encode({}, key, algorithm="RS256")
    assert failed.value.code == "NotFoundException"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_the_private_half_is_not_to_be_had(algorithm: str) -> None:
    key: Any = in_kms("fake", algorithm)[0]
    with pytest.raises(UnsupportedAlgorithm, match="never leaves KMS"):
        key.private_numbers()
    with pytest.raises(UnsupportedAlgorithm, match="never leaves KMS"):
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    other_use = key.decrypt if algorithm == "RS256" else key.exchange
    with pytest.raises(UnsupportedAlgorithm, match="SIGN_VERIFY"):
        other_use(b"", None)


@pytest.mark.parametrize(("algorithm", "bits"), [("RS256", 2048), ("ES384", 384)])
def test_the_key_answers_for_its_public_half(algorithm: str, bits: int) -> None:
    key, public = in_kms("fake", algorithm)
    assert (key.public_key(), key.key_size) == (public, bits)
    assert copy.copy(key) is key
    assert copy.deepcopy(key) is key
