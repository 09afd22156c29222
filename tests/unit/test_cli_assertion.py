"""``machine-identity assertion``: what it signs, for whom, and where it puts it."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from local.aws import Aws
from machine_identity import jwk, keyring
from machine_identity.aws.s3 import Bucket
from machine_identity.cli import main
from machine_identity.keyring import Key, Keyring, State

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WORD = "correct-horse-battery"
US = "https://us.example"
AZURE = ("--issuer", US, "--subject", "orders", "--audience", "api://AzureADTokenExchange")
PROGRAM = (sys.executable, "-c", "from machine_identity.cli import main; main()", "assertion")


class Terminal:
    """Runs the command in this process, where standard output is no terminal."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.key = folder / "key.pem"
        self.key.write_bytes(RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.file = folder / "assertion"

    def run(self, *words: str, signs: tuple[str, ...] | None = None) -> tuple[int, str, str]:
        which = ("--key", str(self.key)) if signs is None else signs
        with pytest.raises(SystemExit) as ended:
            main(("assertion", *which, *words))
        printed = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    def claims(self, *words: str, signs: tuple[str, ...] | None = None) -> dict[str, Any]:
        code, out, err = self.run(*words, signs=signs)
        assert (code, err) == (0, "")
        return decoded(out.strip())


def decoded(assertion: str, key: Any = None) -> dict[str, Any]:
    options: Any = {"verify_aud": False}
    public = RSA.public_key() if key is None else key
    claims: dict[str, Any] = jwt.decode(
        assertion, public, ["RS256", "PS256"], options=options, leeway=5
    )
    return claims


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path, capsys)


def test_an_issuer_that_is_trusted_needs_subject_and_audience(terminal: Terminal) -> None:
    claims = terminal.claims(*AZURE)
    assert (claims["iss"], claims["sub"]) == (US, "orders")
    assert claims["aud"] == "api://AzureADTokenExchange"
    assert claims["exp"] - claims["iat"] == 300
    assert terminal.claims(*AZURE)["jti"] != claims["jti"]


def test_a_provider_settles_what_it_settles(terminal: Terminal) -> None:
    entra = terminal.claims("--provider", "entra-federated", "--issuer", US, "--client-id", "c")
    assert (entra["iss"], entra["sub"]) == (US, "c")
    assert entra["aud"] == "api://AzureADTokenExchange"
    server = ("--authorization-server", "https://as.example")
    keycloak = terminal.claims("--provider", "keycloak", "--client-id", "c", *server)
    assert (keycloak["iss"], keycloak["sub"], keycloak["aud"]) == ("c", "c", "https://as.example")
    assert keycloak["exp"] - keycloak["iat"] == 60
    okta = ("--provider", "okta", "--client-id", "c", "--audience", "https://as.example/token")
    assert terminal.claims(*okta)["aud"] == "https://as.example/token"


def test_its_lifetime_is_what_is_asked_for(terminal: Terminal) -> None:
    claims = terminal.claims(*AZURE, "--lifetime", "3600")
    assert claims["exp"] - claims["iat"] == 3600
    for wrong in ("59", "3601"):
        assert terminal.run(*AZURE, "--lifetime", wrong)[0] == 2


def test_its_lifetime_is_no_longer_than_the_provider_takes(terminal: Terminal) -> None:
    server = ("--authorization-server", "https://as.example")
    keycloak = ("--provider", "keycloak", "--client-id", "c", *server)
    claims = terminal.claims(*keycloak, "--lifetime", "60")
    assert claims["exp"] - claims["iat"] == 60
    code, _, err = terminal.run(*keycloak, "--lifetime", "61")
    assert code == 2
    assert "--lifetime: keycloak takes assertions of 60 s at most" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--audience", "a", "--issuer", US), "--subject or --client-id is required"),
        (("--subject", "s", "--issuer", US), "--audience is required: it becomes aud"),
        (("--subject", "s", "--audience", "a"), "--issuer is required: it becomes iss"),
        (
            ("--provider", "keycloak", "--client-id", "c"),
            "--audience or --authorization-server is required",
        ),
        (("--provider", "okta", "--client-id", "c"), "--audience is required"),
        (("--provider", "entra-federated", "--client-id", "c"), "--issuer is required"),
        ((*AZURE, "--keep-fresh"), "--keep-fresh is for a file: name it with --write"),
        ((*AZURE, "--kms-key", "arn"), "and not --key and --kms-key: it says who signs"),
    ],
)
def test_what_is_missing_is_named(
    terminal: Terminal, words: tuple[str, ...], sentence: str
) -> None:
    code, out, err = terminal.run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("Error: settings: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_who_signs_must_be_named(terminal: Terminal) -> None:
    code, _, err = terminal.run(*AZURE, signs=())
    assert code == 2
    assert "name one of --key, --pkcs12, --kms-key, --state-bucket: it says who signs" in err


# Who signs


def test_a_pkcs12_file_signs_its_passphrase_in_a_variable(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encryption = BestAvailableEncryption(WORD.encode())
    path = tmp_path / "key.p12"
    path.write_bytes(serialize_key_and_certificates(b"", RSA, None, None, encryption))
    signs = ("--pkcs12", str(path))
    code, _, err = terminal.run(*AZURE, signs=signs)
    assert code == 2
    assert "MACHINE_IDENTITY_PASSPHRASE is not set" in err
    monkeypatch.setenv("MACHINE_IDENTITY_PASSPHRASE", WORD)
    assert terminal.claims(*AZURE, signs=signs)["sub"] == "orders"
    monkeypatch.delenv("MACHINE_IDENTITY_PASSPHRASE")
    monkeypatch.setenv("P12", WORD)
    more = ("--passphrase-variable", "P12", "--algorithm", "PS256")
    assert terminal.claims(*AZURE, *more, signs=signs)["sub"] == "orders"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with Aws() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        yield aws


def made(aws: Aws) -> tuple[str, jwk.PublicJwk]:
    kms = aws.client("kms")
    arn = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
    return arn, jwk.from_der(kms.get_public_key(KeyId=arn)["PublicKey"], "RS256")


def test_a_kms_key_signs_and_one_that_cannot_has_an_exit_code(
    terminal: Terminal, aws: Aws
) -> None:
    arn, public = made(aws)
    _, out, _ = terminal.run(*AZURE, signs=("--kms-key", arn))
    assert decoded(out.strip(), jwt.PyJWK(dict(public)))["iss"] == US
    aws.client("kms").disable_key(KeyId=arn)
    code, out, err = terminal.run(*AZURE, signs=("--kms-key", arn))
    assert (code, out) == (3, "")
    assert err == ("Error: temporarily_unavailable: kms:GetPublicKey failed: DisabledException\n")


def test_a_deployment_s_keyring_signs_under_its_own_issuer_and_no_longer_than_it_counts_on(
    terminal: Terminal, aws: Aws
) -> None:
    arn, public = made(aws)
    aws.client("s3").create_bucket(
        Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    active = Key(jwk=public, arn=arn, created_at=START, state=State.ACTIVE, since=START)
    ring = Keyring(identity="orders", issuer="https://published.example", keys=(active,))
    store = Bucket(aws.client("s3"), "state")
    store.write("orders/keyring.json", keyring.serialise(ring), expected=None)
    signs = ("--state-bucket", "state", "--identity", "orders")
    said = ("--subject", "orders", "--audience", "sts.amazonaws.com")
    _, out, _ = terminal.run(*said, signs=signs)
    claims = decoded(out.strip(), jwt.PyJWK(dict(public)))
    assert claims["iss"] == "https://published.example"
    assert claims["exp"] - claims["iat"] == 300
    assert terminal.run(*said, "--lifetime", "300", signs=signs)[0] == 0
    code, _, err = terminal.run(*said, "--lifetime", "301", signs=signs)
    assert code == 2
    assert "--lifetime: rotation counts on assertions of 300 s at most" in err
    code, _, err = terminal.run(*said, "--issuer", US, signs=signs)
    assert code == 2
    assert "a keyring has its own algorithm and issuer" in err


# Where it goes


def test_into_a_file_it_goes_whole_and_for_its_owner_alone(terminal: Terminal) -> None:
    code, out, err = terminal.run(*AZURE, "--write", str(terminal.file))
    assert (code, out) == (0, "")
    assert err.startswith(f"machine-identity: an assertion is in {terminal.file}, good until 2")
    assert decoded(terminal.file.read_text())["sub"] == "orders"
    assert terminal.file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_told_in_one_sentence(terminal: Terminal) -> None:
    path = str(terminal.file.parent / "none" / "assertion")
    for more in ((), ("--keep-fresh",)):
        code, _, err = terminal.run(*AZURE, "--write", path, *more)
        assert code == 2
        assert err == (f"Error: settings: {path} cannot be written: No such file or directory\n")


def test_on_a_terminal_none_is_printed_and_it_says_why(terminal: Terminal) -> None:
    ours, theirs = pty.openpty()
    command = (*PROGRAM, "--key", str(terminal.key), *AZURE)
    try:
        ran = subprocess.run(
            command, stdout=theirs, stderr=subprocess.PIPE, check=False, text=True
        )
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)
    finally:
        os.close(ours)
        os.close(theirs)
    assert ran.returncode == 2
    assert "a credential and not for a terminal: use a pipe, or --write FILE" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_kept_fresh_it_lasts_until_it_is_told_to_end(
    terminal: Terminal, number: signal.Signals
) -> None:
    command = (*PROGRAM, "--key", str(terminal.key), *AZURE, "--write", str(terminal.file))
    with subprocess.Popen(
        (*command, "--keep-fresh"), stderr=subprocess.PIPE, text=True
    ) as keeping:
        assert keeping.stderr is not None
        assert "good until" in keeping.stderr.readline()
        assert decoded(terminal.file.read_text())["sub"] == "orders"
        time.sleep(0.1)
        assert keeping.poll() is None
        keeping.send_signal(number)
        assert keeping.wait(9) == 0
        assert keeping.stderr.read() == ""
    assert terminal.file.exists()


def test_the_handlers_of_a_program_that_calls_it_are_given_back(terminal: Terminal) -> None:
    before = signal.getsignal(signal.SIGTERM)
    terminal.run(*AZURE, "--write", str(terminal.file.parent / "no" / "a"), "--keep-fresh")
    assert signal.getsignal(signal.SIGTERM) is before


def test_help_names_the_variables_that_set_each_option(terminal: Terminal) -> None:
    _, out, _ = terminal.run("--help", signs=())
    for each in ("KEY", "PKCS12", "KMS_KEY", "STATE_BUCKET", "LIFETIME"):
        assert f"MACHINE_IDENTITY_{each}" in out
