"""Keys in PKCS#12 files and variables, and passphrases that nobody tells; PEMs: see test_cli."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from machine_identity import jwk, key_files
from machine_identity.client_assertion import Draft, SigningKey
from machine_identity.errors import SettingsError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DRAFT = Draft(
    issuer=None,
    subject="machine-7",
    audience="https://as.example",
    typ="JWT",
    algorithms=jwk.ALGORITHMS,
    lifetime=timedelta(seconds=300),
)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP384R1())
WORD = "correct-horse-battery"  # no secret in the tests is a secret


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption
) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def pkcs12(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    encryption: KeySerializationEncryption,
) -> bytes:
    return serialize_key_and_certificates(b"name", key, None, None, encryption)


def assert_signs(signer: SigningKey, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    assertion = signer.sign(DRAFT, now=NOW, jti="jti-1")
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(
        assertion,
        key.public_key(),
        [signer.algorithm],
        audience=DRAFT.audience,
        options=options,  # type: ignore[arg-type]
    )
    assert claims["iss"] == "https://us.example"
    public = jwk.from_public_key(key.public_key(), signer.algorithm)
    assert jwt.get_unverified_header(assertion)["kid"] == jwk.thumbprint(public)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


def said() -> str:
    return WORD


def test_a_pkcs12_file_signs_once_its_passphrase_is_said(path: Path) -> None:
    path.write_bytes(pkcs12(RSA, BestAvailableEncryption(WORD.encode())))
    signer = key_files.pkcs12_file(path, issuer="https://us.example", passphrase=said)
    assert signer.algorithm == "RS256"
    assert_signs(signer, RSA)


def test_a_pkcs12_file_without_a_passphrase_signs_with_its_curve_s_algorithm(path: Path) -> None:
    path.write_bytes(pkcs12(CURVE, NoEncryption()))
    signer = key_files.pkcs12_file(path, issuer="https://us.example")
    assert signer.algorithm == "ES384"
    assert_signs(signer, CURVE)
    key_files.pkcs12_file(path, passphrase=never)


def never() -> str:
    raise AssertionError


def test_a_pem_file_that_is_encrypted_signs_once_its_passphrase_is_said(path: Path) -> None:
    path.write_bytes(pem(RSA, BestAvailableEncryption(WORD.encode())))
    signer = key_files.pem_file(path, "PS256", issuer="https://us.example", passphrase=said)
    assert signer.algorithm == "PS256"
    assert_signs(signer, RSA)


def test_for_a_pem_file_without_a_passphrase_none_is_asked(path: Path) -> None:
    path.write_bytes(pem(RSA, NoEncryption()))
    assert_signs(key_files.pem_file(path, issuer="https://us.example", passphrase=never), RSA)


@pytest.mark.parametrize("written", [lambda text: text, lambda text: text.replace("\n", "\\n")])
def test_a_variable_that_holds_a_pem_signs_its_lines_broken_or_not(
    written: Callable[[str], str],
) -> None:
    variables = {"SIGNING_KEY": written(pem(RSA, NoEncryption()).decode())}
    issuer = "https://us.example"
    assert_signs(key_files.variable("SIGNING_KEY", issuer=issuer, variables=variables), RSA)


def test_a_passphrase_is_read_from_the_variable_of_that_name_when_it_is_needed() -> None:
    variables: dict[str, str] = {}
    read = key_files.passphrase_in("WORD", variables)
    with pytest.raises(
        SettingsError, match=r"^WORD is not set, and the passphrase is to be in it"
    ):
        read()
    variables["WORD"] = WORD
    assert read() == WORD


def test_who_names_the_secret_itself_does_not_see_it_in_the_error() -> None:
    for call in (key_files.passphrase_in, key_files.variable):
        with pytest.raises(SettingsError, match="the name of a variable") as refused:
            call(WORD)
        assert WORD not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a readable PKCS#12 file, or its passphrase is another"),
        (
            pkcs12(RSA, BestAvailableEncryption(b"another")),
            "is not a readable PKCS#12 file, or its passphrase is another",
        ),
        (
            pkcs12(ed25519.Ed25519PrivateKey.generate(), BestAvailableEncryption(WORD.encode())),
            "is neither an RSA nor a P-256 or P-384 key",
        ),
    ],
    ids=["empty", "other passphrase", "ed25519"],
)
def test_a_pkcs12_file_that_will_not_do_is_told_in_one_sentence(
    path: Path, content: bytes, sentence: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        key_files.pkcs12_file(path, passphrase=said)
    assert str(refused.value) == f"{path} {sentence}"


def test_a_pkcs12_file_with_certificates_only_has_no_key_in_it(path: Path) -> None:
    # What openssl makes of no key at all: a store with nothing in it.
    path.write_bytes(
        serialize_key_and_certificates(None, None, None, [certificate()], NoEncryption())
    )
    with pytest.raises(SettingsError, match="has no private key in it"):
        key_files.pkcs12_file(path)


def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(RSA.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(RSA, hashes.SHA256())
    )


def test_a_file_that_is_not_there_is_told_in_one_sentence(path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a readable PKCS#12 file"):
        key_files.pkcs12_file(path)
    with pytest.raises(SettingsError, match="is not a readable PEM file"):
        key_files.pem_file(path)


def test_another_passphrase_does_not_open_a_pem_file(path: Path) -> None:
    path.write_bytes(pem(RSA, BestAvailableEncryption(b"another")))
    with pytest.raises(SettingsError, match=r"does not open with that passphrase$"):
        key_files.pem_file(path, passphrase=said)


@pytest.mark.parametrize("text", [None, "", " "])
def test_a_variable_that_is_not_set_is_named(text: str | None) -> None:
    variables = {} if text is None else {"KEY": text}
    with pytest.raises(SettingsError, match=r"^KEY is not set, and a PEM with a private key is"):
        key_files.variable("KEY", variables=variables)


def test_no_repr_shows_a_key() -> None:
    text = pem(RSA, NoEncryption()).decode()
    signer = key_files.variable("KEY", variables={"KEY": text})
    assert "private_key" not in repr(signer)


def test_who_has_a_pem_imports_nothing_of_pkcs12() -> None:
    program = (
        "import sys, machine_identity.key_files; "
        "sys.exit('cryptography.hazmat.primitives.serialization.pkcs12' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
