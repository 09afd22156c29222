"""A client registers itself at npm's oidc-provider, gets a token, changes, and is gone.

The server is an OpenID-certified one with its own code unchanged, in a process of its own; ours is
the command line, one command a step, as an operator types them.
"""

import json
import queue
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from interop.recording import Shown
from interop.trials import NODE_FOLDER, from_npm
from machine_identity import clock, jwk, transport
from machine_identity.cli import main
from machine_identity.errors import InvalidClientError
from machine_identity.key_files import pem_file
from machine_identity.providers import PROVIDERS, Client
from machine_identity.token_source import TokenSource
from rehearsal.processes import Process
from tests.key_set_server import KeySetServer

ROLE = "authorization server"
INITIAL = "initial-access-token-of-the-operator"


@contextmanager
def authorization_server(executable: str, log: Path, *, rotate: bool) -> Iterator[str]:
    """Start oidc-provider and return its issuer identifier."""
    options = json.dumps({"initial_access_token": INITIAL, "rotate": rotate})
    command = [executable, str(NODE_FOLDER / "registration_server.mjs"), options]
    lines: queue.Queue[dict[str, Any]] = queue.Queue()
    with Process(command, log, lines.put):
        yield str(lines.get(timeout=20)["issuer"])


class Operator:
    """Types commands; all that is printed is looked through for tokens."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    @property
    def tokens(self) -> list[str]:
        kept = json.loads((self._folder / "billing.json").read_text())
        return list(kept.get("registration_access_tokens", []))

    def client(self, command: str, *words: str) -> tuple[int, dict[str, Any]]:
        before = self.tokens if (self._folder / "billing.json").exists() else []
        store = f"file:{self._folder}"
        with pytest.raises(SystemExit) as ended:
            main(["client", command, "billing", "--store", store, "--json", *words])
        printed = self._capsys.readouterr()
        for secret in (INITIAL, *before, *self.tokens):
            assert secret not in printed.out + printed.err
        assert isinstance(ended.value.code, int)
        return ended.value.code, json.loads(printed.out)


@pytest.fixture
def operator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Operator:
    monkeypatch.setenv("INITIAL", INITIAL)
    return Operator(tmp_path / "store", capsys)


def key_file(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def token_for(entry: dict[str, str], key: Path) -> str:
    """Get a token as the token function does, from the entry that was printed for it."""
    source = TokenSource(
        signer=pem_file(key), transport=transport.send, clock=clock, sleep=lambda _: None
    )
    client = Client(
        name="billing",
        provider=PROVIDERS[entry["provider"]],
        authorization_server=entry["authorization_server"],
        client_id=entry["client_id"],
        scope=entry["scope"],
    )
    return source.get(client, client.scope).value


@pytest.mark.parametrize("rotate", [False, True], ids=["token stays", "token rotates"])
def test_a_client_is_registered_gets_a_token_changes_its_keys_and_is_gone(
    executable: str, operator: Operator, tmp_path: Path, shown: Shown, *, rotate: bool
) -> None:
    first, second = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ec.generate_private_key(ec.SECP256R1()),
    )
    public = {"keys": [jwk.from_public_key(first.public_key(), "RS256")]}
    handed_over = {"keys": [jwk.from_public_key(second.public_key(), "ES256")]}
    (tmp_path / "jwks.json").write_text(json.dumps(handed_over))
    old_key = key_file(tmp_path / "first.pem", first)
    new_key = key_file(tmp_path / "second.pem", second)
    with (
        KeySetServer(public) as ours,
        authorization_server(executable, tmp_path / "log", rotate=rotate) as issuer,
    ):
        words = ["--authorization-server", issuer, "--provider", "oidc-provider"]
        words += ["--jwks-uri", ours.jwks_uri, "--scope", "read"]
        refused = operator.client("register", *words)
        assert (refused[0], refused[1]["error"]) == (3, "invalid_token")

        words += ["--initial-access-token-env", "INITIAL"]
        code, registered = operator.client("register", *words)
        assert code == 0, registered
        entry = registered["clients.json"]["billing"]
        assert re.fullmatch(r"[\w-]{20,}", registered["client_id"])
        assert registered["registered"]["token_endpoint_auth_method"] == "private_key_jwt"
        assert registered["changed"] == []
        assert token_for(entry, old_key).count(".") == 2
        assert ours.fetches == 1
        assert operator.client("register", *words)[1]["error"] == "already_registered"

        code, read = operator.client("read")
        assert (code, read["client_id"]) == (0, entry["client_id"])
        assert read["registered"]["jwks_uri"] == ours.jwks_uri

        [before] = operator.tokens
        change = ["--jwks", str(tmp_path / "jwks.json"), "--algorithm", "ES256"]
        code, updated = operator.client("update", *change)
        assert (code, updated["changed"]) == (0, []), updated
        assert (operator.tokens[0] != before) is rotate
        assert token_for(entry, new_key).count(".") == 2
        with pytest.raises(InvalidClientError):
            token_for(entry, old_key)

        assert operator.client("delete") == (0, {"deleted": entry["client_id"]})
        assert operator.client("read")[1]["error"] == "not_registered"
        with pytest.raises(InvalidClientError):
            token_for(entry, new_key)
    kept = "rotates" if rotate else "keeps"
    party, registers = from_npm("oidc-provider"), "registers, reads, updates and deletes a client"
    shown(party, ROLE, f"{registers}, and {kept} its registration access token", "RS256")
    shown(party, ROLE, f"{registers}, and {kept} its registration access token", "ES256")


def test_a_token_that_is_not_its_own_any_more_is_refused_and_says_what_helps(
    executable: str, operator: Operator, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = {"keys": [jwk.from_public_key(key.public_key(), "RS256")]}
    store = tmp_path / "store"
    with (
        KeySetServer(public) as ours,
        authorization_server(executable, tmp_path / "log", rotate=True) as issuer,
    ):
        words = ["--authorization-server", issuer, "--jwks-uri", ours.jwks_uri]
        assert operator.client("register", *words, "--initial-access-token-env", "INITIAL")[0] == 0
        # A process that died with the only answer that had the new token.
        shutil.copytree(store, tmp_path / "before")
        assert operator.client("update", "--scope", "read")[0] == 0
        shutil.rmtree(store)
        shutil.copytree(tmp_path / "before", store)
        code, told = operator.client("read")
        assert (code, told["error"]) == (3, "invalid_token")
        assert "ask the server's operator for a new token" in told["error_description"]
        code, _ = operator.client("delete", "--forget")
        assert code == 0
