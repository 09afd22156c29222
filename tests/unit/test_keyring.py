"""The record: what it answers, how it is written, and what it refuses to read or to write."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from machine_identity import keyring
from machine_identity.keyring import (
    VERSION,
    Incoming,
    Intent,
    Key,
    Keyring,
    KeyringError,
    Outgoing,
    State,
    Surplus,
)
from tests.keyrings import DAY, SECOND, START, active, key, removed, retired, ring, standby

EVERYTHING = ring(
    removed("r", disabled_at=START + SECOND, deletion_at=START + 7 * DAY),
    retired("q", retire_interval=timedelta(hours=49, microseconds=1)),
    active("a", since=START + DAY),
    standby("s", first_seen_at=START + DAY, publication_interval=2 * DAY),
    published_revision=5,
    genesis=True,
    intent=Intent(id="intent-1", written_at=START),
    rollover_requested_at=START,
    max_age=300 * SECOND,
    longest_max_age=3600 * SECOND,
    longest_max_age_at=START,
    incoming=Incoming(
        url="https://new.example",
        since=START,
        first_seen_at=START,
        publication_interval=SECOND,
        confirmed_at=START,
    ),
    outgoing=(Outgoing(url="https://old.example", since=START, retire_interval=SECOND),),
    surplus=(Surplus(arn="arn:surplus", found_at=START, retire_interval=SECOND),),
    seen_digest="digest",
    seen_since=START,
)
"""No member as it is by default."""


def document(**changes: Any) -> bytes:
    return json.dumps({**json.loads(keyring.serialise(EVERYTHING)), **changes}).encode()


def with_first_key(**changes: Any) -> bytes:
    first, *others = json.loads(keyring.serialise(EVERYTHING))["keys"]
    return document(keys=[{**first, **changes}, *others])


def test_an_identity_begins_with_nothing_and_without_a_genesis() -> None:
    empty = Keyring(identity="default", issuer="https://identity.example")
    assert (empty.revision, empty.published_revision, empty.genesis) == (0, 0, False)
    assert (empty.keys, empty.intent, empty.version) == ((), None, VERSION)


def test_the_lookups_answer_by_name_and_by_state() -> None:
    assert EVERYTHING.key("a").state is State.ACTIVE
    assert (EVERYTHING.active, EVERYTHING.standby) == (EVERYTHING.key("a"), EVERYTHING.key("s"))
    assert [each.kid for each in EVERYTHING.published] == ["q", "a", "s"]
    assert (ring().active, ring().standby, ring().published) == (None, None, ())


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="unknown"):
        EVERYTHING.key("unknown")


@pytest.mark.parametrize("state", State)
def test_of_several_keys_in_a_state_the_longest_there_is_first(state: State) -> None:
    young, old = key("young", state, since=START + SECOND), key("old", state)
    assert ring(young, old).in_state(state) == (old, young)
    assert ring(old, young).in_state(state) == (old, young)


@pytest.mark.parametrize("state", State)
def test_a_key_is_published_until_it_is_removed(state: State) -> None:
    assert key("k", state).is_published is (state is not State.REMOVED)


def test_a_key_is_replaced_in_its_place_and_the_others_stay() -> None:
    changed = replace(EVERYTHING.key("a"), arn="arn:other")
    after = EVERYTHING.with_key(changed)
    assert [each.kid for each in after.keys] == ["r", "q", "a", "s"]
    assert after.key("a") == changed
    assert after.with_key(EVERYTHING.key("a")) == EVERYTHING


@pytest.mark.parametrize("each", [EVERYTHING, ring()], ids=["everything", "nothing"])
def test_what_is_written_is_read_back_as_it_was(each: Keyring) -> None:
    body = keyring.serialise(each)
    assert keyring.parse(body) == each
    assert keyring.serialise(keyring.parse(body)) == body


def test_the_document_is_plain_json_with_iso_instants_and_seconds() -> None:
    members = json.loads(keyring.serialise(EVERYTHING))
    assert members["version"] == VERSION == 1
    assert members["intent"] == {"id": "intent-1", "written_at": "2026-11-24T12:00:00+00:00"}
    assert members["longest_max_age"] == 3600.0
    assert members["keys"][0]["state"] == "removed"
    assert members["keys"][0]["deletion_at"] == "2026-12-01T12:00:00+00:00"


def test_rule_6_a_newer_version_is_read_with_what_is_known_of_it() -> None:
    first = json.loads(keyring.serialise(EVERYTHING))["keys"][0]
    newer = document(version=2, novelty=1, keys=[{**first, "novelty": 1}])
    read = keyring.parse(newer)
    assert read == replace(EVERYTHING, version=2, keys=(EVERYTHING.key("r"),))


def test_rule_6_a_newer_version_is_never_written() -> None:
    with pytest.raises(KeyringError, match="version is 2, newer than 1"):
        keyring.serialise(keyring.parse(document(version=2)))


@pytest.mark.parametrize("version", [0, -1])
def test_an_older_version_is_refused(version: int) -> None:
    with pytest.raises(KeyringError, match=f"version is {version}, not 1"):
        keyring.parse(document(version=version))


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"7", b'"text"', b"\xff", b"{", b'{"version": 1}'],
)
def test_what_is_no_keyring_is_refused(body: bytes) -> None:
    with pytest.raises(KeyringError, match="cannot be read"):
        keyring.parse(body)


@pytest.mark.parametrize("name", json.loads(keyring.serialise(EVERYTHING)))
def test_a_keyring_without_one_of_its_members_is_refused(name: str) -> None:
    members = json.loads(keyring.serialise(EVERYTHING))
    del members[name]
    with pytest.raises(KeyringError, match="cannot be read: KeyError"):
        keyring.parse(json.dumps(members).encode())


@pytest.mark.parametrize("name", json.loads(keyring.serialise(EVERYTHING))["keys"][0])
def test_a_key_without_one_of_its_members_is_refused(name: str) -> None:
    members = json.loads(keyring.serialise(EVERYTHING))
    del members["keys"][0][name]
    with pytest.raises(KeyringError, match="cannot be read: KeyError"):
        keyring.parse(json.dumps(members).encode())


@pytest.mark.parametrize(
    "body",
    [
        document(version="one"),
        document(version=None),
        document(revision="many"),
        document(keys=7),
        document(keys=[7]),
        document(issuer=7),
        document(incoming={"url": "https://new.example"}),
        document(outgoing=7),
        document(surplus=[{"arn": 7}]),
        document(intent={"id": "intent-1"}),
        document(intent="intent-1"),
        document(rollover_requested_at="yesterday"),
        document(rollover_requested_at=7),
        document(longest_max_age="3600"),
        document(longest_max_age=1e300),
        document(revision=float("inf")),
        document(max_age=float("nan")),
        with_first_key(state="ACTIVE"),
        with_first_key(since=None),
        with_first_key(jwk=[]),
        with_first_key(jwk={"kty": "RSA"}),
    ],
)
def test_a_member_of_the_wrong_kind_is_refused(body: bytes) -> None:
    with pytest.raises(KeyringError, match="cannot be read"):
        keyring.parse(body)


@pytest.mark.parametrize(
    "body",
    [
        document(rollover_requested_at="2026-11-24T12:00:00"),
        document(intent={"id": "i", "written_at": "2026-11-24T12:00:00"}),
        with_first_key(created_at="2026-11-24T12:00:00"),
    ],
)
def test_an_instant_without_a_time_zone_is_refused(body: bytes) -> None:
    with pytest.raises(KeyringError, match="no time zone"):
        keyring.parse(body)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ((active("a"), active("b")), "two active keys"),
        ((active("a"), standby("a")), "a key twice"),
    ],
)
def test_a_keyring_that_contradicts_itself_is_refused(keys: tuple[Key, ...], why: str) -> None:
    with pytest.raises(KeyringError, match=why):
        keyring.parse(keyring.serialise(ring(*keys)))


def test_no_error_repeats_what_the_document_holds() -> None:
    with pytest.raises(KeyringError) as refused:
        keyring.parse(with_first_key(state="s3cr3t"))
    assert "s3cr3t" not in str(refused.value)


def test_the_issuer_in_use_is_the_first_of_the_published_and_each_is_named_once() -> None:
    assert EVERYTHING.issuers == (
        "https://identity.example",
        "https://new.example",
        "https://old.example",
    )
    old = Outgoing(url="https://new.example", since=START, retire_interval=SECOND)
    assert replace(EVERYTHING, outgoing=(old,)).issuers == EVERYTHING.issuers[:2]
    assert ring().issuers == ("https://identity.example",)
