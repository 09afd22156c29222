"""Rule 10: what the answer to a revocation says is true, whenever and however often asked."""

from copy import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from machine_identity.http1 import Response
from machine_identity.rotation import Revocation
from machine_identity.rotation.aftermath import KMS_SETTLES, AcceptedUntil
from tests.emergencies import (
    DAY,
    DOWN,
    HOUR,
    KEYRING,
    NOT_TOLD,
    PUBLICATION,
    ROTATION,
    SHOWN,
    WHY,
    after_first_tick,
    alone,
    ask,
    condemned,
    done,
    fails,
    published_kids,
    revoke,
)
from tests.world import POLICY, SECOND, START, TICK, World

if TYPE_CHECKING:
    from tests.outside import PublicUrl

SLACK = timedelta(minutes=5) + timedelta(minutes=1)
"""Origin staleness and skew."""


@pytest.fixture
def born() -> World:
    return after_first_tick()


def accepted(told: Revocation) -> AcceptedUntil:
    assert told.accepted_until is not None
    return told.accepted_until


def test_rule_10_the_answer_says_how_soon_and_until_when(born: World) -> None:
    first = born.active().kid
    born.url.max_age = 5 * HOUR
    born.tick(born.now + SECOND)
    born.url.max_age = None
    answer = ask(born, kid=first, reason=WHY)
    now = born.now
    assert answer["accepted_until"] == {
        "max_age": (now + SLACK + timedelta(minutes=5)).isoformat(),
        "provider": (now + SLACK + HOUR).isoformat(),
        "longest_max_age": (now + SLACK + 5 * HOUR).isoformat(),
    }
    assert answer["refused_until"] == (START + SLACK + 5 * HOUR).isoformat()
    assert answer["signing_stops_within_seconds"] == 60
    assert "until they expire" in answer["access_tokens"]
    assert (answer["revoked"], answer["reason"]) == (first, WHY)
    assert answer["identity"] == "default"
    assert answer["revision"] == born.keyring().revision
    assert [step["step"] for step in answer["steps"]][:2] == ["Revoke", "Disable"]
    assert answer["wait"].keys() == {"until", "why"}
    assert answer["notes"] == []


@pytest.mark.parametrize(("late", "told"), [(-SECOND, True), (0 * SECOND, False), (DAY, False)])
def test_rule_10_every_cache_knows_the_new_key_once_rule_1_s_wait_is_over(
    born: World, late: timedelta, *, told: bool
) -> None:
    first = born.active().kid
    born.now = START + PUBLICATION + late
    until = revoke(born, first).refused_until
    assert until == (START + PUBLICATION if told else None)


def test_rule_10_an_answer_without_a_keyring_is_told_too(born: World) -> None:
    fails(born, "state.", error=DOWN)
    first = born.active()
    born.meddled.add(first.arn)
    answer = ask(born, kid=first.kid, reason=WHY)
    assert (answer["revision"], answer["accepted_until"]) == (None, None)
    assert answer["notes"]


def test_an_unknown_key_is_an_invalid_request(born: World) -> None:
    assert ask(born, kid="nobody", reason=WHY) == {
        "error": "invalid_request",
        "error_description": "the keyring has no key of that name",
    }


# Until when caches may accept the key


@pytest.mark.parametrize("pause", [SECOND, TICK, DAY])
@pytest.mark.parametrize("is_alone", [False, True])
def test_rule_10_whoever_asks_again_later_is_told_the_same_instant(
    born: World, pause: timedelta, *, is_alone: bool
) -> None:
    first = alone(born) if is_alone else born.active().kid
    at = accepted(revoke(born, first))
    born.now += pause
    assert accepted(revoke(born, first)) == at


def test_rule_10_asked_again_before_the_public_url_has_shown_it_the_answer_counts_from_now(
    born: World,
) -> None:
    first = born.active().kid
    born.url.failure = 503
    revoke(born, first)
    born.now += HOUR
    assert accepted(revoke(born, first)).provider == born.now + SLACK + HOUR


@pytest.mark.parametrize("leads_to", [b"https://identity", b"https://another"])
def test_rule_10_a_copy_that_shows_the_key_shows_no_withdrawal(leads_to: bytes) -> None:
    """Nor does one beside a discovery document that leads to no key at all."""
    born = after_first_tick(World(has_cdn=True))
    first, honest = born.active().kid, born.url
    born.tick(born.now + SECOND)

    def misled(*args: Any, **kwargs: Any) -> Response:
        answer = honest(*args, **kwargs)
        return replace(answer, body=answer.body.replace(b"https://identity", leads_to))

    born.url = cast("PublicUrl", misled)
    assert accepted(revoke(born, first)).provider == born.now + SLACK + HOUR


def test_rule_11_a_withdrawal_that_is_seen_by_a_clock_that_lies_counts_from_now(
    born: World,
) -> None:
    """Nothing that is seen is written down then, and what is on record is of an older set."""
    first = born.active().kid
    born.clock_error = HOUR
    at = accepted(revoke(born, first)).provider
    assert at == born.now + born.clock_error + SLACK + HOUR


@pytest.mark.parametrize("is_kept_by", ["publication_interval", "retire_interval"])
def test_rule_4_a_provider_s_cache_counts_as_long_as_it_ever_was_in_the_key_s_life(
    is_kept_by: str,
) -> None:
    long = replace(POLICY, rotation_interval=10 * DAY, key_set_cache=2 * DAY)
    world = after_first_tick(World(policy=long))
    first = world.active()
    kept: dict[str, Any] = dict.fromkeys(("publication_interval", "retire_interval"), timedelta())
    kept[is_kept_by] = getattr(first, is_kept_by)
    ring = world.keyring()
    other = replace(first, **kept)
    world.replace_keyring(replace(ring, revision=ring.revision + 1).with_key(other))
    told = world.rotation(replace(long, key_set_cache=HOUR)).revoke(first.kid, WHY)
    assert accepted(told).provider >= world.now + SLACK + 2 * DAY
    assert accepted(told).provider <= world.now + SLACK + 2 * DAY + POLICY.retire_interval


def test_rule_10_a_set_that_may_show_the_key_is_told_and_no_instant(born: World) -> None:
    first = born.active().kid
    fails(born, "published.", error=DOWN)
    told = revoke(born, first)
    assert (told.accepted_until, SHOWN in told.notes) == (None, True)
    born.meddler = None
    told = revoke(born, first)
    assert (told.accepted_until is None, told.notes) == (False, ())


def test_rule_10_a_set_that_was_written_with_the_key_is_not_told_as_withdrawn(
    born: World,
) -> None:
    """The key in its place is published beside it, and then the store fails."""
    kid = alone(born)

    def meddle(moment: str, call: str) -> None:
        is_later = "kms:DisableKey" in born.calls
        if moment == "before" and call.startswith("published.") and is_later:
            raise DOWN

    born.calls.clear()
    born.meddler = meddle
    told = revoke(born, kid)
    assert "Publish" in done(told)
    assert kid in published_kids(born)
    assert (told.accepted_until, SHOWN in told.notes) == (None, True)


def test_rule_10_what_was_done_by_a_run_that_failed_afterwards_is_told_as_done(
    born: World,
) -> None:
    """The set is written without the key, then a new one made, whose record fails."""
    first = born.active().kid

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("before", "state.write") and "kms:CreateKey" in born.calls:
            raise DOWN

    born.calls.clear()
    born.meddler = meddle
    told = revoke(born, first)
    assert first not in published_kids(born)
    assert told.notes == (f"the rest is left to the next tick: {DOWN}",)
    assert accepted(told).provider == born.now + SLACK + HOUR
    assert (told.keyring, born.keyring().intent is None) == (born.keyring(), False)


# Until when caches may refuse the key in its place


@pytest.mark.parametrize("document", [None, b"{"])
def test_rule_10_of_a_rebuilt_keyring_any_cache_may_lack_the_key_that_signs_now(
    born: World, document: bytes | None
) -> None:
    first = condemned(born, born.active())
    born.tick(START + ROTATION / 2)
    standing = born.state.documents.pop(KEYRING)
    if document is not None:
        born.state.documents[KEYRING] = replace(standing, body=document)
    began = born.now

    def meddle(moment: str, _call: str) -> None:
        born.now += SECOND if moment == "before" else timedelta()

    born.meddler = meddle
    told = revoke(born, first.kid)
    assert born.active().kid != first.kid
    assert told.refused_until is not None
    assert began + PUBLICATION < told.refused_until <= born.now + PUBLICATION


def test_rule_10_a_key_that_the_keyring_lacks_leaves_the_one_that_signs_as_it_is(
    born: World,
) -> None:
    arn = born.kms.create("ES256", "lost")
    kid = born.kms.public_key(arn, "ES256")["kid"]
    assert revoke(born, kid).refused_until is None


# How soon signing stops


def test_rule_10_what_kms_did_in_spite_of_a_lost_record_is_told(born: World) -> None:
    first = born.active().kid
    written = 0

    def meddle(moment: str, call: str) -> None:
        nonlocal written
        if (moment, call) == ("before", "state.write"):
            written += 1
            if written == 2:
                raise DOWN

    born.meddler = meddle
    told = revoke(born, first)
    assert told.signing_stops_within == KMS_SETTLES
    assert NOT_TOLD not in told.notes


def test_rule_10_asked_again_without_kms_the_answer_does_not_vouch_for_it(born: World) -> None:
    first = born.active().kid
    revoke(born, first)
    fails(born, "kms:")
    told = revoke(born, first)
    assert told.signing_stops_within == POLICY.signer_bound
    assert told.notes == ("kms:any failed: ThrottlingException", NOT_TOLD)
