"""A stranger's key set over real HTTP: how often, from where, and what a failure costs."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import jwk, jwks_cache, transport
from machine_identity.errors import (
    InvalidTokenError,
    KeySetUnavailableError,
    Refusal,
    TransportError,
)
from machine_identity.http1 import Response
from machine_identity.jwks_cache import Cache, Limits
from machine_identity.jwks_client import JwksClient, Location
from machine_identity.key_set import parse
from tests.key_set_server import Answer, KeySetServer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(hours=24)
COOLDOWN = Limits().cooldown
KEYS = [
    jwk.from_public_key(
        rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(), "RS256"
    )
    for _ in range(2)
]
OLD, NEW = (key["kid"] for key in KEYS)
NOTHING = Cache()
BOTH, ONLY_OLD, ONLY_NEW = {"keys": KEYS}, {"keys": KEYS[:1]}, {"keys": KEYS[1:]}
EC_KEY = jwk.from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key(), "ES256")
THIRD, ONLY_THIRD = EC_KEY["kid"], {"keys": [EC_KEY]}


@pytest.fixture
def server() -> Iterator[KeySetServer]:
    with KeySetServer(ONLY_OLD) as server:
        yield server


def client(  # noqa: PLR0913 - all but one by name
    server: KeySetServer,
    *,
    timeout: float = 2,
    limits: Limits | None = None,
    discover: bool = False,
    known: Cache = NOTHING,
    chance: float = 0,
) -> JwksClient:
    uri = None if discover else server.jwks_uri
    return JwksClient(
        Location(issuer=server.issuer, jwks_uri=uri),
        transport=transport.send,
        limits=limits or Limits(),
        timeout=timedelta(seconds=timeout),
        known=known,
        chance=lambda: chance,
    )


def is_unknown(keys: JwksClient, kid: str, after: timedelta = timedelta()) -> bool:
    with pytest.raises(InvalidTokenError) as error:
        keys.key(kid, NOW + after)
    return error.value.code is Refusal.UNKNOWN_KEY


def is_unavailable(keys: JwksClient, kid: str, after: timedelta = timedelta()) -> bool:
    with pytest.raises(KeySetUnavailableError):
        keys.key(kid, NOW + after)
    return True


def test_the_set_is_fetched_by_the_first_who_asks_and_kept(server: KeySetServer) -> None:
    keys = client(server)
    assert server.requests == []
    first = keys.key(OLD, NOW)
    assert (first.kid, *first.algorithms) == (OLD, "RS256")
    assert keys.key(OLD, NOW + HOUR - SECOND) is first
    assert server.fetches == 1


def test_a_removed_key_is_no_longer_trusted_after_the_refresh_interval(
    server: KeySetServer,
) -> None:
    keys = client(server)
    keys.key(OLD, NOW)
    server.jwks = ONLY_NEW
    assert keys.key(OLD, NOW + HOUR - SECOND).kid == OLD
    assert is_unknown(keys, OLD, HOUR)
    assert keys.key(NEW, NOW + HOUR).kid == NEW
    assert server.fetches == 2


def test_a_new_key_is_found_at_once_when_the_cooldown_is_over(server: KeySetServer) -> None:
    keys = client(server)
    keys.key(OLD, NOW)
    server.jwks = BOTH
    assert is_unknown(keys, NEW, COOLDOWN - SECOND)
    assert server.fetches == 1
    assert keys.key(NEW, NOW + COOLDOWN).kid == NEW
    assert server.fetches == 2


def test_any_number_of_made_up_kids_costs_one_fetch_a_cooldown(server: KeySetServer) -> None:
    keys = client(server)
    keys.key(OLD, NOW)
    for number in range(2000):
        after = timedelta(milliseconds=50 * number)  # 100 s in all
        assert is_unknown(keys, f"made-up-{number}", after)
        assert keys.key(OLD, NOW + after).kid == OLD
    assert server.fetches == 1 + 3


def test_a_set_that_did_not_change_is_confirmed_and_its_keys_stay_the_same(
    server: KeySetServer,
) -> None:
    server.headers["etag"] = '"v1"'
    keys = client(server)
    first = keys.key(OLD, NOW)
    assert keys.key(OLD, NOW + HOUR) is first
    assert keys.key(OLD, NOW + 2 * HOUR - SECOND) is first
    assert [each for _, each in server.requests] == ["", '"v1"']
    server.headers["etag"], server.jwks = '"v2"', BOTH
    assert keys.key(NEW, NOW + 2 * HOUR).kid == NEW
    assert keys.key(OLD, NOW + 3 * HOUR).kid == OLD
    assert [each for _, each in server.requests][2:] == ['"v1"', '"v2"']


def test_an_etag_is_never_shown_to_another_resource_than_its_own(server: KeySetServer) -> None:
    server.headers["etag"] = '"1"'
    keys = client(server, discover=True, limits=Limits(max_age=2 * DAY))
    keys.key(OLD, NOW)
    server.metadata, server.jwks = {"jwks_uri": f"{server.issuer}/moved"}, ONLY_NEW
    assert keys.key(NEW, NOW + DAY).kid == NEW
    assert server.requests[-1] == ("/moved", "")
    server.metadata = {}
    assert keys.key(NEW, NOW + 2 * DAY).kid == NEW
    assert server.requests[-1] == ("/keys", "")


def test_a_confirmed_set_lasts_as_long_as_before_where_nothing_else_is_said(
    server: KeySetServer,
) -> None:
    server.headers |= {"etag": '"1"', "cache-control": "max-age=600"}
    keys = client(server)
    first = keys.key(OLD, NOW)
    server.answer = Answer(status=304)
    assert keys.key(OLD, NOW + 600 * SECOND) is first
    assert keys.key(OLD, NOW + 1199 * SECOND) is first
    assert server.fetches == 2
    server.answer = Answer(status=304, headers={"cache-control": "max-age=900"})
    assert keys.key(OLD, NOW + 1200 * SECOND) is first
    assert keys.key(OLD, NOW + 2099 * SECOND) is first
    assert server.fetches == 3
    assert keys.key(OLD, NOW + 2100 * SECOND) is first
    assert server.fetches == 4


def test_a_clock_that_went_back_is_no_reason_to_believe_an_old_address(
    server: KeySetServer,
) -> None:
    keys = client(server, discover=True)
    keys.key(OLD, NOW)
    assert keys.key(OLD, NOW - HOUR).kid == OLD
    assert server.discoveries == 2


def test_a_good_document_under_a_bad_status_is_not_used(server: KeySetServer) -> None:
    document = json.dumps({"issuer": server.issuer, "jwks_uri": server.jwks_uri}).encode()
    server.discovery_answer = Answer(status=404, body=document)
    assert is_unavailable(client(server, discover=True), OLD)
    assert server.fetches == 0


def test_a_set_whose_address_is_no_address_costs_no_known_key_and_is_not_asked_for_at_once_again(
    server: KeySetServer,
) -> None:
    keys = client(server, discover=True, limits=Limits(max_age=2 * DAY))
    first = keys.key(OLD, NOW)
    server.metadata = {"jwks_uri": "http://127.0.0.1 /keys"}
    assert keys.key(OLD, NOW + DAY) is first
    asked = len(server.requests)
    assert keys.key(OLD, NOW + DAY + SECOND) is first
    assert len(server.requests) == asked


def test_304_to_a_question_that_did_not_ask_for_it_is_a_failure(server: KeySetServer) -> None:
    server.answer = Answer(status=304)
    assert is_unavailable(client(server), OLD)


@pytest.mark.parametrize("etag", ["v1", '"a"b"', '"' + "x" * 201 + '"', '"ä"'])
def test_an_etag_that_is_none_is_not_sent_back(server: KeySetServer, etag: str) -> None:
    server.headers["etag"] = etag
    keys = client(server)
    keys.key(OLD, NOW)
    keys.key(OLD, NOW + HOUR)
    assert [each for _, each in server.requests] == ["", ""]


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("max-age=600", 600),
        ("public, Max-Age=900, immutable", 900),
        ("max-age=15", 300),
        ("max-age=86400", 3600),
        ("s-maxage=600", 3600),
        ("max-age=soon", 3600),
        ("no-store", 300),
        ("No-Cache, must-revalidate", 300),
        ('no-cache="set-cookie", max-age=900', 300),
        ('public, max-age="600"', 600),
        ("x-max-age=600", 3600),
        ("max-age=600x", 3600),
        ("no-stored", 3600),
        ("x-no-store", 3600),
    ],
)
def test_cache_control_counts_within_bounds(
    server: KeySetServer, cache_control: str, seconds: int
) -> None:
    server.headers["cache-control"] = cache_control
    keys = client(server)
    keys.key(OLD, NOW)
    keys.key(OLD, NOW + timedelta(seconds=seconds - 1))
    assert server.fetches == 1
    keys.key(OLD, NOW + timedelta(seconds=seconds))
    assert server.fetches == 2


# Discovery


def test_the_set_is_found_through_the_issuer_s_own_document(server: KeySetServer) -> None:
    keys = client(server, discover=True)
    assert keys.key(OLD, NOW).kid == OLD
    keys.key(OLD, NOW + HOUR)
    assert (server.discoveries, server.fetches) == (1, 2)
    for hours in range(2, 25):
        keys.key(OLD, NOW + hours * HOUR)
    assert (server.discoveries, server.fetches) == (2, 25)


def test_after_a_failure_the_set_is_looked_for_anew(server: KeySetServer) -> None:
    keys = client(server, discover=True)
    keys.key(OLD, NOW)
    server.answer = Answer(status=404)
    assert keys.key(OLD, NOW + HOUR).kid == OLD
    server.answer = None
    keys.key(OLD, NOW + HOUR + COOLDOWN + SECOND)
    assert (server.discoveries, server.fetches) == (2, 3)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://attacker.example"},
        {"issuer": None},
        {"issuer": "http://127.0.0.1"},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "/keys"},
        {"jwks_uri": "http://169.254.169.254/latest"},
    ],
)
def test_a_document_of_another_issuer_or_without_a_safe_address_is_not_used(
    server: KeySetServer, metadata: dict[str, Any]
) -> None:
    server.metadata |= metadata
    assert is_unavailable(client(server, discover=True), OLD)
    assert server.fetches == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404),
        Answer(body=b"<html>"),
        Answer(body=b"[]"),
        Answer(body=b"[" * 100_000),
        Answer(status=302, headers={"location": "/keys"}),
    ],
)
def test_a_document_that_is_none_is_a_failure(server: KeySetServer, answer: Answer) -> None:
    server.discovery_answer = answer
    assert is_unavailable(client(server, discover=True), OLD)
    assert server.fetches == 0


@pytest.mark.parametrize(
    "issuer", ["https://issuer.example", "https://issuer.example/", "HTTPS://issuer.example"]
)
def test_an_issuer_on_https_does_not_send_us_to_plain_http_on_our_own_host(issuer: str) -> None:
    asked = []

    def answer(method: str, url: str, **_: object) -> Response:
        asked.append((method, url))
        document = {"issuer": issuer, "jwks_uri": "http://127.0.0.1:9001/keys"}
        return Response(status=200, headers={}, body=json.dumps(document).encode())

    keys = JwksClient(
        Location(issuer=issuer),
        transport=answer,
        limits=Limits(),
        timeout=SECOND,
    )
    assert is_unavailable(keys, OLD)
    document = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    assert asked == [("GET", document)]


def test_discovery_and_set_share_one_time_out(server: KeySetServer) -> None:
    server.discovery_answer = Answer(
        body=json.dumps({"issuer": server.issuer, "jwks_uri": server.jwks_uri}).encode(),
        delay=0.4,
    )
    server.answer = Answer(body=json.dumps(ONLY_OLD).encode(), delay=0.4)
    assert is_unavailable(client(server, discover=True, timeout=0.6), OLD)
    assert client(server, discover=True, timeout=5).key(OLD, NOW).kid == OLD


def test_a_time_out_that_discovery_used_up_leaves_nothing_to_fetch_with() -> None:
    asked = []

    def slow(method: str, url: str, **_: object) -> Response:
        asked.append((method, url))
        threading.Event().wait(0.15)
        body = json.dumps({"issuer": "https://i.example", "jwks_uri": "https://i.example/k"})
        return Response(status=200, headers={}, body=body.encode())

    keys = JwksClient(
        Location(issuer="https://i.example"),
        transport=slow,
        limits=Limits(),
        timeout=timedelta(milliseconds=120),
    )
    assert is_unavailable(keys, OLD)
    assert len(asked) == 1


# Time left


class Spy:
    """Answers with a set, and keeps how long each request might have taken."""

    def __init__(self, jwks: object, *, fails: bool = False) -> None:
        self.jwks, self.fails = jwks, fails
        self.timeouts: list[timedelta] = []

    def __call__(self, *_: object, timeout: timedelta, **__: object) -> Response:
        self.timeouts.append(timeout)
        if self.fails:
            raise TransportError("no answer")
        return Response(status=200, headers={}, body=json.dumps(self.jwks).encode())

    def client(self, timeout: float = 2) -> JwksClient:
        return JwksClient(
            Location(issuer="https://i.example", jwks_uri="https://i.example/k"),
            transport=self,
            limits=Limits(),
            timeout=timedelta(seconds=timeout),
        )


@pytest.mark.parametrize(
    ("patience", "most"), [(None, 2), (9, 2), (2, 2), (1.5, 1.5), (0.5, 0.5), (0.15, 0.15)]
)
def test_an_attempt_takes_no_longer_than_the_call_has_left_nor_than_the_time_out(
    patience: float | None, most: float
) -> None:
    spy = Spy(BOTH)
    spy.client().key(OLD, NOW, None if patience is None else timedelta(seconds=patience))
    (timeout,) = spy.timeouts
    assert timedelta(seconds=most - 0.1) < timeout <= timedelta(seconds=most)


@pytest.mark.parametrize("patience", [0.09, 0, -0.2, -1])
def test_with_too_little_time_left_no_attempt_is_made_and_none_has_failed(patience: float) -> None:
    spy, little = Spy(BOTH), timedelta(seconds=patience)
    keys = spy.client()
    with pytest.raises(KeySetUnavailableError):
        keys.key(OLD, NOW, little)
    assert spy.timeouts == []
    first = keys.key(OLD, NOW)  # at once: there is no pause after what was no failure
    assert keys.key(OLD, NOW + HOUR, little) is first
    assert len(spy.timeouts) == 1
    with pytest.raises(KeySetUnavailableError):
        keys.key(OLD, NOW + DAY, little)
    assert keys.key(OLD, NOW + DAY).kid == OLD


def test_a_short_time_out_is_no_reason_never_to_ask() -> None:
    assert Spy(BOTH).client(timeout=0.05).key(OLD, NOW).kid == OLD


def test_discovery_and_set_share_what_the_call_has_left(server: KeySetServer) -> None:
    server.discovery_answer = Answer(
        body=json.dumps({"issuer": server.issuer, "jwks_uri": server.jwks_uri}).encode(),
        delay=0.4,
    )
    server.answer = Answer(body=json.dumps(ONLY_OLD).encode(), delay=0.4)
    with pytest.raises(KeySetUnavailableError):
        client(server, discover=True, timeout=5).key(OLD, NOW, timedelta(seconds=0.6))
    assert client(server, discover=True, timeout=5).key(OLD, NOW).kid == OLD


# Sets in doubt


def test_a_set_that_lost_most_keys_counts_when_a_second_one_says_the_same(
    server: KeySetServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.jwks, server.headers["etag"] = BOTH, '"v1"'
    keys = client(server)
    first = keys.key(OLD, NOW)
    server.jwks, server.headers["etag"] = ONLY_THIRD, '"v2"'
    assert keys.key(OLD, NOW + HOUR) is first
    assert keys.key(THIRD, NOW + HOUR).kid == THIRD
    assert is_unavailable(keys, "made-up", HOUR)
    assert keys.key(OLD, NOW + HOUR + COOLDOWN - SECOND) is first
    assert server.fetches == 2
    assert is_unknown(keys, OLD, HOUR + COOLDOWN + SECOND)
    assert keys.key(THIRD, NOW + HOUR + COOLDOWN + SECOND).kid == THIRD
    assert [each for _, each in server.requests] == ["", '"v1"', ""]
    (message,) = caplog.messages
    assert message == (
        f"the keys of {server.issuer} are not refreshed: "
        "most of them are gone, or all; the next answer counts, whatever it is"
    )


def test_a_set_that_lost_most_keys_is_forgotten_when_the_second_one_has_them(
    server: KeySetServer,
) -> None:
    server.jwks = BOTH
    keys = client(server)
    keys.key(OLD, NOW)
    server.jwks = ONLY_THIRD
    keys.key(OLD, NOW + HOUR)
    server.jwks = BOTH
    after = HOUR + COOLDOWN + SECOND
    assert keys.key(OLD, NOW + after).kid == OLD
    assert keys.key(NEW, NOW + after + HOUR - SECOND).kid == NEW
    assert is_unknown(keys, THIRD, after)
    assert server.fetches == 3


@pytest.mark.parametrize("entries", [[], [{"kty": "oct", "kid": "o", "k": "AQAB"}]])
def test_a_set_without_a_usable_key_takes_the_old_ones_away_when_it_comes_twice(
    server: KeySetServer, entries: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    keys = client(server)
    first = keys.key(OLD, NOW)
    server.jwks = {"keys": entries}
    assert keys.key(OLD, NOW + HOUR) is first
    assert is_unavailable(keys, OLD, HOUR + COOLDOWN + SECOND)
    assert server.fetches == 3
    server.jwks = BOTH
    assert keys.key(OLD, NOW + HOUR + COOLDOWN + 4 * SECOND).kid == OLD
    assert caplog.messages[1] == (
        f"the keys of {server.issuer} are not refreshed: the key set has no key that can be used"
    )


def test_in_doubt_the_set_is_looked_for_anew(server: KeySetServer) -> None:
    server.jwks = BOTH
    keys = client(server, discover=True)
    keys.key(OLD, NOW)
    server.jwks = {"keys": []}
    keys.key(OLD, NOW + HOUR)
    server.metadata = {"jwks_uri": f"{server.issuer}/moved"}
    server.jwks = BOTH
    keys.key(OLD, NOW + HOUR + COOLDOWN + SECOND)
    assert server.requests[-1] == ("/moved", "")


# What is known before


def test_with_a_bundled_set_the_first_call_needs_no_fetch(server: KeySetServer) -> None:
    bundled = Cache(keys=parse(json.dumps(ONLY_OLD).encode()), fetched_at=NOW)
    keys = client(server, known=bundled)
    assert keys.key(OLD, NOW + HOUR - SECOND).kid == OLD
    assert server.fetches == 0
    server.jwks = ONLY_NEW
    assert is_unknown(keys, OLD, HOUR)
    assert server.fetches == 1


def test_a_bundled_set_is_never_younger_than_it_says(server: KeySetServer) -> None:
    server.answer = Answer(status=500)
    bundled = Cache(keys=parse(json.dumps(ONLY_OLD).encode()), fetched_at=NOW)
    assert client(server, known=bundled).key(OLD, NOW + DAY - SECOND).kid == OLD
    assert is_unavailable(client(server, known=bundled), OLD, DAY)
    assert server.fetches == 2
    server.answer = None
    assert is_unknown(client(server, known=bundled), NEW)


# Failures

MISBEHAVIOURS = {
    "error": Answer(status=500),
    "not found": Answer(status=404),
    "html": Answer(body=b"<html>sign in</html>"),
    "truncated": Answer(body=json.dumps(BOTH).encode()[:-100]),
    "huge": Answer(body=b" " * 1_000_000 + json.dumps(BOTH).encode()),
    "redirect": Answer(status=302, headers={"location": "https://attacker.example/keys"}),
    "empty set": Answer(body=b'{"keys":[]}'),
    "no usable key": Answer(body=json.dumps({"keys": [{**KEYS[0], "use": "enc"}]}).encode()),
    "slow": Answer(body=json.dumps(BOTH).encode(), delay=0.5),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_an_issuer_that_misbehaves_costs_one_call_and_no_known_key(
    server: KeySetServer, name: str
) -> None:
    keys = client(server, timeout=0.3)
    first = keys.key(OLD, NOW)
    server.answer = MISBEHAVIOURS[name]
    assert keys.key(OLD, NOW + HOUR) is first
    begun = monotonic()
    for number in range(500):
        assert keys.key(OLD, NOW + HOUR) is first
        assert is_unavailable(keys, f"made-up-{number}", HOUR)
    assert monotonic() - begun < 5  # a thousand time-outs would be five minutes
    assert server.fetches == 2
    server.answer, server.jwks = None, BOTH
    assert keys.key(NEW, NOW + HOUR + COOLDOWN + SECOND).kid == NEW
    assert server.fetches == 3


def test_the_pause_begins_when_the_attempt_ends(server: KeySetServer) -> None:
    server.answer = MISBEHAVIOURS["slow"]
    keys = client(server, timeout=0.4, limits=Limits(cooldown=SECOND))
    assert is_unavailable(keys, OLD)
    assert is_unavailable(keys, OLD, timedelta(seconds=1.3))
    assert server.fetches == 1
    assert is_unavailable(keys, OLD, timedelta(seconds=2.4))
    assert server.fetches == 2


def test_by_chance_a_pause_is_twice_as_long(server: KeySetServer) -> None:
    keys = client(server, chance=1 - 2**-53)
    keys.key(OLD, NOW)
    server.answer = Answer(status=500)
    keys.key(OLD, NOW + HOUR)
    keys.key(OLD, NOW + HOUR + 2 * COOLDOWN - SECOND)
    assert server.fetches == 2
    keys.key(OLD, NOW + HOUR + 2 * COOLDOWN + SECOND)
    assert server.fetches == 3


def test_without_another_door_chance_comes_from_the_clock_s() -> None:
    pauses = set()
    for _ in range(20):  # functions that failed together ask again apart
        spy = Spy(BOTH, fails=True)
        keys = spy.client()
        milliseconds = 0
        while len(spy.timeouts) < 2:
            assert is_unavailable(keys, OLD, timedelta(milliseconds=milliseconds))
            milliseconds += 10
        pauses.add(milliseconds)
    assert 1000 <= min(pauses) <= max(pauses) <= 2100
    assert len(pauses) > 5


@pytest.mark.parametrize("name", ["error", "no usable key", "slow"])
def test_without_a_set_nothing_can_be_said_until_the_issuer_is_back(
    server: KeySetServer, name: str
) -> None:
    server.answer = MISBEHAVIOURS[name]
    keys = client(server, timeout=0.3)
    assert is_unavailable(keys, OLD)
    assert is_unavailable(keys, OLD)
    assert server.fetches == 1
    server.answer = None
    assert keys.key(OLD, NOW + 2 * SECOND).kid == OLD


def test_the_last_good_set_serves_until_its_hard_age_and_not_a_second_longer(
    server: KeySetServer,
) -> None:
    keys = client(server)
    keys.key(OLD, NOW)
    server.answer = Answer(status=500)
    assert keys.key(OLD, NOW + DAY - SECOND).kid == OLD
    assert is_unavailable(keys, OLD, DAY)
    server.answer = None
    assert keys.key(OLD, NOW + 2 * DAY).kid == OLD


def test_a_rarely_called_function_asks_when_it_is_thawed(server: KeySetServer) -> None:
    keys = client(server)
    keys.key(OLD, NOW)
    server.jwks = ONLY_NEW
    assert is_unknown(keys, OLD, 30 * DAY)
    assert keys.key(NEW, NOW + 30 * DAY).kid == NEW


def test_a_failure_is_logged_once_with_the_issuer_and_the_reason(
    server: KeySetServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = Answer(status=500)
    keys = client(server)
    for _ in range(10):
        assert is_unavailable(keys, "made-up")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"the keys of {server.issuer} are not refreshed: the key set is answered with 500"
    )


# Threads


def test_one_attempt_is_under_way_at_a_time_and_who_needs_it_waits_for_it(
    server: KeySetServer,
) -> None:
    server.answer = Answer(body=json.dumps(BOTH).encode(), delay=0.2)
    keys = client(server)
    with ThreadPoolExecutor(8) as pool:
        # Each read its clock a little earlier or later than the one that asks.
        futures = [
            pool.submit(keys.key, kid, NOW + timedelta(milliseconds=number))
            for number, kid in enumerate([OLD, NEW] * 4)
        ]
        assert [each.result().kid for each in futures] == [OLD, NEW] * 4
    assert server.fetches == 1


@contextmanager
def an_attempt_under_way(server: KeySetServer, keys: JwksClient) -> Iterator[None]:
    """Have another thread ask for NEW, an hour after there was a set, all the while and beyond."""
    keys.key(OLD, NOW)
    server.answer = Answer(body=json.dumps(BOTH).encode(), delay=0.5)
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(keys.key, NEW, NOW + HOUR)
        while server.fetches < 2:
            threading.Event().wait(0.01)
        yield
        assert not attempt.done()
        assert attempt.result().kid == NEW


def test_a_known_key_does_not_wait_behind_another_s_attempt(server: KeySetServer) -> None:
    keys = client(server)
    with an_attempt_under_way(server, keys):
        assert keys.key(OLD, NOW + HOUR).kid == OLD
    assert server.fetches == 2


def test_a_set_that_is_stored_while_its_flight_is_not_yet_over_serves(
    server: KeySetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, other = client(server), client(server)
    other.key(OLD, NOW)
    real = jwks_cache.is_usable

    def stored_meanwhile(*arguments: Any) -> bool:
        keys._cache = other._cache  # noqa: SLF001 - the moment between storing and letting go
        return real(keys._cache, *arguments[1:])  # noqa: SLF001

    with keys._flight:  # noqa: SLF001
        monkeypatch.setattr(jwks_cache, "is_usable", stored_meanwhile)
        assert keys.key(OLD, NOW).kid == OLD


def test_beyond_the_hard_age_all_wait_as_without_a_set(server: KeySetServer) -> None:
    keys = client(server)
    keys.key(OLD, NOW)
    server.answer = Answer(body=json.dumps(ONLY_OLD).encode(), delay=0.3)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(keys.key, OLD, NOW + DAY) for _ in range(4)]
        assert {each.result().kid for each in futures} == {OLD}
    assert server.fetches == 2


def test_nobody_waits_for_an_unknown_key_while_there_is_a_set(server: KeySetServer) -> None:
    keys = client(server)
    with an_attempt_under_way(server, keys):
        assert is_unavailable(keys, "made-up", HOUR)
    assert is_unknown(keys, "made-up", HOUR)
    assert server.fetches == 2


def test_who_waits_waits_no_longer_than_an_attempt_may_take() -> None:
    begun, done = threading.Event(), threading.Event()

    def stuck(method: str, url: str, **_: object) -> Response:
        begun.set()
        done.wait(5)
        assert (method, url) == ("GET", "https://i.example/k")
        return Response(status=200, headers={}, body=json.dumps(ONLY_OLD).encode())

    keys = JwksClient(
        Location(issuer="https://i.example", jwks_uri="https://i.example/k"),
        transport=stuck,
        limits=Limits(),
        timeout=timedelta(seconds=0.1),
    )
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(keys.key, OLD, NOW)
        begun.wait(5)
        assert is_unavailable(keys, OLD)
        done.set()
        assert attempt.result().kid == OLD
