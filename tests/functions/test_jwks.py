"""The jwks function as Lambda runs it: documents as rotation publishes them, S3 by moto."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from moto import mock_aws

from machine_identity import clock, publication
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.errors import SettingsError
from machine_identity.keyring import Incoming, Key, Keyring, State
from machine_identity.origin import ORIGIN_STALENESS
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH, Documents, object_key
from tests.handlers import ROOT, Context, cold_start, event

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
EXPECTED: dict[str, Any] = json.loads(
    (ROOT / "tests" / "vectors" / "jwks" / "expected.json").read_text()
)
EVERY_ANSWER = {
    "content-type": "application/json",
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": "*",
}


def documents(revision: int, incoming: Incoming | None = None) -> Documents:
    key = Key(
        jwk={"kty": "RSA", "kid": "first", "alg": "RS256", "use": "sig", "n": "AQAB", "e": "AQAB"},
        arn="arn:aws:kms:eu-central-1:123456789012:key/first",
        created_at=START,
        state=State.ACTIVE,
        since=START,
    )
    ring = Keyring(
        identity="default",
        issuer="https://identity.example",
        keys=(key,),
        published_revision=revision,
        incoming=incoming,
    )
    return publication.documents(ring, timedelta(minutes=5))


class World:
    """The published bucket, the time, and the function."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instant = START
        self.s3 = client("s3")
        self.create_bucket()
        self.bucket = Bucket(self.s3, "published")
        monkeypatch.setattr(clock, "now", lambda: self.instant)
        monkeypatch.setenv("PUBLISHED_BUCKET", "published")

    def create_bucket(self) -> None:
        self.s3.create_bucket(
            Bucket="published", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )

    def publish(self, revision: int = 1) -> Documents:
        made = documents(revision)
        for path, body in ((JWKS_PATH, made.jwks), (CONFIGURATION_PATH, made.configuration)):
            key = object_key("default", path)
            standing = self.bucket.read(key)
            expected = standing.tag if standing else None
            self.bucket.write(key, body, expected=expected, cache_control=made.cache_control)
        return made

    def withdraw(self) -> None:
        """Delete both documents by hand, and the bucket too."""
        for path in (JWKS_PATH, CONFIGURATION_PATH):
            self.s3.delete_object(Bucket="published", Key=object_key("default", path))
        self.s3.delete_bucket(Bucket="published")


def start() -> ModuleType:
    # A new process has no logger yet; this one has that of the last cold start.
    logging.Logger.manager.loggerDict.pop("jwks", None)
    return cold_start("jwks")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield World(monkeypatch)


def request(case: str = "key_set", *, method: str = "GET", **headers: str) -> dict[str, Any]:
    question: dict[str, Any] = event("jwks", case)
    question["headers"].update({name.replace("_", "-"): each for name, each in headers.items()})
    question["requestContext"]["http"]["method"] = method
    return question


def ask(function: ModuleType, question: object) -> dict[str, Any]:
    """Ask, and see to what holds of every answer."""
    answer: dict[str, Any] = json.loads(json.dumps(function.handler(question, Context())))
    assert not answer.get("isBase64Encoded")
    return answer


def test_every_event_has_an_expectation_and_every_expectation_an_event() -> None:
    assert {each.stem for each in (ROOT / "events" / "jwks").iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("case", EXPECTED)
def test_every_event_is_answered_as_expected(world: World, case: str) -> None:
    world.publish()
    assert ask(start(), event("jwks", case))["statusCode"] == EXPECTED[case]["status"]


def test_steps_3_to_5_both_documents_are_served_to_the_byte(world: World) -> None:
    made = world.publish()
    function = start()
    for case, body in (("key_set", made.jwks), ("configuration", made.configuration)):
        answer = ask(function, event("jwks", case))
        assert answer["body"] == body.decode()
        tag = answer["headers"].pop("etag")
        assert answer["headers"] == {**EVERY_ANSWER, "cache-control": "public, max-age=300"}
        again = ask(function, request(case, if_none_match=f'"other", W/{tag}'))
        assert (again["statusCode"], again["body"]) == (304, "")
        assert again["headers"] == {**answer["headers"], "etag": tag}


def test_a_head_is_a_get_without_the_body(world: World) -> None:
    world.publish()
    function = start()
    full = ask(function, request())
    assert ask(function, request(method="HEAD")) == {**full, "body": ""}


@pytest.mark.parametrize("name", ["If-None-Match", "IF-NONE-MATCH"])
def test_a_header_s_name_may_be_in_any_case(world: World, name: str) -> None:
    world.publish()
    assert ask(start(), request(**{name: "*"}))["statusCode"] == 304


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/.well-known/jwks.json/"),
        ("GET", "/.well-known/jwksXjson"),
        ("GET", "/Xwell-known/jwks.json"),
        ("GET", "/default/.well-known/jwks.json"),
        ("GET", "/.well-known/../default/keyring.json"),
        ("GET", "//.well-known/jwks.json"),
        ("POST", JWKS_PATH),
        ("DELETE", CONFIGURATION_PATH),
    ],
)
def test_there_is_nothing_else(world: World, method: str, path: str) -> None:
    world.publish()
    question = request(method=method)
    question["rawPath"] = question["requestContext"]["http"]["path"] = path
    assert ask(start(), question)["statusCode"] == 404


@pytest.mark.parametrize(
    "question",
    [
        None,
        [],
        "GET",
        {},
        {"version": "2.0"},
        {**event("jwks", "key_set"), "rawPath": 7},
        {**event("jwks", "key_set"), "headers": {"if-none-match": ["*"]}},
        {**event("jwks", "key_set"), "headers": {"accept": None}},
    ],
)
def test_an_event_of_another_shape_is_an_invalid_event(world: World, question: object) -> None:
    world.publish()
    answer = ask(start(), question)
    assert (answer["statusCode"], answer["headers"]) == (400, EVERY_ANSWER)
    assert json.loads(answer["body"])["error"] == "invalid_event"


def test_nothing_is_derived_from_the_host_or_from_any_other_header(world: World) -> None:
    world.publish()
    function = start()
    plain = ask(function, request("configuration"))
    question = request(
        "configuration",
        host="evil.example",
        x_forwarded_host="evil.example",
        forwarded="host=evil.example;proto=http",
        origin="https://evil.example",
        accept_encoding="gzip",
    )
    question["requestContext"]["domainName"] = "evil.example"
    assert ask(function, question) == plain


def test_while_there_are_two_issuers_the_domain_that_was_asked_chooses_and_no_header_does(
    world: World,
) -> None:
    made = documents(1, Incoming(url="https://new.example", since=START))
    for path, body in ((JWKS_PATH, made.jwks), (CONFIGURATION_PATH, made.configuration)):
        world.bucket.write(
            object_key("default", path), body, expected=None, cache_control=made.cache_control
        )
    function = start()

    def told(domain: object, **headers: str) -> dict[str, Any]:
        question = request("configuration", **headers)
        question["requestContext"]["domainName"] = domain
        answer = ask(function, question)
        assert answer["statusCode"] == 200
        document: dict[str, Any] = json.loads(answer["body"])
        assert document["jwks_uri"] == document["issuer"] + JWKS_PATH
        assert "other_issuers" not in document
        return {"issuer": document["issuer"], "etag": answer["headers"]["etag"]}

    new, old = told("new.example"), told("identity.example")
    assert (new["issuer"], old["issuer"]) == ("https://new.example", "https://identity.example")
    assert new["etag"] != old["etag"]
    assert told("identity.example", host="new.example", x_forwarded_host="new.example") == old
    assert told(None) == told("evil.example") == old
    key_sets = []
    for domain in ("new.example", "identity.example"):
        question = request("key_set")
        question["requestContext"]["domainName"] = domain
        key_sets.append(ask(function, question)["body"])
    assert key_sets == [made.jwks.decode()] * 2


def test_before_the_first_key_the_answer_is_503_and_the_first_key_is_served_at_once(
    world: World,
) -> None:
    function = start()
    for case in ("key_set", "configuration"):
        answer = ask(function, event("jwks", case))
        assert answer["statusCode"] == 503
        assert answer["headers"] == {
            **EVERY_ANSWER,
            "cache-control": "no-store",
            "retry-after": "30",
        }
    world.publish()
    assert ask(function, event("jwks", "key_set"))["statusCode"] == 200


def test_when_s3_fails_the_last_good_copy_is_served_for_five_minutes_and_then_503(
    world: World,
) -> None:
    made = world.publish()
    function = start()
    ask(function, event("jwks", "key_set"))
    world.withdraw()
    world.instant = START + ORIGIN_STALENESS
    assert ask(function, event("jwks", "key_set"))["body"] == made.jwks.decode()
    world.instant += timedelta(seconds=1)
    assert ask(function, event("jwks", "key_set"))["statusCode"] == 503
    world.create_bucket()
    world.publish(2)
    assert json.loads(ask(function, event("jwks", "key_set"))["body"])["revision"] == 2


def test_when_s3_is_silent_there_is_an_answer_well_within_the_function_s_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PUBLISHED_BUCKET"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        function = start()
        begun_at = time.monotonic()
        assert ask(function, event("jwks", "key_set"))["statusCode"] == 503
        assert 3.9 < time.monotonic() - begun_at < 7


def test_rule_6_a_set_that_was_rolled_back_in_the_bucket_is_not_served(world: World) -> None:
    made = world.publish(2)
    function = start()
    ask(function, event("jwks", "key_set"))
    world.publish(1)
    assert ask(function, event("jwks", "key_set"))["body"] == made.jwks.decode()


def test_the_identity_names_the_folder(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish()
    monkeypatch.setenv("IDENTITY", "north")
    assert ask(start(), event("jwks", "key_set"))["statusCode"] == 503


@pytest.mark.usefixtures("world")
def test_a_missing_bucket_s_name_stops_the_function_at_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBLISHED_BUCKET", "")
    with pytest.raises(SettingsError, match="PUBLISHED_BUCKET is not set, and it is required"):
        start()


@pytest.mark.filterwarnings("ignore:POWERTOOLS_DEV")
def test_each_log_is_json_and_holds_no_header_and_no_key(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("POWERTOOLS_LOGGER_LOG_EVENT", "POWERTOOLS_DEV"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    world.publish()
    function = start()
    ask(function, request(if_none_match='"sent-by-a-reader"', authorization="Bearer sent-too"))
    world.withdraw()
    ask(function, request(if_none_match='"sent-by-a-reader"'))
    ask(function, {})
    printed = "".join(capfd.readouterr())
    lines = json.loads("[" + printed.replace("}\n{", "},{") + "]")
    told = [(line["level"], line.get("status"), line.get("fault")) for line in lines]
    assert told == [
        ("INFO", 200, None),
        ("WARNING", 200, "s3:GetObject failed: NoSuchBucket"),
        ("WARNING", None, None),
    ]
    assert lines[0]["correlation_id"] == "BvXlUhEwFiAEJzQ="
    assert lines[0]["function_request_id"] == Context.aws_request_id
    assert not [word for word in ("sent-by", "sent-too", "AQAB", "curl") if word in printed]
