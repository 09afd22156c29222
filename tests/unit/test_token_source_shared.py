"""Tokens shared by threads, renewed ahead of time, and replaced when an API refuses them."""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from machine_identity import jwk, transport
from machine_identity.client_assertion import SigningKey
from machine_identity.client_credentials import AccessToken
from machine_identity.errors import InvalidClientError, TokenRequestError
from machine_identity.providers import PROVIDERS, Client
from machine_identity.token_source import Ahead, TokenSource, in_thread
from machine_identity.token_source.source import AHEAD_PAUSE, FORCED_INTERVAL
from tests.token_endpoint import HTML, Answer, TokenEndpoint

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = jwk.from_public_key(RSA.public_key(), "RS256")
KEY = SigningKey(kid=PUBLIC["kid"], algorithm="RS256", private_key=RSA)
REFUSED = Answer(status=401, body={"error": "invalid_client", "error_description": "no"})


class World:
    """A server whose tokens differ, a clock that the test moves, and work that it lets be done."""

    def __init__(self, server: TokenEndpoint) -> None:
        self.server = server
        self.instant = START
        self.luck = 0.0
        self.waiting: list[Callable[[], None]] = []
        """The work that was begun ahead."""
        self.start: Callable[[Callable[[], None]], None] = self.waiting.append
        """How work is begun; a test may say otherwise."""
        self.lifetime = 3600
        self._count = 0
        self._once = threading.Lock()
        self.client = Client(
            name="default",
            provider=PROVIDERS["rfc10070"],
            authorization_server=server.url,
            client_id="client-1",
            scope="read",
        )
        self.source = self.made(ahead=True)

    def made(self, **options: bool) -> TokenSource:
        ahead = Ahead(start=self._start, chance=lambda: self.luck)
        return TokenSource(
            signer=KEY,
            transport=self._transport,
            clock=self,
            sleep=self._sleep,
            ahead=ahead if options.get("ahead") else None,
        )

    def _start(self, work: Callable[[], None]) -> None:
        self.start(work)

    def now(self) -> datetime:
        return self.instant

    def unique(self) -> str:
        with self._once:
            self._count += 1
            self.server.grants = {
                "access_token": f"token-{self._count}",
                "expires_in": self.lifetime,
            }
            return f"jti-{self._count}"

    def _transport(self, *words: Any, **details: Any) -> Any:
        return self.send(*words, **details)

    def send(self, *words: Any, **details: Any) -> Any:
        return transport.send(*words, **details)

    def _sleep(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)

    def get(self, scope: str = "read") -> str:
        return self.source.get(self.client, scope).value

    def token(self) -> AccessToken:
        return self.source.get(self.client, "read")

    def instead_of(self, refused: AccessToken) -> AccessToken | None:
        return self.source.instead_of(refused, self.client, "read")

    def work(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    @property
    def asked(self) -> int:
        return len(self.server.forms)


@pytest.fixture
def world() -> Iterator[World]:
    with TokenEndpoint([PUBLIC]) as server:
        yield World(server)


# Single flight


class Crowd:
    """Threads that all want a token at the same moment."""

    def __init__(self, work: Callable[[], object], size: int = 12) -> None:
        self._work = work
        self._gate = threading.Barrier(size)
        self.results: list[object] = []
        self._threads = [threading.Thread(target=self._come) for _ in range(size)]

    def _come(self) -> None:
        self._gate.wait()
        try:
            self.results.append(self._work())
        except TokenRequestError as error:
            self.results.append(error)

    def come(self) -> list[object]:
        for each in self._threads:
            each.start()
        for each in self._threads:
            each.join()
        return self.results


def test_threads_that_want_the_same_token_at_once_cause_one_request(world: World) -> None:
    world.server.metadata_scripted.append(
        Answer(
            body={"issuer": world.server.url, "token_endpoint": f"{world.server.url}/token"},
            delay=0.3,
        )
    )
    assert Crowd(world.get).come() == ["token-1"] * 12
    assert world.asked == 1


def test_an_error_is_told_to_all_who_waited_for_it_each_one_of_its_own(world: World) -> None:
    world.server.scripted.append(
        Answer(status=401, body={"error": "invalid_client", "error_description": "no"}, delay=0.3)
    )
    errors = Crowd(world.get, 5).come()
    assert world.asked == 1
    assert len({id(each) for each in errors}) == 5
    assert all(isinstance(each, InvalidClientError) for each in errors)
    assert {str(each) for each in errors} == {"invalid_client: no"}
    assert world.get() == "token-2"


def test_other_scopes_do_not_wait_for_a_slow_one(world: World) -> None:
    world.get("known")
    held, going_on = threading.Event(), threading.Event()
    real = world.send

    def slow(*words: Any, **details: Any) -> Any:
        if b"scope=slow" in (details.get("body") or b""):
            held.set()
            assert going_on.wait(9)
        return real(*words, **details)

    world.send = slow  # type: ignore[method-assign]
    first = threading.Thread(target=world.get, args=("slow",))
    first.start()
    assert held.wait(9)
    assert world.get("other")
    assert first.is_alive()
    going_on.set()
    first.join()


def test_who_waits_for_one_that_was_interrupted_asks_anew(world: World) -> None:
    held, going_on = threading.Event(), threading.Event()
    real = world.send

    def interrupted(*words: Any, **details: Any) -> Any:
        if not held.is_set():
            held.set()
            assert going_on.wait(9)
            raise KeyboardInterrupt
        return real(*words, **details)

    world.send = interrupted  # type: ignore[method-assign]
    world.source = world.made()
    crowd: list[object] = []

    def first() -> None:
        with pytest.raises(KeyboardInterrupt):
            world.get()

    leader = threading.Thread(target=first)
    leader.start()
    assert held.wait(9)
    second = threading.Thread(target=lambda: crowd.append(world.get()))
    second.start()
    going_on.set()
    leader.join()
    second.join()
    assert crowd == ["token-1"]


# Ahead of time


@pytest.mark.parametrize(
    ("luck", "lifetime", "at", "begun"),
    [
        (0.0, 3600, 2159, 0),
        (0.0, 3600, 2160, 1),
        (0.5, 3600, 2519, 0),
        (0.5, 3600, 2520, 1),
        (0.0, 3600, 3539, 1),
        (0.5, 100, 69, 0),
        (0.5, 100, 70, 1),
    ],
)
def test_at_a_moment_that_chance_chooses_it_is_renewed_and_nobody_waits(
    world: World, luck: float, lifetime: int, at: int, begun: int
) -> None:
    world.luck, world.lifetime = luck, lifetime
    world.get()
    world.instant += at * SECOND
    assert world.get() == "token-1"
    assert (len(world.waiting), world.asked) == (begun, 1)
    world.work()
    assert world.get() == f"token-{1 + begun}"
    assert world.asked == 1 + begun


def test_as_long_as_a_renewal_is_under_way_no_other_is_begun(world: World) -> None:
    world.get()
    world.instant += 2160 * SECOND
    for _ in range(3):
        world.get()
        world.instant += HOUR / 10
    assert len(world.waiting) == 1


def test_without_ahead_nothing_is_begun_beside_the_caller(world: World) -> None:
    world.source = world.made()
    world.get()
    world.instant += 3539 * SECOND
    assert world.get() == "token-1"
    assert world.waiting == []
    world.instant += SECOND
    assert world.get() == "token-2"


def test_a_token_that_nobody_renewed_in_time_is_waited_for(world: World) -> None:
    world.get()
    world.instant += 3540 * SECOND
    assert world.get() == "token-2"
    assert world.waiting == []


def test_a_renewal_that_fails_leaves_the_old_token_and_is_tried_again_after_a_pause(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.luck = 0.5
    world.get()
    world.instant += 2520 * SECOND
    world.get()
    world.server.scripted.append(REFUSED)
    with caplog.at_level(logging.WARNING):
        world.work()
    assert caplog.messages == ["no token ahead of time, the old one is in use: invalid_client: no"]
    world.instant = START + 2520 * SECOND + 1.5 * AHEAD_PAUSE - SECOND
    assert (world.get(), world.waiting) == ("token-1", [])
    world.instant += SECOND
    assert (world.get(), len(world.waiting)) == ("token-1", 1)
    world.work()
    assert world.get() == "token-3"


def test_the_pause_of_a_token_with_a_short_life_is_short_too(world: World) -> None:
    world.lifetime = 100
    world.get()
    world.instant += 60 * SECOND
    world.get()
    world.server.scripted.append(REFUSED)
    world.work()
    world.instant += 5 * SECOND
    world.get()
    assert len(world.waiting) == 1


def test_where_no_thread_is_to_be_had_the_old_token_serves_to_its_end(world: World) -> None:
    def refuse(_: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    world.start = refuse
    world.get()
    world.instant += 2160 * SECOND
    assert world.get() == "token-1"
    world.instant = START + 3540 * SECOND
    assert world.get() == "token-2"


def test_a_caller_who_must_wait_joins_the_renewal_that_is_under_way(world: World) -> None:
    world.get()
    world.instant += 2160 * SECOND
    world.get()
    world.instant = START + HOUR
    second: list[str] = []
    late = threading.Thread(target=lambda: second.append(world.get()))
    late.start()
    world.work()
    late.join()
    assert (second, world.asked) == (["token-2"], 2)


def test_a_thread_renews_it(world: World) -> None:
    world.start = in_thread
    world.get()
    world.instant += 2160 * SECOND
    assert world.get() == "token-1"
    for each in threading.enumerate():
        if each.name == "machine-identity":
            assert each.daemon
            each.join()
    assert (world.get(), world.asked) == ("token-2", 2)


# Refused by an API


@pytest.mark.parametrize(
    ("age", "value"),
    [
        (FORCED_INTERVAL - SECOND, None),
        (FORCED_INTERVAL, "token-2"),
        (HOUR / 2, "token-2"),
        (3 * HOUR, "token-2"),
    ],
)
def test_a_refused_token_is_replaced_unless_it_is_new(
    world: World, age: timedelta, value: str | None
) -> None:
    refused = world.token()
    world.instant += age
    other = world.instead_of(refused)
    assert (None if other is None else other.value) == value
    assert world.get() == (value or "token-1")
    assert world.asked == (1 if value is None else 2)


def test_however_many_bring_a_refused_token_it_is_replaced_once(world: World) -> None:
    refused = world.token()
    world.instant += HOUR / 2
    new = {"access_token": "another", "token_type": "Bearer", "expires_in": 3600}
    world.server.scripted.append(Answer(body=new, delay=0.3))
    others = Crowd(lambda: world.instead_of(refused)).come()
    assert [each.value for each in others if isinstance(each, AccessToken)] == ["another"] * 12
    assert world.asked == 2


def test_while_a_refused_token_is_replaced_others_do_not_wait(world: World) -> None:
    refused = world.token()
    world.instant += HOUR / 2
    held, going_on = threading.Event(), threading.Event()
    real = world.send

    def slow(*words: Any, **details: Any) -> Any:
        held.set()
        assert going_on.wait(9)
        return real(*words, **details)

    world.send = slow  # type: ignore[method-assign]
    first = threading.Thread(target=world.instead_of, args=(refused,))
    first.start()
    assert held.wait(9)
    assert world.get() == "token-1"
    going_on.set()
    first.join()
    assert world.get() == "token-2"


def test_an_api_that_refuses_every_token_causes_a_request_in_half_a_minute_and_no_more(
    world: World,
) -> None:
    token = world.token()
    world.instant += HOUR / 2
    for _ in range(60):
        token = world.instead_of(token) or token
        world.instant += SECOND
    assert world.asked == 3


def test_a_refused_token_stays_until_another_is_in_hand_and_that_is_tried_once_a_while(
    world: World,
) -> None:
    refused = world.token()
    world.instant += HOUR / 2
    world.server.scripted.extend([Answer(status=503, body=HTML)] * 3)
    with pytest.raises(TokenRequestError):
        world.instead_of(refused)
    assert world.asked == 4
    assert (world.instead_of(refused), world.get()) == (None, "token-1")
    world.instant += FORCED_INTERVAL
    other = world.instead_of(refused)
    assert (other and other.value, world.asked) == (world.get(), 5)


def test_a_server_that_gives_the_same_token_again_has_no_other(world: World) -> None:
    refused = world.token()
    world.instant += HOUR / 2
    same = {"access_token": refused.value, "token_type": "Bearer", "expires_in": 3600}
    world.server.scripted.append(Answer(body=same))
    assert world.instead_of(refused) is None
