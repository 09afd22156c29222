"""What the signer saw, as a document: written and read alike, strict, and without a secret."""

import json
from dataclasses import replace
from typing import Any

import pytest

from machine_identity import testimony
from machine_identity.testimony import (
    VERSION,
    Certified,
    Fallback,
    Listing,
    NewerTestimonyError,
    Testimony,
    TestimonyError,
    Trial,
    Upload,
)
from tests.keyrings import DAY, SECOND, START

EVERYTHING = Testimony(
    revision=7,
    trials=(
        Trial(client="a", kid="k", first_success_at=START, last_success_at=START + DAY),
        Trial(
            client="b",
            kid="k",
            refused_at=START + SECOND,
            refusals=3,
            code="invalid_client",
            active_refused=True,
        ),
    ),
    fallback=Fallback(kid="k", previous="j", at=START),
    strangers=("s", "t"),
    certificates=(Certified(kid="k", der="DER="),),
    uploads=(
        Upload(
            client="a",
            kid="k",
            registration="there",
            asked_at=START,
            asked=2,
            added_at=START + SECOND,
            key_id="id",
            ended_at=START + DAY,
            failures=3,
            failed_at=START + SECOND,
            code="left_behind",
        ),
        Upload(client="a", kid="j", registration="there"),
    ),
    listings=(
        Listing(client="a", at=START, strangers=("AB",)),
        Listing(client="b", at=START + DAY, is_told=False),
    ),
)


def document(**changes: Any) -> bytes:
    return json.dumps({**json.loads(testimony.serialise(EVERYTHING)), **changes}).encode()


def with_trial(**changes: Any) -> bytes:
    first, *_ = json.loads(testimony.serialise(EVERYTHING))["trials"]
    return document(trials=[{**first, **changes}])


def with_first(of: str, **changes: Any) -> bytes:
    first, *_ = json.loads(testimony.serialise(EVERYTHING))[of]
    return document(**{of: [{**first, **changes}]})


def with_fallback(**changes: Any) -> bytes:
    return document(fallback={"kid": "k", "previous": "j", "at": START.isoformat(), **changes})


def test_it_stands_beside_the_keyring_of_its_identity() -> None:
    assert testimony.object_key("default") == "default/evidence.json"


@pytest.mark.parametrize("each", [EVERYTHING, Testimony()], ids=["everything", "nothing"])
def test_what_is_written_is_read_back_as_it_was(each: Testimony) -> None:
    body = testimony.serialise(each)
    assert testimony.parse(body) == each
    assert json.loads(body)["version"] == VERSION == 1


def test_the_document_is_plain_json_with_iso_instants() -> None:
    members = json.loads(testimony.serialise(EVERYTHING))
    assert members["fallback"]["at"] == "2026-11-24T12:00:00+00:00"
    assert members["trials"][1]["refusals"] == 3


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"7", b"\xff", b"{", b"[" * 100_000, b'{"version": 1}']
)
def test_what_is_no_testimony_is_refused(body: bytes) -> None:
    with pytest.raises(TestimonyError, match="cannot be read"):
        testimony.parse(body)


@pytest.mark.parametrize("name", json.loads(testimony.serialise(EVERYTHING)))
def test_a_testimony_without_one_of_its_members_is_refused(name: str) -> None:
    members = json.loads(testimony.serialise(EVERYTHING))
    del members[name]
    with pytest.raises(TestimonyError, match="cannot be read: KeyError"):
        testimony.parse(json.dumps(members).encode())


@pytest.mark.parametrize("name", json.loads(testimony.serialise(EVERYTHING))["trials"][0])
def test_a_trial_without_one_of_its_members_is_refused(name: str) -> None:
    members = json.loads(testimony.serialise(EVERYTHING))
    del members["trials"][0][name]
    with pytest.raises(TestimonyError, match="cannot be read: KeyError"):
        testimony.parse(json.dumps(members).encode())


@pytest.mark.parametrize(
    "body",
    [
        document(version="1"),
        document(version=True),
        document(revision=-1),
        document(revision=1.5),
        document(trials=7),
        document(trials=[7]),
        document(strangers=[7]),
        document(fallback="yesterday"),
        with_fallback(at="yesterday"),
        with_fallback(at="2026-11-24T12:00:00"),
        with_fallback(at=7),
        with_fallback(kid=None),
        with_fallback(previous=7),
        with_trial(client=7),
        with_trial(kid=None),
        with_trial(first_success_at="2026-11-24T12:00:00"),
        with_trial(last_success_at=7),
        with_trial(refused_at="soon"),
        with_trial(refusals="1"),
        with_trial(refusals=-1),
        with_trial(code="AADSTS7000272: No key"),
        with_trial(code="a" * 65),
        with_trial(code=None),
        with_trial(active_refused="yes"),
    ],
)
def test_a_member_of_the_wrong_kind_is_refused(body: bytes) -> None:
    with pytest.raises(TestimonyError, match="cannot be read"):
        testimony.parse(body)


def test_a_client_and_a_key_are_told_of_once() -> None:
    twice = replace(EVERYTHING, trials=(*EVERYTHING.trials, EVERYTHING.trials[0]))
    with pytest.raises(TestimonyError, match="twice"):
        testimony.parse(testimony.serialise(twice))
    other = replace(EVERYTHING.trials[0], kid="another")
    once = replace(EVERYTHING, trials=(*EVERYTHING.trials, other))
    assert testimony.parse(testimony.serialise(once)) == once


def test_rule_6_what_newer_code_wrote_is_told_from_what_is_broken() -> None:
    with pytest.raises(NewerTestimonyError, match="version is 2, not 1"):
        testimony.parse(b'{"version": 2, "novelty": 1}')
    with pytest.raises(TestimonyError, match="version is 0, not 1") as older:
        testimony.parse(document(version=0))
    assert not isinstance(older.value, NewerTestimonyError)


def test_no_error_repeats_what_the_document_holds() -> None:
    with pytest.raises(TestimonyError) as refused:
        testimony.parse(with_trial(code="S3CR3T"))
    assert "S3CR3T" not in str(refused.value)
    assert refused.value.__suppress_context__


# What is said of uploads


@pytest.mark.parametrize(
    ("of", "name"),
    [
        (of, name)
        for of in ("certificates", "uploads", "listings")
        for name in json.loads(testimony.serialise(EVERYTHING))[of][0]
    ],
)
def test_a_record_of_an_upload_without_one_of_its_members_is_refused(of: str, name: str) -> None:
    members = json.loads(testimony.serialise(EVERYTHING))
    del members[of][0][name]
    with pytest.raises(TestimonyError, match="cannot be read: KeyError"):
        testimony.parse(json.dumps(members).encode())


@pytest.mark.parametrize(
    "body",
    [
        with_first("certificates", kid=7),
        with_first("certificates", der=None),
        with_first("uploads", client=7),
        with_first("uploads", kid=None),
        with_first("uploads", registration=7),
        with_first("uploads", asked_at="soon"),
        with_first("uploads", asked="1"),
        with_first("uploads", asked=-1),
        with_first("uploads", added_at="2026-11-24T12:00:00"),
        with_first("uploads", key_id=7),
        with_first("uploads", ended_at=7),
        with_first("uploads", failures=2**62),
        with_first("uploads", failed_at=True),
        with_first("uploads", code="What the server said."),
        with_first("listings", client=None),
        with_first("listings", at=None),
        with_first("listings", strangers=[7]),
        with_first("listings", is_told="yes"),
    ],
)
def test_a_record_of_an_upload_of_the_wrong_kind_is_refused(body: bytes) -> None:
    with pytest.raises(TestimonyError, match="cannot be read"):
        testimony.parse(body)


@pytest.mark.parametrize(
    ("instant", "is_read"),
    [
        ("0001-01-01T00:00:00+14:00", False),
        ("1969-12-31T23:59:59+00:00", False),
        ("1970-01-01T00:00:00+00:00", True),
        ("8999-12-31T23:59:59+00:00", True),
        ("9000-01-01T00:00:00+00:00", False),
        ("9999-12-31T23:59:59-14:00", False),
    ],
)
def test_an_instant_to_which_no_wait_can_be_added_is_none(instant: str, *, is_read: bool) -> None:
    for body in (
        with_first("uploads", failed_at=instant),
        with_first("listings", at=instant),
        with_trial(refused_at=instant),
        with_fallback(at=instant),
    ):
        if is_read:
            testimony.parse(body)
            continue
        with pytest.raises(TestimonyError, match="cannot be read: ValueError"):
            testimony.parse(body)
