"""What the token function is told, and the sentence for everything that it is told wrongly."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from machine_identity.aws import AwsError
from machine_identity.aws.clients import client as aws_client
from machine_identity.aws.s3 import Bucket, Document
from machine_identity.cli.provider import steps
from machine_identity.errors import SettingsError, TokenRequestError
from machine_identity.providers import PROVIDERS, ByGraph
from machine_identity.settings.token import CLIENTS_LIFETIME, Clients, Question, TokenSettings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OBJECT_ID = "03ef14b0-ca33-4840-8f4f-d6e91916010e"
NEEDED = {"STATE_BUCKET": "state"}
DEFAULT = {
    "AUTHORIZATION_SERVER": "https://as.example/tenant",
    "CLIENT_ID": "client-1",
    "SCOPE": "api://uppercase/.default",
}
ENTRY = {
    "provider": "entra-federated",
    "authorization_server": "https://login.example/tenant/v2.0",
    "client_id": "client-2",
    "scope": "api://billing/.default",
}


def read(**variables: str) -> TokenSettings:
    return TokenSettings.from_environment({**NEEDED, **variables})


def fault(**variables: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(**variables)
    return str(refused.value)


def test_nothing_but_the_state_bucket_is_needed_and_then_there_is_no_default_client() -> None:
    settings = read()
    assert (settings.identity, settings.state_bucket, settings.default) == (
        "default",
        "state",
        None,
    )
    with pytest.raises(SettingsError, match="STATE_BUCKET is not set, and it is required"):
        TokenSettings.from_environment({})


def test_the_template_s_default_provider_alone_configures_no_client() -> None:
    assert read(PROVIDER="rfc10070").default is None
    assert read(PROVIDER="", AUTHORIZATION_SERVER="", CLIENT_ID="", SCOPE="").default is None


def test_the_default_client_is_what_the_environment_says() -> None:
    client = read(**DEFAULT, PROVIDER="okta", IDENTITY="north").default
    assert client is not None
    assert (client.name, client.provider) == ("default", PROVIDERS["okta"])
    assert (client.authorization_server, client.client_id) == (
        "https://as.example/tenant",
        "client-1",
    )
    assert (client.scope, client.subject) == ("api://uppercase/.default", "")


def test_the_provider_of_the_default_client_is_rfc_10070_s_by_default() -> None:
    client = read(**DEFAULT).default
    assert client is not None
    assert client.provider is PROVIDERS["rfc10070"]


@pytest.mark.parametrize("missing", DEFAULT)
def test_half_a_client_stops_the_function_and_names_what_is_missing(missing: str) -> None:
    given = {name: value for name, value in DEFAULT.items() if name != missing}
    assert fault(**given).startswith(f"{missing} is not set, and it is required with ")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("PROVIDER", "entra", "must be one of rfc10070, rfc7523, entra-federated,"),
        ("IDENTITY", "a/b", "must be at most 64"),
        ("IDENTITY", "x" * 65, "must be at most 64"),
        ("AUTHORIZATION_SERVER", "http://as.example", "must be an https URL"),
        ("AUTHORIZATION_SERVER", "https://as.example/?a=b", "must be an https URL"),
        ("CLIENT_ID", "clé", "must be 1 to 600 printable ASCII"),
        ("CLIENT_ID", "x" * 601, "must be 1 to 600 printable ASCII"),
        ("SCOPE", "read  write", "must be words separated by single spaces"),
    ],
)
def test_a_wrong_variable_is_named_with_its_rule(name: str, value: str, rule: str) -> None:
    assert fault(**{**DEFAULT, name: value}).startswith(f"{name} {rule}")


# Events


@pytest.mark.parametrize(
    ("event", "question"),
    [
        ({}, Question()),
        ({"client": "billing"}, Question(client="billing")),
        ({"scope": "a b"}, Question(scope="a b")),
        ({"client": "billing", "scope": "a"}, Question(client="billing", scope="a")),
    ],
)
def test_an_event_names_a_client_and_a_scope_or_leaves_them_out(
    event: object, question: Question
) -> None:
    assert Question.from_event(event) == question


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "default",
        {"client": None},
        {"client": 7},
        {"client": ""},
        {"client": "../other"},
        {"client": "x" * 65},
        {"scope": None},
        {"scope": ""},
        {"scope": "a\nb"},
        {"scope": ["a"]},
        {"command": "canary"},
        {"client": "default", "extra": 1},
        {"version": "2.0", "routeKey": "GET /token"},
    ],
)
def test_an_event_of_another_shape_is_an_invalid_request(event: object) -> None:
    with pytest.raises(TokenRequestError) as refused:
        Question.from_event(event)
    assert refused.value.code == "invalid_request"


# clients.json


class BreakableBucket(Bucket):
    is_down = False

    def read(self, key: str) -> Document | None:
        if self.is_down:
            raise AwsError("s3:GetObject", "SlowDown")
        return super().read(key)


class World:
    def __init__(self) -> None:
        s3 = aws_client("s3")
        s3.create_bucket(
            Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        self.bucket = BreakableBucket(s3, "state")
        self.clients = Clients(read(), self.bucket)

    def store(self, document: Any) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        standing = self.bucket.read("default/clients.json")
        self.bucket.write(
            "default/clients.json", body, expected=standing.tag if standing else None
        )

    def refused(self, name: str, now: datetime = NOW) -> TokenRequestError:
        with pytest.raises(TokenRequestError) as refused:
            self.clients.named(name, now)
        return refused.value


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield World()


def test_without_provider_values_the_default_client_is_not_configured(world: World) -> None:
    error = world.refused("default")
    assert error.code == "not_configured"
    assert error.description == "AUTHORIZATION_SERVER, CLIENT_ID, SCOPE are not set"


def test_while_s3_is_down_nobody_can_say_that_the_default_client_is_not_configured(
    world: World,
) -> None:
    world.bucket.is_down = True
    assert world.refused("default").code == "temporarily_unavailable"


def test_an_entry_default_counts_where_the_environment_has_no_such_client(world: World) -> None:
    world.store({"default": {**ENTRY, "client_id": "client-2"}})
    assert world.clients.named("default", NOW).client_id == "client-2"
    clients = Clients(read(**DEFAULT), world.bucket)
    assert clients.named("default", NOW).client_id == "client-1"


def test_the_entry_that_the_way_to_entra_shows_has_its_keys_brought(world: World) -> None:
    told = steps(PROVIDERS["entra-certificate"], {}).replace("OBJECT_ID", OBJECT_ID)
    (entry,) = re.findall(r"`({\"default\": .*)`", told)
    world.store(json.loads(entry))
    clients = Clients(read(**DEFAULT, PROVIDER="entra-certificate"), world.bucket)
    assert clients.named("default", NOW).upload is None
    (client,) = clients.usable(NOW)
    assert clients.faults == ()
    assert (client.client_id, client.name) == ("client-1", "default")
    assert isinstance(client.upload, ByGraph)
    assert client.upload.object_id == OBJECT_ID


def test_with_a_fault_in_its_upload_the_default_client_is_as_the_environment_has_it(
    world: World,
) -> None:
    world.store({"default": {"upload": {"object_id": "no GUID"}}, "billing": ENTRY})
    clients = Clients(read(**DEFAULT, PROVIDER="entra-certificate"), world.bucket)
    default, billing = clients.usable(NOW)
    assert (default.name, default.upload, billing.name) == ("default", None, "billing")
    assert clients.faults == (
        "clients.json: default: upload: object_id must be a GUID, that of the application object",
    )
    assert clients.named("default", NOW).client_id == "client-1"


def test_the_default_client_needs_no_s3(world: World) -> None:
    world.bucket.is_down = True
    clients = Clients(read(**DEFAULT), world.bucket)
    assert clients.named("default", NOW).client_id == "client-1"


def test_further_clients_stand_in_clients_json_by_name(world: World) -> None:
    world.store({"billing": {**ENTRY, "subject": "machine-7"}, "audit": ENTRY})
    billing = world.clients.named("billing", NOW)
    assert (billing.name, billing.client_id, billing.subject) == (
        "billing",
        "client-2",
        "machine-7",
    )
    assert billing.provider is PROVIDERS["entra-federated"]
    assert world.clients.named("audit", NOW).subject == ""


def test_a_client_may_bring_a_provider_of_its_own(world: World) -> None:
    own = {"like": "rfc7523", "lifetime_limit_seconds": 30}
    world.store({"billing": {**ENTRY, "provider": own}})
    provider = world.clients.named("billing", NOW).provider
    assert (provider.audience, provider.assertion_lifetime) == (
        PROVIDERS["rfc7523"].audience,
        timedelta(seconds=30),
    )


@pytest.mark.parametrize(
    ("provider", "sentence"),
    [
        (
            {"like": "rfc7523", "lifetime": 30},
            "provider: there is no field of that name; a provider",
        ),
        ({"typ": "JWT"}, "provider: audience is not set, and it is required"),
        (7, "provider must be a name, or an object of a provider's fields"),
        ("nobody", "provider must be one of rfc10070, "),
        ("cognito", "provider must be one of rfc10070, "),
        ("google", "google gives no token for client credentials: its own SDK takes"),
    ],
)
def test_a_provider_that_cannot_be_read_is_one_client_s_misconfiguration(
    world: World, provider: object, sentence: str
) -> None:
    world.store({"billing": {**ENTRY, "provider": provider}, "audit": ENTRY})
    error = world.refused("billing")
    assert error.code == "misconfigured"
    assert sentence in error.description
    assert world.clients.named("audit", NOW)


def test_a_name_that_nobody_configured_is_an_unknown_client(world: World) -> None:
    assert world.refused("billing").code == "unknown_client"
    world.store({"audit": ENTRY})
    assert world.refused("billing", NOW + CLIENTS_LIFETIME).code == "unknown_client"


def test_a_change_of_clients_json_counts_after_a_minute(world: World) -> None:
    world.store({"billing": ENTRY})
    world.clients.named("billing", NOW)
    world.store({"billing": {**ENTRY, "client_id": "client-3"}})
    early, on_time = CLIENTS_LIFETIME - timedelta(seconds=1), CLIENTS_LIFETIME
    assert world.clients.named("billing", NOW + early).client_id == "client-2"
    assert world.clients.named("billing", NOW + on_time).client_id == "client-3"


def test_when_s3_fails_a_named_client_is_temporarily_unavailable(world: World) -> None:
    world.bucket.is_down = True
    error = world.refused("billing")
    assert (error.code, error.description) == (
        "temporarily_unavailable",
        "s3:GetObject failed: SlowDown",
    )


@pytest.mark.parametrize("document", [b"", b"{", b"[" * 100_000, [], "billing", 7])
def test_a_document_that_is_no_object_is_a_misconfiguration(world: World, document: Any) -> None:
    world.store(document)
    error = world.refused("billing")
    assert (error.code, error.description) == (
        "misconfigured",
        "clients.json is not a JSON object",
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"clientid": "x"}, "knows provider, authorization_server, client_id, scope, subject,"),
        ({"client_id": ""}, ": client_id is not set, and it is required"),
        ({"provider": "entra"}, ": provider must be one of rfc10070,"),
        ({"subject": ""}, ": subject must be 1 to 600 printable ASCII characters"),
        ({"scope": "a  b"}, ": scope must be words separated by single spaces"),
        ({"scope": 7}, " must be an object whose values are strings"),
        ({"authorization_server": "as"}, ": authorization_server must be an https URL"),
    ],
)
def test_a_wrong_field_is_named_and_the_other_clients_still_work(
    world: World, change: dict[str, Any], sentence: str
) -> None:
    world.store({"billing": {**ENTRY, **change}, "audit": ENTRY})
    error = world.refused("billing")
    assert error.code == "misconfigured"
    separator = "" if sentence.startswith((":", " ")) else " "
    assert error.description.startswith(f"clients.json: billing{separator}{sentence}")
    assert world.clients.named("audit", NOW).client_id == "client-2"


def test_a_client_that_is_no_object_is_a_misconfiguration(world: World) -> None:
    world.store({"billing": "client-2"})
    assert "must be an object" in world.refused("billing").description


def test_rule_2_the_usable_clients_are_those_that_a_caller_could_name(world: World) -> None:
    world.store(
        {
            "billing": ENTRY,
            "broken": {**ENTRY, "scope": 7},
            "default": ENTRY,
            "the published set": ENTRY,
            "audit": ENTRY,
        }
    )
    found = world.clients.usable(NOW)
    assert [each.name for each in found] == ["default", "billing", "audit"]
    assert [each.partition(" must")[0] for each in world.clients.faults] == [
        "clients.json: broken",
        "clients.json: the published set is no name of a client",
    ]
    clients = Clients(read(**DEFAULT), world.bucket)
    found = clients.usable(NOW)
    assert [each.name for each in found] == ["default", "billing", "audit"]
    assert found[0].client_id == "client-1"


def test_rule_2_when_s3_fails_nobody_can_say_which_clients_there_are(world: World) -> None:
    world.bucket.is_down = True
    with pytest.raises(TokenRequestError, match="SlowDown"):
        Clients(read(**DEFAULT), world.bucket).usable(NOW)
