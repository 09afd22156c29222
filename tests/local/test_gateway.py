"""API Gateway's answers, one by one, with real functions behind."""

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Request

from local.clock import MovableClock
from local.gateway import MOST_BYTES, Gateway
from local.loopback import LoopbackServer
from local.template import Authorizer, Route
from local.trace import Watchers
from tests.local.functions import ECHO, function

# Answers as the header "x-test" says; a second header would reach it joined to the first.
GUARD = """
def handler(event, context):
    word = event["headers"].get("x-test", "allow")
    if word == "raise":
        raise ValueError("cannot judge")
    answers = {
        "allow": {"isAuthorized": True, "context": {"client": "c", "asked": event}},
        "deny": {"isAuthorized": False, "context": {"why": "secret"}},
        "yes": {"isAuthorized": "true"},
        "bare": {"isAuthorized": True},
        "nothing": None,
        "wrong": {"allowed": True},
    }
    return answers[word]
"""
ANSWERING = """
import json
def handler(event, context):
    return json.loads(event["body"])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class World:
    def __init__(self, server: LoopbackServer, clock: MovableClock) -> None:
        self.clock = clock
        self._address = server.url.removeprefix("http://")

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, timeout=10)

    def ask(
        self,
        method: str,
        path: str,
        *headers: tuple[str, str],
        body: bytes = b"",
    ) -> Answer:
        connection = self.connection()
        connection.putrequest(method, path)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        found: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            found.setdefault(name.lower(), []).append(value)
        content = response.read()
        connection.close()
        return Answer(status=response.status, headers=found, body=content)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    guard = Authorizer(function="GuardFunction", headers=("authorization",))
    routes = (
        Route(method="GET", path="/open", function="EchoFunction", authorizer=None),
        Route(method="POST", path="/shut", function="EchoFunction", authorizer=guard),
        Route(method="POST", path="/answer", function="AnsweringFunction", authorizer=None),
    )
    sources = {"EchoFunction": ECHO, "GuardFunction": GUARD, "AnsweringFunction": ANSWERING}
    with ExitStack() as opened:
        functions = {
            name: opened.enter_context(function(tmp_path, source, name=name))
            for name, source in sources.items()
        }
        clock = MovableClock()
        gateway = Gateway(routes=routes, functions=functions, clock=clock, trace=Watchers())
        server = LoopbackServer(Request.application(gateway), now=clock.now)
        yield World(opened.enter_context(server), clock)


BEARER = ("Authorization", "Bearer x")
JSON = ("Content-Type", "application/json")


def test_a_function_gets_the_payload_of_format_2_0(world: World) -> None:
    event = world.ask(
        "GET",
        "/open?a=1&b=2&a=3%2C4",
        ("X-Many", "1"),
        ("X-Many", "2"),
        ("Cookie", "c=1; d=2"),
        ("User-Agent", "test"),
    ).json
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "GET /open", "/open")
    assert event["rawQueryString"] == "a=1&b=2&a=3%2C4"
    assert event["queryStringParameters"] == {"a": "1,3,4", "b": "2"}
    assert event["headers"]["x-many"] == "1,2"
    assert event["cookies"] == ["c=1", "d=2"]
    assert "cookie" not in event["headers"]
    assert not [name for name in event["headers"] if name != name.lower()]
    assert ("body" in event, event["isBase64Encoded"]) == (False, False)
    context = event["requestContext"]
    assert (
        context["http"].items()
        >= {
            "method": "GET",
            "path": "/open",
            "sourceIp": "127.0.0.1",
            "userAgent": "test",
        }.items()
    )
    assert (context["routeKey"], context["stage"]) == ("GET /open", "$default")
    assert "authorizer" not in context


@pytest.mark.parametrize(
    ("kind", "body", "is_base64"),
    [
        ("application/json", '{"ß": 1}'.encode(), False),
        ("Application/JSON; charset=utf-8", b"{}", False),
        ("text/plain", b"x", False),
        ("application/json", b"\xff", True),
        ("application/octet-stream", b"x", True),
        ("application/x-www-form-urlencoded", b"a=b", True),
        ("", b"x", True),
    ],
)
def test_a_body_is_text_only_where_it_says_so_and_is(
    world: World,
    kind: str,
    body: bytes,
    is_base64: bool,  # noqa: FBT001
) -> None:
    event = world.ask("POST", "/shut", BEARER, ("Content-Type", kind), body=body).json
    assert event["isBase64Encoded"] is is_base64
    sent = base64.b64decode(event["body"]) if is_base64 else event["body"].encode()
    assert sent == body


def test_the_authorizer_gets_the_request_without_its_body(world: World) -> None:
    answer = world.ask("POST", "/shut", BEARER, JSON, body=b'{"text": "x"}').json
    context = answer["requestContext"]["authorizer"]["lambda"]
    assert context["client"] == "c"
    asked = context["asked"]
    assert (asked["type"], asked["identitySource"]) == ("REQUEST", ["Bearer x"])
    assert asked["routeArn"].endswith("/$default/POST/shut")
    assert not {"body", "isBase64Encoded"} & asked.keys()


@pytest.mark.parametrize("headers", [(), (("Authorization", ""),)])
def test_without_an_identity_source_nobody_is_asked_and_it_is_401(
    world: World, headers: tuple[tuple[str, str], ...]
) -> None:
    answer = world.ask("POST", "/shut", ("X-Test", "raise"), *headers)
    assert (answer.status, answer.json) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize(
    ("word", "status", "message"),
    [
        ("deny", 403, "Forbidden"),
        ("yes", 403, "Forbidden"),
        ("raise", 500, "Internal Server Error"),
        ("nothing", 500, "Internal Server Error"),
        ("wrong", 500, "Internal Server Error"),
    ],
)
def test_only_a_plain_yes_of_the_authorizer_lets_a_request_in(
    world: World, word: str, status: int, message: str
) -> None:
    answer = world.ask("POST", "/shut", BEARER, ("X-Test", word), body=b"{}")
    assert (answer.status, answer.json) == (status, {"message": message})


def test_an_authorizer_may_leave_its_context_out(world: World) -> None:
    answer = world.ask("POST", "/shut", BEARER, ("X-Test", "bare"))
    assert answer.json["requestContext"]["authorizer"] == {"lambda": {}}


def test_a_caller_that_stops_sending_holds_up_neither_the_clock_nor_another_caller(
    world: World,
) -> None:
    with closing(world.connection()) as stalled:
        stalled.putrequest("POST", "/shut")
        stalled.putheader("Content-Length", "10")
        stalled.endheaders()
        hour_on = world.clock.now() + timedelta(hours=1)
        world.clock.move_to(hour_on)
        assert world.clock.now() >= hour_on
        assert world.ask("POST", "/shut", BEARER).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("POST", "/open"), ("HEAD", "/open"), ("GET", "/open/")]
)
def test_a_route_is_method_and_path_and_all_else_is_404(
    world: World, method: str, path: str
) -> None:
    assert world.ask(method, path, BEARER).status == 404


def test_a_request_beyond_the_quota_is_413_and_reaches_nobody(world: World) -> None:
    answer = world.ask("POST", "/answer", JSON, body=b" " * (MOST_BYTES + 1))
    assert (answer.status, answer.json) == (413, {"message": "Request Entity Too Large"})


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        ({"statusCode": 201, "body": "ß"}, 201, "ß".encode()),
        ({"statusCode": 200, "body": "w58=", "isBase64Encoded": True}, 200, "ß".encode()),
        ({"statusCode": "204"}, 204, b""),
        ({"result": 1}, 200, b'{"result": 1}'),
        ("text", 200, b'"text"'),
    ],
)
def test_a_function_s_answer_becomes_the_response(
    world: World, answer: object, status: int, body: bytes
) -> None:
    got = world.ask("POST", "/answer", JSON, body=json.dumps(answer).encode())
    assert (got.status, got.body) == (status, body)


def test_headers_and_cookies_of_the_answer_are_passed_on(world: World) -> None:
    answer = {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "ETag": '"1"'},
        "cookies": ["a=1", "b=2"],
        "body": "{}",
    }
    got = world.ask("POST", "/answer", JSON, body=json.dumps(answer).encode())
    assert got.headers["content-type"] == ["application/json"]
    assert (got.headers["etag"], got.headers["set-cookie"]) == (['"1"'], ["a=1", "b=2"])


@pytest.mark.parametrize(
    "body", [b"{", b'{"statusCode": "x"}', b'{"statusCode": 200, "headers": []}']
)
def test_a_function_that_fails_or_answers_nonsense_is_500(world: World, body: bytes) -> None:
    answer = world.ask("POST", "/answer", JSON, body=body)
    assert (answer.status, answer.json) == (500, {"message": "Internal Server Error"})
