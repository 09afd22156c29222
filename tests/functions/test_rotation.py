"""The rotation function as Lambda runs it: AWS by strict moto, the public URL by real HTTP."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import jwt
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

from local.aws import Aws
from machine_identity import clock, keyring, testimony
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.errors import PolicyError, SettingsError
from machine_identity.policy import CanaryTimes
from tests.handlers import Context, cold_start, event
from tests.keyrings import proven

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST_TICK = ["Intend", "CreateKey", "Intend", "CreateKey", "Publish", "Promote"]


class PublicUrl:
    """Serves what stands in the published bucket, on a free loopback port."""

    def __init__(self, bucket: Bucket, now: Callable[[], datetime]) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(dict(self.headers))
                document = outer._bucket.read(f"default{self.path}")
                self.send_response(200 if document and outer.is_up else 503)
                if document is not None:
                    self.send_header("Cache-Control", str(document.cache_control))
                self.end_headers()
                self.wfile.write(b"" if document is None else document.body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                del timestamp
                return format_datetime(now(), usegmt=True) if outer.tells_time else "never"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
                pass

        self._bucket = bucket
        self.requests: list[dict[str, str]] = []
        self.is_up = True
        self.tells_time = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def serve(self, bucket: Bucket) -> None:
        """Serve another bucket from now on."""
        self._bucket = bucket

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class World:
    """What is round the function: two buckets, KMS, the public URL, and a clock that moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START
        self.clock_error = timedelta()
        """How far the function's clock is ahead of everybody else's."""
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(clock, "now", lambda: self.now)

    @property
    def time(self) -> datetime:
        """The true time, by which AWS and the public URL go."""
        return self.now - self.clock_error

    def open(self, aws: Aws) -> None:
        """Make what a deployment makes, in an empty account."""
        self.configure(**aws.environment)
        s3 = client("s3")
        where: Any = {"LocationConstraint": "eu-central-1"}
        for name in ("state", "published"):
            s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        self.kms = client("kms")
        self.state, self.published = Bucket(s3, "state"), Bucket(s3, "published")
        self.url = PublicUrl(self.published, lambda: self.time)
        self.configure(STATE_BUCKET="state", PUBLISHED_BUCKET="published", STACK_NAME="stack")
        self.configure(PUBLIC_URL=self.url.address, SIGNING_ALGORITHM="RS256")

    def configure(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def start(self) -> ModuleType:
        # A new process has no logger yet; this one has that of the last cold start.
        logging.Logger.manager.loggerDict.pop("rotation", None)
        return cold_start("rotation")

    def ask(self, question: object) -> dict[str, Any]:
        answer: dict[str, Any] = self.start().handler(question, Context())
        read: dict[str, Any] = json.loads(json.dumps(answer))
        return read

    def steps(self, question: object) -> list[str]:
        return [step["step"] for step in self.ask(question)["steps"]]

    def prove(self) -> None:
        """Write down what the token function saw when it tried the standby key twice."""
        standing = self.state.read("default/keyring.json")
        assert standing is not None
        told = proven(keyring.parse(standing.body), self.now, CanaryTimes().apart)
        body = testimony.serialise(told)
        evidence = self.state.read("default/evidence.json")
        tag = None if evidence is None else evidence.tag
        self.state.write("default/evidence.json", body, expected=tag)

    def recorded(self) -> list[dict[str, Any]]:
        document = self.state.read("default/keyring.json")
        assert document is not None
        keys: list[dict[str, Any]] = json.loads(document.body)["keys"]
        return keys

    def key_set(self) -> dict[str, Any]:
        document = self.published.read("default/.well-known/jwks.json")
        assert document is not None
        found: dict[str, Any] = json.loads(document.body)
        return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(monkeypatch)
    with Aws(now=lambda: made.time) as aws:
        made.open(aws)
        with made.url:
            yield made


def test_step_0_the_first_tick_makes_and_publishes_two_keys_and_one_of_them_signs(
    world: World,
) -> None:
    assert world.steps(event("rotation", "tick")) == FIRST_TICK
    active, standby = world.recorded()
    assert (active["state"], standby["state"]) == ("active", "standby")
    published = {key["kid"]: key for key in world.key_set()["keys"]}
    assert list(published) == [active["jwk"]["kid"], standby["jwk"]["kid"]]
    request: Any = {"MessageType": "RAW", "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}
    signed = world.kms.sign(KeyId=active["arn"], Message=b"a", **request)["Signature"]
    key = jwt.PyJWK(published[active["jwk"]["kid"]])
    assert key.Algorithm.verify(b"a", key.key, signed)


def test_the_keys_carry_the_tags_that_the_roles_go_by(world: World) -> None:
    world.ask(event("rotation", "tick"))
    for key in world.recorded():
        tags = world.kms.list_resource_tags(KeyId=key["arn"])["Tags"]
        by_name = {tag["TagKey"]: tag["TagValue"] for tag in tags}
        assert by_name.pop("machine-identity:intent")
        assert by_name == {
            "machine-identity:stack": "stack",
            "machine-identity:identity": "default",
        }


def test_a_stranger_s_look_carries_no_credentials(world: World) -> None:
    world.ask(event("rotation", "tick"))
    assert world.url.requests
    for headers in world.url.requests:
        assert headers.keys() <= {"Host", "Connection", "User-Agent", "Accept", "Accept-Encoding"}


def test_a_whole_life_of_a_key(world: World) -> None:
    tick = event("rotation", "tick")
    world.ask(tick)
    first = world.recorded()[0]
    world.now = START + 30 * DAY
    assert "(rule 2)" in world.ask(tick)["wait"]["why"]
    world.prove()
    assert world.steps(tick) == ["Promote", "Intend", "CreateKey", "Publish"]
    assert [key["state"] for key in world.recorded()] == ["retired", "active", "standby"]
    world.now += 2 * DAY
    assert world.steps(tick) == ["Withdraw", "Publish", "Disable", "ScheduleDeletion"]
    state = world.kms.describe_key(KeyId=first["arn"])["KeyMetadata"]
    assert (state["KeyState"], "DeletionDate" in state) == ("PendingDeletion", True)
    assert first["jwk"]["kid"] not in {key["kid"] for key in world.key_set()["keys"]}
    world.now += 7 * DAY
    assert world.steps(tick) == ["Forget"]
    assert [key["state"] for key in world.recorded()] == ["active", "standby"]


def test_rule_1_nothing_is_promoted_while_the_public_url_is_down(world: World) -> None:
    tick = event("rotation", "tick")
    world.ask(tick)
    world.now = START + 30 * DAY
    world.url.is_up = False
    answer = world.ask(tick)
    assert answer["steps"] == []
    assert "503" in answer["wait"]["why"]


def test_a_quiet_tick_leaves_the_keyring_as_it_was(world: World) -> None:
    world.ask(event("rotation", "tick"))
    before = world.state.read("default/keyring.json")
    world.now += timedelta(minutes=15)
    assert world.steps(event("rotation", "tick")) == []
    assert world.state.read("default/keyring.json") == before


def test_the_operator_s_commands_are_answered(world: World) -> None:
    world.ask(event("rotation", "tick"))
    status = world.ask(event("rotation", "status"))
    assert [key["state"] for key in status["keys"]] == ["active", "standby"]
    plan = world.ask(event("rotation", "plan"))
    assert plan["steps"][0]["step"] == "Promote"
    assert world.ask(event("rotation", "plan_at"))["until"] == "2029-06-01T00:00:00+00:00"
    world.now += DAY + DAY
    world.prove()
    assert world.steps(event("rotation", "rotate"))[0] == "Promote"
    world.now += DAY / 24
    assert world.steps(event("rotation", "rotate_unsafe"))[0] == "Promote"


@pytest.mark.parametrize("case", ["unknown_command", "wrong_shape"])
def test_what_is_no_command_is_refused(world: World, case: str) -> None:
    answer = world.ask(event("rotation", case))
    assert answer["error"] == "invalid_request"
    assert answer.keys() == {"error", "error_description"}
    assert not world.url.requests


def test_a_bucket_that_is_not_there_is_an_answer(world: World) -> None:
    world.configure(PUBLISHED_BUCKET="nowhere")
    assert world.ask(event("rotation", "tick")) == {
        "error": "aws",
        "error_description": "s3:GetObject failed: NoSuchBucket",
    }


def metrics(printed: pytest.CaptureFixture[str], name: str) -> list[Any]:
    lines = [json.loads(line) for line in "".join(printed.readouterr()).splitlines()]
    return [line[name] for line in lines if name in line]


def test_a_lost_keyring_is_rebuilt_with_one_record_and_a_metric(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.ask(event("rotation", "tick"))
    before = {key["arn"]: key["state"] for key in world.recorded()}
    client("s3").delete_object(Bucket="state", Key="default/keyring.json")
    world.now += DAY
    capfd.readouterr()
    assert world.steps(event("rotation", "tick")) == ["Rebuild", "Publish"]
    assert metrics(capfd, "KeyringRebuilt") == [[1.0]]
    assert {key["arn"]: key["state"] for key in world.recorded()} == before
    world.now += DAY / 96
    assert world.steps(event("rotation", "tick")) == []
    assert metrics(capfd, "KeyringRebuilt") == []


def test_a_keyring_of_somebody_else_is_an_answer(world: World) -> None:
    world.ask(event("rotation", "tick"))
    document = client("s3").get_object(Bucket="state", Key="default/keyring.json")
    client("s3").put_object(Bucket="state", Key="other/keyring.json", Body=document["Body"].read())
    world.configure(IDENTITY="other")
    assert world.ask(event("rotation", "tick"))["error"] == "keyring"


@pytest.mark.parametrize("error", [timedelta(hours=1), -timedelta(hours=1)])
def test_rule_11_a_clock_that_is_apart_changes_nothing_and_is_a_metric(
    world: World, capfd: pytest.CaptureFixture[str], error: timedelta
) -> None:
    world.ask(event("rotation", "tick"))
    before = world.state.read("default/keyring.json")
    world.now += 31 * DAY
    world.clock_error = error
    capfd.readouterr()
    answer = world.ask(event("rotation", "tick"))
    assert (answer["steps"], "(rule 11)" in answer["wait"]["why"]) == ([], True)
    assert metrics(capfd, "ClockApart") == [[1.0]]
    assert world.state.read("default/keyring.json") == before
    world.clock_error = timedelta()
    world.ask(event("rotation", "tick"))
    assert metrics(capfd, "ClockApart") == []


def test_rule_11_s3_alone_is_enough_to_tell(world: World) -> None:
    world.ask(event("rotation", "tick"))
    world.clock_error = DAY / 24
    world.url.tells_time = False
    assert "(rule 11)" in world.ask(event("rotation", "tick"))["wait"]["why"]


def test_rule_10_revoke_ends_the_key_that_signs(world: World) -> None:
    world.ask(event("rotation", "tick"))
    first, second = world.recorded()
    asked = {**event("rotation", "revoke"), "kid": first["jwk"]["kid"]}
    world.now += DAY
    answer = world.ask(asked)
    assert [step["step"] for step in answer["steps"]][:3] == ["Revoke", "Disable", "Publish"]
    assert answer["notes"] == []
    state = world.kms.describe_key(KeyId=first["arn"])["KeyMetadata"]["KeyState"]
    assert state == "PendingDeletion"
    by_kid = {key["jwk"]["kid"]: key for key in world.recorded()}
    assert by_kid[first["jwk"]["kid"]]["reason"] == "a laptop was stolen"
    assert by_kid[second["jwk"]["kid"]]["state"] == "active"
    assert first["jwk"]["kid"] not in {key["kid"] for key in world.key_set()["keys"]}


@pytest.mark.parametrize("lost", ["answer", "request"])
def test_rule_10_kms_is_asked_again_at_once_to_disable_a_key(world: World, lost: str) -> None:
    world.ask(event("rotation", "tick"))
    first, _ = world.recorded()
    asked = {**event("rotation", "revoke"), "kid": first["jwk"]["kid"]}
    world.now += DAY
    sent: list[object] = []

    def lose(**_: object) -> AWSResponse | None:
        sent.append(lost)
        if len(sent) > 1:
            return None
        if lost == "answer":
            world.kms.disable_key(KeyId=first["arn"])
            raise ReadTimeoutError(endpoint_url="https://kms")
        return throttled()

    function = world.start()
    function.repeating.meta.events.register("before-send.kms.DisableKey", lose)
    answer = function.handler(asked, Context())
    assert len(sent) == 2
    assert (answer["signing_stops_within_seconds"], answer["notes"]) == (60, [])


def throttled() -> AWSResponse:
    body = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    raw = SimpleNamespace(stream=lambda: iter([body]))
    return AWSResponse("https://kms", 400, HTTPHeaders(), raw)


@pytest.mark.parametrize("case", ["revoke", "revoke_unknown", "confirm"])
def test_a_key_that_nobody_knows_is_refused(world: World, case: str) -> None:
    world.ask(event("rotation", "tick"))
    assert world.ask(event("rotation", case))["error"] == "invalid_request"


def test_explain_tells_the_sums(world: World) -> None:
    world.ask(event("rotation", "tick"))
    told = world.ask(event("rotation", "explain"))["keys"]
    assert all("rotation interval 720:00" in key["because"] for key in told)


def test_a_key_that_kms_disabled_is_rolled_over(world: World) -> None:
    world.ask(event("rotation", "tick"))
    first, _ = world.recorded()
    world.kms.disable_key(KeyId=first["arn"])
    world.now += 2 * DAY
    world.ask(event("rotation", "tick"))
    world.prove()
    assert world.steps(event("rotation", "tick"))[0] == "Promote"


def test_unsafe_settings_stop_the_function_at_its_start(world: World) -> None:
    world.configure(PROVIDER="entra-federated", ROTATION_INTERVAL_DAYS="4")
    with pytest.raises(PolicyError, match="rotation_interval"):
        world.start()
    world.configure(PUBLIC_URL="")
    with pytest.raises(SettingsError, match="PUBLIC_URL is not set"):
        world.start()


def test_rule_5_a_creation_is_never_sent_twice_unseen(world: World) -> None:
    sent: list[object] = []

    def lose(**request: object) -> None:
        sent.append(request)
        raise ReadTimeoutError(endpoint_url="https://kms")

    function = world.start()
    function.kms.meta.events.register("before-send.kms.CreateKey", lose)
    answer = function.handler(event("rotation", "tick"), Context())
    assert answer["error_description"] == "kms:CreateKey failed: ReadTimeoutError"
    assert len(sent) == 1


def test_an_elliptic_key_rotates_too(world: World) -> None:
    world.configure(SIGNING_ALGORITHM="ES384")
    assert world.steps(event("rotation", "tick")) == FIRST_TICK
    assert {key["crv"] for key in world.key_set()["keys"]} == {"P-384"}


def test_each_step_is_one_log_record_and_the_numbers_are_metrics(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    function = world.start()
    answers = [function.handler(event("rotation", "tick"), Context())]
    answers.append(function.handler(event("rotation", "unknown_command"), Context()))
    printed = capfd.readouterr()
    lines = [json.loads(line) for line in (printed.out + printed.err).splitlines()]
    steps = [line for line in lines if line.get("message") == "step"]
    assert [line["step"] for line in steps] == [*FIRST_TICK, "Wait"]
    for line, step in zip(steps, answers[0]["steps"], strict=False):
        assert line.items() >= {k: v for k, v in step.items() if v is not None}.items()
    assert steps[-1]["until"] == answers[0]["wait"]["until"]
    assert [line["error"] for line in lines if line.get("message") == "command failed"] == [
        "invalid_request"
    ]
    ticked, refused = [line for line in lines if "_aws" in line]
    assert (ticked["identity"], ticked["service"]) == ("default", "rotation")
    assert (ticked["KeysLive"], ticked["StepsTaken"]) == ([2.0], [1.0] * 6)
    assert (ticked["CommandsFailed"], refused["CommandsFailed"]) == ([0.0], [0.0])
    assert refused["identity"] == "default"


def test_a_key_whose_deletion_is_scheduled_does_not_count_as_alive(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    for days, alive in ((0, 2), (30, 3), (2, 2)):
        world.now += days * DAY
        if days == 30:
            world.prove()
        world.ask(event("rotation", "tick"))
        lines = [json.loads(line) for line in "".join(capfd.readouterr()).splitlines()]
        assert [line["KeysLive"] for line in lines if "KeysLive" in line] == [[alive]]
    assert len(world.recorded()) == 3


@pytest.mark.parametrize(("late", "overdue"), [(-1, 0), (0, 1), (10**7, 1)])
def test_rule_2_a_promotion_that_does_not_come_is_a_metric_after_a_day(
    world: World, capfd: pytest.CaptureFixture[str], late: int, overdue: int
) -> None:
    world.ask(event("rotation", "tick"))
    world.now = START + 31 * DAY + timedelta(seconds=late)
    capfd.readouterr()
    world.ask(event("rotation", "tick"))
    lines = [json.loads(line) for line in "".join(capfd.readouterr()).splitlines()]
    found = [line["PromotionOverdue"] for line in lines if "PromotionOverdue" in line]
    assert found == [[overdue]]
    world.prove()
    world.ask(event("rotation", "tick"))
    lines = [json.loads(line) for line in "".join(capfd.readouterr()).splitlines()]
    assert [line["PromotionOverdue"] for line in lines if "PromotionOverdue" in line] == [[0]]


def test_no_key_and_no_event_is_ever_logged(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    function = world.start()
    function.handler(event("rotation", "tick"), Context())
    function.handler({"command": "a-secret-of-the-caller"}, Context())
    printed = "".join(capfd.readouterr())
    assert "a-secret-of-the-caller" not in printed
    assert not [key for key in world.recorded() if key["jwk"]["n"] in printed]
