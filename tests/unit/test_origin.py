"""What the public URL answers while its store works, fails, lies, and while the clock does."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest

from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.evidence import Seen
from machine_identity.http1 import Response
from machine_identity.origin import (
    ORIGIN_STALENESS,
    REST_INTERVAL,
    RETRY_AFTER,
    SLOW,
    Answer,
    Found,
    Origin,
    Unavailable,
    answer,
)
from machine_identity.policy import Policy
from machine_identity.probe import Probe
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
KEYS: dict[str, Any] = {"keys": [{"kty": "RSA", "kid": "first", "n": "AQAB", "e": "AQAB"}]}
CONFIGURATION = {
    "issuer": "https://identity.example",
    "jwks_uri": "https://identity.example/.well-known/jwks.json",
}
CACHE_CONTROL = "public, max-age=300"


class World:
    """A store that can be made to fail, the time, and the origin under test."""

    def __init__(self) -> None:
        self.instant = START
        self.documents: dict[str, Document] = {}
        self.reads: list[str] = []
        self.is_down = False
        self.delay = timedelta()
        """How long the store takes to answer, or to fail."""
        self.origin = Origin(store=self, identity="default", clock=self)
        self.put(KEYS, revision=1)
        self.put(CONFIGURATION, path=CONFIGURATION_PATH)

    def now(self) -> datetime:
        return self.instant

    def read(self, key: str) -> Document | None:
        self.reads.append(key)
        self.instant += self.delay
        if self.is_down:
            raise AwsError("s3:GetObject", "SlowDown")
        return self.documents.get(key)

    def put(
        self,
        document: Any,
        *,
        path: str = JWKS_PATH,
        cache_control: str | None = CACHE_CONTROL,
        **members: Any,
    ) -> None:
        if isinstance(document, dict):
            document = {**document, **members}
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        key = f"default{path}"
        self.documents[key] = Document(body=body, tag='"tag"', cache_control=cache_control)

    def remove(self, path: str = JWKS_PATH) -> None:
        del self.documents[f"default{path}"]

    def at(self, age: timedelta) -> "World":
        self.instant = START + age
        return self

    def find(self, path: str = JWKS_PATH) -> Found | Unavailable:
        return self.origin.find(path)

    def get(self, path: str = JWKS_PATH) -> Answer:
        return answer(self.find(path))

    def revision(self) -> int | None:
        """Return the revision of the set that is served, or None for 503."""
        given = self.get()
        return json.loads(given.text)["revision"] if given.status == HTTPStatus.OK else None

    def fault(self) -> str | None:
        return self.find().fault


@pytest.fixture
def world() -> World:
    return World()


def down(world: World) -> None:
    world.is_down = True


def absent(world: World) -> None:
    world.remove()


def without_keys(world: World) -> None:
    world.put({"keys": []}, revision=2)


def no_json(world: World) -> None:
    world.put(b"<html>")


def rolled_back(world: World) -> None:
    world.put(KEYS, revision=0)


FAILURES = [down, absent, without_keys, no_json, rolled_back]


# A store that works


def test_both_documents_are_served_as_they_stand_under_the_identity(world: World) -> None:
    published = {JWKS_PATH: {**KEYS, "revision": 1}, CONFIGURATION_PATH: CONFIGURATION}
    for path, document in published.items():
        given = world.get(path)
        assert (given.status, json.loads(given.text)) == (HTTPStatus.OK, document)
        assert given.headers["cache-control"] == CACHE_CONTROL
        assert world.find(path).fault is None
    assert set(world.reads) == {f"default{JWKS_PATH}", f"default{CONFIGURATION_PATH}"}


def test_the_text_is_the_object_s_own_to_the_byte(world: World) -> None:
    body = '{ "keys":[{"kid":"é"}],\n"revision" : 3 }'
    world.put(body.encode())
    assert world.get().text == body


def test_what_was_published_a_moment_ago_is_served_at_once(world: World) -> None:
    assert world.revision() == 1
    world.put(KEYS, revision=2)
    assert world.revision() == 2


def test_the_same_revision_is_served_again_whatever_it_says(world: World) -> None:
    world.get()
    world.put(KEYS, revision=1, more="by hand")
    assert "by hand" in world.get().text


# A store that fails: rule 1's origin staleness


def test_rule_1_the_origin_s_staleness_is_the_one_that_the_policy_counts_on() -> None:
    assert Policy().origin_staleness == ORIGIN_STALENESS


@pytest.mark.parametrize("fail", FAILURES)
@pytest.mark.parametrize(
    ("age", "revision"),
    [
        (timedelta(), 1),
        (ORIGIN_STALENESS - SECOND, 1),
        (ORIGIN_STALENESS, 1),
        (ORIGIN_STALENESS + INSTANT, None),
        (timedelta(days=30), None),
    ],
)
def test_the_last_good_copy_is_served_for_five_minutes_and_no_longer(
    world: World, fail: Callable[[World], None], age: timedelta, revision: int | None
) -> None:
    world.get()
    fail(world)
    found = world.at(age).find()
    assert isinstance(found, Found) is (revision is not None)
    assert found.fault is not None
    assert world.revision() == revision


@pytest.mark.parametrize("fail", FAILURES)
def test_serving_a_copy_does_not_make_it_younger(
    world: World, fail: Callable[[World], None]
) -> None:
    world.get()
    fail(world)
    for seconds in range(0, 300, 10):
        assert world.at(seconds * SECOND).revision() == 1
    assert world.at(ORIGIN_STALENESS + SECOND).revision() is None


@pytest.mark.parametrize("fail", FAILURES)
def test_a_store_that_recovers_is_served_from_at_once(
    world: World, fail: Callable[[World], None]
) -> None:
    world.get()
    fail(world)
    world.at(ORIGIN_STALENESS + SECOND).get()
    world.is_down = False
    world.put(KEYS, revision=3)
    assert (world.revision(), world.fault()) == (3, None)


def test_a_copy_s_age_counts_from_the_beginning_of_its_read(world: World) -> None:
    world.delay = 8 * SECOND
    world.get()
    world.is_down, world.delay = True, timedelta()
    assert world.at(ORIGIN_STALENESS).revision() == 1
    assert world.at(ORIGIN_STALENESS + INSTANT).revision() is None


@pytest.mark.parametrize(
    ("begun_before", "revision"), [(10 * SECOND, 1), (10 * SECOND - INSTANT, None)]
)
def test_a_read_that_fails_slowly_does_not_stretch_the_five_minutes(
    world: World, begun_before: timedelta, revision: int | None
) -> None:
    world.get()
    world.is_down, world.delay = True, 10 * SECOND
    assert world.at(ORIGIN_STALENESS - begun_before).revision() == revision


def test_one_document_s_copy_says_nothing_about_the_other(world: World) -> None:
    world.get()
    world.is_down = True
    assert world.get(CONFIGURATION_PATH).status == HTTPStatus.SERVICE_UNAVAILABLE
    assert world.get().status == HTTPStatus.OK


def test_a_copy_from_the_future_is_not_served(world: World) -> None:
    world.get()
    world.is_down = True
    assert world.at(-INSTANT).revision() is None
    assert world.at(timedelta()).revision() == 1


def test_a_clock_that_went_back_counts_from_the_new_time(world: World) -> None:
    world.get()
    world.at(-timedelta(days=1)).get()
    world.is_down = True
    assert world.at(-timedelta(days=1) + ORIGIN_STALENESS).revision() == 1
    assert world.at(timedelta()).revision() is None


# Rule 1's sum


def kept_until(given: Answer, served_at: datetime) -> datetime:
    """Return how long a cache may keep an answer, as the rotator's own probe reads it."""

    def transport(method: str, url: str, **_: Any) -> Response:
        assert method == "GET"
        path = url.removeprefix("https://identity.example")
        text = given.text if path == JWKS_PATH else json.dumps(CONFIGURATION)
        return Response(status=200, headers=given.headers, body=text.encode())

    seen = Probe("https://identity.example", transport, lambda: served_at)()
    assert isinstance(seen, Seen)
    return served_at + seen.max_age


@pytest.mark.parametrize("max_age", [60 * SECOND, 300 * SECOND, timedelta(days=1)])
def test_rule_1_no_cache_holds_a_copy_when_the_publication_interval_of_its_successor_is_over(
    world: World, max_age: timedelta
) -> None:
    policy = Policy(max_age=max_age, key_set_cache=timedelta(), clock_skew=timedelta())
    world.put(KEYS, revision=1, cache_control=f"public, max-age={int(max_age.total_seconds())}")
    world.get()
    world.is_down = True
    first_seen_at = START + INSTANT  # the successor is published right after the last good read
    held_until = max(
        kept_until(given, START + age)
        for age in (timedelta(), ORIGIN_STALENESS, ORIGIN_STALENESS + SECOND, timedelta(days=2))
        if (given := world.at(age).get()).status == HTTPStatus.OK
    )
    assert held_until == START + ORIGIN_STALENESS + max_age
    assert held_until < first_seen_at + policy.publication_interval()


def test_rule_1_a_copy_goes_out_with_the_max_age_that_it_was_read_with(world: World) -> None:
    world.get()
    world.put({"keys": []}, cache_control="public, max-age=86400")
    assert world.get().headers["cache-control"] == CACHE_CONTROL


@pytest.mark.parametrize("cache_control", [None, ""])
def test_rule_1_an_object_that_names_no_max_age_is_kept_by_nobody(
    world: World, cache_control: str | None
) -> None:
    world.put(KEYS, cache_control=cache_control)
    assert world.get().headers["cache-control"] == "no-store"


# Before the first key, and after the last copy


@pytest.mark.parametrize("fail", [down, absent, without_keys, no_json])
def test_without_a_copy_the_answer_is_503_with_retry_after_and_is_kept_by_nobody(
    world: World, fail: Callable[[World], None]
) -> None:
    fail(world)
    given = world.get()
    assert given.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert given.headers == {
        "cache-control": "no-store",
        "retry-after": str(int(RETRY_AFTER.total_seconds())),
    }
    assert json.loads(given.text).keys() == {"error", "message"}


def test_the_first_key_is_served_at_once(world: World) -> None:
    absent(world)
    world.get()
    world.put(KEYS, revision=1)
    assert world.revision() == 1


# What must not be served


@pytest.mark.parametrize(
    ("path", "document", "fault"),
    [
        (JWKS_PATH, b"", "is not JSON"),
        (JWKS_PATH, b'{"keys": [{"kid": "k"}]', "is not JSON"),
        (JWKS_PATH, b'{"keys": [{"kid": "\xff"}]}', "is not JSON"),
        (JWKS_PATH, json.dumps(KEYS).encode("utf-16"), "is not JSON"),
        (JWKS_PATH, b"[" * 100_000, "is not JSON"),
        (JWKS_PATH, [KEYS], "is not a JSON object"),
        (JWKS_PATH, None, "is not a JSON object"),
        (JWKS_PATH, {}, "without keys"),
        (JWKS_PATH, {"keys": []}, "without keys"),
        (JWKS_PATH, {"keys": {}}, "without keys"),
        (JWKS_PATH, {"keys": {"kid": {}}}, "without keys"),
        (JWKS_PATH, {"keys": "first"}, "without keys"),
        (JWKS_PATH, {"keys": [None]}, "without keys"),
        (JWKS_PATH, {"keys": [*KEYS["keys"], "second"]}, "without keys"),
        (JWKS_PATH, {"keys": [*KEYS["keys"], {"kty": "EC", "d": "AQAB"}]}, "private key"),
        (JWKS_PATH, {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "private key"),
        (JWKS_PATH, {**KEYS, "revision": "2"}, "not a whole number"),
        (JWKS_PATH, {**KEYS, "revision": True}, "not a whole number"),
        (JWKS_PATH, {**KEYS, "revision": None}, "not a whole number"),
        (JWKS_PATH, {**KEYS, "revision": 2.0}, "not a whole number"),
        (CONFIGURATION_PATH, b"<html>", "is not JSON"),
        (CONFIGURATION_PATH, [], "is not a JSON object"),
        (CONFIGURATION_PATH, {}, "does not name its issuer"),
        (CONFIGURATION_PATH, {"issuer": "https://identity.example"}, "does not name its jwks_uri"),
        (CONFIGURATION_PATH, {**CONFIGURATION, "issuer": None}, "does not name its issuer"),
        (CONFIGURATION_PATH, KEYS, "does not name its issuer"),
    ],
)
def test_a_document_that_no_reader_could_use_is_a_failure(
    world: World, path: str, document: object, fault: str
) -> None:
    world.put(document, path=path)
    found = world.find(path)
    assert isinstance(found, Unavailable)
    assert fault in found.fault
    assert "c2VjcmV0" not in repr(found)


def test_the_configuration_needs_no_keys(world: World) -> None:
    assert world.get(CONFIGURATION_PATH).status == HTTPStatus.OK


def test_the_fault_of_the_store_is_told_to_the_log_and_not_to_the_world(world: World) -> None:
    world.is_down = True
    assert world.fault() == "s3:GetObject failed: SlowDown"
    assert "SlowDown" not in world.get().text


# Rule 6


@pytest.mark.parametrize("lower", [{"revision": 6}, {}, {"revision": -1}])
def test_rule_6_a_lower_revision_is_never_served(world: World, lower: dict[str, Any]) -> None:
    world.put(KEYS, revision=7)
    assert world.revision() == 7
    world.put(KEYS, **lower)
    assert world.at(SECOND).revision() == 7
    assert world.at(timedelta(days=1)).revision() is None
    assert "lower than 7" in str(world.fault())
    world.put(KEYS, revision=7)
    assert world.revision() == 7


def test_rule_6_a_clock_that_went_back_lets_no_lower_revision_in(world: World) -> None:
    world.put(KEYS, revision=7)
    world.get()
    world.put(KEYS, revision=6)
    assert world.at(-timedelta(days=1)).revision() is None


# A store that fails slowly


def test_a_store_that_fails_fast_is_asked_for_every_answer(world: World) -> None:
    world.get()
    world.is_down, world.delay = True, SLOW - INSTANT
    for _ in range(3):
        world.get()
    assert len(world.reads) == 4


def test_a_store_that_fails_slowly_costs_one_reader_in_ten_seconds_the_wait(world: World) -> None:
    world.get()
    world.is_down, world.delay = True, SLOW
    world.get()
    failed_at = world.instant
    for rest in (timedelta(), SECOND, REST_INTERVAL - INSTANT):
        world.instant = failed_at + rest
        found = world.find()
        assert isinstance(found, Found)
        assert found.fault == "s3:GetObject failed: SlowDown"
    assert len(world.reads) == 2
    world.instant = failed_at + REST_INTERVAL
    world.is_down = False
    assert (world.fault(), len(world.reads)) == (None, 3)


def test_a_rest_ends_with_the_first_success(world: World) -> None:
    world.get()
    world.is_down, world.delay = True, SLOW
    world.get()
    world.is_down = False
    assert world.get(CONFIGURATION_PATH).status == HTTPStatus.OK
    assert world.fault() is None


def test_a_rest_ends_with_a_fast_failure(world: World) -> None:
    world.get()
    world.is_down, world.delay = True, SLOW
    world.get()
    world.delay = timedelta()
    world.get(CONFIGURATION_PATH)
    reads = len(world.reads)
    world.get()
    assert len(world.reads) == reads + 1


def test_a_rest_from_the_future_is_none(world: World) -> None:
    world.get()
    world.at(100 * SECOND)
    world.is_down, world.delay = True, SLOW
    world.get()
    world.is_down = False
    assert world.at(99 * SECOND).fault() is None


def test_a_rest_makes_no_copy_leave_later_than_it_may(world: World) -> None:
    world.get()
    world.is_down, world.delay = True, SLOW
    assert world.at(ORIGIN_STALENESS - SLOW).revision() == 1
    assert world.at(ORIGIN_STALENESS + INSTANT).revision() is None
    world.is_down = False
    assert world.revision() == 1


def test_without_a_copy_that_may_leave_the_store_is_asked_however_slowly_it_fails(
    world: World,
) -> None:
    world.is_down, world.delay = True, SLOW
    world.get()
    world.is_down = False
    assert world.revision() == 1


# Conditional requests (RFC 9110 section 13.1.2)


def status(found: Found | Unavailable, if_none_match: str | None) -> HTTPStatus:
    return answer(found, if_none_match=if_none_match).status


def test_the_entity_tag_is_strong_and_changes_with_the_content_alone(world: World) -> None:
    tag = world.get().headers["etag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    assert len(tag) == 66
    world.put(KEYS, revision=1)
    assert world.at(SECOND).get().headers["etag"] == tag
    world.put(KEYS, revision=2)
    assert world.get().headers["etag"] != tag


@pytest.mark.parametrize(
    "if_none_match",
    [
        "{}",
        "W/{}",
        " {} ",
        '"other", {}',
        '{},"other"',
        'W/"other" , W/{} , "more"',
        '"a,b", {}',
        "*",
        " * ",
    ],
)
def test_who_has_it_already_gets_304_with_the_headers_and_without_the_text(
    world: World, if_none_match: str
) -> None:
    full = world.get()
    given = answer(world.find(), if_none_match=if_none_match.format(full.headers["etag"]))
    assert given == replace(full, status=HTTPStatus.NOT_MODIFIED, text="")


@pytest.mark.parametrize(
    "if_none_match",
    [
        None,
        "",
        '"other"',
        'W/"other"',
        "{bare}",
        '"{bare}',
        '{bare}"',
        '"*"',
        "**",
        '*, "x"',
        "w/*",
    ],
)
def test_who_does_not_have_it_gets_all_of_it(world: World, if_none_match: str | None) -> None:
    bare = world.get().headers["etag"].strip('"')
    tags = None if if_none_match is None else if_none_match.format(bare=bare)
    assert status(world.find(), tags) == HTTPStatus.OK


def test_a_copy_is_revalidated_as_what_it_is_a_copy_of(world: World) -> None:
    tag = world.get().headers["etag"]
    world.is_down = True
    given = answer(world.find(), if_none_match=tag)
    assert (given.status, given.headers["cache-control"]) == (304, CACHE_CONTROL)


def test_what_is_not_to_be_had_is_503_whatever_the_reader_has(world: World) -> None:
    world.is_down = True
    assert status(world.find(), "*") == HTTPStatus.SERVICE_UNAVAILABLE


def test_no_repr_shows_a_document(world: World) -> None:
    assert "kid" not in repr(world.find()) + repr(world.get())
