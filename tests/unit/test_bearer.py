"""What a guarded service answers (RFC 6750 section 3), asked over HTTP as its callers ask it."""

import asyncio
import http.client
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, make_server

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from machine_identity import clock, jwk
from machine_identity.bearer import asgi, wsgi
from machine_identity.bearer.judgement import Judge, Refused
from machine_identity.errors import SettingsError
from machine_identity.verifier import Verifier
from tests.key_set_server import Answer, KeySetServer

KEY, STRANGER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
JWK = jwk.from_public_key(KEY.public_key(), "RS256")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CHALLENGE = 'Bearer realm="orders"'
INVALID = f'{CHALLENGE}, error="invalid_token"'
MALFORMED = f'{CHALLENGE}, error="invalid_request"'
INSUFFICIENT = f'{CHALLENGE}, error="insufficient_scope"'
LACKING = f'{INSUFFICIENT}, scope="orders.read orders.write"'


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture
def issuer() -> Iterator[KeySetServer]:
    with KeySetServer({"keys": [JWK]}) as server:
        yield server


@pytest.fixture
def verifier(issuer: KeySetServer) -> Verifier:
    return Verifier.trusting(
        issuer.issuer,
        audience="api://orders",
        scopes=["orders.write", "orders.read"],
        clients=["client-1"],
    )


def token(issuer: KeySetServer, private: Any = KEY, **claims: Any) -> str:
    members = {
        "iss": issuer.issuer,
        "aud": "api://orders",
        "exp": int(NOW.timestamp()) + 60,
        "client_id": "client-1",
        "scope": "orders.read orders.write",
        **claims,
    }
    return jwt.encode(members, private, "RS256", headers={"kid": JWK["kid"]})


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Service:
    """A guarded application behind the standard library's own server."""

    def __init__(self, verifier: Verifier) -> None:
        guarded = wsgi.Guarded(self._application, verifier, realm="orders")
        self._server = make_server("127.0.0.1", 0, guarded, handler_class=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.calls = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _application(self, environ: Any, start_response: Any) -> list[bytes]:
        self.calls += 1
        start_response("200 OK", [])
        return [environ["machine_identity.claims"].client.encode()]

    def ask(self, *authorization: str) -> tuple[int, str | None, bytes]:
        """Return the status, the challenge and the body."""
        response, body = self.response(*authorization)
        return response.status, response.getheader("www-authenticate"), body

    def response(self, *authorization: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=9)
        connection.putrequest("GET", "/")
        for each in authorization:
            connection.putheader("Authorization", each)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body


@pytest.fixture
def service(verifier: Verifier) -> Iterator[Service]:
    with Service(verifier) as service:
        yield service


def test_a_good_token_reaches_the_application_which_learns_who_calls(
    service: Service, issuer: KeySetServer
) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
        assert service.ask(f"{scheme} {token(issuer)}") == (200, None, b"client-1")
    assert (service.calls, issuer.fetches, issuer.discoveries) == (4, 1, 1)


@pytest.mark.parametrize("given", [(), ("Basic dXNlcjpwYXNz",), ("",), ("Bear",), ("BearerX y",)])
def test_who_shows_no_token_is_asked_for_one_and_told_of_no_error(
    service: Service, given: tuple[str, ...], issuer: KeySetServer
) -> None:
    assert service.ask(*given) == (401, CHALLENGE, b"")
    assert (service.calls, issuer.requests) == (0, [])


@pytest.mark.parametrize(
    "given",
    [
        ("Bearer",),
        ("Bearer  ",),
        ("Bearer a b",),
        ("Bearer a,Bearer b",),
        ("Bearer a", "Bearer b"),
        ('Bearer "a"',),
        ("Bearer =",),
        ("Bearer Zoë".encode().decode("latin-1"),),
    ],
)
def test_what_is_not_one_token_is_no_request(
    service: Service, given: tuple[str, ...], issuer: KeySetServer
) -> None:
    assert service.ask(*given) == (400, MALFORMED, b"")
    assert (service.calls, issuer.requests) == (0, [])


def test_two_headers_are_no_request_even_if_both_are_good(
    service: Service, issuer: KeySetServer
) -> None:
    good = f"Bearer {token(issuer)}"
    assert service.ask(good, good) == (400, MALFORMED, b"")
    assert service.ask(good, "Basic dXNlcjpwYXNz")[0] == 400
    assert service.calls == 0


def test_a_token_that_is_not_to_be_believed_is_invalid_and_not_said_why(
    service: Service, issuer: KeySetServer, caplog: pytest.LogCaptureFixture
) -> None:
    now = int(NOW.timestamp())
    wrong = {
        "signature": token(issuer, STRANGER),
        "expired": token(issuer, exp=now - 60),
        "audience": token(issuer, aud="api://other"),
        "issuer": token(issuer, iss="https://other.example"),
        "malformed": "a.b.c.d",
    }
    for text in wrong.values():
        assert service.ask(f"Bearer {text}") == (401, INVALID, b"")
    assert service.calls == 0
    assert [each.getMessage() for each in caplog.records] == [
        f"token refused: {code}" for code in wrong
    ]
    assert not [each for each in wrong.values() if each in caplog.text]


def test_a_good_token_that_lacks_a_scope_is_told_which_are_needed(
    service: Service, issuer: KeySetServer
) -> None:
    for scope in ("orders.read", "orders.write", "", "orders.read orders.writes"):
        assert service.ask(f"Bearer {token(issuer, scope=scope)}") == (403, LACKING, b"")
    assert service.calls == 0


def test_one_that_lacks_another_right_is_told_of_no_scope(
    service: Service, issuer: KeySetServer
) -> None:
    text = token(issuer, client_id="client-2")
    assert service.ask(f"Bearer {text}") == (403, INSUFFICIENT, b"")


def test_while_the_keys_are_not_to_be_had_nobody_is_judged(
    service: Service, issuer: KeySetServer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.answer = Answer(status=500)
    for text in (token(issuer), token(issuer, STRANGER)):
        response, body = service.response(f"Bearer {text}")
        assert (response.status, body) == (503, b"")
        assert response.getheader("retry-after") == "5"
        assert response.getheader("www-authenticate") is None
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert told == [f"token not judged: the keys of {issuer.issuer} are not to be had"] * 2
    assert service.ask("Bearer a.b.c") == (401, INVALID, b"")
    assert service.calls == 0


def test_every_refusal_says_how_long_it_is(verifier: Verifier, issuer: KeySetServer) -> None:
    issuer.answer = Answer(status=500)
    judge = Judge(verifier, realm="orders")
    for given in ([], ["Bearer"], ["Bearer a.b.c"], [f"Bearer {token(issuer)}"]):
        judged = judge.judge(given, NOW)
        assert isinstance(judged, Refused)
        assert ("Content-Length", "0") in judged.headers


@pytest.mark.parametrize("realm", ["", 'a"b', "a\\b", "a\r\nX: y", "Zoë"])
def test_a_realm_that_would_write_more_than_itself_is_refused(
    verifier: Verifier, realm: str
) -> None:
    with pytest.raises(SettingsError, match="a realm must be named"):
        Judge(verifier, realm=realm)


def test_so_is_a_scope() -> None:
    verifier = Verifier.trusting("https://a.example", audience="a", scopes=['a"b'])
    with pytest.raises(SettingsError, match="have no quotation mark"):
        Judge(verifier, realm="orders")


# ASGI


class Conversation:
    """One ASGI application behind the guard, asked in process; what it saw and what it sent."""

    def __init__(self, verifier: Verifier) -> None:
        self.seen: list[Any] = []
        self.sent: list[Any] = []
        self.guarded = asgi.Guarded(self._application, verifier, realm="orders")

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "anything"
        self.seen.append(scope.get("machine_identity.claims"))
        await send({"type": "from the application"})

    def ask(self, kind: str, *authorization: str) -> list[Any]:
        async def receive() -> Any:
            return {"type": "anything"}

        async def send(message: Any) -> None:
            self.sent.append(message)

        named = [(b"Authorization", each.encode("latin-1")) for each in authorization]
        scope: Any = {"type": kind}
        if kind != "lifespan":
            scope["headers"] = [(b"accept", b"*/*"), *named]
        self.sent = []
        asyncio.run(self.guarded(scope, receive, send))
        assert "machine_identity.claims" not in scope
        return self.sent


@pytest.fixture
def conversation(verifier: Verifier) -> Conversation:
    return Conversation(verifier)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_in_asgi_a_good_token_reaches_the_application_too(
    conversation: Conversation, issuer: KeySetServer, kind: str
) -> None:
    assert conversation.ask(kind, f"Bearer {token(issuer)}") == [{"type": "from the application"}]
    assert [claims.client for claims in conversation.seen] == ["client-1"]


@pytest.mark.parametrize(
    ("given", "status", "challenge"),
    [
        ((), 401, CHALLENGE),
        (("Bearer a.b.c",), 401, INVALID),
        (("Bearer a", "Bearer b"), 400, MALFORMED),
        (("Bearer a.b", ".c"), 400, MALFORMED),
        (("Bearer \xff",), 400, MALFORMED),
    ],
)
def test_in_asgi_a_refusal_is_answered_alike(
    conversation: Conversation, given: tuple[str, ...], status: int, challenge: str
) -> None:
    headers = [(b"www-authenticate", challenge.encode()), (b"content-length", b"0")]
    assert conversation.ask("http", *given) == [
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": b""},
    ]
    assert conversation.seen == []


def test_a_websocket_that_is_refused_never_opens(conversation: Conversation) -> None:
    assert conversation.ask("websocket") == [{"type": "websocket.close", "code": 1008}]
    assert conversation.seen == []


def test_the_server_s_own_messages_go_through(conversation: Conversation) -> None:
    assert conversation.ask("lifespan") == [{"type": "from the application"}]
    assert conversation.seen == [None]


def test_in_asgi_the_clock_is_read_when_a_call_s_turn_has_come(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_by: list[threading.Thread] = []

    def now() -> datetime:
        read_by.append(threading.current_thread())
        return NOW

    monkeypatch.setattr(clock, "now", now)
    conversation.ask("http", "Bearer x")
    assert read_by
    assert threading.main_thread() not in read_by


def test_what_asgi_may_be_one_day_is_judged_like_the_rest(conversation: Conversation) -> None:
    assert conversation.ask("webtransport")[0]["status"] == 401
    assert conversation.seen == []


def test_a_slow_issuer_does_not_stop_the_loop(
    conversation: Conversation, issuer: KeySetServer
) -> None:
    issuer.answer = Answer(status=500, delay=0.5)
    ticks = 0

    async def both() -> None:
        nonlocal ticks
        scope = {
            "type": "http",
            "headers": [(b"authorization", f"Bearer {token(issuer)}".encode())],
        }

        async def send(_: Any) -> None: ...

        async def receive() -> Any: ...

        asked = asyncio.create_task(conversation.guarded(scope, receive, send))
        while not asked.done():
            ticks += 1
            await asyncio.sleep(0.01)

    asyncio.run(both())
    assert ticks > 10


# Verifier.trusting, the usual case in one line


def test_what_is_demanded_in_one_line_is_demanded(issuer: KeySetServer) -> None:
    verifier = Verifier.trusting(
        issuer.issuer, audience=["a", "api://orders"], roles=["R"], jwks_uri=issuer.jwks_uri
    )
    assert verifier.verify(token(issuer, roles=["R"]), NOW).roles == ("R",)
    assert issuer.discoveries == 0
    judge = Judge(verifier, realm="orders")
    for given in (token(issuer), token(issuer, roles=["S"])):
        judged = judge.judge([f"Bearer {given}"], NOW)
        assert isinstance(judged, Refused)
        assert dict(judged.headers)["WWW-Authenticate"] == INSUFFICIENT
    with pytest.raises(SettingsError, match="algorithms must be some of"):
        Verifier.trusting(issuer.issuer, audience="a", roles=["R"], algorithms=["HS256"])


def test_it_has_the_defaults_of_the_authorizer(issuer: KeySetServer) -> None:
    verifier = Verifier.trusting(issuer.issuer, audience="api://orders", scopes=["orders.read"])
    late = NOW + timedelta(seconds=119)  # a minute past exp, less a second
    assert verifier.verify(token(issuer), late).client == "client-1"
    assert verifier.scopes == {"orders.read"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "scopes, roles or clients must be required"),
        ({"audience": "", "scopes": ["a"]}, "an empty audience"),
        ({"audience": [], "scopes": ["a"]}, "an audience"),
        ({"scopes": "orders.read"}, "a string is none"),
        ({"roles": "R"}, "a string is none"),
        ({"clients": "c"}, "a string is none"),
        ({"issuer": "http://issuer.example", "scopes": ["a"]}, "only https is spoken"),
        ({"issuer": "issuer.example", "scopes": ["a"]}, "only https is spoken"),
        ({"jwks_uri": "http://issuer.example", "scopes": ["a"]}, "only https is spoken"),
    ],
)
def test_what_would_let_anybody_in_or_nobody_is_refused_at_once(
    settings: dict[str, Any], sentence: str
) -> None:
    given = {"issuer": "https://issuer.example", "audience": "api://orders", **settings}
    with pytest.raises(SettingsError, match=sentence):
        Verifier.trusting(**given)
