"""Whole lives of keys, and what a run does when the world is not as it should be."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.errors import ConflictError, TransportError
from machine_identity.keyring import Keyring, KeyringError, State, serialise
from machine_identity.rotation.lookout import TAGS_COUNT_AFTER
from machine_identity.steps import (
    AdoptKey,
    CreateKey,
    Disable,
    Forget,
    Intend,
    Promote,
    Publish,
    ScheduleDeletion,
    Withdraw,
)
from tests.world import ISSUER, POLICY, SECOND, START, TICK, Provider, World

DAY = timedelta(days=1)
ROTATION = POLICY.rotation_interval
PUBLICATION = timedelta(hours=1, minutes=6)
"""origin 5 min + provider's hour + skew 1 min."""
RETIREMENT = timedelta(hours=2, minutes=23)
"""run 1 min + signer 1 h + fallback 1:06 + assertion, max-age, leeway 5 min each + skew 1 min."""
ADOPTION = timedelta(minutes=16)
"""The index's 15 min + run 1 min."""
FIRST_TICK = ["Intend", "CreateKey", "Intend", "CreateKey", "Publish", "Promote"]
JWKS = "default/.well-known/jwks.json"
CONFIGURATION = "default/.well-known/openid-configuration"
KEYRING = "default/keyring.json"


class DiedError(BaseException):
    """The process is gone: nothing can catch it."""


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def born(world: World) -> World:
    """A world after its first tick."""
    world.tick()
    return world


def states(keyring: Keyring) -> list[str]:
    return sorted(key.state.value for key in keyring.keys)


def published_kids(world: World) -> set[str]:
    return {key["kid"] for key in json.loads(world.published.documents[JWKS].body)["keys"]}


def fails(world: World, call: str, error: Exception, moment: str = "before") -> None:
    """Let every ``call`` fail, before it acts or after it did."""

    def meddle(now: Literal["before", "after"], name: str) -> None:
        if (now, name) == (moment, call):
            raise error

    world.meddler = meddle


# The first tick


def test_the_first_tick_ends_with_one_active_and_one_standby_key_both_published(
    world: World,
) -> None:
    run = world.tick()
    assert [type(step).__name__ for step in run.steps] == FIRST_TICK
    assert states(run.keyring) == ["active", "standby"]
    assert published_kids(world) == {key.kid for key in run.keyring.keys}
    assert run.wait.until == START + ROTATION
    assert run.keyring == world.keyring() == world.rotation().keyring()


def test_what_is_published_may_be_kept_for_max_age_and_leads_from_the_issuer(born: World) -> None:
    jwks, configuration = (born.published.documents[key] for key in (JWKS, CONFIGURATION))
    assert jwks.cache_control == configuration.cache_control == "public, max-age=300"
    assert json.loads(configuration.body)["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    assert json.loads(jwks.body)["revision"] == born.keyring().published_revision


def test_every_step_is_reported_when_it_is_recorded_and_the_wait_ends_the_run(
    world: World,
) -> None:
    run = world.tick()
    assert world.steps == [(START, step) for step in (*run.steps, run.wait)]


@pytest.mark.parametrize("unseen", [404, 503, TransportError("refused")])
def test_genesis_a_public_url_that_gives_no_set_has_never_given_one(
    world: World, unseen: int | TransportError
) -> None:
    world.url.failure = unseen
    run = world.tick()
    assert states(run.keyring) == ["standby", "standby"]
    assert run.keyring.genesis
    world.url.failure = None
    assert [type(step) for step in world.tick(START + TICK).steps] == [Promote]


def test_genesis_a_keyring_that_was_there_once_has_the_first_key_wait(world: World) -> None:
    empty = Keyring(identity="default", issuer=ISSUER)
    world.state.write(KEYRING, serialise(empty), expected=None)
    world.state.delete(KEYRING)
    assert states(world.tick().keyring) == ["standby", "standby"]


def test_genesis_a_tagged_key_has_the_first_key_wait(world: World) -> None:
    world.kms.create("ES256", "of another life")
    assert states(world.tick().keyring) == ["standby", "standby"]


def test_genesis_a_set_at_the_public_url_has_the_first_key_wait(world: World, born: World) -> None:
    del born
    other = World()
    other.url.store = world.published
    run = other.tick()
    other.url.store = other.published
    assert states(run.keyring) == ["standby", "standby"]
    assert states(other.tick(START + TICK).keyring) == ["standby", "standby"]


def test_genesis_a_set_in_the_bucket_has_the_first_key_wait(world: World) -> None:
    world.published.documents[JWKS] = Document(body=b'{"keys": []}', tag="by hand")
    world.url.failure = 503
    assert not world.tick().keyring.genesis


@pytest.mark.parametrize(
    ("late", "expected"),
    [(-SECOND, ["standby", "standby"]), (0 * SECOND, ["active", "standby"])],
)
def test_rule_1_without_genesis_the_first_key_waits_the_whole_interval(
    world: World, late: timedelta, expected: list[str]
) -> None:
    world.kms.create("ES256", "of another life")
    world.tick()
    run = world.tick(START + PUBLICATION + late)
    assert states(run.keyring) == expected


# The life of a key


def test_a_life_of_three_rollovers_and_no_assertion_is_ever_refused() -> None:
    world = World(has_cdn=True)
    providers = [Provider(world, timedelta(minutes=minutes)) for minutes in (20, 41, 59)]
    world.tick()
    sent: list[str] = []
    for _ in range(8 * 24 * 6):
        world.live(timedelta(minutes=10), every=timedelta(minutes=10))
        # Presented at once, and by a slow sender at the end of its life.
        sent = [world.signed(POLICY.assertion_lifetime), *sent[:1]]
        assert all(provider.accepts(each) for each in sent for provider in providers)
    taken = world.taken()
    assert taken.count("Promote") > 3
    for name in ("Withdraw", "Disable", "ScheduleDeletion", "Forget"):
        assert taken.count(name) >= 1, name
    assert not world.orphans()


def test_a_rotation_that_signs_with_what_it_has_just_published_would_be_refused(
    born: World,
) -> None:
    """The counter-proof: these providers do refuse."""
    provider = Provider(born, timedelta(hours=1))
    assert provider.accepts(born.signed(POLICY.assertion_lifetime))
    born.is_unsafe = True
    for _ in range(2):
        born.now += TICK
        born.rotation().rotate(unsafe=True)
    assert not provider.accepts(born.signed(POLICY.assertion_lifetime, copy_age=0 * SECOND))
    assert provider.accepts(born.signed(POLICY.assertion_lifetime))


def test_one_key_s_whole_life_in_order_and_at_its_earliest_times(born: World) -> None:
    first, second = born.active().kid, born.standby().kid
    run = born.tick(START + ROTATION)
    assert [type(step) for step in run.steps] == [Promote, Intend, CreateKey, Publish]
    assert run.steps[0] == Promote(kid=second, retires=first)
    retired_at = START + ROTATION
    run = born.tick(retired_at + RETIREMENT)
    assert [type(step) for step in run.steps] == [Withdraw, Publish, Disable, ScheduleDeletion]
    assert first not in published_kids(born)
    removed_at = retired_at + RETIREMENT
    arn = born.keyring().key(first).arn
    assert not born.kms.keys[arn].enabled
    assert born.kms.keys[arn].deletion_at == removed_at + timedelta(days=7)
    born.live(timedelta(days=7) - SECOND, every=timedelta(hours=1))
    assert first in {key.kid for key in born.keyring().keys}
    run = born.tick(removed_at + timedelta(days=7))
    assert Forget(kid=first) in run.steps


@pytest.mark.parametrize(("late", "promotions"), [(-SECOND, 0), (0 * SECOND, 1), (365 * DAY, 1)])
def test_a_key_signs_for_its_rotation_interval(
    born: World, late: timedelta, promotions: int
) -> None:
    first, second = born.keyring().keys
    run = born.tick(START + ROTATION + late)
    assert run.steps.count(Promote(kid=second.kid, retires=first.kid)) == promotions


@pytest.mark.parametrize(("late", "left"), [(-SECOND, 1), (0 * SECOND, 0), (365 * DAY, 0)])
def test_rule_3_a_retired_key_stays_until_nothing_it_signed_can_be_valid(
    born: World, late: timedelta, left: int
) -> None:
    first = born.active().kid
    born.tick(START + ROTATION)
    born.tick(START + ROTATION + RETIREMENT + late)
    assert len(published_kids(born) & {first}) == left


@pytest.mark.parametrize("late", [365 * DAY, 3650 * DAY])
def test_rule_4_a_late_run_never_publishes_and_promotes_in_one_tick(
    born: World, late: timedelta
) -> None:
    run = born.tick(START + late)
    assert [type(step).__name__ for step in run.steps].count("Promote") == 1
    assert run.keyring.standby is not None
    assert run.keyring.standby.first_seen_at == born.now


def test_a_quiet_tick_writes_nothing(born: World) -> None:
    born.tick(START + TICK)
    born.calls.clear()
    born.live(timedelta(hours=6))
    assert born.calls
    writes = ("state.write", "published.write")
    read = ("kms:Sign", "kms:DescribeKey")  # the canary's, and a look at the keys
    mine = [call for call in born.calls if call not in read]
    assert not [call for call in mine if call in writes or call.startswith("kms")]


# Rule 1: evidence from the public URL


def test_rule_1_nothing_is_promoted_while_the_public_url_is_not_to_be_seen(born: World) -> None:
    born.url.failure = 500
    run = born.tick(START + ROTATION)
    assert run.steps == ()
    assert "500" in run.wait.why
    born.url.failure = None
    assert isinstance(born.tick(START + ROTATION + TICK).steps[0], Promote)


def test_rule_1_a_url_that_shows_an_older_set_starts_the_wait_anew(born: World) -> None:
    older = born.published.documents[JWKS]
    set_back = json.loads(older.body)
    set_back["keys"] = set_back["keys"][:1]
    stale = World()
    stale.published.documents = {
        **born.published.documents,
        JWKS: replace(older, body=json.dumps(set_back).encode()),
    }
    born.url.store = stale.published
    assert born.tick(START + ROTATION).steps == ()
    assert born.standby().first_seen_at is None
    born.url.store = born.published
    seen_at = START + ROTATION + TICK
    assert born.tick(seen_at).steps == ()
    assert born.standby().first_seen_at == seen_at
    assert born.tick(seen_at + PUBLICATION - SECOND).steps == ()
    assert isinstance(born.tick(seen_at + PUBLICATION).steps[0], Promote)


def test_rule_1_a_cdn_s_old_copy_is_what_counts_after_a_publication() -> None:
    world = World(has_cdn=True)
    world.tick()
    world.tick(START + ROTATION)
    assert world.standby().first_seen_at is None
    world.tick(START + ROTATION + timedelta(minutes=5))
    assert world.standby().first_seen_at == START + ROTATION + timedelta(minutes=5)


def test_rule_4_a_longer_max_age_that_was_served_is_waited_for(born: World) -> None:
    born.url.max_age = timedelta(hours=10)
    born.tick(START + TICK)
    born.url.max_age = None
    ready_at = START + timedelta(hours=10, minutes=6)
    born.rotation().rotate(unsafe=False)
    assert Promote not in [type(step) for step in born.tick(ready_at - SECOND).steps]
    assert isinstance(born.tick(ready_at).steps[0], Promote)


def test_a_longer_cache_in_new_settings_is_waited_for_and_a_shorter_one_shortens_nothing(
    born: World,
) -> None:
    longer = replace(POLICY, rotation_interval=DAY, key_set_cache=timedelta(hours=6))
    born.now = START + TICK
    born.rotation(longer).tick()
    born.rotation().rotate(unsafe=False)
    ready_at = START + timedelta(hours=6, minutes=6)
    assert Promote not in [type(step) for step in born.tick(ready_at - SECOND).steps]
    assert isinstance(born.tick(ready_at).steps[0], Promote)


# The published documents


@pytest.mark.parametrize("document", [JWKS, CONFIGURATION])
@pytest.mark.parametrize("harm", ["deleted", "edited", "cached for ever"])
def test_what_was_done_to_the_bucket_by_hand_is_repaired(
    born: World, document: str, harm: str
) -> None:
    right = dict(born.published.documents)
    if harm == "deleted":
        born.published.delete(document)
    elif harm == "edited":
        born.published.documents[document] = Document(body=b"{}", tag="by hand")
    else:
        kept = replace(right[document], cache_control="max-age=31536000")
        born.published.documents[document] = kept
    run = born.tick(START + TICK)
    assert [type(step) for step in run.steps] == [Publish]
    assert born.published.documents == right


def test_a_discovery_document_of_older_code_is_written_anew_and_no_wait_starts_over(
    born: World,
) -> None:
    """Older code named neither an authorization endpoint nor a grant."""
    born.tick(START + TICK)
    kept, before = born.keyring(), born.published.documents[CONFIGURATION]
    old = json.loads(before.body)
    for name in ("authorization_endpoint", "grant_types_supported"):
        del old[name]
    body = json.dumps(old, indent=2, sort_keys=True).encode()
    born.published.documents[CONFIGURATION] = replace(before, body=body, tag="old")
    born.tick(START + 2 * TICK)
    assert born.published.documents[CONFIGURATION].body == before.body
    assert born.keyring().published_revision == kept.published_revision
    assert born.keyring().keys == kept.keys


def test_a_run_that_dies_between_the_documents_leaves_the_key_set_and_the_next_ends_it(
    world: World,
) -> None:
    def die(moment: str, call: str) -> None:
        if (moment, call) == ("after", "published.write"):
            raise DiedError

    world.meddler = die
    with pytest.raises(DiedError):
        world.tick()
    assert set(world.published.documents) == {JWKS}
    world.meddler = None
    assert [type(step) for step in world.tick(START + TICK).steps] == [Publish, Promote]
    assert set(world.published.documents) == {JWKS, CONFIGURATION}


@pytest.mark.parametrize(
    "when", [("after", "published.read"), ("after", "state.write"), ("before", "published.write")]
)
@pytest.mark.parametrize("document", [JWKS, CONFIGURATION])
def test_rule_6_a_document_that_another_wrote_meanwhile_is_not_overwritten(
    born: World, when: tuple[str, str], document: str
) -> None:
    born.tick(START + ROTATION)
    reads: list[str] = []

    def meddle(moment: str, call: str) -> None:
        reads.extend([call] * ((moment, call) == ("after", "published.read")))
        if (moment, call) == when and len(reads) == 2:
            born.meddler = None
            standing = born.published.documents[document]
            newer = replace(standing, body=standing.body + b" ", tag="newer")
            born.published.documents[document] = newer

    born.meddler = meddle
    with pytest.raises(ConflictError):
        born.tick(START + ROTATION + RETIREMENT)
    assert born.published.documents[document].tag == "newer"


def test_the_keyring_of_another_identity_is_not_touched(born: World) -> None:
    other = replace(born.keyring(), identity="other")
    born.replace_keyring(other)
    with pytest.raises(KeyringError, match="that of other, not that of default"):
        born.tick(START + TICK)
    assert born.keyring() == other


# Rule 5: a key is created once


def test_rule_5_a_key_whose_answer_was_lost_is_found_by_its_tag(world: World) -> None:
    fails(world, "kms:CreateKey", AwsError("kms:CreateKey", "ReadTimeoutError"), "after")
    with pytest.raises(AwsError, match="ReadTimeoutError"):
        world.tick()
    assert world.keyring().intent is not None
    world.meddler = None
    run = world.tick(START + SECOND)
    arn = next(iter(world.kms.keys))
    assert run.steps[0] == AdoptKey(intent="intent-0", arn=arn)
    assert states(run.keyring) == ["active", "standby"]
    assert len(world.kms.keys) == 2


@pytest.mark.parametrize("late", [0 * SECOND, 365 * DAY])
def test_rule_5_a_creation_that_nobody_saw_for_long_is_repeated(
    world: World, late: timedelta
) -> None:
    fails(world, "kms:CreateKey", AwsError("kms:CreateKey", "ThrottlingException"))
    with pytest.raises(AwsError):
        world.tick()
    world.meddler = None
    run = world.tick(START + ADOPTION + late)
    assert run.steps[:2] == (Intend(again=True), CreateKey(intent="intent-0"))
    assert len(world.kms.keys) == 2


def test_rule_5_no_second_key_while_the_first_may_show(world: World) -> None:
    fails(world, "kms:CreateKey", AwsError("kms:CreateKey", "ThrottlingException"))
    with pytest.raises(AwsError):
        world.tick()
    world.meddler = None
    run = world.tick(START + ADOPTION - SECOND)
    assert (run.steps, run.wait.until) == ((), START + ADOPTION)
    assert not world.kms.keys


def test_rule_5_a_key_that_the_index_shows_late_is_adopted_within_its_time(world: World) -> None:
    world.kms.index_lag = timedelta(minutes=14)
    fails(world, "kms:CreateKey", AwsError("kms:CreateKey", "ReadTimeoutError"), "after")
    with pytest.raises(AwsError):
        world.tick()
    world.meddler = None
    assert world.tick(START + timedelta(minutes=14) - SECOND).steps == ()
    assert isinstance(world.tick(START + timedelta(minutes=14)).steps[0], AdoptKey)
    assert len(world.kms.keys) == 2


def test_rule_5_access_denied_on_a_key_just_created_is_not_yet(world: World) -> None:
    world.kms.tags_count_after = TAGS_COUNT_AFTER
    run = world.tick()
    assert run.steps == (Intend(),)
    assert run.wait.until == START + timedelta(minutes=5)
    assert world.steps[-1] == (START, run.wait)
    run = world.tick(START + TAGS_COUNT_AFTER - SECOND)
    assert (run.steps, run.wait.until) == ((), START + timedelta(minutes=5))
    assert isinstance(world.tick(START + TAGS_COUNT_AFTER).steps[0], AdoptKey)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "NotFoundException"])
def test_rule_5_a_key_that_kms_does_not_know_everywhere_yet_is_not_yet(
    world: World, code: str
) -> None:
    fails(world, "kms:GetPublicKey", AwsError("kms:GetPublicKey", code))
    assert world.tick().wait.until == START + TAGS_COUNT_AFTER
    world.meddler = None
    assert isinstance(world.tick(START + TICK).steps[0], AdoptKey)
    assert len(world.kms.keys) == 2


def test_rule_5_access_denied_on_an_older_key_is_an_error(world: World) -> None:
    world.kms.tags_count_after = DAY
    world.tick()
    with pytest.raises(AwsError, match="kms:GetPublicKey failed: AccessDenied"):
        world.tick(START + TAGS_COUNT_AFTER)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("kms:CreateKey", AwsError("kms:CreateKey", "AccessDeniedException")),
        ("kms:GetPublicKey", AwsError("kms:GetPublicKey", "ThrottlingException")),
        ("state.write", AwsError("s3:PutObject", "AccessDenied")),
        ("published.write", AwsError("s3:PutObject", "AccessDenied")),
        ("state.read", AwsError("s3:GetObject", "AccessDenied")),
    ],
)
def test_what_else_is_denied_is_an_error(world: World, call: str, error: AwsError) -> None:
    fails(world, call, error)
    with pytest.raises(AwsError) as raised:
        world.tick()
    assert raised.value is error


@pytest.mark.parametrize("call", ["kms:DisableKey", "kms:ScheduleKeyDeletion"])
def test_access_denied_on_an_old_key_s_end_is_an_error_and_the_end_comes_later(
    born: World, call: str
) -> None:
    born.tick(START + ROTATION)
    fails(born, call, AwsError(call, "AccessDeniedException"))
    at = START + ROTATION + RETIREMENT
    with pytest.raises(AwsError, match=call):
        born.tick(at)
    born.meddler = None
    run = born.tick(at + TICK)
    assert isinstance(run.steps[-1], ScheduleDeletion)


@pytest.mark.parametrize("call", ["kms:DisableKey", "kms:ScheduleKeyDeletion"])
def test_rule_5_a_young_key_is_not_ended_before_its_tags_count(born: World, call: str) -> None:
    ring = born.keyring()
    young = replace(
        ring.keys[0],
        jwk={**ring.keys[0].jwk, "kid": "young"},
        arn=born.kms.create("ES256", "young"),
        state=State.REMOVED,
    )
    born.replace_keyring(replace(ring, revision=ring.revision + 1, keys=(*ring.keys, young)))
    fails(born, call, AwsError(call, "AccessDeniedException"))
    run = born.tick(START + TAGS_COUNT_AFTER - SECOND)
    assert run.wait.until == START + TAGS_COUNT_AFTER
    with pytest.raises(AwsError, match=call):
        born.tick(START + TAGS_COUNT_AFTER)


def test_a_run_ends_after_twenty_five_steps_and_the_next_goes_on(born: World) -> None:
    ring = born.keyring()
    gone = replace(ring.keys[0], state=State.REMOVED, disabled_at=START, deletion_at=START + TICK)
    many = [replace(gone, jwk={**gone.jwk, "kid": f"gone-{number}"}) for number in range(30)]
    born.replace_keyring(replace(ring, revision=ring.revision + 1, keys=(*ring.keys, *many)))
    run = born.tick(START + TICK)
    assert [type(step) for step in run.steps] == [Forget] * 25
    assert run.wait.until == START + TICK
    assert [type(step) for step in born.tick().steps] == [Forget] * 5


# Rules 4 and 5: runs that die, and runs at once


def calls_of(at: timedelta) -> int:
    world = World()
    if at:
        world.tick()
    world.calls.clear()
    world.tick(START + at)
    return len(world.calls)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", [timedelta(), ROTATION])
def test_rule_5_a_run_that_dies_at_any_call_is_taken_up_and_leaves_no_orphan(
    at: timedelta, moment: str
) -> None:
    for number in range(1, calls_of(at) + 1):
        world = World()
        if at:
            world.tick()
        world.calls.clear()

        def die(now: str, call: str, world: World = world, number: int = number) -> None:
            del call
            if now == moment and len(world.calls) == number:
                raise DiedError

        world.meddler = die
        with suppress(DiedError):
            world.tick(START + at)
        world.meddler = None
        world.live(timedelta(hours=1))
        assert states(world.keyring())[-1] == "standby"
        assert world.keyring().intent is None
        assert not world.orphans()
        assert published_kids(world) == {key.kid for key in world.keyring().published}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", [timedelta(), ROTATION])
def test_rule_5_of_two_runs_at_once_one_stops_whatever_call_the_other_comes_in_at(
    at: timedelta, moment: str
) -> None:
    conflicts = 0
    for number in range(1, calls_of(at) + 1):
        world = World()
        if at:
            world.tick()
        world.calls.clear()

        def meddle(now: str, call: str, world: World = world, number: int = number) -> None:
            del call
            if now == moment and len(world.calls) == number:
                world.meddler = None
                world.rotation().tick()

        world.meddler = meddle
        try:
            world.tick(START + at)
        except ConflictError:
            conflicts += 1
        world.meddler = None
        world.live(timedelta(hours=1))
        assert world.keyring().intent is None
        assert states(world.keyring())[-1] == "standby"
        assert not world.orphans()
        assert published_kids(world) == {key.kid for key in world.keyring().published}
        promoted = {step.kid for _, step in world.steps if isinstance(step, Promote)}
        assert len(promoted) == (2 if at else 1)
    assert conflicts > 0


# The operator's rotate


def test_rotate_rolls_over_now_if_every_cache_knows_the_standby_key(born: World) -> None:
    born.live(timedelta(hours=2))
    run = born.rotation().rotate(unsafe=False)
    assert [type(step) for step in run.steps] == [Promote, Intend, CreateKey, Publish]
    assert run.keyring.rollover_requested_at is None


@pytest.mark.parametrize(("late", "promotions"), [(-SECOND, 0), (0 * SECOND, 1), (365 * DAY, 1)])
def test_rule_1_rotate_waits_like_any_rollover(
    born: World, late: timedelta, promotions: int
) -> None:
    run = born.rotation().rotate(unsafe=False)
    assert (run.steps, run.wait.until) == ((), START + PUBLICATION)
    run = born.tick(START + PUBLICATION + late)
    assert [type(step) for step in run.steps].count(Promote) == promotions


def test_rotate_unsafe_promotes_at_once_and_makes_a_new_standby(born: World) -> None:
    born.is_unsafe = True
    first, second = born.active().kid, born.standby().kid
    run = born.rotation().rotate(unsafe=True)
    assert run.steps[0] == Promote(kid=second, retires=first)
    assert [type(step) for step in run.steps[1:]] == [Intend, CreateKey, Publish]
    assert states(born.keyring()) == ["active", "retired", "standby"]


@pytest.mark.parametrize("again", [False, True])
def test_rotate_twice_is_one_rollover(born: World, *, again: bool) -> None:
    born.live(timedelta(hours=2))
    born.rotation().rotate(unsafe=False)
    active = born.active().kid
    may_again = born.now + TICK
    born.now = may_again - SECOND
    run = born.rotation().rotate(unsafe=again)
    assert (run.steps, run.wait.until) == ((), may_again)
    assert "counts as the same one" in run.wait.why
    assert (born.active().kid, born.keyring().rollover_requested_at) == (active, None)


def test_rotate_is_another_request_after_a_tick_s_interval(born: World) -> None:
    born.live(timedelta(hours=2))
    born.rotation().rotate(unsafe=False)
    born.now += TICK
    run = born.rotation().rotate(unsafe=False)
    assert run.keyring.rollover_requested_at == born.now
    born.is_unsafe = True
    assert isinstance(born.rotation().rotate(unsafe=True).steps[0], Promote)


def test_an_open_request_stays_as_old_as_it_is(born: World) -> None:
    born.rotation().rotate(unsafe=False)
    born.now += TICK
    assert born.rotation().rotate(unsafe=False).steps == ()
    assert born.keyring().rollover_requested_at == START


@pytest.mark.parametrize("unsafe", [True, False])
def test_rotate_without_a_keyring_is_a_first_tick(world: World, *, unsafe: bool) -> None:
    run = world.rotation().rotate(unsafe=unsafe)
    assert [type(step).__name__ for step in run.steps] == FIRST_TICK
    assert run.keyring.rollover_requested_at is None


def test_rotate_asks_for_nothing_while_the_first_key_waits(world: World) -> None:
    world.kms.create("ES256", "of another life")
    world.tick()
    before = world.keyring()
    world.now += TICK
    assert world.rotation().rotate(unsafe=False).steps == ()
    assert world.keyring() == before


def test_rotate_unsafe_without_a_standby_key_asks_like_any_other(born: World) -> None:
    ring = born.keyring()
    alone = replace(ring, revision=ring.revision + 1, keys=ring.keys[:1])
    born.replace_keyring(alone)
    run = born.rotation().rotate(unsafe=True)
    assert [type(step) for step in run.steps] == [Intend, CreateKey, Publish]
    assert run.keyring.rollover_requested_at == born.now


def test_rotate_unsafe_ends_the_first_key_s_wait(world: World) -> None:
    world.is_unsafe = True
    world.kms.create("ES256", "of another life")
    world.tick()
    first = world.keyring().keys[0].kid
    run = world.rotation().rotate(unsafe=True)
    assert run.steps[0] == Promote(kid=first, retires=None)


# The plan


def test_a_plan_is_what_then_happens(born: World) -> None:
    keyring, plan = born.rotation().plan(START + 2 * DAY)
    assert keyring == born.keyring()
    born.steps.clear()
    born.live(2 * DAY)
    expected = [type(each.step).__name__ for each in plan.steps]
    assert expected == born.taken()
    assert states(plan.keyring) == states(born.keyring())


def test_a_plan_does_not_take_a_set_of_somebody_else_for_the_genesis(world: World) -> None:
    world.tick()
    other = World()
    other.url.store = world.published
    _, plan = other.rotation().plan(START)
    assert [type(each.step).__name__ for each in plan.steps] == FIRST_TICK[:-1]


def test_a_plan_before_the_first_tick_knows_of_the_genesis_and_writes_nothing(
    world: World,
) -> None:
    _, plan = world.rotation().plan(START)
    assert [type(each.step).__name__ for each in plan.steps] == FIRST_TICK
    assert not [call for call in world.calls if "write" in call or call.startswith("kms")]


def test_a_life_is_disabled_before_it_is_scheduled_for_deletion(born: World) -> None:
    born.tick(START + ROTATION)
    run = born.tick(START + ROTATION + RETIREMENT)
    kid = born.keyring().in_state(State.REMOVED)[0].kid
    assert run.steps[-2:] == (Disable(kid=kid), ScheduleDeletion(kid=kid))


def test_rule_1_a_standby_key_that_the_bucket_lacks_waits_anew_whatever_a_copy_still_shows() -> (
    None
):
    world = World(has_cdn=True)
    world.tick()
    world.live(POLICY.rotation_interval - 2 * TICK)
    world.tick(world.now + TICK)  # the CDN has a copy with the standby key
    standing = world.published.documents[JWKS]
    standby = world.standby()
    less = json.loads(standing.body)
    less["keys"] = [key for key in less["keys"] if key["kid"] != standby.kid]
    world.published.documents[JWKS] = replace(standing, body=json.dumps(less).encode(), tag="less")
    world.rotation().rotate(unsafe=False)
    at = world.now
    assert world.standby().first_seen_at == at
    world.tick(at + PUBLICATION - SECOND)
    assert world.standby().kid == standby.kid
    world.tick(at + PUBLICATION)
    assert world.active().kid == standby.kid


@pytest.mark.parametrize("harm", ["disabled", "unpublished"])
def test_not_even_unsafe_promotes_a_key_that_nobody_could_verify(born: World, harm: str) -> None:
    active, standby = born.active().kid, born.standby()
    if harm == "disabled":
        born.meddled.add(standby.arn)
        born.kms.keys[standby.arn].enabled = False
    else:
        fails(born, "published.write", AwsError("s3:PutObject", "SlowDown"))
        standing = born.published.documents[JWKS]
        less = json.loads(standing.body)
        less["keys"] = less["keys"][:1]
        body = json.dumps(less).encode()
        born.published.documents[JWKS] = replace(standing, body=body, tag="less")
    born.now += TICK
    with suppress(AwsError):
        born.rotation().rotate(unsafe=True)
    assert born.active().kid == active
    assert born.keyring().rollover_requested_at == born.now


def test_disabled_keys_do_not_count_against_the_cap(born: World) -> None:
    born.is_unsafe = True
    fails(born, "kms:ScheduleKeyDeletion", AwsError("kms:ScheduleKeyDeletion", "AccessDenied"))
    for _ in range(POLICY.most_live_keys + 2):
        born.now += TICK
        active = born.active().kid
        born.rotation().revoke(active, "stolen")
        assert born.active().kid != active
    assert len(born.keyring().keys) == POLICY.most_live_keys + 4
