"""docs/client.md does what it says: its blocks run as they stand, but for names of hosts."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import textwrap
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

from local import key_credentials
from local.authorization_server import AuthorizationServer
from local.aws import Aws
from local.registrations import App, Certificates
from machine_identity import clock, jwk, keyring
from machine_identity.aws.s3 import Bucket
from machine_identity.cli import main
from machine_identity.keyring import Key, Keyring, State
from machine_identity.providers import PROVIDERS
from tests.api_server import Api
from tests.sts_server import ISSUER, ROLE, StsServer
from tests.token_endpoint import ACCESS_TOKEN, Answer, TokenEndpoint

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
PYTHON = [block for language, block in BLOCKS if language == "python"]
COMMANDS = [block for _, block in BLOCKS if block.startswith("machine-identity")]
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SECRET, WORD = "a-client-secret", "correct-horse-battery"


class Server(TokenEndpoint):
    """An authorization server that also takes a secret, as long as it has one registered."""

    def __init__(self) -> None:
        super().__init__([jwk.from_public_key(RSA.public_key(), "RS256")])
        self.client_id = self.issuer = self.subject = "orders"
        self.secret: str | None = SECRET

    def token(self, form: dict[str, str]) -> Answer:
        if "client_secret" not in form:
            return super().token(form)
        if form["client_secret"] != self.secret:
            return Answer(status=401, body={"error": "invalid_client"})
        granted = {"access_token": "by-secret", "token_type": "Bearer", "expires_in": 3600}
        return Answer(body=granted)


class World:
    """Files, variables and servers round the document, and what its blocks have named so far."""

    def __init__(
        self,
        server: Server,
        entra: TokenEndpoint,
        by_certificate: AuthorizationServer,
        api: Api,
        arn: str,
    ) -> None:
        self.server, self.entra, self.api = server, entra, api
        self.names: dict[str, Any] = {}
        self.places = {
            "https://login.example": server.url,
            "https://entra.example": entra.url,
            "https://certificate.example": by_certificate.issuer,
            "https://api.example": api.url,
            "STATE_BUCKET": "state",
            "arn:aws:kms:eu-central-1:123456789012:key/0f9a4b1e-5d7c-4c35-9d53-8f1f2a6b7c10": arn,
        }

    def run(self, block: str) -> None:
        for written, here in self.places.items():
            block = block.replace(written, here)
        exec(textwrap.dedent(block), self.names)  # noqa: S102 - the document's own words


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pem = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private_key.pem").write_bytes(pem)
    encryption = BestAvailableEncryption(WORD.encode())
    pkcs12 = serialize_key_and_certificates(b"", RSA, None, None, encryption)
    (tmp_path / "private_key.p12").write_bytes(pkcs12)
    monkeypatch.setenv("KEY_PASSPHRASE", WORD)
    monkeypatch.setenv("SIGNING_KEY", pem.decode())
    with pytest.raises(SystemExit) as ended:
        main(COMMANDS[0].split()[1:])
    assert ended.value.code == 0
    return tmp_path


@pytest.fixture
def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    assert folder == Path.cwd()
    with Aws() as aws, StsServer() as sts, Server() as server, Api() as api:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        api.good = {ACCESS_TOKEN}
        with TokenEndpoint([sts.public]) as entra:
            entra.client_id, entra.issuer, entra.subject = "orders", ISSUER, ROLE
            entra.typ, entra.audience = "JWT", "api://AzureADTokenExchange"
            arn = deployed(aws, server)
            with AuthorizationServer() as by_certificate:
                register(by_certificate, folder / "certificate.pem")
                yield World(server, entra, by_certificate, api, arn)


def register(server: AuthorizationServer, path: Path) -> None:
    """Have an application with that certificate."""
    der = ssl.PEM_cert_to_DER_cert(path.read_text())
    credential = Certificates(keys=(key_credentials.from_der(der, key_id=clock.unique()),))
    provider = PROVIDERS["entra-certificate"]
    server.register(App(client_id="orders", provider=provider, credential=credential))


def deployed(aws: Aws, server: Server) -> str:
    """Have a keyring with one KMS key, which the server knows too."""
    kms, s3 = aws.client("kms"), aws.client("s3")
    arn = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
    public = jwk.from_der(kms.get_public_key(KeyId=arn)["PublicKey"], "RS256")
    server.keys.append(public)
    s3.create_bucket(
        Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    at = datetime(2026, 11, 24, tzinfo=UTC)
    active = Key(jwk=public, arn=arn, created_at=at, state=State.ACTIVE, since=at)
    ring = Keyring(identity="default", issuer="https://us.example", keys=(active,))
    Bucket(s3, "state").write("default/keyring.json", keyring.serialise(ring), expected=None)
    return arn


def test_every_block_runs_and_each_way_to_sign_gets_a_token(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in PYTHON:
        world.run(block)
    world.names["session"].close()
    printed = capsys.readouterr().out.splitlines()
    by_certificate = "api://uppercase/.default"
    assert printed[1:] == ["read", by_certificate, "api://orders/.default", "200", "200"]
    assert [call.authorization for call in world.api.calls] == [f"Bearer {ACCESS_TOKEN}"] * 2
    for name in ("identity", "protected", "deployed", "in_kms", "rotated"):
        tokens = world.names[name].tokens(
            authorization_server=world.server.url, client_id="orders", scope="read"
        )
        assert tokens.get().value == ACCESS_TOKEN
    assert len(world.server.claims) == 5  # the first has its token already
    assert len(PYTHON) == 10


def test_the_walk_from_a_secret_to_a_key_has_no_moment_without_a_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    front_door, *_ = PYTHON
    proof, program = PYTHON[-2:]
    world.run(front_door)
    world.run("import requests")
    monkeypatch.setenv("CLIENT_SECRET", SECRET)
    world.run(proof)
    world.run(program)
    access_token = world.names["access_token"]
    assert access_token() == "by-secret"
    monkeypatch.setenv("SIGN_IN", "key")
    assert access_token() == ACCESS_TOKEN
    monkeypatch.setenv("SIGN_IN", "secret")
    assert access_token() == "by-secret"
    monkeypatch.setenv("SIGN_IN", "key")
    world.server.secret = None
    monkeypatch.delenv("CLIENT_SECRET")
    assert access_token() == ACCESS_TOKEN


def test_the_command_keeps_the_file_that_it_names(folder: Path) -> None:
    _, keeping, _ = COMMANDS
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        ["sh", "-c", f"exec {keeping}"], env={**os.environ, "PATH": path}, stderr=subprocess.PIPE
    ) as ran:
        file = folder / "assertion.jwt"
        until = time.monotonic() + 30
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.05)
        ran.send_signal(signal.SIGTERM)
        assert ran.wait(9) == 0
    options: Any = {"verify_aud": False}
    claims = jwt.decode(file.read_text(), RSA.public_key(), ["RS256"], options=options, leeway=5)
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("orders", 3600)


def test_what_it_prints_is_the_public_half(folder: Path) -> None:
    _, _, printing = COMMANDS
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["sh", "-ec", printing],
        env={**os.environ, "PATH": path},
        cwd=folder,
        check=True,
        capture_output=True,
    )
    assert json.loads(ran.stdout) == {"keys": [jwk.from_public_key(RSA.public_key(), "RS256")]}
