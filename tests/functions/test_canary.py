"""The token function on its schedule, and when a key is refused: rules 2, 8 and 9 as deployed.

S3 and KMS by moto; the provider and the public URL by real HTTP.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from machine_identity import clock, jwk, keyring, testimony
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.canary import PUBLISHED_SET
from machine_identity.keyring import Key, Keyring, State
from machine_identity.publication import JWKS_PATH
from machine_identity.testimony import Testimony
from tests.handlers import Context, cold_start, event
from tests.key_set_server import KeySetServer
from tests.token_endpoint import ACCESS_TOKEN, TokenEndpoint

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
READY = START + timedelta(days=1)
QUARTER = timedelta(minutes=15)
SECOND = timedelta(seconds=1)


class World:
    """Two keys in KMS, a keyring of them, a public URL that shows both, and a provider."""

    def __init__(
        self, server: TokenEndpoint, public: KeySetServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.server, self.public = server, public
        self.now = READY
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(clock, "now", lambda: self.now)
        s3 = client("s3")
        where: Any = {"LocationConstraint": "eu-central-1"}
        s3.create_bucket(Bucket="state", CreateBucketConfiguration=where)
        self.bucket = Bucket(s3, "state")
        self.first, self.second = self.key(State.ACTIVE), self.key(State.STANDBY)
        self.publish(self.first, self.second)
        server.keys.extend([self.first.jwk, self.second.jwk])
        self.store(self.first, self.second)
        self.configure(AUTHORIZATION_SERVER=server.url, CLIENT_ID="client-1", SCOPE="read")
        self.configure(STATE_BUCKET="state")

    def configure(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def key(self, state: State) -> Key:
        kms = client("kms")
        created = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")
        arn = created["KeyMetadata"]["Arn"]
        return Key(
            jwk=jwk.from_der(kms.get_public_key(KeyId=arn)["PublicKey"], "RS256"),
            arn=arn,
            created_at=START,
            state=state,
            since=START,
            first_seen_at=START,
            publication_interval=READY - START,
        )

    def publish(self, *keys: Key) -> None:
        self.public.jwks = {"keys": [key.jwk for key in keys]}
        self.public.metadata = {"jwks_uri": self.public.issuer + JWKS_PATH}

    def store(self, *keys: Key, **members: Any) -> None:
        ring = Keyring(
            identity="default",
            issuer=self.public.issuer,
            keys=keys,
            rollover_due_at=START + timedelta(days=30),
            **members,
        )
        standing = self.bucket.read("default/keyring.json")
        tag = None if standing is None else standing.tag
        self.bucket.write("default/keyring.json", keyring.serialise(ring), expected=tag)

    def roll_over(self) -> None:
        """Let the second key be the active one, and the first still allowed to sign."""
        until = self.now + timedelta(days=2)
        retired = replace(self.first, state=State.RETIRED, may_sign_until=until)
        self.store(retired, replace(self.second, state=State.ACTIVE), revision=1)

    def start(self) -> ModuleType:
        # A new process has no logger yet; this one has that of the last cold start.
        logging.Logger.manager.loggerDict.pop("token", None)
        return cold_start("token")

    def prove(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.start().handler(event("token", "canary"), Context())
        return answer

    def testimony(self) -> Testimony | None:
        document = self.bucket.read("default/evidence.json")
        return None if document is None else testimony.parse(document.body)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws(), TokenEndpoint([]) as server, KeySetServer({}) as public:
        yield World(server, public, monkeypatch)


def measured(printed: str, name: str) -> list[float]:
    lines = [json.loads(line) for line in printed.splitlines()]
    return [line[name][0] for line in lines if name in line]


def test_rule_2_the_schedule_proves_the_standby_key_and_answers_without_a_token(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    kid = world.second.kid
    answer = world.prove()
    names = (PUBLISHED_SET, "default")
    assert answer == {
        "canary": "tried",
        "revision": 1,
        "trials": [{"client": name, "kid": kid, "outcome": "accepted"} for name in names],
        "strangers": [],
        "wait": {
            "until": (READY + timedelta(minutes=10)).isoformat(),
            "why": "nothing is due before",
        },
    }
    printed = "".join(capfd.readouterr())
    assert measured(printed, "CanaryProven") == [2]
    assert measured(printed, "CanaryRefused") == measured(printed, "PublishedStrangers") == [0]
    assert measured(printed, "TokensServed") == []
    assert '"identity":"default"' in printed.replace(": ", ":")
    secrets = [*world.server.secrets, ACCESS_TOKEN]
    assert not [secret for secret in secrets if secret in printed + json.dumps(answer)]
    world.now += QUARTER
    assert world.prove()["wait"]["until"] == (START + timedelta(days=29)).isoformat()
    found = world.testimony()
    assert found is not None
    assert {each.last_success_at for each in found.trials} == {world.now}


def test_rule_2_before_the_wait_is_over_the_provider_is_not_bothered(world: World) -> None:
    world.now = READY - SECOND
    assert world.prove()["canary"] == "idle"
    assert world.server.forms == []


def test_rule_2_a_standby_key_that_the_provider_does_not_know_is_counted(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.server.keys.pop()
    answer = world.prove()
    assert answer["trials"][1] == {
        "client": "default",
        "kid": world.second.kid,
        "outcome": "refused",
        "code": "invalid_client",
    }
    printed = "".join(capfd.readouterr())
    assert (measured(printed, "CanaryRefused"), measured(printed, "CanaryProven")) == ([1], [1])
    assert len(world.server.forms) == 2


def test_rule_2_a_first_deploy_without_a_provider_tries_the_published_set(world: World) -> None:
    world.configure(AUTHORIZATION_SERVER="", CLIENT_ID="", SCOPE="")
    assert [each["client"] for each in world.prove()["trials"]] == [PUBLISHED_SET]
    assert world.server.forms == []


def test_rule_2_every_client_of_clients_json_is_tried(world: World) -> None:
    entry = {
        "provider": "rfc10070",
        "authorization_server": world.server.url,
        "client_id": "client-1",
        "scope": "billing",
    }
    body = json.dumps({"billing": entry, "broken": {}}).encode()
    world.bucket.write("default/clients.json", body, expected=None)
    tried = [each["client"] for each in world.prove()["trials"]]
    assert tried == [PUBLISHED_SET, "default", "billing"]
    assert [form["scope"] for form in world.server.forms] == ["read", "read"] + ["billing"] * 2


@pytest.mark.parametrize("fault", ["keyring", "clients", "evidence"])
def test_a_canary_that_cannot_be_run_is_an_answer_and_counts_as_no_caller_s(
    world: World, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if fault == "keyring":
        client("s3").delete_object(Bucket="state", Key="default/keyring.json")
    elif fault == "clients":
        world.bucket.write("default/clients.json", b"[", expected=None)
    else:
        world.bucket.write("default/evidence.json", b'{"version": 2}', expected=None)
    answer = world.prove()
    assert answer.keys() == {"error", "error_description"}
    assert answer["error"] == "temporarily_unavailable"
    printed = "".join(capfd.readouterr())
    assert measured(printed, "TokensRefused") == measured(printed, "CanaryProven") == []
    assert measured(printed, "CanaryFailed") == [1]


@pytest.mark.parametrize("almost", [{"command": "canary", "client": "default"}, {"command": 1}])
def test_what_is_almost_the_schedule_s_event_is_refused(
    world: World, almost: dict[str, object]
) -> None:
    assert world.start().handler(almost, Context())["error"] == "invalid_request"
    assert world.public.requests == []


def test_rule_8_a_stranger_in_the_published_set_is_counted(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger = {**world.first.jwk, "kid": "stranger"}
    world.public.jwks = {"keys": [world.first.jwk, world.second.jwk, stranger]}
    assert world.prove()["strangers"] == ["stranger"]
    assert measured("".join(capfd.readouterr()), "PublishedStrangers") == [1]


# Rule 9


def test_rule_9_the_previous_key_s_token_is_served_counted_and_told_of(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.roll_over()
    world.server.keys.pop()
    answer = world.start().handler({}, Context())
    assert answer["access_token"] == ACCESS_TOKEN
    found = world.testimony()
    assert found is not None
    assert found.fallback == testimony.Fallback(
        kid=world.second.kid, previous=world.first.kid, at=world.now
    )
    printed = "".join(capfd.readouterr())
    assert (measured(printed, "FallbackUsed"), measured(printed, "TokensServed")) == ([1], [1])
    assert not [secret for secret in world.server.secrets if secret in printed]


def test_rule_9_within_a_minute_it_is_told_once(world: World) -> None:
    world.roll_over()
    world.server.keys.pop()
    function = world.start()
    for scope in ("a", "b"):
        assert function.handler({"scope": scope}, Context())["scope"] == scope
    found = world.testimony()
    assert found is not None
    assert found.revision == 1


def test_rule_9_a_token_in_hand_is_served_whatever_becomes_of_the_testimony(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.roll_over()
    world.server.keys.pop()
    function = world.start()
    sent: list[object] = []

    def fail(**request: object) -> None:
        sent.append(request)
        raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")

    function.hasty()._world.store._client.meta.events.register(  # noqa: SLF001 - the one client
        "before-send.s3.PutObject", fail
    )
    assert function.handler({}, Context())["access_token"] == ACCESS_TOKEN
    assert len(sent) == 1
    assert world.testimony() is None
    assert measured("".join(capfd.readouterr()), "FallbackUsed") == [1]


def test_rule_9_a_caller_waits_for_the_testimony_in_haste_only(world: World) -> None:
    store = world.start().hasty()._world.store  # noqa: SLF001 - how patient it is
    config = store._client.meta.config  # noqa: SLF001
    assert config.read_timeout == 1
    assert config.retries["total_max_attempts"] == 1


def test_rule_9_when_both_keys_are_refused_the_caller_is_told_so(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.roll_over()
    world.server.keys[:] = [{**world.first.jwk, "kid": "another"}]
    assert world.start().handler({}, Context())["error"] == "invalid_client"
    printed = "".join(capfd.readouterr())
    assert (measured(printed, "FallbackUsed"), measured(printed, "TokensRefused")) == ([], [1])
    assert world.testimony() is None
