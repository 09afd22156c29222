"""What a server tells of all the keys that it has, and what follows from it: rules 3, 5 and 10."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from machine_identity import certificate, uploads
from machine_identity.keyring import Key
from machine_identity.testimony import Certified, Listing, Testimony, Upload
from machine_identity.uploads import List, Remove
from tests.certificates import DER, KID, certified, ordered
from tests.keyrings import DAY, SECOND, START, active, removed, ring, standby
from tests.uploaded import (
    BOTH,
    HOUR,
    JUST_LISTED,
    LATE,
    LONG_AFTER,
    LOST,
    REPEATABLE,
    SITE,
    TAKEN,
    ZERO,
    act,
    told,
    upload,
)

SHA1 = certificate.sha1(DER)
REVOKED = ring(active(), removed(revoked_at=START))


@pytest.mark.parametrize(("late", "is_due"), LATE)
def test_a_server_is_asked_once_a_day_what_it_has_whether_it_tells_or_not(
    late: timedelta, *, is_due: bool
) -> None:
    for is_told in (True, False):
        listing = Listing(client="default", at=START, is_told=is_told)
        assert act(START + DAY + late, TAKEN, listing) == (List() if is_due else None)
    others = Listing(client="another", at=START + DAY + late)
    assert act(START + DAY + late, TAKEN, others) == List()


def test_a_server_s_listing_is_not_awaited_because_a_clock_was_ahead_once() -> None:
    assert act(START, TAKEN, Listing(client="default", at=START + SECOND)) == List()


def test_where_asking_twice_is_harmless_nothing_is_listed() -> None:
    testimony = Testimony(uploads=(upload("active", asked_at=START, added_at=START),))
    assert uploads.next_act(ring(active()), testimony, REPEATABLE, START + DAY) is None


@pytest.mark.parametrize(
    ("listed", "at", "is_due"),
    [
        (-SECOND, -SECOND, False),
        (-SECOND, ZERO, True),
        (-SECOND, 23 * HOUR, True),
        (ZERO, ZERO, False),
        (ZERO, 23 * HOUR, False),
    ],
)
def test_rule_10_after_a_revocation_the_server_is_asked_at_once_what_it_has(
    listed: timedelta, at: timedelta, *, is_due: bool
) -> None:
    listing = Listing(client="default", at=START + listed)
    assert act(START + at, listing, keyring=REVOKED) == (List() if is_due else None)
    silent = replace(listing, is_told=False)
    assert act(START + at, silent, keyring=REVOKED) is None


@pytest.mark.parametrize(("late", "is_due"), [(-SECOND, False), (ZERO, True), (20 * HOUR, True)])
def test_rule_5_a_listing_may_tell_what_a_lost_answer_did_not(
    late: timedelta, *, is_due: bool
) -> None:
    at, listing = START + HOUR + late, Listing(client="default", at=START)
    assert act(at, LOST, listing) == (List() if is_due else None)
    for other in (
        replace(LOST, key_id="id"),
        replace(LOST, ended_at=START),
        replace(LOST, registration="elsewhere"),
        upload("active"),
    ):
        assert act(at, TAKEN, other, listing, keyring=ring(active())) is None
    assert act(at, LOST, replace(listing, is_told=False)) is None
    assert act(at, LOST, replace(listing, at=min(at, START + HOUR))) != List()


def listed(
    names: dict[str, str], *records: Upload, key: Key | None = None, at: datetime = LONG_AFTER
) -> Testimony:
    keyring = ring(active(), key or certified("removed"))
    return uploads.listed(
        keyring, told(*records, Certified(kid=KID, der=ordered())), SITE, names, at
    )


def test_what_a_listing_shows_is_there_by_that_name() -> None:
    for state in ("standby", "active", "retired", "removed"):
        testimony = listed({SHA1: "id"}, key=certified(state))
        assert testimony.uploads == (upload(KID, added_at=LONG_AFTER, key_id="id"),)
        assert testimony.listings == (Listing(client="default", at=LONG_AFTER),)


def test_what_a_listing_shows_is_asked_for_no_more_whatever_failed_before() -> None:
    known = upload(KID, asked_at=START, asked=1, added_at=START, failures=5, failed_at=LONG_AFTER)
    testimony = listed({SHA1: "id"}, replace(known, code="forbidden"), key=certified("standby"))
    assert testimony.uploads == (
        upload(KID, asked_at=START, asked=1, added_at=START, key_id="id"),
    )


def test_who_is_in_a_listing_and_none_of_ours_is_a_stranger() -> None:
    testimony = listed({SHA1: "id", "B" * 40: "b", "A" * 40: "a"})
    strangers = ("A" * 40, "B" * 40)
    assert testimony.listings == (Listing(client="default", at=LONG_AFTER, strangers=strangers),)
    (said,) = uploads.suspicions(testimony)
    assert ", ".join(strangers) in said
    assert LONG_AFTER.isoformat() in said


def test_a_listing_takes_the_place_of_the_last_of_that_client() -> None:
    other = replace(JUST_LISTED, client="another")
    testimony = uploads.listed(BOTH, told(JUST_LISTED, other), SITE, {}, LONG_AFTER)
    assert testimony.listings == (other, Listing(client="default", at=LONG_AFTER))


def test_rule_3_of_a_removed_key_that_is_not_in_a_listing_nothing_is_left() -> None:
    known = upload(KID, asked_at=START, asked=1, failures=2, failed_at=START, code="throttled")
    assert listed({}, known).uploads == (
        upload(KID, asked_at=START, asked=1, ended_at=LONG_AFTER),
    )
    ended = replace(known, ended_at=START)
    assert listed({}, ended).uploads == (ended,)
    for state in ("standby", "active", "retired"):
        assert listed({}, known, key=certified(state)).uploads == (known,)


@pytest.mark.parametrize("known", ["asked_at", "added_at"])
@pytest.mark.parametrize(("late", "is_ended"), LATE)
def test_rule_3_a_listing_that_may_be_too_early_tells_of_no_end(
    known: str, late: timedelta, *, is_ended: bool
) -> None:
    just = upload(KID, **{"asked_at": START - DAY, known: START})
    (after,) = listed({}, just, at=START + uploads.SETTLES + late).uploads
    assert (after.ended_at is not None) is is_ended


@pytest.mark.parametrize(("late", "is_open"), LATE)
def test_rule_3_what_a_listing_shows_long_after_its_end_was_there_twice_or_was_left_behind(
    late: timedelta, *, is_open: bool
) -> None:
    ended = upload(KID, key_id="first", ended_at=START, code=uploads.LEFT_BEHIND)
    at = START + uploads.SETTLES + late
    testimony = listed({SHA1: "second"}, ended, at=at)
    if not is_open:
        assert testimony.uploads == (ended,)
        return
    assert testimony.uploads == (upload(KID, added_at=at, key_id="second"),)
    keyring = ring(active(), certified("removed"))
    assert uploads.next_act(keyring, testimony, SITE, at) == Remove(kid=KID)


def test_of_a_key_whose_certificate_is_not_at_hand_a_listing_tells_nothing() -> None:
    keyring = ring(active(), removed())
    testimony = told(upload("removed", asked_at=START), Certified(kid="removed", der=ordered()))
    after = uploads.listed(keyring, testimony, SITE, {SHA1: "id"}, LONG_AFTER)
    assert after.uploads == testimony.uploads
    assert after.listings[0].strangers == (SHA1,)


def test_rule_3_where_the_server_does_not_tell_a_nameless_key_is_left_behind() -> None:
    nameless, named = upload("a", asked_at=START), upload("b", asked_at=START, key_id="id")
    ended, mine = upload("c", asked_at=START, ended_at=START), upload("standby", asked_at=START)
    keyring = ring(*map(removed, "abcde"), standby())
    brought = Certified(kid="d", der="")
    testimony = told(nameless, named, ended, mine, brought)
    after = uploads.untold(keyring, testimony, SITE, LONG_AFTER)
    left: dict[str, Any] = {"ended_at": LONG_AFTER, "code": uploads.LEFT_BEHIND}
    assert {each.kid: each for each in after.uploads} == {
        "a": replace(nameless, **left),
        "b": named,
        "c": ended,
        "d": upload("d", **left),
        "standby": mine,
    }
    assert after.listings == (Listing(client="default", at=LONG_AFTER, is_told=False),)
    (said,) = uploads.suspicions(after)
    assert "default" in said
    assert "does not tell us" in said


def test_rule_10_nobody_is_suspected_where_all_is_told_and_ours() -> None:
    assert uploads.suspicions(told(JUST_LISTED)) == ()
