"""What the signer has to do at a server to which keys are brought: rules 3, 5, 6 and 8.

No server and no key: all is names. Listings are in ``test_listings``.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from machine_identity import uploads
from machine_identity.canary import PUBLISHED_SET
from machine_identity.testimony import Certified, Listing, Testimony, Trial, Upload
from machine_identity.uploads import Add, List, Remove
from tests.keyrings import DAY, SECOND, START, active, removed, retired, ring, standby
from tests.uploaded import (
    BOTH,
    HOUR,
    JUST_LISTED,
    LATE,
    LONG_AFTER,
    LOST,
    MINUTE,
    REPEATABLE,
    SITE,
    TAKEN,
    ZERO,
    act,
    told,
    trial,
    upload,
)

# What is wanted, and what is to go


def test_rule_8_a_standby_key_is_brought_and_neither_the_active_nor_a_retired_one() -> None:
    assert act(START) == Add(kid="standby")
    assert act(START, keyring=ring(active(), retired())) is None


def test_rule_8_where_asking_twice_is_harmless_every_published_key_is_brought() -> None:
    keyring = ring(retired(), active(), removed())
    testimony = told()
    assert uploads.next_act(keyring, testimony, REPEATABLE, START) == Add(kid="retired")
    testimony = uploads.with_upload(testimony, upload("retired", asked_at=START, added_at=START))
    assert uploads.next_act(keyring, testimony, REPEATABLE, START) == Add(kid="active")


def test_rule_8_where_asking_twice_is_harmless_a_lost_answer_is_asked_for_again_at_once() -> None:
    lost = upload("active", asked_at=START, asked=9)
    keyring = ring(active())
    assert uploads.next_act(keyring, told(lost), REPEATABLE, START) == Add(kid="active")
    known = replace(lost, added_at=START)
    assert uploads.next_act(keyring, told(known), REPEATABLE, START + 9 * DAY) is None


def test_a_key_that_was_taken_is_left_alone() -> None:
    known = upload(asked_at=START, asked=1, added_at=START, key_id="id")
    assert act(START + 100 * DAY, known) is None


def test_rule_3_a_removed_key_with_a_name_is_removed_and_one_that_ended_is_not_again() -> None:
    keyring, there = ring(active(), removed()), upload("removed", asked_at=START, key_id="id")
    assert act(START + HOUR, there, keyring=keyring) == Remove(kid="removed")
    assert act(START + HOUR, replace(there, ended_at=START), keyring=keyring) is None


def test_rule_3_a_removed_key_that_nobody_can_have_brought_is_nobody_s_to_remove() -> None:
    assert act(START, keyring=ring(active(), removed())) is None


def test_rule_3_a_removed_key_that_an_administrator_may_have_brought_is_looked_for() -> None:
    keyring = ring(active(), removed())
    assert act(START, Certified(kid="removed", der=""), keyring=keyring) == List()
    assert act(START, Certified(kid="active", der=""), keyring=keyring) is None


def test_rule_3_a_removed_key_is_looked_for_when_the_server_must_know_of_it() -> None:
    keyring, nameless = ring(active(), removed()), upload("removed", asked_at=START, asked=1)
    for late, is_due in LATE:
        at = START + uploads.SETTLES + late
        assert act(at, nameless, keyring=keyring) == (List() if is_due else None)


def test_rule_3_where_there_are_no_names_a_removed_key_is_removed_by_its_own() -> None:
    keyring, testimony = ring(removed()), told(upload("removed", asked_at=START))
    assert uploads.next_act(keyring, testimony, REPEATABLE, START) == Remove(kid="removed")
    assert uploads.next_act(keyring, told(), REPEATABLE, START) is None


@pytest.mark.parametrize("key_id", ["", "id"])
def test_rule_1_nothing_that_is_to_go_keeps_a_standby_key_waiting(key_id: str) -> None:
    gone = upload("removed", asked_at=START - DAY, asked=1, key_id=key_id)
    keyring = ring(removed(), active(), standby())
    assert act(START, gone, keyring=keyring) == Add(kid="standby")


def test_rule_3_a_key_without_a_name_keeps_none_from_being_removed() -> None:
    nameless = upload("a", asked_at=START - DAY, asked=1)
    named = upload("b", asked_at=START - DAY, asked=1, key_id="id")
    keyring = ring(removed("a"), removed("b"), active())
    assert act(START, nameless, named, keyring=keyring) == Remove(kid="b")


# Pauses


@pytest.mark.parametrize(
    ("failures", "pause"),
    [(1, 15 * MINUTE), (3, 15 * MINUTE), (4, HOUR), (1000, HOUR)],
)
@pytest.mark.parametrize(("late", "is_due"), LATE)
def test_after_a_failure_nobody_is_asked_for_a_while(
    failures: int, pause: timedelta, late: timedelta, *, is_due: bool
) -> None:
    known = upload(failures=failures, failed_at=START, code="forbidden")
    assert act(START + pause + late, known) == (Add(kid="standby") if is_due else None)
    assert act(START, known) is None


def test_a_failure_at_one_key_keeps_no_other_waiting() -> None:
    known = upload("removed", asked_at=START, key_id="id", failures=1, failed_at=START)
    keyring = ring(removed(), active(), standby())
    assert act(START, known, keyring=keyring) == Add(kid="standby")


def test_a_failure_that_a_clock_ahead_wrote_down_keeps_nobody_waiting() -> None:
    known = upload(failures=1, failed_at=START + 365 * DAY)
    assert act(START, known) == Add(kid="standby")


def test_when_there_may_be_more_to_do_is_told() -> None:
    nothing = Testimony()
    assert uploads.again_at(nothing, START) is None
    lost = upload(asked_at=START - DAY, asked=1)
    assert uploads.again_at(replace(nothing, uploads=(lost,)), START) == START + 15 * MINUTE
    taken = replace(lost, added_at=START)
    assert uploads.again_at(replace(nothing, uploads=(taken,)), START) is None
    failed = upload(failures=4, failed_at=START)
    assert uploads.again_at(replace(nothing, uploads=(failed,)), START) == START + HOUR
    ended = replace(failed, ended_at=START)
    assert uploads.again_at(replace(nothing, uploads=(ended,)), START) is None
    assert uploads.again_at(told(failed), START + DAY) == START + HOUR
    assert uploads.again_at(told(), START) == START + DAY


# Answers that were lost, and words that are doubted


@pytest.mark.parametrize("known", [LOST, TAKEN], ids=["lost", "taken"])
def test_rule_5_nobody_asks_again_without_a_sign_that_the_key_is_not_there(known: Upload) -> None:
    early = Listing(client="default", at=START)
    for at in (START, START + uploads.SETTLES, START + HOUR * 23, START + DAY - SECOND):
        assert not isinstance(act(at, known, early), Add)
    assert act(LONG_AFTER, replace(known, key_id="id")) is None


@pytest.mark.parametrize(("known", "patience"), [(LOST, HOUR), (TAKEN, DAY)])
@pytest.mark.parametrize(("late", "is_asked"), LATE)
def test_rule_5_a_refusal_counts_that_came_when_the_server_must_have_known_the_key(
    known: Upload, patience: timedelta, late: timedelta, *, is_asked: bool
) -> None:
    refused = trial(START + patience + late, code="invalid_client")
    named = replace(known, key_id="id")
    for asked, longer in ((1, patience), (2, 2 * patience), (4, 8 * patience)):
        of_then = replace(named, asked=asked)
        counts = refused.refused_at is not None and refused.refused_at >= START + longer
        expected = Add(kid="standby") if counts else None
        assert act(LONG_AFTER + 1000 * DAY, of_then, refused) == expected
    assert is_asked == (act(LONG_AFTER + 1000 * DAY, named, refused) is not None)


def test_rule_5_before_that_time_not_even_a_refusal_that_is_newer_counts() -> None:
    refused = trial(START + 2 * HOUR, code="invalid_client")
    assert act(START + HOUR - SECOND, replace(LOST, key_id="id"), refused) is None


@pytest.mark.parametrize(
    "other",
    [
        {"client": "another"},
        {"client": PUBLISHED_SET},
        {"kid": "active"},
        {"registration": "elsewhere"},
        {"code": "temporarily_unavailable"},
        {"active_refused": True},
    ],
    ids=lambda other: "-".join(map(str, *other.items())),
)
def test_rule_5_a_refusal_of_another_key_elsewhere_or_for_another_reason_is_no_sign(
    other: dict[str, Any],
) -> None:
    refused = trial(LONG_AFTER, **{"code": "invalid_client", **other})
    assert act(LONG_AFTER, TAKEN, refused) is None
    assert act(LONG_AFTER, TAKEN, trial(LONG_AFTER)) is None


@pytest.mark.parametrize(("late", "is_asked"), LATE)
def test_rule_5_a_listing_without_the_key_is_a_sign_where_its_name_was_never_heard(
    late: timedelta, *, is_asked: bool
) -> None:
    listing = Listing(client="default", at=START + HOUR + late)
    expected = Add(kid="standby") if is_asked else None
    assert act(listing.at, LOST, listing) == expected
    for other in (
        replace(listing, client="another", at=LONG_AFTER),
        replace(listing, is_told=False, at=LONG_AFTER),
    ):
        mine = Listing(client="default", at=START)
        assert act(START + HOUR, LOST, other, mine) != Add(kid="standby")
    named = replace(LOST, key_id="id")
    assert act(listing.at, named, listing) is None


def test_a_server_is_asked_five_times_and_then_people_have_to_look() -> None:
    refused = trial(LONG_AFTER + 1000 * DAY, code="invalid_client")
    for asked, expected in ((4, Add(kid="standby")), (5, None), (2**60, None)):
        known = replace(TAKEN, asked=asked)
        assert act(LONG_AFTER + 1000 * DAY, known, refused) == expected


def test_what_people_brought_is_not_brought_again_before_it_is_refused_for_a_day() -> None:
    brought = upload(added_at=START, key_id="id")
    assert act(LONG_AFTER, brought) is None
    for late, is_asked in LATE:
        refused = trial(START + DAY + late, code="invalid_client")
        at = max(START + DAY, START + DAY + late)
        assert act(at, brought, refused) == (Add(kid="standby") if is_asked else None)


@pytest.mark.parametrize("since", [ZERO, 5 * MINUTE])
def test_rule_5_a_token_settles_a_lost_answer(since: timedelta) -> None:
    testimony = uploads.settled(told(LOST, trial(START + since)), SITE)
    assert testimony.uploads == (replace(LOST, added_at=START + since),)


@pytest.mark.parametrize(
    "other",
    [
        trial(START - SECOND),
        trial(START, code="invalid_client"),
        trial(START, registration="elsewhere"),
        trial(START, client="another"),
        trial(START, kid="active"),
        Trial(client="default", kid="standby", registration="there"),
    ],
    ids=["earlier", "refused", "elsewhere", "another's", "another", "none"],
)
def test_rule_5_no_other_trial_settles_it(other: Trial) -> None:
    settled = uploads.settled(told(LOST, other), SITE)
    assert uploads.upload(settled, SITE, "standby") == LOST


def test_rule_5_a_token_settles_nothing_that_is_settled() -> None:
    for known in (TAKEN, replace(LOST, ended_at=START)):
        testimony = told(known, trial(START + DAY))
        assert uploads.settled(testimony, SITE) == testimony


def test_a_token_shows_that_people_brought_what_the_server_would_not_take_from_us() -> None:
    refused = upload(failures=7, failed_at=START, code="forbidden")
    testimony = uploads.settled(told(refused, trial(START + MINUTE)), SITE)
    assert testimony.uploads == (upload(added_at=START + MINUTE),)
    assert uploads.next_act(BOTH, testimony, SITE, START + 2 * HOUR) is None


# The record of one key at one server


def test_what_is_written_down_round_an_answer() -> None:
    fresh = upload()
    asked = uploads.asking(replace(fresh, failures=2, failed_at=START, code="throttled"), START)
    assert asked == upload(asked_at=START, asked=1, failures=2)
    assert uploads.added(asked, "id", START + SECOND) == upload(
        asked_at=START, asked=1, added_at=START + SECOND, key_id="id"
    )
    failed = uploads.failed(uploads.failed(fresh, "forbidden", START), "throttled", START + DAY)
    assert failed == upload(failures=2, failed_at=START + DAY, code="throttled")
    assert uploads.ended(failed, LONG_AFTER) == upload(ended_at=LONG_AFTER)


def test_rule_3_the_name_of_a_key_that_is_not_there_is_not_that_of_the_next_one() -> None:
    again = uploads.asking(TAKEN, LONG_AFTER)
    assert (again.key_id, again.added_at, again.asked) == ("", None, 2)
    keyring = ring(active(), removed("standby"))
    assert act(LONG_AFTER + HOUR, again, keyring=keyring) == List()


def test_another_registration_is_another_server_and_the_first_is_not_forgotten() -> None:
    elsewhere = replace(SITE, registration="elsewhere")
    testimony = told(TAKEN)
    fresh = uploads.upload(testimony, elsewhere, "standby")
    assert fresh == Upload(client="default", kid="standby", registration="elsewhere")
    testimony = uploads.with_upload(testimony, uploads.asking(fresh, LONG_AFTER))
    assert uploads.upload(testimony, SITE, "standby") == TAKEN
    assert len(testimony.uploads) == 2


def test_rule_5_a_client_by_another_name_is_the_same_at_its_server() -> None:
    renamed = replace(SITE, client="billing")
    known = uploads.upload(told(TAKEN), renamed, "standby")
    assert known == replace(TAKEN, client="billing")
    changed = uploads.with_upload(told(TAKEN), uploads.failed(known, "throttled", START))
    assert len(changed.uploads) == 1


def test_with_an_upload_all_others_stay() -> None:
    others = (upload("active"), upload("removed"))
    testimony = uploads.with_upload(told(*others, LOST), TAKEN)
    assert testimony.uploads == (*others, TAKEN)


def test_rule_5_what_is_kept_is_what_is_about_a_key_of_the_keyring() -> None:
    departed = replace(TAKEN, client="departed", registration="elsewhere")
    testimony = told(
        TAKEN,
        departed,
        upload("forgotten"),
        Certified(kid="standby", der=""),
        Certified(kid="forgotten", der=""),
        JUST_LISTED,
        replace(JUST_LISTED, client="departed"),
    )
    kept = uploads.kept(testimony, BOTH, [SITE])
    assert kept == replace(
        testimony,
        uploads=(TAKEN, departed),
        certificates=(Certified(kid="standby", der=""),),
        listings=(JUST_LISTED,),
    )


def test_rule_5_a_slip_in_clients_json_has_no_key_brought_twice() -> None:
    gone = uploads.kept(told(TAKEN), BOTH, [])
    assert uploads.next_act(BOTH, gone, SITE, START) == List()
    assert uploads.upload(gone, SITE, "standby") == TAKEN


@pytest.mark.parametrize(("read", "is_old"), [(6, False), (7, False), (8, True)])
def test_rule_6_a_keyring_that_was_rolled_back_does_not_tell_what_may_go(
    read: int, *, is_old: bool
) -> None:
    testimony = told(upload("newer"), Certified(kid="newer", der=""), keyring_revision=read)
    assert uploads.is_outdated(BOTH, testimony) is is_old
    assert bool(uploads.kept(testimony, BOTH, [SITE]).certificates) is is_old
    assert bool(uploads.kept(testimony, BOTH, [SITE]).uploads) is is_old
