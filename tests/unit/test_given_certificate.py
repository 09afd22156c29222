"""A certificate that is given with a key: whose it is, by what name, and what Entra says to it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from local import key_credentials
from local.authorization_server import AuthorizationServer
from local.aws import Aws
from local.registrations import API_URI, App, Certificates
from machine_identity import certificate, clock
from machine_identity.aws.held_keys import in_kms
from machine_identity.certificate import Terms
from machine_identity.cli import main
from machine_identity.client import Identity
from machine_identity.client_assertion import PrivateKey, SigningError
from machine_identity.errors import InvalidClientError, SettingsError, TokenRequestError
from machine_identity.providers import PROVIDERS

CLIENT_ID = "6f0d3f0a-0f3b-4a39-9a3c-5d7f5b1f7c21"
START = datetime(2026, 11, 24, tzinfo=UTC)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AUTHORITY = ec.generate_private_key(ec.SECP384R1())


def issued(key: PrivateKey = RSA, *, by: PrivateKey = AUTHORITY) -> x509.Certificate:
    """Return a certificate that is none of our making: an authority's, of some name."""
    name = [x509.NameAttribute(NameOID.COMMON_NAME, "orders.example")]
    issuer = [x509.NameAttribute(NameOID.COMMON_NAME, "an authority")]
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name(issuer),
        subject_name=x509.Name(name),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=clock.now() - timedelta(days=1),
        not_valid_after=clock.now() + timedelta(days=9),
    )
    return builder.sign(by, hashes.SHA384())


OURS, THEIRS = issued(), issued(OTHER)
CHAIN = issued(AUTHORITY)


def pem(key: PrivateKey = RSA) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def in_pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def name_of(read: x509.Certificate) -> str:
    return certificate.thumbprint(read.public_bytes(Encoding.DER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder with a key in it, and a certificate if it is given one."""

    path: Path

    @property
    def key(self) -> Path:
        path = self.path / "key.pem"
        path.write_bytes(pem())
        return path

    def certificate(self, octets: bytes) -> Path:
        path = self.path / "certificate"
        path.write_bytes(octets)
        return path

    def pkcs12(self, its_own: x509.Certificate | None, *chain: x509.Certificate) -> Path:
        path = self.path / "key.p12"
        path.write_bytes(serialize_key_and_certificates(b"", RSA, its_own, chain, NoEncryption()))
        return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path)


@pytest.fixture
def entra() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as server:
        register(server, OURS.public_bytes(Encoding.DER))
        yield server


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with Aws() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        yield aws


def register(server: AuthorizationServer, der: bytes) -> None:
    keys = (key_credentials.from_der(der, key_id=clock.unique()),)
    provider = PROVIDERS["entra-certificate"]
    server.register(
        App(client_id=CLIENT_ID, provider=provider, credential=Certificates(keys=keys))
    )


def check_that_it_gets_a_token(identity: Identity, server: AuthorizationServer) -> None:
    tokens = identity.tokens(
        provider="entra-certificate",
        authorization_server=server.issuer,
        client_id=CLIENT_ID,
        scope=f"{API_URI}/.default",
    )
    assert tokens.get().value
    assert server.decisions[-1].fault is None


# At Entra


@pytest.mark.parametrize(
    "octets",
    [
        OURS.public_bytes(Encoding.DER),
        in_pem(OURS),
        in_pem(OURS, CHAIN),
        in_pem(CHAIN, OURS),
        pem() + in_pem(OURS),
    ],
    ids=["DER", "PEM", "a chain", "a chain upside down", "beside the key"],
)
def test_a_key_in_a_file_gets_a_token_by_its_certificate(
    folder: Folder, entra: AuthorizationServer, octets: bytes
) -> None:
    given = folder.certificate(octets)
    check_that_it_gets_a_token(Identity.from_pem(folder.key, certificate=given), entra)
    again = Identity.from_pem(folder.key, certificate=str(given), algorithm="PS256")
    check_that_it_gets_a_token(again, entra)


def test_a_key_in_a_variable_gets_one(
    folder: Folder, entra: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNING_KEY", pem().decode())
    given = folder.certificate(in_pem(OURS))
    check_that_it_gets_a_token(Identity.from_variable("SIGNING_KEY", certificate=given), entra)


def test_a_pkcs12_file_has_its_certificate_in_it(
    folder: Folder, entra: AuthorizationServer
) -> None:
    for its_own, *chain in ((OURS, CHAIN), (None, CHAIN, OURS)):
        check_that_it_gets_a_token(Identity.from_pkcs12(folder.pkcs12(its_own, *chain)), entra)


def test_a_kms_key_gets_one_by_a_certificate_that_it_signed_itself(
    folder: Folder, entra: AuthorizationServer, aws: Aws
) -> None:
    kms = aws.client("kms")
    arn = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
    until = clock.now().replace(microsecond=0) + timedelta(days=9)
    terms = Terms(identity="orders", serial=1, not_before=START, not_after=until)
    der = certificate.self_signed(terms, in_kms(arn, "RS256").signing_key())
    register(entra, der)
    given = folder.certificate(der)
    check_that_it_gets_a_token(Identity.from_kms(arn, certificate=given), entra)


def test_without_one_the_sentence_says_what_is_missing(
    folder: Folder, entra: AuthorizationServer
) -> None:
    for identity in (Identity.from_pem(folder.key), Identity.from_pkcs12(folder.pkcs12(None))):
        with pytest.raises(TokenRequestError, match=r"must carry x5t#S256, and the key has none"):
            check_that_it_gets_a_token(identity, entra)


def test_one_that_is_not_registered_is_refused_as_entra_refuses_it(
    folder: Folder, entra: AuthorizationServer
) -> None:
    identity = Identity.from_pem(folder.key, certificate=folder.certificate(in_pem(issued())))
    with pytest.raises(InvalidClientError, match="AADSTS700027"):
        check_that_it_gets_a_token(identity, entra)


# What will not do


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (in_pem(THEIRS), "the certificate in {} is not of the key that signs"),
        (in_pem(THEIRS, CHAIN), "the certificate in {} is not of the key that signs"),
        (THEIRS.public_bytes(Encoding.DER), "the certificate in {} is not of the key that signs"),
        (b"", "{} is not a readable certificate, PEM or DER"),
        (pem(), "{} is not a readable certificate, PEM or DER"),
        (in_pem(OURS)[:200], "{} is not a readable certificate, PEM or DER"),
        (OURS.public_bytes(Encoding.DER)[:-1], "{} is not a readable certificate, PEM or DER"),
    ],
    ids=["another's", "others'", "another's in DER", "nothing", "a key", "half a PEM", "half"],
)
def test_what_is_no_certificate_of_the_key_is_told_in_one_sentence(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, octets: bytes, sentence: str
) -> None:
    monkeypatch.setenv("SIGNING_KEY", pem().decode())
    given = folder.certificate(octets)
    ways: list[Callable[[], Identity]] = [
        lambda: Identity.from_pem(folder.key, certificate=given),
        lambda: Identity.from_variable("SIGNING_KEY", certificate=given),
    ]
    for way in ways:
        with pytest.raises(SettingsError) as refused:
            way()
        assert str(refused.value) == sentence.format(given)


def test_a_file_that_is_not_there_is_told_in_the_same_words(folder: Folder, aws: Aws) -> None:
    assert aws.client("kms")
    missing = folder.path / "nowhere"
    arn = "arn:aws:kms:eu-central-1:123456789012:key/0f9a4b1e-5d7c-4c35-9d53-8f1f2a6b7c10"
    ways: list[Callable[[], Identity]] = [
        lambda: Identity.from_pem(folder.key, certificate=missing),
        lambda: Identity.from_kms(arn, certificate=missing),
    ]
    for way in ways:
        with pytest.raises(SettingsError, match=r"nowhere is not a readable certificate, PEM"):
            way()


def test_a_certificate_of_another_key_is_told_when_the_kms_key_is_known(
    folder: Folder, entra: AuthorizationServer, aws: Aws
) -> None:
    kms = aws.client("kms")
    arn = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
    identity = Identity.from_kms(arn, certificate=folder.certificate(in_pem(OURS)))
    with pytest.raises((TokenRequestError, SigningError), match="is not of the key that signs"):
        check_that_it_gets_a_token(identity, entra)


def test_who_has_a_pem_and_no_certificate_imports_nothing_of_x509(folder: Folder) -> None:
    program = (
        "import sys; from machine_identity.client import Identity; "
        f"Identity.from_pem({str(folder.key)!r}); "
        "sys.exit('machine_identity.given_certificate' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# The command


class Assertion:
    """The command ``assertion``, for Entra's token endpoint."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        said = ("--provider", "entra-certificate", "--client-id", CLIENT_ID, "--audience", "a")
        with pytest.raises(SystemExit) as ended:
            main(("assertion", *said, *words))
        printed = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err


@pytest.fixture
def assertion(capsys: pytest.CaptureFixture[str]) -> Assertion:
    return Assertion(capsys)


def test_the_command_names_the_certificate(
    folder: Folder, assertion: Assertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = str(folder.certificate(in_pem(OURS)))
    for words in (
        ("--key", str(folder.key), "--certificate", given),
        ("--pkcs12", str(folder.pkcs12(OURS))),
    ):
        code, out, err = assertion(*words)
        assert (code, err) == (0, "")
        assert jwt.get_unverified_header(out.strip())["x5t#S256"] == name_of(OURS)
    monkeypatch.setenv("MACHINE_IDENTITY_CERTIFICATE", given)
    assert assertion("--key", str(folder.key))[0] == 0


def test_the_command_takes_none_for_who_has_his_own(folder: Folder, assertion: Assertion) -> None:
    given = ("--certificate", str(folder.certificate(in_pem(OURS))))
    for who in (("--pkcs12", str(folder.pkcs12(OURS))), ("--state-bucket", "state")):
        code, out, err = assertion(*who, *given)
        assert (code, out) == (2, "")
        assert err == (
            "Error: settings: --certificate is for --key and --kms-key: the others have theirs\n"
        )
    code, _, err = assertion("--key", str(folder.key))
    assert (code, "must carry x5t#S256, and the key has none" in err) == (2, True)
