"""moto made strict: what AWS documents and moto alone does not do, over HTTP with boto3."""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import boto3
import jwt
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from moto.s3.models import S3Backend

from local.aws import REGION, Aws
from machine_identity.aws.kms_keys import KmsKeys, Owner
from machine_identity.aws.private_keys import KmsEcPrivateKey, KmsRsaPrivateKey
from machine_identity.transport import send

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

    from machine_identity.client_assertion import PrivateKey

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
DAY = timedelta(days=1)
SPECS: dict[str, Any] = {
    "RS256": "RSA_2048",
    "RS384": "RSA_2048",
    "RS512": "RSA_2048",
    "PS256": "RSA_2048",
    "ES256": "ECC_NIST_P256",
    "ES384": "ECC_NIST_P384",
}
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
PKCS1 = padding.PKCS1v15()
SHA256 = hashes.SHA256()


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with Aws(now=lambda: NOW) as stack:
        yield stack


@pytest.fixture(scope="module")
def kms(aws: Aws) -> "Iterator[KMSClient]":
    client = aws.client("kms")
    yield client
    client.close()


def created(kms: "KMSClient", spec: str = "ECC_NIST_P256", usage: str = "SIGN_VERIFY") -> str:
    order = {"KeyUsage": usage, "KeySpec": spec}
    return kms.create_key(**cast("Any", order))["KeyMetadata"]["Arn"]


def signed(kms: "KMSClient", arn: str, **overrides: object) -> bytes:
    call = {"Message": b"x", "MessageType": "RAW", "SigningAlgorithm": "ECDSA_SHA_256"}
    return kms.sign(KeyId=arn, **cast("Any", {**call, **overrides}))["Signature"]


def verify(kms: "KMSClient", arn: str, signature: bytes, message: bytes, *how: object) -> None:
    public: Any = load_der_public_key(kms.get_public_key(KeyId=arn)["PublicKey"])
    public.verify(signature, message, *how)


def code(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return refused.value.response["Error"]["Code"]


# Signatures


@pytest.mark.parametrize("algorithm", SPECS)
def test_pyjwt_signs_with_a_kms_key_what_the_public_key_verifies(
    kms: "KMSClient", algorithm: str
) -> None:
    arn = created(kms, SPECS[algorithm])
    half = load_der_public_key(kms.get_public_key(KeyId=arn)["PublicKey"])
    key: PrivateKey = (
        KmsRsaPrivateKey(kms, arn, half)
        if isinstance(half, rsa.RSAPublicKey)
        else KmsEcPrivateKey(kms, arn, cast("ec.EllipticCurvePublicKey", half))
    )
    token = jwt.encode({"sub": "client-1"}, key, algorithm=algorithm)
    assert jwt.decode(token, key.public_key(), algorithms=[algorithm]) == {"sub": "client-1"}
    head, _, signature = token.split(".")
    other = jwt.encode({"sub": "client-2"}, key, algorithm=algorithm).split(".")[1]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(f"{head}.{other}.{signature}", key.public_key(), algorithms=[algorithm])


@pytest.mark.parametrize(
    ("algorithm", "pad"), [("RSASSA_PSS_SHA_256", PSS), ("RSASSA_PKCS1_V1_5_SHA_256", PKCS1)]
)
def test_a_digest_is_signed_as_the_message_would_be_by_rsa(
    kms: "KMSClient", algorithm: str, pad: object
) -> None:
    arn = created(kms, "RSA_2048")
    digest = hashlib.sha256(b"x").digest()
    signature = signed(kms, arn, Message=digest, MessageType="DIGEST", SigningAlgorithm=algorithm)
    verify(kms, arn, signature, b"x", pad, SHA256)


def test_a_digest_is_signed_as_the_message_would_be_on_a_curve(kms: "KMSClient") -> None:
    arn = created(kms)
    digest = hashlib.sha256(b"x").digest()
    signature = signed(kms, arn, Message=digest, MessageType="DIGEST")
    verify(kms, arn, signature, b"x", ec.ECDSA(SHA256))


@pytest.mark.parametrize("size", [31, 33])
def test_a_digest_of_another_length_is_refused(kms: "KMSClient", size: int) -> None:
    arn = created(kms)
    refused = code(lambda: signed(kms, arn, Message=b"x" * size, MessageType="DIGEST"))
    assert refused == "ValidationException"


@pytest.mark.parametrize("message_type", ["RAW", None])
def test_a_message_of_4096_bytes_is_signed_unhashed_and_one_more_is_refused(
    kms: "KMSClient", message_type: str | None
) -> None:
    arn = created(kms)
    given = {"MessageType": message_type} if message_type else {}
    call: Any = {"KeyId": arn, "SigningAlgorithm": "ECDSA_SHA_256", **given}
    signature = kms.sign(**call, Message=b"x" * 4096)["Signature"]
    verify(kms, arn, signature, b"x" * 4096, ec.ECDSA(SHA256))
    assert code(lambda: kms.sign(**call, Message=b"x" * 4097)) == "ValidationException"


def test_a_message_type_that_is_none_of_ours_is_refused(kms: "KMSClient") -> None:
    arn = created(kms)
    assert code(lambda: signed(kms, arn, MessageType="EXTERNAL_MU")) == "ValidationException"


def test_kms_verifies_what_it_signed_and_refuses_the_rest(kms: "KMSClient") -> None:
    arn = created(kms, "RSA_2048")
    call: Any = {"KeyId": arn, "SigningAlgorithm": "RSASSA_PSS_SHA_256"}
    signature = kms.sign(**call, Message=b"x")["Signature"]
    assert kms.verify(**call, Message=b"x", Signature=signature)["SignatureValid"] is True
    refused = code(lambda: kms.verify(**call, Message=b"y", Signature=signature))
    assert refused == "KMSInvalidSignatureException"


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("ECC_NIST_P256", "ECDSA_SHA_384"),
        ("ECC_NIST_P384", "ECDSA_SHA_256"),
        ("ECC_NIST_P256", "RSASSA_PSS_SHA_256"),
        ("RSA_2048", "ECDSA_SHA_256"),
    ],
)
def test_an_algorithm_that_the_key_has_not_is_refused(
    kms: "KMSClient", spec: str, algorithm: str
) -> None:
    arn = created(kms, spec)
    refused = code(lambda: signed(kms, arn, SigningAlgorithm=algorithm))
    assert refused == "InvalidKeyUsageException"


def test_an_algorithm_that_kms_has_not_is_refused(kms: "KMSClient") -> None:
    arn = created(kms)
    assert code(lambda: signed(kms, arn, SigningAlgorithm="SHA_256")) == "ValidationException"


@pytest.mark.parametrize("spec", ["RSA_2048", "SYMMETRIC_DEFAULT"])
def test_a_key_for_encryption_signs_nothing(kms: "KMSClient", spec: str) -> None:
    arn = created(kms, spec, "ENCRYPT_DECRYPT")
    refused = code(lambda: signed(kms, arn, SigningAlgorithm="RSASSA_PSS_SHA_256"))
    assert refused == "InvalidKeyUsageException"


@pytest.mark.parametrize(
    ("spec", "usage"), [("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), ("HMAC_256", None)]
)
def test_a_symmetric_key_has_no_public_half(
    kms: "KMSClient", spec: str, usage: str | None
) -> None:
    arn = created(kms, spec, usage or "GENERATE_VERIFY_MAC")
    refused = code(lambda: kms.get_public_key(KeyId=arn))
    assert refused == "UnsupportedOperationException"


def test_a_dry_run_signs_nothing_and_says_what_would_be_refused(kms: "KMSClient") -> None:
    arn = created(kms)
    assert code(lambda: signed(kms, arn, DryRun=True)) == "DryRunOperationException"
    kms.disable_key(KeyId=arn)
    assert code(lambda: signed(kms, arn, DryRun=True)) == "DisabledException"


def test_a_key_is_found_by_id_and_alias_too_and_answers_its_arn(kms: "KMSClient") -> None:
    arn = created(kms)
    kms.create_alias(AliasName="alias/one", TargetKeyId=arn)
    for name in (arn, arn.split("/")[1], "alias/one"):
        answer = kms.get_public_key(KeyId=name)
        assert (answer["KeyId"], answer["KeySpec"]) == (arn, "ECC_NIST_P256")
        signature = kms.sign(KeyId=name, Message=b"x", SigningAlgorithm="ECDSA_SHA_256")
        assert (signature["KeyId"], signature["SigningAlgorithm"]) == (arn, "ECDSA_SHA_256")


def test_a_key_that_is_not_there_is_not_found(kms: "KMSClient") -> None:
    absent = f"arn:aws:kms:{REGION}:123456789012:key/11111111-1111-4111-8111-111111111111"
    assert code(lambda: signed(kms, absent)) == "NotFoundException"


# States


def test_a_disabled_key_neither_signs_nor_shows_its_public_half_until_it_is_enabled(
    kms: "KMSClient",
) -> None:
    arn = created(kms)
    kms.disable_key(KeyId=arn)
    assert code(lambda: signed(kms, arn)) == "DisabledException"
    assert code(lambda: kms.get_public_key(KeyId=arn)) == "DisabledException"
    kms.enable_key(KeyId=arn)
    verify(kms, arn, signed(kms, arn), b"x", ec.ECDSA(SHA256))


def test_a_key_on_its_way_out_does_nothing_and_changes_no_more(kms: "KMSClient") -> None:
    arn = created(kms)
    answer = kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    assert (answer["KeyId"], answer["KeyState"]) == (arn, "PendingDeletion")
    refused = {
        code(lambda: signed(kms, arn)),
        code(lambda: kms.get_public_key(KeyId=arn)),
        code(lambda: kms.disable_key(KeyId=arn)),
        code(lambda: kms.enable_key(KeyId=arn)),
        code(lambda: kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=8)),
    }
    assert refused == {"KMSInvalidStateException"}
    assert kms.describe_key(KeyId=arn)["KeyMetadata"]["DeletionDate"] == NOW + 7 * DAY


def test_a_key_that_is_called_back_is_disabled(kms: "KMSClient") -> None:
    arn = created(kms)
    kms.schedule_key_deletion(KeyId=arn)
    assert kms.cancel_key_deletion(KeyId=arn)["KeyId"] == arn
    assert code(lambda: signed(kms, arn)) == "DisabledException"
    assert code(lambda: kms.cancel_key_deletion(KeyId=arn)) == "KMSInvalidStateException"


@pytest.mark.parametrize(("days", "fits"), [(6, False), (7, True), (30, True), (31, False)])
def test_a_deletion_takes_7_to_30_days(kms: "KMSClient", days: int, fits: bool) -> None:  # noqa: FBT001
    arn = created(kms)
    if fits:
        answer = kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=days)
        assert (answer["DeletionDate"], answer["PendingWindowInDays"]) == (NOW + days * DAY, days)
    else:
        refused = code(lambda: kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=days))
        assert refused == "ValidationException"
        signed(kms, arn)


def test_a_deletion_without_a_window_takes_30_days(kms: "KMSClient") -> None:
    answer = kms.schedule_key_deletion(KeyId=created(kms))
    assert answer["DeletionDate"] == NOW + 30 * DAY


def test_the_rotators_view_of_kms_works_on_it(aws: Aws, kms: "KMSClient") -> None:
    tagging = aws.client("resourcegroupstaggingapi")
    keys = KmsKeys(kms, tagging, Owner(stack="stack", identity="default"))
    assert not keys.any()
    arn = keys.create("PS256", "intent-1")
    assert (keys.find("intent-1"), keys.find("intent-2"), keys.any()) == (arn, None, True)
    assert keys.public_key(arn, "PS256")["kty"] == "RSA"
    keys.disable(arn)
    for _ in range(2):
        keys.schedule_deletion(arn, 7 * DAY)
    keys.disable(arn)
    assert kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    tagging.close()


# S3


def test_of_writers_that_race_for_an_object_exactly_one_wins(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = S3Backend.put_object

    def slow(*args: Any, **kwargs: Any) -> object:
        time.sleep(0.05)  # between moto's comparison and its writing
        return written(*args, **kwargs)

    monkeypatch.setattr(S3Backend, "put_object", slow)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="races", CreateBucketConfiguration={"LocationConstraint": REGION})

    def won(number: int, **condition: str) -> bool:
        write = {"Bucket": "races", "Key": "key", "Body": f"{number}", **condition}
        try:
            s3.put_object(**cast("Any", write))
        except ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"  # noqa: PT017
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(won, number, IfNoneMatch="*") for number in range(4)]
        assert sum(each.result() for each in first) == 1
        tag = s3.get_object(Bucket="races", Key="key")["ETag"]
        second = [pool.submit(won, number, IfMatch=tag) for number in range(4, 8)]
        assert sum(each.result() for each in second) == 1
    s3.close()


# The server


def test_the_date_that_it_tells_is_that_of_the_stack(aws: Aws) -> None:
    answer = send("GET", f"{aws.url}/moto-api/", headers={}, timeout=timedelta(seconds=5))
    assert answer.headers["date"] == "Tue, 06 May 2031 07:08:09 GMT"


def test_the_environment_leads_any_boto3_there(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    assert s3.meta.endpoint_url == aws.url
    assert s3.meta.region_name == REGION
    s3.list_buckets()
    s3.close()


def test_each_starts_empty_and_prints_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with Aws() as aws:
            kms = aws.client("kms")
            assert kms.list_keys()["Keys"] == []
            created(kms)
            s3 = aws.client("s3")
            assert s3.list_buckets()["Buckets"] == []
            s3.create_bucket(
                Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            s3.put_object(Bucket="bucket", Key="k", Body=b"x")
            kms.close()
            s3.close()
    assert capfd.readouterr() == ("", "")
    assert [each for each in caplog.records if each.name == "werkzeug"] == []
    with pytest.raises(RuntimeError, match="not running"):
        _ = aws.url
