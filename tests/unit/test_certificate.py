"""Certificates of our own keys: as others read them, as we do, and none that is not ours."""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.aws import Aws
from machine_identity import certificate, jwk
from machine_identity.aws import AwsError
from machine_identity.aws.kms_keys import KmsKeys, Owner
from machine_identity.aws.private_keys import KmsEcPrivateKey, KmsRsaPrivateKey
from machine_identity.certificate import CertificateError, Terms
from machine_identity.client_assertion import PrivateKey, SigningKey
from machine_identity.errors import SettingsError

START = datetime(2026, 11, 24, tzinfo=UTC)
END = START + timedelta(days=365)
SECOND = timedelta(seconds=1)
TERMS = Terms(identity="default", serial=2**127 + 5, not_before=START, not_after=END)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256 = ec.generate_private_key(ec.SECP256R1())
INTENTS = count()

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl is not there")


def named(private_key: PrivateKey, algorithm: str) -> SigningKey:
    kid = jwk.from_public_key(private_key.public_key(), algorithm)["kid"]
    return SigningKey(kid=kid, algorithm=algorithm, private_key=private_key)


KEY = named(RSA, "RS256")
DER = certificate.self_signed(TERMS, KEY)


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with Aws() as aws:
        yield aws


def in_kms(aws: Aws, algorithm: str) -> SigningKey:
    kms = aws.client("kms")
    owner = Owner(stack="stack", identity="default")
    keys = KmsKeys(kms, aws.client("resourcegroupstaggingapi"), owner)
    arn = keys.create(algorithm, str(next(INTENTS)))
    public: Any = load_der_public_key(kms.get_public_key(KeyId=arn)["PublicKey"])
    of_kms = KmsRsaPrivateKey if isinstance(public, rsa.RSAPublicKey) else KmsEcPrivateKey
    return named(of_kms(kms, arn, public), algorithm)


def openssl(*words: str, der: bytes) -> str:
    ran = subprocess.run(["openssl", *words], input=der, capture_output=True, check=True)
    return ran.stdout.decode()


def chained(der: bytes, folder: Path, *words: str) -> str:
    """Return what ``openssl verify`` says to it, trusted as it is, at a time when it is valid."""
    path = folder / "certificate.pem"
    path.write_text(openssl("x509", "-inform", "DER", der=der))
    at = str(int((START + timedelta(days=1)).timestamp()))
    return openssl(
        "verify", "-attime", at, *words, "-CAfile", str(path), str(path), der=b""
    ).removeprefix(f"{path}: ")


# What others make of it


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_a_kms_key_signs_its_own_certificate_whatever_its_algorithm(
    aws: Aws, algorithm: str
) -> None:
    key = in_kms(aws, algorithm)
    der = certificate.self_signed(TERMS, key)
    read = x509.load_der_x509_certificate(der)
    read.verify_directly_issued_by(read)
    assert read.public_key() == key.private_key.public_key()
    hashed = read.signature_hash_algorithm
    assert hashed is not None
    assert hashed.name == f"sha{algorithm[2:]}"
    assert certificate.parse(der).public_key == key.private_key.public_key()


@needs_openssl
@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
@pytest.mark.parametrize(
    "words",
    [
        ("-x509_strict", "-check_ss_sig"),
        ("-x509_strict", "-check_ss_sig", "-purpose", "sslclient"),
        ("-x509_strict", "-partial_chain"),
    ],
    ids=" ".join,
)
def test_openssl_at_its_strictest_takes_it(
    aws: Aws, tmp_path: Path, algorithm: str, words: tuple[str, ...]
) -> None:
    der = certificate.self_signed(TERMS, in_kms(aws, algorithm))
    assert chained(der, tmp_path, *words) == "OK\n"


@needs_openssl
def test_openssl_reads_what_the_terms_said_and_nothing_more() -> None:
    text = openssl("x509", "-inform", "DER", "-noout", "-text", der=DER)
    lines = [line.strip() for line in text.splitlines()]
    for line in (
        "Version: 3 (0x2)",
        "80:00:00:00:00:00:00:00:00:00:00:00:00:00:00:05",
        "Signature Algorithm: sha256WithRSAEncryption",
        f"Issuer: CN = default {KEY.kid}",
        f"Subject: CN = default {KEY.kid}",
        "Not Before: Nov 24 00:00:00 2026 GMT",
        "Not After : Nov 24 00:00:00 2027 GMT",
    ):
        assert line in lines
    extensions = text.split("X509v3 extensions:\n")[1].split("    Signature Algorithm")[0]
    assert [line.strip() for line in extensions.splitlines()][:5] == [
        "X509v3 Basic Constraints: critical",
        "CA:FALSE",
        "X509v3 Key Usage: critical",
        "Digital Signature",
        "X509v3 Subject Key Identifier:",
    ]
    assert extensions.count("\n") == 6


@needs_openssl
def test_the_thumbprint_is_openssl_s_fingerprint_in_base64url() -> None:
    """RFC 7515 section 4.1.8."""
    words = ("x509", "-inform", "DER", "-noout", "-fingerprint", "-sha256")
    digest = bytes.fromhex(openssl(*words, der=DER).partition("=")[2].replace(":", ""))
    name = certificate.thumbprint(DER)
    assert (len(name), base64.urlsafe_b64decode(name + "=")) == (43, digest)


@pytest.mark.parametrize(
    "identity", ["d", "i" * 20, "i" * 21, "i" * 64], ids=lambda name: str(len(name))
)
def test_a_name_is_never_longer_than_its_bound_and_the_kid_is_always_whole(identity: str) -> None:
    der = certificate.self_signed(replace(TERMS, identity=identity), KEY)
    (name,) = x509.load_der_x509_certificate(der).subject
    assert name.oid == NameOID.COMMON_NAME
    assert name.value == f"{identity[:20]} {KEY.kid}"
    assert len(name.value) <= certificate.LONGEST_NAME
    assert certificate.parse(der).public_key == RSA.public_key()


# The same terms, the same certificate


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256"])
def test_an_rsa_certificate_made_again_is_the_same_to_the_octet(aws: Aws, algorithm: str) -> None:
    key = in_kms(aws, algorithm)
    assert certificate.self_signed(TERMS, key) == certificate.self_signed(TERMS, key)


def test_on_a_curve_only_the_signature_differs() -> None:
    key = named(P256, "ES256")
    once, again = (
        x509.load_der_x509_certificate(certificate.self_signed(TERMS, key)) for _ in range(2)
    )
    assert once.tbs_certificate_bytes == again.tbs_certificate_bytes
    assert once.signature != again.signature


@pytest.mark.parametrize(
    "change",
    [
        {"identity": "other"},
        {"serial": 1},
        {"not_before": START + SECOND},
        {"not_after": END - SECOND},
    ],
    ids=str,
)
def test_every_term_is_in_it(change: dict[str, Any]) -> None:
    other = certificate.self_signed(replace(TERMS, **change), KEY)
    assert certificate.thumbprint(other) != certificate.thumbprint(DER)
    read = x509.load_der_x509_certificate(other)
    wanted = replace(TERMS, **change)
    assert read.serial_number == wanted.serial
    assert read.not_valid_before_utc == wanted.not_before
    assert read.not_valid_after_utc == wanted.not_after


def test_a_serial_number_is_the_same_for_the_same_terms_and_no_others() -> None:
    number = certificate.serial_number("kid", START, END)
    assert number == certificate.serial_number("kid", START, END)
    others = [("kit", START, END), ("kid", START + SECOND, END), ("kid", START, END + SECOND)]
    assert len({number, *(certificate.serial_number(*each) for each in others)}) == 4
    certificate.self_signed(replace(TERMS, serial=number), KEY)


def test_dates_in_any_time_zone_mean_the_same_instant() -> None:
    east = START.astimezone(timezone(timedelta(hours=9)))
    assert certificate.self_signed(replace(TERMS, not_before=east), KEY) == DER


@pytest.mark.parametrize("year", [1950, 2049, 2050, 9999])
def test_dates_are_right_on_both_sides_of_the_two_ways_to_write_them(year: int) -> None:
    """RFC 5280 section 4.1.2.5: two digits of the year up to 2049, four of them after."""
    begin = datetime(year, 1, 1, tzinfo=UTC)
    end = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    der = certificate.self_signed(replace(TERMS, not_before=begin, not_after=end), KEY)
    read = certificate.parse(der)
    assert (read.not_before, read.not_after) == (begin, end)


# Terms that no certificate can have


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"not_after": START}, "ends after it begins"),
        ({"not_after": START - SECOND}, "ends after it begins"),
        ({"not_before": datetime(1949, 12, 31, tzinfo=UTC)}, "between the years 1950 and 9999"),
        ({"not_before": START.replace(tzinfo=None)}, "with a time zone"),
        ({"not_after": END.replace(tzinfo=None)}, "with a time zone"),
        ({"not_before": START.replace(microsecond=1)}, "whole seconds"),
        ({"serial": 0}, "a serial number is positive"),
        ({"serial": -1}, "a serial number is positive"),
        ({"serial": 2**128}, "16 octets at most"),
        ({"identity": ""}, "whose name is one word"),
        ({"identity": "a b"}, "whose name is one word"),
    ],
    ids=str,
)
def test_terms_that_no_certificate_can_have_are_refused_by_their_rule(
    change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        certificate.self_signed(replace(TERMS, **change), KEY)


def test_a_key_that_does_not_fit_its_algorithm_gets_none() -> None:
    with pytest.raises(SettingsError, match="cannot sign with ES256"):
        certificate.self_signed(TERMS, replace(KEY, algorithm="ES256"))
    with pytest.raises(SettingsError, match="cannot sign with PS384"):
        certificate.self_signed(TERMS, replace(KEY, algorithm="PS384"))


def test_a_key_that_kms_does_not_sign_with_gets_none_and_the_reason_is_kept(aws: Aws) -> None:
    key = in_kms(aws, "RS256")
    kms = aws.client("kms")
    arn = next(
        each["KeyArn"]
        for each in kms.list_keys()["Keys"]
        if load_der_public_key(kms.get_public_key(KeyId=each["KeyArn"])["PublicKey"])
        == key.private_key.public_key()
    )
    kms.disable_key(KeyId=arn)
    with pytest.raises(AwsError) as refused:
        certificate.self_signed(TERMS, key)
    assert (refused.value.operation, refused.value.code) == ("kms:Sign", "DisabledException")


# Read back


def test_what_is_read_back_is_what_was_made() -> None:
    read = certificate.parse(DER)
    assert (read.der, read.thumbprint) == (DER, certificate.thumbprint(DER))
    assert read.public_key == RSA.public_key()
    assert (read.not_before, read.not_after) == (START, END)


@pytest.mark.parametrize(
    ("now", "is_valid"),
    [
        (START - SECOND, False),
        (START, True),
        (END, True),
        (END + SECOND, False),
        (END + timedelta(days=3650), False),
    ],
)
def test_it_is_valid_from_its_first_instant_to_its_last(
    now: datetime,
    is_valid: bool,  # noqa: FBT001
) -> None:
    assert certificate.parse(DER).is_valid_at(now) is is_valid


def test_its_repr_tells_its_name_and_dates_and_not_its_octets() -> None:
    text = repr(certificate.parse(DER))
    assert certificate.thumbprint(DER) in text
    assert "der=" not in text


def other(key: Any = RSA, *, issuer: str | None = None, **change: Any) -> bytes:
    """Return a certificate like ours but for one thing."""
    public = change.get("public_key", key.public_key())
    kid = named(P256, "ES256").kid if public == P256.public_key() else KEY.kid
    subject = change.get("subject", f"default {kid}")
    name, by = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)])
        for each in (subject, issuer or subject)
    )
    builder = x509.CertificateBuilder(
        issuer_name=by,
        subject_name=name,
        public_key=public,
        serial_number=5,
        not_valid_before=START,
        not_valid_after=END,
    )
    ours = x509.load_der_x509_certificate(DER).extensions
    identifier = x509.SubjectKeyIdentifier.from_public_key(change.get("identifies", public))
    standard = [*((each.value, each.critical) for each in [*ours][:-1]), (identifier, False)]
    for value, critical in change.get("extensions", lambda given: given)(standard):
        builder = builder.add_extension(value, critical=critical)
    digest = change.get("digest", hashes.SHA256())
    return builder.sign(key, digest, rsa_padding=change.get("padding")).public_bytes(Encoding.DER)


def test_the_like_of_ours_is_taken() -> None:
    """The tests below change one thing each in what this one shows to be good."""
    for key in (RSA, P256):
        assert certificate.parse(other(key)).public_key == key.public_key()


AUTHORITY = (x509.BasicConstraints(ca=True, path_length=None), True)
SERVER = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"certificate",
        DER + b"\0",
        DER[:-1],
        b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(DER) + b"-----END CERTIFICATE-----",
        other(subject="default"),
        other(subject=f"default {KEY.kid}x"),
        other(issuer="somebody else"),
        other(extensions=lambda given: given[:-1]),
        other(extensions=lambda given: [*given, SERVER]),
        other(extensions=lambda given: [AUTHORITY, *given[1:]]),
        other(extensions=lambda given: [(value, False) for value, _ in given]),
        other(identifies=STRANGER.public_key()),
        other(padding=PSS),
        other(digest=hashes.SHA3_256()),
        other(SHORT),
        other(P256, digest=hashes.SHA384()),
        other(P256, digest=hashes.SHA512()),
        other(ec.generate_private_key(ec.SECP521R1())),
        other(ed25519.Ed25519PrivateKey.generate(), digest=None),
    ],
    ids=[
        "nothing",
        "text",
        "more behind it",
        "cut short",
        "pem",
        "no kid",
        "another kid",
        "another issuer",
        "an extension less",
        "an extension more",
        "an authority",
        "nothing critical",
        "another key's identifier",
        "pss",
        "sha-3",
        "short key",
        "another curve's hash",
        "no curve's hash",
        "another curve",
        "another kind of key",
    ],
)
def test_what_could_not_have_been_made_here_is_refused(der: bytes) -> None:
    with pytest.raises(CertificateError, match="not a certificate that was made here"):
        certificate.parse(der)


@pytest.mark.parametrize(
    "der",
    [other(STRANGER, public_key=RSA.public_key()), DER[:-1] + bytes([DER[-1] ^ 1])],
    ids=["by another key", "altered"],
)
def test_one_that_its_key_did_not_sign_is_refused(der: bytes) -> None:
    with pytest.raises(CertificateError, match="not signed by the key in it"):
        certificate.parse(der)
