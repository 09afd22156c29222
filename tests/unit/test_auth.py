"""The hooks of httpx, sync and async, and of requests: one suite of claims for all three."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from machine_identity import jwk, transport
from machine_identity.auth import httpx_auth, requests_auth
from machine_identity.auth.refusals import refuses_token
from machine_identity.client import Tokens
from machine_identity.client_assertion import SigningKey
from machine_identity.errors import SettingsError, TokenRequestError
from machine_identity.providers import PROVIDERS, Client
from machine_identity.token_source import TokenSource
from tests.api_server import FORBIDDEN, Api, Reply
from tests.token_endpoint import Answer, TokenEndpoint

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = jwk.from_public_key(RSA.public_key(), "RS256")
KEY = SigningKey(kid=PUBLIC["kid"], algorithm="RS256", private_key=RSA)


class World:
    """An API, an authorization server that numbers its tokens, and a clock that the test moves."""

    def __init__(self, api: Api, server: TokenEndpoint) -> None:
        self.api = api
        self.server = server
        self.instant = START
        self._count = 0
        source = TokenSource(
            signer=KEY, transport=transport.send, clock=self, sleep=lambda _: None
        )
        client = Client(
            name="default",
            provider=PROVIDERS["rfc10070"],
            authorization_server=server.url,
            client_id="client-1",
            scope="read",
        )
        self.tokens = Tokens(source, client)

    def now(self) -> datetime:
        return self.instant

    def unique(self) -> str:
        self._count += 1
        self.server.grants = {"access_token": f"token-{self._count}"}
        return f"jti-{self._count}"

    @property
    def asked(self) -> int:
        return len(self.server.forms)

    def expire_at_the_api(self) -> None:
        """Have a token that the API does not let in any more, though it is not yet old."""
        assert self.tokens.get().value == "token-1"
        self.api.good = {"token-2"}
        self.instant += HOUR / 2


@pytest.fixture
def world() -> Iterator[World]:
    with Api() as api, TokenEndpoint([PUBLIC]) as server:
        api.good = {"token-1", "token-2"}
        yield World(api, server)


class Ask(Protocol):
    """Calls the API by one of the libraries, and returns status and body."""

    def __call__(
        self, tokens: Tokens, method: str, url: str, **more: Any
    ) -> tuple[int, bytes]: ...


def by_httpx(tokens: Tokens, method: str, url: str, **more: Any) -> tuple[int, bytes]:
    auth = httpx_auth.BearerAuth(tokens)
    with httpx.Client(auth=auth, follow_redirects=True, trust_env=False) as client:
        response = client.request(method, url, **more)
        return response.status_code, response.content


def by_async_httpx(tokens: Tokens, method: str, url: str, **more: Any) -> tuple[int, bytes]:
    async def ask() -> tuple[int, bytes]:
        auth = httpx_auth.BearerAuth(tokens)
        async with httpx.AsyncClient(auth=auth, follow_redirects=True, trust_env=False) as client:
            if "content" in more and not isinstance(more["content"], bytes):
                more["content"] = asynchronous(more["content"])
            response = await client.request(method, url, **more)
            return response.status_code, response.content

    return asyncio.run(ask())


async def asynchronous(pieces: Iterator[bytes]) -> Any:
    for each in pieces:
        yield each


def by_requests(tokens: Tokens, method: str, url: str, **more: Any) -> tuple[int, bytes]:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = requests_auth.BearerAuth(tokens)
        if "content" in more:
            more["data"] = more.pop("content")
        response = session.request(method, url, timeout=9, **more)
        return response.status_code, response.content


@pytest.fixture(
    params=[by_httpx, by_async_httpx, by_requests], ids=["httpx", "async httpx", "requests"]
)
def ask(request: pytest.FixtureRequest) -> Ask:
    asked: Ask = request.param
    return asked


def test_a_call_carries_the_token_and_further_calls_the_same(world: World, ask: Ask) -> None:
    for _ in range(2):
        assert ask(world.tokens, "GET", world.api.url + "/a") == (200, b"hello ")
    assert world.api.tokens == ["Bearer token-1"] * 2
    assert world.asked == 1


def test_a_token_is_renewed_before_it_expires(world: World, ask: Ask) -> None:
    ask(world.tokens, "GET", world.api.url)
    world.instant += HOUR - timedelta(seconds=60)
    ask(world.tokens, "GET", world.api.url)
    assert world.api.tokens == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize(
    "refusal",
    [Reply(status=401), FORBIDDEN, Reply(status=403)],
    ids=["401", "403 of a Lambda authorizer", "403"],
)
def test_a_refused_token_is_replaced_and_the_call_made_once_more(
    world: World, ask: Ask, refusal: Reply
) -> None:
    world.api.refusal = refusal
    world.expire_at_the_api()
    assert ask(world.tokens, "POST", world.api.url, json={"a": 1})[0] == 200
    assert world.api.tokens == ["Bearer token-1", "Bearer token-2"]
    assert len({call.body for call in world.api.calls}) == 1
    assert world.api.calls[0].body.replace(b" ", b"") == b'{"a":1}'
    assert ask(world.tokens, "GET", world.api.url)[0] == 200
    assert len(world.api.calls) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(
            status=403,
            headers=(("WWW-Authenticate", 'Bearer realm="a", error="insufficient_scope"'),),
        ),
        Reply(status=403, body=b'{"error": "insufficient_scope"}'),
        Reply(status=404),
        Reply(status=500),
    ],
    ids=["challenge", "body", "404", "500"],
)
def test_an_answer_that_is_not_about_the_token_is_returned_as_it_came(
    world: World, ask: Ask, refusal: Reply
) -> None:
    world.api.refusal = refusal
    world.expire_at_the_api()
    assert ask(world.tokens, "GET", world.api.url) == (refusal.status, refusal.body)
    assert (len(world.api.calls), world.asked) == (1, 1)


def test_a_second_refusal_is_returned_and_the_next_call_asks_for_no_token(
    world: World, ask: Ask
) -> None:
    world.expire_at_the_api()
    world.api.good = set()
    world.api.refusal = FORBIDDEN
    assert ask(world.tokens, "GET", world.api.url) == (403, FORBIDDEN.body)
    assert (len(world.api.calls), world.asked) == (2, 2)
    assert ask(world.tokens, "GET", world.api.url) == (403, FORBIDDEN.body)
    assert (len(world.api.calls), world.asked) == (3, 2)


def test_when_there_is_no_other_token_the_refusal_is_returned_and_the_log_says_why(
    world: World, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    world.api.refusal = FORBIDDEN
    world.expire_at_the_api()
    world.server.scripted.append(Answer(status=401, body={"error": "invalid_client"}))
    with caplog.at_level(logging.WARNING, logger="machine_identity"):
        assert ask(world.tokens, "GET", world.api.url) == (403, FORBIDDEN.body)
    assert caplog.messages == ["a token was refused, and there is no other: invalid_client: "]


def test_when_there_is_no_token_at_all_the_error_is_raised_and_nothing_sent(
    world: World, ask: Ask
) -> None:
    world.server.scripted.append(Answer(status=401, body={"error": "invalid_client"}))
    with pytest.raises(TokenRequestError):
        ask(world.tokens, "GET", world.api.url)
    assert world.api.calls == []


def test_a_streamed_body_is_not_sent_twice(world: World, ask: Ask) -> None:
    world.expire_at_the_api()
    pieces = iter([b"one ", b"two"])
    assert ask(world.tokens, "POST", world.api.url, content=pieces)[0] == 401
    assert [call.body for call in world.api.calls] == [b"one two"]
    assert world.asked == 1


def test_the_token_goes_over_https_only(world: World, ask: Ask) -> None:
    for url in ("http://api.example/a", "http://user@api.example/a"):
        with pytest.raises(SettingsError, match="only https is spoken"):
            ask(world.tokens, "GET", url)
    assert world.asked == 0


# Redirects


def test_a_redirect_within_the_origin_keeps_the_token(world: World, ask: Ask) -> None:
    world.api.redirect = {"/old": "/new"}.get
    assert ask(world.tokens, "GET", world.api.url + "/old") == (200, b"hello ")
    assert world.api.tokens == ["Bearer token-1"] * 2


def test_a_token_that_is_refused_behind_a_redirect_is_replaced(world: World, ask: Ask) -> None:
    world.api.redirect = {"/old": "/new"}.get
    world.expire_at_the_api()
    assert ask(world.tokens, "GET", world.api.url + "/old")[0] == 200
    assert world.api.tokens[-1] == "Bearer token-2"
    assert world.asked == 2


def test_another_origin_gets_no_token_and_what_it_refuses_renews_none(
    world: World, ask: Ask
) -> None:
    with Api() as elsewhere:
        elsewhere.good = {"token-1", "token-2"}
        # Another port is another origin, and another name of this machine another host.
        host = elsewhere.url.replace("127.0.0.1", "localhost")
        for url in (elsewhere.url, host):
            world.api.redirect = {"/a": f"{url}/b"}.get
            world.instant += HOUR / 2
            assert ask(world.tokens, "GET", world.api.url + "/a")[0] == 401
        assert elsewhere.tokens == [None, None]
    assert set(world.api.tokens) <= {"Bearer token-1", "Bearer token-2"}
    assert world.asked <= 2  # the second by its age


def test_another_origin_gets_no_token_when_the_call_is_made_once_more(
    world: World, ask: Ask
) -> None:
    world.expire_at_the_api()
    with Api() as elsewhere:
        answered = iter([None, f"{elsewhere.url}/b"])
        world.api.redirect = lambda _: next(answered)
        assert ask(world.tokens, "GET", world.api.url + "/a")[0] == 401
        assert elsewhere.tokens == [None]
    assert world.asked == 2


# What only one of them has


def test_requests_winds_a_file_back(world: World, tmp_path: Path) -> None:
    world.expire_at_the_api()
    (tmp_path / "body").write_bytes(b"0123456789")
    with (tmp_path / "body").open("rb") as body:
        body.seek(4)
        status, _ = by_requests(world.tokens, "POST", world.api.url, content=body)
    assert status == 200
    assert [call.body for call in world.api.calls] == [b"456789"] * 2


def test_requests_tells_of_the_refused_call_in_the_history(world: World) -> None:
    world.expire_at_the_api()
    auth = requests_auth.BearerAuth(world.tokens)
    response = requests.get(world.api.url, auth=auth, timeout=9)
    assert [each.status_code for each in response.history] == [401]
    assert response.request.headers["Authorization"] == "Bearer token-2"
    assert response.reason == "OK"


def test_requests_makes_the_call_once_more_on_the_same_connection(world: World) -> None:
    world.api.refusal = Reply(status=401, body=b"x" * 100_000)
    world.expire_at_the_api()
    with requests.Session() as session:
        session.trust_env = False
        auth = requests_auth.BearerAuth(world.tokens)
        assert session.get(world.api.url, auth=auth, timeout=9, stream=True).content == b"hello "
    assert (len(world.api.calls), len(world.api.connections)) == (2, 1)


def test_httpx_streams_what_it_gets_and_a_good_answer_is_not_read_before(world: World) -> None:
    with (
        httpx.Client(auth=httpx_auth.BearerAuth(world.tokens), trust_env=False) as client,
        client.stream("POST", world.api.url, content=b"you") as response,
    ):
        assert not response.is_stream_consumed
        assert response.read() == b"hello you"


def test_a_loop_of_calls_whose_token_is_refused_asks_for_one_token(world: World) -> None:
    world.expire_at_the_api()

    async def ask() -> set[int]:
        auth = httpx_auth.BearerAuth(world.tokens)
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:
            answers = await asyncio.gather(*(client.get(world.api.url) for _ in range(40)))
            return {each.status_code for each in answers}

    assert asyncio.run(ask()) == {200}
    assert world.asked == 2


def test_threads_whose_token_is_refused_ask_for_one_token(world: World) -> None:
    world.expire_at_the_api()
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(by_requests(world.tokens, "GET", world.api.url)[0])
        )
        for _ in range(10)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert statuses == [200] * 10
    assert world.asked == 2


@pytest.mark.parametrize(
    ("status", "challenge", "body", "refuses"),
    [
        (200, "", b"", False),
        (401, "", b"", True),
        (401, 'Bearer error="insufficient_scope"', b"", True),
        (403, "", b"", True),
        (403, 'Bearer error="invalid_token"', b"no", True),
        (403, "Bearer error=insufficient_scope", b"", False),
        (403, 'bearer Error="INSUFFICIENT_SCOPE", scope="read"', b"", False),
        (403, "", b'{"error":"insufficient_scope"}', False),
        (407, "", b"", False),
    ],
)
def test_which_answers_refuse_the_token(
    status: int, challenge: str, body: bytes, *, refuses: bool
) -> None:
    read: Callable[[], bytes] = lambda: body  # noqa: E731 - as short as it is
    assert refuses_token(status, challenge, read) is refuses


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("httpx_auth", "{'requests', 'boto3'}"),
        ("requests_auth", "{'httpx', 'boto3', 'asyncio'}"),
    ],
)
def test_each_hook_imports_no_other_library(module: str, others: str) -> None:
    program = (
        f"import sys, machine_identity.auth.{module}; sys.exit(len({others} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
