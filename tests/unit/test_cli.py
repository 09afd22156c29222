"""The command line, from a PEM file to HELLO WORLD, and one sentence for every mistake."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from machine_identity import jwk
from machine_identity.cli import main
from tests.token_endpoint import HTML, Answer, TokenEndpoint

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: Any) -> bytes:
    content: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return content


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str


def run(capsys: pytest.CaptureFixture[str], *words: str) -> Result:
    with pytest.raises(SystemExit) as ended:
        main(words)
    printed = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return Result(exit_code=ended.value.code, stdout=printed.out, stderr=printed.err)


class World:
    """A server that is authorization server and API, and a key file that it knows."""

    def __init__(
        self, server: TokenEndpoint, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.server = server
        self._capsys = capsys
        self.key = folder / "private_key.pem"
        self.hold(RSA, "RS256")
        self.options = {
            "--key": str(self.key),
            "--authorization-server": server.url,
            "--client-id": "client-1",
            "--scope": "api://uppercase/.default",
            "--api": server.url,
            "--text": "hello world",
        }

    def hold(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, algorithm: str) -> None:
        self.key.write_bytes(pem(key))
        self.server.keys[:] = [jwk.from_public_key(key.public_key(), algorithm)]

    def call(self, *more: str) -> Result:
        words = [word for option in self.options.items() for word in option]
        result = run(self._capsys, "call", *words, *more)
        printed = result.stdout + result.stderr
        assert not any(secret in printed for secret in self.server.secrets)
        return result

    def jwks(self) -> Result:
        return run(self._capsys, "jwks", "--key", str(self.key))


@pytest.fixture
def world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    with TokenEndpoint([]) as server:
        yield World(server, tmp_path, capsys)


def test_steps_1_to_13_run_from_a_pem_file_and_print_the_result_alone(world: World) -> None:
    result = world.call()
    assert (result.exit_code, result.stdout) == (0, "HELLO WORLD\n")
    assert world.server.calls == [{"text": "hello world"}]
    assert world.server.forms[0]["scope"] == "api://uppercase/.default"


def test_with_json_a_program_can_read_the_result(world: World) -> None:
    assert json.loads(world.call("--json").stdout) == {"result": "HELLO WORLD"}


def test_a_base_url_with_a_slash_is_the_same_api(world: World) -> None:
    world.options["--api"] += "/"
    assert world.call().stdout == "HELLO WORLD\n"


@pytest.mark.parametrize(
    ("key", "more", "algorithm"),
    [
        (RSA, (), "RS256"),
        (RSA, ("--algorithm", "PS256"), "PS256"),
        (ec.generate_private_key(ec.SECP256R1()), (), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), (), "ES384"),
    ],
)
def test_the_algorithm_is_rs256_or_the_curve_s_unless_another_is_asked_for(
    world: World,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    more: tuple[str, ...],
    algorithm: str,
) -> None:
    world.hold(key, algorithm)
    assert world.call(*more).stdout == "HELLO WORLD\n"
    header = jwt.get_unverified_header(world.server.forms[0]["client_assertion"])
    public = jwk.from_public_key(key.public_key(), algorithm)
    assert (header["alg"], header["kid"]) == (algorithm, jwk.thumbprint(public))


def test_a_provider_that_trusts_issuers_is_told_ours(world: World) -> None:
    world.server.issuer, world.server.typ = "https://us.example", "JWT"
    world.server.audience = "api://AzureADTokenExchange"
    result = world.call("--provider", "entra-federated", "--issuer", "https://us.example")
    assert result.stdout == "HELLO WORLD\n"


def test_every_option_may_come_from_the_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.options["--provider"] = "oidc-provider"
    for option, value in world.options.items():
        name = "MACHINE_IDENTITY_" + option[2:].replace("-", "_").upper()
        monkeypatch.setenv(name, value)
    world.server.typ, world.options = "JWT", {}
    assert world.call().stdout == "HELLO WORLD\n"


def test_the_help_names_variables_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "call", "--help").stdout
    for option in ("KEY", "AUTHORIZATION_SERVER", "CLIENT_ID", "SCOPE", "API", "PROVIDER"):
        assert f"MACHINE_IDENTITY_{option}" in text
    assert "3  the authorization server gave no token" in text


def test_jwks_prints_what_to_register_and_nothing_private(world: World) -> None:
    assert json.loads(world.jwks().stdout) == {"keys": world.server.keys}


# Mistakes


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--api", "http://api.example", "--api must be an https URL"),
        ("--authorization-server", "as.example", "--authorization-server must be an https URL"),
        ("--client-id", "clé", "--client-id must be 1 to 600 printable ASCII"),
        ("--scope", "a  b", "--scope must be words separated by single spaces"),
        ("--issuer", "us", "--issuer must be an https URL"),
        ("--algorithm", "ES256", "a key of kind RSA cannot sign with ES256"),
    ],
)
def test_a_wrong_option_is_named_with_its_rule(
    world: World, option: str, value: str, sentence: str
) -> None:
    world.options[option] = value
    result = world.call()
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: settings: {sentence}")
    assert result.stderr.count("\n") == 1
    assert world.server.discoveries == 0


def test_a_provider_that_trusts_issuers_needs_ours(world: World) -> None:
    result = world.call("--provider", "entra-federated")
    assert result.exit_code == 2
    assert "--issuer is required with --provider entra-federated" in result.stderr


def test_a_key_that_the_provider_does_not_take_is_told_before_anything_is_sent(
    world: World,
) -> None:
    world.hold(ec.generate_private_key(ec.SECP256R1()), "ES256")
    result = world.call("--provider", "entra-federated", "--issuer", "https://us.example")
    assert result.exit_code == 2
    assert "entra-federated takes RS256, and the key signs ES256" in result.stderr
    assert world.server.discoveries == 0


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a readable PEM file with a private key"),
        (
            RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "is not a readable PEM file with a private key",
        ),
        (
            RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
            "is encrypted, and no passphrase is asked for",
        ),
        (pem(ed25519.Ed25519PrivateKey.generate()), "is neither an RSA nor a P-256 or P-384 key"),
        (pem(dsa.generate_private_key(2048)), "is neither an RSA nor a P-256 or P-384 key"),
        (
            pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),  # noqa: S505
            "has 1024 bits, fewer than 2048",
        ),
        (pem(ec.generate_private_key(ec.SECP521R1())), "secp521r1 cannot sign with ES256"),
    ],
    ids=["empty", "public", "encrypted", "ed25519", "dsa", "short", "p-521"],
)
def test_a_key_file_that_will_not_do_is_told_in_one_sentence(
    world: World, content: bytes, sentence: str
) -> None:
    world.key.write_bytes(content)
    for result in (world.call(), world.jwks()):
        assert result.exit_code == 2
        assert sentence in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_key_file_that_is_not_there_is_a_usage_error(world: World) -> None:
    world.options["--key"] = str(world.key.with_name("other.pem"))
    result = world.call()
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_a_refusal_of_the_authorization_server_has_an_exit_code_of_its_own(world: World) -> None:
    world.server.keys[:] = [jwk.from_public_key(RSA.public_key(), "RS384")]
    result = world.call()
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: invalid_client: signature: ")
    assert world.server.calls == []


def test_with_json_a_program_can_read_the_refusal(world: World) -> None:
    world.options["--scope"] = "unknown"
    result = world.call("--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout) == {"error": "invalid_scope", "error_description": ""}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(status=403, body={"message": "Forbidden"}), "status 403: Forbidden"),
        (Answer(status=500, body=HTML), "status 500: no message"),
        (Answer(status=200, body=HTML), "status 200: no message"),
        (Answer(status=200, body="[" * 100_000), "status 200: no message"),
        (Answer(status=200, body=["HELLO"]), "status 200: no message"),
        (Answer(status=200, body={"result": 7}), "status 200: no message"),
        (Answer(status=400, body={"result": "HELLO"}), "status 400: no message"),
        (Answer(status=0), "127.0.0.1 answers with nothing"),
    ],
)
def test_an_api_that_gives_no_result_has_an_exit_code_of_its_own(
    world: World, answer: Answer, sentence: str
) -> None:
    world.server.call_answer = answer
    result = world.call()
    assert result.exit_code == 4
    assert result.stderr.startswith("Error: api: ")
    assert result.stderr.endswith(f"{sentence}\n")


def test_an_api_that_echoes_the_token_does_not_get_it_printed(world: World) -> None:
    echo = "\n".join(world.server.secrets)
    world.server.call_answer = Answer(status=400, body={"message": echo})
    assert world.call().exit_code == 4


def test_a_laptop_needs_no_boto3() -> None:
    program = "import sys, machine_identity.cli; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
