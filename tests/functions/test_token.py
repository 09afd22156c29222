"""The token function as Lambda runs it: S3 and KMS by moto, the provider by real HTTP."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from moto import mock_aws

from machine_identity import jwk, keyring
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.errors import SettingsError
from machine_identity.keyring import Key, Keyring, State
from tests.handlers import Context, cold_start, event
from tests.token_endpoint import ACCESS_TOKEN, HTML, Answer, TokenEndpoint

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class World:
    """What is round the function: a keyring in S3, its key in KMS, a provider that knows it."""

    def __init__(self, server: TokenEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server = server
        self._monkeypatch = monkeypatch
        s3 = client("s3")
        s3.create_bucket(
            Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        self.bucket = Bucket(s3, "state")
        self.kms = client("kms")
        created = self.kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")
        self.arn = created["KeyMetadata"]["Arn"]
        der = self.kms.get_public_key(KeyId=self.arn)["PublicKey"]
        self.public = jwk.from_der(der, "RS256")
        server.keys.append(self.public)
        self.configure(
            SCOPE="api://uppercase/.default", CLIENT_ID="client-1", STATE_BUCKET="state"
        )
        self.configure(AUTHORIZATION_SERVER=server.url)

    def configure(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def store_keyring(self, arn: str | None = None) -> None:
        active = Key(
            jwk=self.public,
            arn=arn or self.arn,
            created_at=START,
            state=State.ACTIVE,
            since=START,
        )
        ring = Keyring(identity="default", issuer="https://identity.example", keys=(active,))
        self.bucket.write("default/keyring.json", keyring.serialise(ring), expected=None)

    def start(self) -> ModuleType:
        # A new process has no logger yet; this one has that of the last cold start.
        logging.Logger.manager.loggerDict.pop("token", None)
        return cold_start("token")

    def ask(self, question: object) -> dict[str, Any]:
        answer: dict[str, Any] = self.start().handler(question, Context())
        return answer


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws(), TokenEndpoint([]) as server:
        yield World(server, monkeypatch)


def test_steps_1_to_8_give_a_token_and_the_next_call_gets_it_from_memory(world: World) -> None:
    world.store_keyring()
    function = world.start()
    for _ in range(2):
        answer = function.handler(event("token", "default"), Context())
        assert answer.pop("expires_in") in {3598, 3599}
        assert answer == {
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "scope": "api://uppercase/.default",
        }
    assert len(world.server.forms) == 1


def test_a_scope_of_the_caller_s_is_asked_for_instead(world: World) -> None:
    world.store_keyring()
    assert world.ask({"scope": "other"})["scope"] == "other"
    assert world.server.forms[0]["scope"] == "other"


def test_a_named_client_comes_from_the_state_bucket(world: World) -> None:
    world.store_keyring()
    world.server.client_id = world.server.issuer = world.server.subject = "client-2"
    entry = {
        "provider": "rfc10070",
        "authorization_server": world.server.url,
        "client_id": "client-2",
        "scope": "billing",
    }
    body = json.dumps({"billing": entry}).encode()
    world.bucket.write("default/clients.json", body, expected=None)
    assert world.ask(event("token", "named"))["scope"] == "billing"


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("unknown_client", "unknown_client"),
        ("unknown_scope", "invalid_scope"),
        ("wrong_shape", "invalid_request"),
    ],
)
def test_a_question_that_has_no_answer_gets_its_code(world: World, case: str, code: str) -> None:
    world.store_keyring()
    answer = world.ask(event("token", case))
    assert answer["error"] == code
    assert answer.keys() == {"error", "error_description"}


def test_another_command_is_not_a_question(world: World) -> None:
    assert world.ask({"command": "tick"})["error"] == "invalid_request"
    assert world.server.discoveries == 0


def test_a_first_deploy_starts_and_says_that_no_provider_is_configured(world: World) -> None:
    world.configure(AUTHORIZATION_SERVER="", CLIENT_ID="", SCOPE="")
    assert world.ask({})["error"] == "not_configured"


def test_half_a_configuration_stops_the_function_at_its_start(world: World) -> None:
    world.configure(CLIENT_ID="")
    with pytest.raises(SettingsError, match="CLIENT_ID is not set, and it is required"):
        world.start()


@pytest.mark.parametrize(
    ("scripted", "code"),
    [
        (Answer(status=401, body={"error": "invalid_client"}), "invalid_client"),
        (Answer(status=400, body={"error": "unauthorized_client"}), "unauthorized_client"),
        (Answer(status=200, body=HTML), "invalid_response"),
        (Answer(status=503, body=HTML, headers={"retry-after": "60"}), "temporarily_unavailable"),
    ],
)
def test_a_provider_that_gives_no_token_is_an_answer_too(
    world: World, scripted: Answer, code: str
) -> None:
    world.store_keyring()
    world.server.scripted.append(scripted)
    assert world.ask({})["error"] == code


def test_before_the_first_rotation_the_function_is_temporarily_unavailable(world: World) -> None:
    answer = world.ask({})
    assert answer["error"] == "temporarily_unavailable"
    assert answer["error_description"] == "there is no keyring yet"


def test_a_key_that_kms_does_not_have_is_temporarily_unavailable(world: World) -> None:
    world.store_keyring(arn=world.arn[:-12] + "000000000000")
    answer = world.ask({})
    assert answer["error"] == "temporarily_unavailable"
    assert answer["error_description"] == "kms:Sign failed: NotFoundException"


def test_a_state_bucket_that_is_not_there_is_temporarily_unavailable(world: World) -> None:
    world.configure(STATE_BUCKET="nowhere")
    assert world.ask({})["error"] == "temporarily_unavailable"
    assert world.ask({"client": "billing"})["error"] == "temporarily_unavailable"


def test_nothing_secret_is_ever_logged(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.store_keyring()
    function = world.start()
    assert "error" not in function.handler({}, Context())
    world.server.keys.clear()
    world.server.keys.append({**world.public, "kid": "another"})
    refused = function.handler({"scope": "asked-by-the-caller"}, Context())
    assert (refused["error"], refused["error_description"][-1]) == ("invalid_client", "…")
    printed = "".join(capfd.readouterr())
    lines = [json.loads(line) for line in printed.splitlines()]
    assert {"token served", "no token"} <= {line.get("message") for line in lines}
    assert {1} == {line["TokensServed"][0] for line in lines if "TokensServed" in line}
    assert {1} == {line["TokensRefused"][0] for line in lines if "TokensRefused" in line}
    assert len(world.server.secrets) == 9
    assert not [secret for secret in world.server.secrets if secret in printed + str(refused)]
    assert "asked-by-the-caller" not in printed
