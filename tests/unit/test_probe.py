"""Our own documents as a stranger sees them: what counts as seen, as absent, and as neither."""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from machine_identity import jwk, transport
from machine_identity.errors import TransportError
from machine_identity.evidence import Observation, Seen, Unseen
from machine_identity.http1 import Response
from machine_identity.probe import Probe
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ISSUER = "https://identity.example"
LONGEST = timedelta(seconds=2**31)
KEYS = {"keys": [{"kid": "first"}, {"kid": "second"}], "revision": 7}
DIGEST = hashlib.sha256(
    b'{"keys": [{"kid": "first"}, {"kid": "second"}], "revision": 7}'
).hexdigest()


class Site:
    """What stands under the public URL; each answer takes a second."""

    def __init__(self) -> None:
        self.instant = START
        self.asked: list[str] = []
        self.configuration: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": ISSUER + JWKS_PATH}
        self.answers: dict[str, Response | TransportError] = {}
        self.put(CONFIGURATION_PATH, self.configuration)
        self.put(JWKS_PATH, KEYS)

    def put(
        self, path: str, document: object, *, status: int = 200, cache_control: str = ""
    ) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = {"cache-control": cache_control} if cache_control else {}
        self.answers[path] = Response(status=status, headers=headers, body=body)

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        assert (method, body) == ("GET", None)
        assert headers == {"Accept": "application/json"}  # no credentials: a stranger has none
        assert timedelta() < timeout <= 5 * SECOND
        self.instant += SECOND
        self.asked.append(url)
        answer = self.answers[url.removeprefix(ISSUER)]
        if isinstance(answer, TransportError):
            raise answer
        return answer

    def observe(self) -> Observation:
        return Probe(ISSUER, self, lambda: self.instant)()

    def seen(self) -> Seen:
        observation = self.observe()
        assert isinstance(observation, Seen)
        return observation

    def unseen(self) -> Unseen:
        observation = self.observe()
        assert isinstance(observation, Unseen)
        return observation


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_keys_of_the_public_set_are_seen_at_the_time_after_the_last_answer(site: Site) -> None:
    kids = frozenset({"first", "second"})
    seen = Seen(at=START + 2 * SECOND, kids=kids, max_age=timedelta(), digest=DIGEST)
    assert site.observe() == seen
    assert sorted(site.asked) == [ISSUER + JWKS_PATH, ISSUER + CONFIGURATION_PATH]


def test_it_is_the_same_over_a_real_connection() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer = f"http://127.0.0.1:{server.server_port}"
            configuration = {"issuer": issuer, "jwks_uri": issuer + JWKS_PATH}
            document = KEYS if self.path == JWKS_PATH else configuration
            self.send_response(200)
            self.send_header("Cache-Control", "max-age=300")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def date_time_string(self, timestamp: float | None = None) -> str:
            del timestamp
            return format_datetime(START - timedelta(hours=1), usegmt=True)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        observation = Probe(url, transport.send, lambda: START)()
        server.shutdown()
        thread.join()
    kids = frozenset({"first", "second"})
    ahead = timedelta(hours=1) - SECOND
    assert observation == Seen(
        at=START, kids=kids, max_age=300 * SECOND, digest=DIGEST, clock_error=ahead
    )
    assert Probe(url, transport.send, lambda: START)() == Unseen(
        at=START, why="no answer from 127.0.0.1: ConnectionRefusedError"
    )


# Absence


@pytest.mark.parametrize(
    "keys",
    [[], [{}], ["first"], [None], [{"kid": None}], [{"kid": 1}, {"kid": ["first"]}], [[]]],
)
def test_a_set_in_which_no_key_is_named_shows_none(site: Site, keys: list[object]) -> None:
    site.put(JWKS_PATH, {"keys": keys})
    assert site.seen().kids == frozenset()


def test_a_key_that_has_no_name_hides_no_other(site: Site) -> None:
    site.put(JWKS_PATH, {"keys": [{"kid": 1}, None, {"kid": "second"}]})
    assert site.seen().kids == {"second"}


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": "https://Identity.example"},
        {"issuer": None},
        {"jwks_uri": "https://elsewhere.example" + JWKS_PATH},
        {"jwks_uri": ISSUER + "/jwks.json"},
        {"jwks_uri": None},
        {"jwks_uri": [ISSUER + JWKS_PATH]},
    ],
)
def test_rule_1_a_discovery_document_that_leads_elsewhere_is_an_absence_of_every_key(
    site: Site, change: dict[str, object]
) -> None:
    site.put(CONFIGURATION_PATH, {**site.configuration, **change})
    assert site.seen().kids == frozenset()


# No observation


def failing(site: Site, path: str) -> None:
    site.answers[path] = TransportError("no answer from identity.example: TimeoutError")


def a_503(site: Site, path: str) -> None:
    site.put(path, {"error": "temporarily_unavailable"}, status=503)


def a_304(site: Site, path: str) -> None:
    site.put(path, KEYS, status=304)


def a_204(site: Site, path: str) -> None:
    site.put(path, KEYS, status=204)


def html(site: Site, path: str) -> None:
    site.put(path, b"<html>")


def half(site: Site, path: str) -> None:
    site.put(path, b'{"keys": [{"kid": "first"}]')


def no_utf_8(site: Site, path: str) -> None:
    site.put(path, b'{"keys": "\xff"}')


def a_list(site: Site, path: str) -> None:
    site.put(path, [KEYS])


def too_deep(site: Site, path: str) -> None:
    site.put(path, b"[" * 100_000)


def a_huge_number(site: Site, path: str) -> None:
    site.put(path, b'{"keys": ' + b"1" * 5000 + b"}")


@pytest.mark.parametrize("path", [JWKS_PATH, CONFIGURATION_PATH])
@pytest.mark.parametrize(
    "fail",
    [failing, a_503, a_304, a_204, html, half, no_utf_8, a_list, too_deep, a_huge_number],
)
def test_rule_1_a_failed_fetch_is_no_observation_and_no_error(
    site: Site, fail: Callable[[Site, str], None], path: str
) -> None:
    fail(site, path)
    observation = site.unseen()
    assert observation.at == site.instant
    assert observation.at > START


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "first"}])
def test_what_is_no_key_set_is_no_observation(site: Site, document: object) -> None:
    site.put(JWKS_PATH, document)
    assert site.unseen().why == "/.well-known/jwks.json is not a JWK Set"


def test_the_reason_names_the_path_and_what_came(site: Site) -> None:
    a_503(site, JWKS_PATH)
    assert site.unseen().why == "/.well-known/jwks.json is answered with 503"
    html(site, CONFIGURATION_PATH)
    assert site.unseen().why == "/.well-known/openid-configuration is not a JSON object"
    failing(site, CONFIGURATION_PATH)
    assert site.unseen().why == "no answer from identity.example: TimeoutError"


# max-age, on which a wait rests


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", 0),
        ("no-store", 0),
        ("max-age=0", 0),
        ("max-age=300", 300),
        ("public, max-age=300", 300),
        ("public,max-age=300,must-revalidate", 300),
        ("Public, Max-Age=300", 300),
        ('max-age="300"', 300),
        ("max-age=000000000000300", 300),
        ("max-age=60, max-age=86400", 86400),
        ("max-age=86400, max-age=60", 86400),
        ("max-age=60, s-maxage=86400", 86400),
        ("s-maxage=60, max-age=300", 300),
        ("no-cache, max-age=300", 300),
        ("x-max-age=300", 0),
        ("min-fresh=300", 0),
        ("max-age=", 0),
        ("max-age=abc", 0),
        ("max-age=-1", 0),
        ("max-age=\u0663", 0),
        ("max-age=2147483647", 2147483647),
        ("max-age=2147483649", 2**31),
        ("max-age=99999999999", 2**31),
        ("max-age=100000000000", 2**31),
        ("max-age=" + "9" * 6000, 2**31),
    ],
)
def test_the_longest_that_a_cache_may_keep_the_set_is_what_counts(
    site: Site, cache_control: str, seconds: int
) -> None:
    site.put(JWKS_PATH, KEYS, cache_control=cache_control)
    assert site.seen().max_age == seconds * SECOND


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize(("of_keys", "of_configuration"), [(300, 86400), (86400, 300)])
def test_rule_1_of_the_two_documents_the_longer_max_age_counts(
    site: Site, of_keys: int, of_configuration: int, *, is_ours: bool
) -> None:
    site.put(JWKS_PATH, KEYS, cache_control=f"max-age={of_keys}")
    leads = (
        site.configuration if is_ours else {**site.configuration, "issuer": "https://old.example"}
    )
    site.put(CONFIGURATION_PATH, leads, cache_control=f"max-age={of_configuration}")
    assert site.seen().max_age == 86400 * SECOND


RSA = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
EC = {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "Ag"}
OURS, THEIRS = (jwk.true_name(members) for members in (RSA, EC))


@pytest.mark.parametrize(
    ("keys", "kids"),
    [
        ([{**RSA, "kid": OURS}], {OURS}),
        ([{**RSA, "kid": OURS}, {**EC, "kid": OURS}], {THEIRS}),
        ([{**EC, "kid": OURS}], {THEIRS}),
        ([{**RSA, "kid": OURS}, {**RSA, "kid": "another"}], {OURS, "another"}),
        ([{**RSA, "kid": OURS}, {**EC, "kid": THEIRS}], {OURS, THEIRS}),
    ],
    ids=["true", "hidden by a false one", "false alone", "the same twice", "two"],
)
def test_rule_8_a_key_under_a_false_name_is_a_stranger_and_hides_its_victim(
    site: Site, keys: list[dict[str, str]], kids: set[str]
) -> None:
    site.put(JWKS_PATH, {"keys": keys})
    assert site.seen().kids == kids


@pytest.mark.parametrize(("takes", "is_seen"), [(4, True), (5, False)])
def test_both_documents_have_five_seconds_together(
    site: Site, takes: int, *, is_seen: bool
) -> None:
    timeouts: list[timedelta] = []

    def slow(*arguments: str, timeout: timedelta, **more: Any) -> Response:
        timeouts.append(timeout)
        answer = site(*arguments, timeout=timeout, **more)
        site.instant += (takes - 1) * SECOND
        return answer

    seen = Probe(ISSUER, slow, lambda: site.instant)()
    assert isinstance(seen, Seen) is is_seen
    assert timeouts == [5 * SECOND, (5 - takes) * SECOND][: 1 + is_seen]
    if isinstance(seen, Unseen):
        assert seen.why == f"no time was left to ask for {JWKS_PATH}"
