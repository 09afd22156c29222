"""``machine-identity client``: what is typed, what is printed, and what never is."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto import mock_aws

from machine_identity import clock, jwk
from machine_identity.aws.clients import client
from machine_identity.aws.secrets_manager import SecretsManager
from machine_identity.cli import main
from machine_identity.providers import DEFAULT, PROVIDERS
from machine_identity.settings.token import Clients, TokenSettings
from tests.registration_endpoint import INITIAL, RegistrationEndpoint
from tests.token_endpoint import Answer

URI = "https://us.example/jwks.json"
NEW_URI = "https://us.example/new/jwks.json"
STATEMENT = "eyJhbGciOiJSUzI1NiJ9.eyJzb2Z0d2FyZSI6IngifQ." + "c2lnbmF0dXJl" * 9
RSA = jwk.from_public_key(
    rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(), "RS384"
)
EC = jwk.from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key(), "ES256")


class World:
    """A server, a folder for registrations, and an operator whose screen is watched."""

    def __init__(
        self,
        server: RegistrationEndpoint,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.server = server
        self.folder = folder
        self.store = f"file:{folder / 'store'}"
        self._capsys = capsys

    def run(self, command: str, *words: str, name: str = "billing") -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["client", command, name, "--store", self.store, *words])
        printed = self._capsys.readouterr()
        shown = printed.out + printed.err
        assert not any(secret in shown for secret in (*self.server.secrets, STATEMENT))
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    def register(self, *more: str, name: str = "billing") -> tuple[int, str, str]:
        words = ["--jwks-uri", URI, "--authorization-server", self.server.url]
        token = ["--initial-access-token-env", "INITIAL"]
        return self.run("register", *words, *token, *more, name=name)

    def file(self, name: str, content: str) -> str:
        (self.folder / name).write_text(content)
        return str(self.folder / name)


@pytest.fixture
def world(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.setenv("INITIAL", INITIAL)
    with RegistrationEndpoint() as server:
        yield World(server, tmp_path, capsys)


def test_a_client_is_registered_and_what_to_configure_is_printed(world: World) -> None:
    code, out, _ = world.register("--scope", "read write", "--provider", "keycloak")
    assert code == 0
    lines = dict(line.split(maxsplit=1) for line in out.split("\n\n")[0].splitlines())
    assert lines["client_id"] == "client-1"
    assert lines["token_endpoint_auth_method"] == "private_key_jwt"
    assert (lines["jwks_uri"], lines["scope"]) == (URI, "read write")
    entry = json.loads(out.partition("clients.json of the token function:\n")[2])
    assert entry == {
        "billing": {
            "provider": "keycloak",
            "authorization_server": world.server.url,
            "client_id": "client-1",
            "scope": "read write",
        }
    }


def test_the_token_function_takes_the_entry_as_it_was_printed(world: World) -> None:
    _, out, _ = world.register("--scope", "read", "--json")
    entry = json.dumps(json.loads(out)["clients.json"]).encode()

    class Bucket:
        def read(self, _: str) -> Any:
            return type("Document", (), {"body": entry})()

    settings = TokenSettings(
        identity="default", state_bucket="state", provider=PROVIDERS[DEFAULT], default=None
    )
    bucket: Any = Bucket()
    found = Clients(settings, bucket).named("billing", clock.now())
    assert (found.client_id, found.scope) == ("client-1", "read")


def test_with_json_one_object_says_it_all(world: World) -> None:
    world.server.replaces = {"client_name": "other"}
    code, out, _ = world.register("--json")
    said = json.loads(out)
    assert (code, said["client_id"]) == (0, "client-1")
    assert said["changed"] == [{"name": "client_name", "asked": "billing", "registered": "other"}]
    assert "the server changed client_name: b -> other" in world.register(name="b")[1]


def test_what_is_registered_is_what_was_typed(world: World) -> None:
    statement = world.file("statement.jwt", STATEMENT + "\n")
    code, *_ = world.register(
        *("--algorithm", "ES256"),
        *("--client-name", "Billing at night"),
        *("--software-id", "s1", "--software-version", "2.0"),
        *("--software-statement", statement),
    )
    assert code == 0
    sent = world.server.requests[-1].members
    assert sent["token_endpoint_auth_signing_alg"] == "ES256"
    assert sent["client_name"] == "Billing at night"
    assert (sent["software_id"], sent["software_version"]) == ("s1", "2.0")
    assert sent["software_statement"] == STATEMENT


@pytest.mark.parametrize(
    ("keys", "more", "algorithm"),
    [
        ([RSA], (), "RS384"),
        ([RSA, EC], (), "RS256"),
        ([EC], ("--algorithm", "RS256"), "RS256"),
        ([{**EC, "alg": "none"}], (), ""),
    ],
)
def test_keys_are_handed_over_with_the_algorithm_that_they_all_name(
    world: World, keys: list[dict[str, Any]], more: tuple[str, ...], algorithm: str
) -> None:
    path = world.file("jwks.json", json.dumps({"keys": keys}))
    endpoint = ("--registration-endpoint", world.server.endpoint)
    token = ("--initial-access-token-env", "INITIAL")
    code, *_ = world.run("register", "--jwks", path, *endpoint, *token, *more)
    assert code == (0 if algorithm else 2)
    if algorithm:
        sent = world.server.requests[-1].members
        assert sent["jwks"] == {"keys": keys}
        assert sent["token_endpoint_auth_signing_alg"] == algorithm


def test_an_endpoint_that_is_known_is_not_looked_up_and_names_no_server_to_configure(
    world: World,
) -> None:
    endpoint = ("--registration-endpoint", world.server.endpoint)
    token = ("--initial-access-token-env", "INITIAL")
    _, out, _ = world.run("register", "--jwks-uri", URI, *endpoint, *token)
    assert "clients.json" not in out
    assert world.server.methods() == ["POST"]


def test_an_entry_without_a_scope_says_that_it_needs_one(world: World) -> None:
    assert "needs a scope" in world.register()[1]
    assert "needs a scope" not in world.register("--scope", "read", name="b")[1]


def test_a_server_without_rfc_7592_is_told(world: World) -> None:
    world.server.answers = {"registration_access_token": None, "registration_client_uri": None}
    assert "the server gave no token to manage it with" in world.register()[1]
    assert "gave no token" not in world.register("--json", name="b")[1]


def test_a_client_is_read_changed_and_deleted(world: World) -> None:
    world.server.rotates = frozenset({"GET", "PUT"})
    world.register("--scope", "read")
    code, out, _ = world.run("read", "--json")
    assert (code, json.loads(out)["registered"]["jwks_uri"]) == (0, URI)
    code, out, _ = world.run("update", "--jwks-uri", NEW_URI)
    assert (code, NEW_URI in out, "gave no token" in out) == (0, True, False)
    assert world.server.clients["client-1"]["scope"] == "read"
    assert world.run("delete") == (0, "deleted  client-1\n", "")
    assert world.server.clients == {}
    assert world.run("read")[0] == 3


def test_what_is_kept_here_can_be_forgotten(world: World) -> None:
    world.register()
    code, out, _ = world.run("delete", "--forget", "--json")
    assert (code, json.loads(out)) == (0, {"forgotten": "client-1"})
    assert list(world.server.clients) == ["client-1"]


def test_an_orphan_is_adopted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.server.lose("POST")
    code, _, err = world.register()
    assert (code, "there may be a client named billing" in err) == (3, True)
    world.server.behave()
    assert "Error: interrupted: " in world.register()[2]
    monkeypatch.setenv("GIVEN", world.server.issue("client-1"))
    code, out, _ = world.run(
        "adopt",
        *("--client-id", "client-1"),
        *("--registration-endpoint", world.server.endpoint),
        *("--registration-client-uri", f"{world.server.endpoint}/client-1"),
        *("--registration-access-token-env", "GIVEN"),
    )
    assert (code, "client-1" in out) == (0, True)
    assert world.run("delete")[0] == 0


def test_and_a_registration_without_an_answer_is_made_again_when_it_is_said(world: World) -> None:
    world.server.lose("POST")
    world.register()
    world.server.behave()
    assert world.register("--again")[0] == 0


def test_another_origin_is_named_or_not_asked(world: World) -> None:
    world.register()
    with RegistrationEndpoint() as moved:
        world.server.answers = {"registration_client_uri": f"{moved.endpoint}/client-1"}
        world.run("read")
        assert "Error: foreign_uri: " in world.run("read")[2]
        assert moved.requests == []
        assert world.run("read", "--management-origin", moved.url)[0] == 3
        assert len(moved.requests) == 1


def test_a_refusal_is_one_sentence_or_one_object(world: World) -> None:
    body = {"error": "invalid_client_metadata", "error_description": "no such\nscope"}
    world.server.before = lambda asked: (
        Answer(status=400, body=body) if asked.method == "POST" else None
    )
    code, out, err = world.register()
    assert (code, out, err) == (3, "", "Error: invalid_client_metadata: no such scope\n")
    code, out, _ = world.register("--json")
    assert json.loads(out) == {
        "error": "invalid_client_metadata",
        "error_description": "no such scope",
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--jwks-uri", "http://us.example/"), "jwks_uri must be an https URL"),
        (("--jwks-uri", ""), "a registration needs a client_name and a jwks_uri or jwks"),
        (("--initial-access-token-env", "NOWHERE"), "NOWHERE is not set to a token"),
        (("--initial-access-token-env", "BROKEN"), "BROKEN is not set to a token"),
        (("--scope", "a  b"), "scope must be words"),
        (("--store", "s3:bucket"), "--store must be ssm:/PATH"),
        (("--store", "ssm:no/slash"), "--store must be ssm:/PATH"),
        (("--store", "file:"), "--store must be ssm:/PATH"),
        (("--store", "secretsmanager:a b"), "--store must be ssm:/PATH"),
        (("--management-origin", "http://x"), "--management-origin must be an https URL"),
        (("--authorization-server", "as"), "--authorization-server must be an https URL"),
        (("--authorization-server", ""), "--registration-endpoint or --authorization-server is"),
        (("--registration-endpoint", "as"), "--registration-endpoint must be an https URL"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_registered(
    world: World, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.setenv("BROKEN", "a b")
    code, _, err = world.register(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("Error: settings: ")
    assert sentence in err
    assert "POST" not in world.server.methods()


def test_both_ways_of_the_keys_are_a_mistake_and_so_is_a_private_key(world: World) -> None:
    path = world.file("jwks.json", json.dumps({"keys": [EC]}))
    assert "never both" in world.register("--jwks", path)[2]
    private = world.file("private.json", json.dumps({"keys": [EC, {**EC, "d": "c2VjcmV0"}]}))
    code, _, err = world.register("--jwks", private, "--jwks-uri", "")
    assert (code, "cannot be handed over" in err, "c2VjcmV0" in err) == (2, True, False)
    world.file("statement", "\N{PILE OF POO}")
    code, _, err = world.register("--software-statement", str(world.folder / "statement"))
    assert (code, "is not a software statement" in err) == (2, True)


def test_an_update_of_nothing_and_a_name_that_is_none_are_mistakes(world: World) -> None:
    world.register()
    asked = len(world.server.requests)
    assert "an update needs something to change" in world.run("update")[2]
    for name in ("../billing", "", "a/b", "b" * 65):
        assert "NAME must be at most 64 letters" in world.run("read", name=name)[2]
    assert len(world.server.requests) == asked


@pytest.mark.parametrize("store", ["ssm:/machine-identity", "secretsmanager:machine-identity"])
def test_a_registration_can_be_kept_in_aws(
    world: World, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    world.store = store
    world.server.rotates = frozenset({"GET", "PUT"})
    with mock_aws():
        assert world.register()[0] == 0
        assert world.run("update", "--jwks-uri", NEW_URI)[0] == 0
        if store.startswith("ssm"):
            raw = client("ssm").get_parameter(
                Name="/machine-identity/billing", WithDecryption=True
            )["Parameter"]["Value"]
        else:
            kept = SecretsManager(
                client("secretsmanager"), "machine-identity", unique=clock.unique
            ).read("billing")
            assert kept is not None
            raw = kept.body
        assert world.server.issued[-1] in raw
        assert world.run("delete")[0] == 0


def test_without_a_region_a_store_of_aws_is_one_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    world.store = "ssm:/machine-identity"
    code, _, err = world.register()
    assert (code, err.count("\n")) == (2, 1)
    assert "--store ssm: boto3 is not set up: NoRegionError" in err


def test_without_boto3_a_store_of_aws_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['boto3'] = None\n"
        "from machine_identity.cli import main\n"
        "main(['client', 'read', 'billing', '--store', 'ssm:/a'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr == "Error: settings: --store ssm: needs boto3: pip install '.[aws]'\n"


def test_the_help_names_the_stores_the_exit_codes_and_no_option_for_a_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in ("register", "read", "update", "delete", "adopt"):
        with pytest.raises(SystemExit):
            main(["client", command, "--help"])
        text = " ".join(capsys.readouterr().out.split())
        assert "secretsmanager:PREFIX or file:FOLDER" in text
        assert "or did not do to a client what was asked" in text
        assert "-token TEXT" not in text
