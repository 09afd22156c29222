"""The token function puts the key set of a client that registered itself: rule 8 as deployed.

S3, KMS, SSM and Secrets Manager by moto; the client is registered by the command line.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from machine_identity.cli import main
from tests.functions.test_canary import QUARTER, World, measured
from tests.key_set_server import KeySetServer
from tests.registration_endpoint import INITIAL, RegistrationEndpoint
from tests.token_endpoint import TokenEndpoint

STORES = ["ssm:/machine-identity/default", "secretsmanager:machine-identity/default"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name, value in (
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("INITIAL", INITIAL),
    ):
        monkeypatch.setenv(name, value)
    with mock_aws(), TokenEndpoint([]) as server, KeySetServer({}) as public:
        yield World(server, public, monkeypatch)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The services of AWS for which a client was made."""
    made: list[str] = []
    real = boto3.client

    def client(service: str, **more: Any) -> object:
        made.append(service)
        return real(service, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(boto3, "client", client)
    return made


def register(world: World, endpoint: RegistrationEndpoint, store: str, folder: Path) -> str:
    """Register a client with the active key alone, as an operator does."""
    (folder / "jwks.json").write_text(json.dumps({"keys": [world.first.jwk]}))
    words = ["client", "register", "billing", "--store", store, "--scope", "read"]
    words += ["--registration-endpoint", endpoint.endpoint, "--authorization-server"]
    words += [world.server.url, "--initial-access-token-env", "INITIAL"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--jwks", str(folder / "jwks.json")])
    assert ended.value.code == 0
    (client_id,) = endpoint.clients
    return client_id


def configure(world: World, client_id: str, store: str) -> None:
    entry = {
        "provider": "rfc10070",
        "authorization_server": world.server.url,
        "client_id": client_id,
        "scope": "read",
        "upload": {"registration": store},
    }
    body = json.dumps({"billing": entry}).encode()
    world.bucket.write("default/clients.json", body, expected=None)


@pytest.mark.parametrize("store", STORES)
def test_rule_8_the_schedule_puts_the_published_set_and_keeps_the_token_that_comes_with_it(
    world: World,
    services: list[str],
    store: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with RegistrationEndpoint() as endpoint:
        endpoint.rotates = frozenset({"GET", "PUT"})
        client_id = register(world, endpoint, store, tmp_path)
        configure(world, client_id, store)
        world.configure(AUTHORIZATION_SERVER="", CLIENT_ID="", SCOPE="")
        world.server.keys = endpoint.clients[client_id]["jwks"]["keys"]
        world.server.client_id = world.server.issuer = world.server.subject = client_id
        services.clear()
        capfd.readouterr()
        answer = world.prove()
        assert answer["uploads"] == [
            {"client": "billing", "kid": each.kid, "did": "add"}
            for each in (world.first, world.second)
        ]
        registered = endpoint.clients[client_id]["jwks"]["keys"]
        assert [key["kid"] for key in registered] == [world.first.kid, world.second.kid]
        assert services.count(store.partition(":")[0]) == 1
        world.now += QUARTER
        assert "uploads" not in world.prove()
        assert endpoint.methods().count("PUT") == 1
        printed = "".join(capfd.readouterr())
        assert measured(printed, "UploadsDone") == [2, 0]
        assert not [secret for secret in endpoint.secrets if secret in printed]


def test_rule_8_a_token_that_the_server_takes_no_more_is_counted_and_never_shown(
    world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RegistrationEndpoint() as endpoint:
        client_id = register(world, endpoint, STORES[0], tmp_path)
        configure(world, client_id, STORES[0])
        endpoint.tokens[client_id] = set()
        capfd.readouterr()
        answer = world.prove()
        assert {each["code"] for each in answer["uploads"]} == {"invalid_token"}
        printed = "".join(capfd.readouterr())
        assert measured(printed, "UploadsFailed") == [2]
        assert not [secret for secret in endpoint.secrets if secret in printed]


def test_a_store_elsewhere_is_told_and_nothing_is_asked(
    world: World, services: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    configure(world, "client-1", "ssm:/elsewhere")
    assert "uploads" not in world.prove()
    printed = "".join(capfd.readouterr())
    assert "registration must be ssm:/machine-identity/STACK or secretsmanager:" in printed
    assert measured(printed, "ClientsFaulty") == [1]
    assert set(services) == {"s3", "kms"}


def test_without_a_client_that_registered_itself_no_client_of_boto3_is_made_for_it(
    world: World, services: list[str]
) -> None:
    assert world.prove()["canary"] == "tried"
    assert set(services) == {"s3", "kms"}
