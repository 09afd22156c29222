"""A lost keyring is rebuilt: nothing unpublished signs, nothing in use is withdrawn."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.keyring import Keyring, KeyringError, LostKeyringError, State, serialise
from machine_identity.recovery import REVISIONS_LOST
from machine_identity.steps import EndSurplus, Promote, Rebuild
from tests.world import POLICY, SECOND, START, TICK, World

ROTATION = POLICY.rotation_interval
PUBLICATION = timedelta(hours=1, minutes=6)
RETIREMENT = timedelta(hours=2, minutes=23)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
JWKS = "default/.well-known/jwks.json"
KEYRING = "default/keyring.json"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def unwatched(old: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, in which nothing is asserted: somebody's hand is about to break the promise."""
    for name in ("check", "_record"):
        monkeypatch.setattr(old, name, lambda: None)
    return old


@pytest.fixture
def old(world: World) -> World:
    """A world with a retired, an active and a standby key, created in this order."""
    world.tick()
    world.tick(START + ROTATION)
    world.now += TICK
    return world


def delete(world: World) -> None:
    world.state.delete(KEYRING)


def truncate(world: World) -> None:
    document = world.state.documents[KEYRING]
    world.state.documents[KEYRING] = replace(document, body=document.body[:200], tag="torn")


def roll_back(world: World) -> None:
    ring = world.keyring()
    first, second, *_ = ring.keys
    keys = (replace(first, state=State.ACTIVE), replace(second, state=State.STANDBY))
    world.replace_keyring(replace(ring, revision=6, published_revision=5, keys=keys))


LOSSES = [delete, truncate, roll_back]


def published_kids(world: World) -> list[str]:
    return [key["kid"] for key in json.loads(world.published.documents[JWKS].body)["keys"]]


@pytest.mark.parametrize("lose", LOSSES)
def test_the_oldest_published_key_becomes_active_the_next_standby_the_others_retired(
    old: World, lose: Callable[[World], None]
) -> None:
    before = old.keyring()
    lose(old)
    run = old.rotation().tick()
    assert isinstance(run.steps[0], Rebuild)
    assert run.steps[0].active == before.keys[0].kid
    ring = old.keyring()
    roles = {key.kid: key.state.value for key in ring.keys}
    expected = ("active", "standby", "retired")
    assert roles == dict(zip((key.kid for key in before.keys), expected, strict=True))
    assert [key.arn for key in ring.keys] == [key.arn for key in before.keys]
    assert published_kids(old) == [key.kid for key in before.keys]
    assert len(old.kms.keys) == 3
    assert ring.revision > before.revision + REVISIONS_LOST - 100


@pytest.mark.parametrize("lose", LOSSES)
def test_every_wait_starts_from_the_recovery_under_the_longest_interval(
    old: World, lose: Callable[[World], None]
) -> None:
    lose(old)
    at = old.now
    ring = old.rotation().tick().keyring
    assert {key.since for key in ring.keys} == {at}
    assert ring.standby is not None
    assert ring.standby.first_seen_at == at
    old.now += TICK
    old.rotation().rotate(unsafe=False)
    early = old.tick(at + PUBLICATION - SECOND)
    assert Promote not in [type(step) for step in early.steps]
    retired = ring.in_state(State.RETIRED)[0].kid
    assert isinstance(old.tick(at + PUBLICATION).steps[0], Promote)
    old.tick(at + RETIREMENT - SECOND)
    assert retired in published_kids(old)
    old.tick(at + RETIREMENT)
    assert retired not in published_kids(old)


@pytest.mark.parametrize("lose", LOSSES)
def test_a_life_goes_on_after_a_recovery_and_leaves_no_orphan(
    old: World, lose: Callable[[World], None]
) -> None:
    lose(old)
    old.live(2 * ROTATION)
    ring = old.keyring()
    assert (len(ring.in_state(State.ACTIVE)), len(ring.in_state(State.STANDBY))) == (1, 1)
    assert not old.orphans()
    assert [type(step) for _, step in old.steps].count(Rebuild) == 1


def test_a_key_that_is_not_published_never_signs_and_is_ended(old: World) -> None:
    arn = old.kms.create("ES256", "of nobody")
    old.now += HOUR
    delete(old)
    run = old.rotation().tick()
    assert arn not in {key.arn for key in run.keyring.keys}
    assert [each.arn for each in run.keyring.surplus] == [arn]
    old.live(3 * DAY)
    assert EndSurplus(arn=arn) in [step for _, step in old.steps]


def test_rule_1_a_young_key_does_not_sign_at_once_where_older_ones_fail(old: World) -> None:
    old.is_unsafe = True  # no key signs any more
    first, second, third = old.keyring().keys
    for key in (first, second):
        old.meddled.add(key.arn)
        old.kms.keys[key.arn].enabled = False
    roll_back(old)
    at = old.now
    ring = old.rotation().tick().keyring
    assert (ring.active, ring.standby) == (None, old.standby())
    assert old.standby().kid == third.kid
    # The rolled-back document still names them: what they signed may be valid.
    assert {key.kid for key in ring.in_state(State.RETIRED)} == {first.kid, second.kid}
    assert old.tick(at + PUBLICATION - SECOND).keyring.active is None
    assert old.tick(at + PUBLICATION).steps[0] == Promote(kid=third.kid, retires=None)


def test_what_somebody_put_into_the_published_set_is_not_taken_in(old: World) -> None:
    document = old.published.documents[JWKS]
    edited = json.loads(document.body)
    stranger = {**edited["keys"][0], "kid": "stranger"}
    edited = {"keys": [*edited["keys"], stranger], "revision": 99}
    body = json.dumps(edited).encode()
    old.published.documents[JWKS] = replace(document, body=body, tag="by hand")
    run = old.rotation().tick()
    assert isinstance(run.steps[0], Rebuild)
    assert "stranger" not in published_kids(old)
    assert "stranger" not in {key.kid for key in run.keyring.keys}
    assert json.loads(old.published.documents[JWKS].body)["revision"] > 99


def test_what_was_revoked_stays_revoked(old: World) -> None:
    old.is_unsafe = True
    kid = old.active().kid
    old.rotation().revoke(kid, "stolen")
    revoked = old.keyring()
    old.live(ROTATION)
    old.replace_keyring(replace(revoked, published_revision=revoked.published_revision - 1))
    ring = old.rotation().tick().keyring
    assert ring.key(kid).revoked_at is not None
    assert ring.key(kid).state is State.REMOVED
    assert kid not in published_kids(old)


def test_a_keyring_and_a_set_lost_at_once_are_rebuilt_from_what_the_public_is_served() -> None:
    world = World(has_cdn=True)
    world.tick()
    world.now += SECOND
    world.rotation().tick()
    before = {key.kid for key in world.keyring().keys}
    delete(world)
    copies = World()
    copies.published.documents = dict(world.published.documents)
    world.url.store = copies.published
    world.published.delete(JWKS)
    run = world.rotation().tick()
    assert isinstance(run.steps[0], Rebuild)
    assert {key.kid for key in run.keyring.published} == before == set(published_kids(world))


def test_a_set_without_a_key_of_ours_leaves_the_error(old: World) -> None:
    for key in old.keyring().keys:
        old.kms.keys[key.arn].is_ours = False
    delete(old)
    with pytest.raises(LostKeyringError, match="lost or rolled back"):
        old.rotation().tick()
    assert KEYRING not in old.state.documents


def test_a_broken_keyring_without_a_set_and_without_a_key_begins_anew_but_not_as_the_first(
    world: World,
) -> None:
    world.state.documents[KEYRING] = Document(body=b'{"version": 1', tag="torn")
    run = world.rotation().tick()
    why = "the keyring cannot be read: JSONDecodeError"
    assert run.steps[0] == Rebuild(active=None, kids=(), why=why)
    assert run.keyring.revision > REVISIONS_LOST
    assert run.keyring.active is None
    assert world.tick(START + PUBLICATION - SECOND).keyring.active is None
    assert world.tick(START + PUBLICATION).keyring.active is not None


@pytest.mark.parametrize("lose", [delete, truncate])
def test_where_the_set_is_lost_too_all_our_keys_are_published_and_none_signs_at_once(
    old: World, lose: Callable[[World], None]
) -> None:
    kids = [key.kid for key in old.keyring().keys]
    old.is_unsafe = True  # no key signs any more
    lose(old)
    old.published.delete(JWKS)
    at = old.now
    run = old.rotation().tick()
    assert [(key.kid, key.state.value) for key in run.keyring.keys[:3]] == list(
        zip(kids, ["standby", "retired", "retired"], strict=True)
    )
    assert published_kids(old)[:3] == kids
    assert all(key.deletion_at is None for key in old.kms.keys.values())
    assert run.keyring.surplus == ()
    old.now += SECOND
    assert old.tick(at + PUBLICATION).steps[0] == Promote(kid=kids[0], retires=None)


def test_where_nobody_signs_an_operator_may_say_that_the_oldest_is_known(old: World) -> None:
    old.is_unsafe = True
    oldest = old.keyring().keys[0].kid
    delete(old)
    old.published.delete(JWKS)
    old.rotation().tick()
    old.now += TICK
    run = old.rotation().rotate(unsafe=True)
    assert run.steps[0] == Promote(kid=oldest, retires=None)


def edit(world: World, *, drop: set[str]) -> None:
    """Take keys out of the published set by hand, and give it a revision of the future."""
    document = world.published.documents[JWKS]
    edited = json.loads(document.body)
    edited["keys"] = [key for key in edited["keys"] if key["kid"] not in drop]
    edited["revision"] += 1
    body = json.dumps(edited).encode()
    world.published.documents[JWKS] = replace(document, body=body, tag="by hand")


@pytest.mark.parametrize("dropped", [[], ["active"], ["active", "standby"], ["retired"]])
def test_an_edit_of_the_set_takes_no_key_its_state_whatever_revision_it_claims(
    unwatched: World, dropped: list[str]
) -> None:
    old = unwatched
    before = old.keyring()
    edit(old, drop={key.kid for key in before.keys if key.state.value in dropped})
    old.now += TICK
    run = old.rotation().tick()
    assert isinstance(run.steps[0], Rebuild)
    states = {key.kid: key.state for key in run.keyring.keys}
    assert states == {key.kid: key.state for key in before.keys}
    assert published_kids(old) == [key.kid for key in before.keys]
    assert json.loads(old.published.documents[JWKS].body)["revision"] > before.revision + 1
    assert all(key.deletion_at is None for key in old.kms.keys.values())
    old.live(2 * ROTATION)
    assert [type(step) for _, step in old.steps].count(Rebuild) == 1
    assert not old.orphans()


def test_strangers_in_an_edited_set_are_no_evidence_of_a_rollback(unwatched: World) -> None:
    before = {key.kid: key.state for key in unwatched.keyring().keys}
    edit(unwatched, drop=set())
    document = unwatched.published.documents[JWKS]
    edited = json.loads(document.body)
    edited["keys"].append({"kty": "RSA", "kid": "stranger"})
    body = json.dumps(edited).encode()
    unwatched.published.documents[JWKS] = replace(document, body=body, tag="by hand")
    run = unwatched.rotation().tick()
    assert isinstance(run.steps[0], Rebuild)
    assert {key.kid: key.state for key in run.keyring.keys} == before


def test_the_documents_of_another_stack_over_ours_take_no_key_its_state(unwatched: World) -> None:
    before = unwatched.keyring()
    other = World()
    other.tick()
    for name, theirs in other.published.documents.items():
        body = theirs.body.replace(b'"revision": ', b'"revision": 99')
        unwatched.published.documents[name] = replace(theirs, body=body, tag=f"theirs {name}")
    ring = unwatched.rotation().tick().keyring
    assert {key.kid: key.state for key in ring.keys} == {key.kid: key.state for key in before.keys}
    assert ring.issuer == before.issuer
    assert published_kids(unwatched) == [key.kid for key in before.keys]


def test_after_a_loss_a_rollover_can_be_asked_for_at_once_and_once_only(old: World) -> None:
    old.is_unsafe = True
    delete(old)
    old.rotation().tick()
    old.now += SECOND
    old.rotation().rotate(unsafe=True)
    active = old.active().kid
    old.now += SECOND
    old.rotation().rotate(unsafe=True)
    assert old.active().kid == active


def test_where_nobody_signed_a_request_that_comes_twice_counts_once(old: World) -> None:
    old.is_unsafe = True
    delete(old)
    old.published.delete(JWKS)
    old.rotation().tick()
    for _ in range(2):
        old.now += SECOND
        old.rotation().rotate(unsafe=True)
    assert [type(step) for _, step in old.steps].count(Promote) == 2 + 1


def test_keys_that_the_document_names_and_the_set_lacks_are_retired_if_kms_signs_with_them(
    unwatched: World,
) -> None:
    old = unwatched
    first, second, third = old.keyring().keys
    edit(old, drop={first.kid, second.kid})
    old.meddled.add(second.arn)
    old.kms.keys[second.arn].enabled = False  # the active one: the document cannot stand
    old.now += DAY
    ring = old.rotation().tick().keyring
    assert ring.key(third.kid).state is State.ACTIVE
    assert ring.key(first.kid).state is State.RETIRED
    assert ring.key(second.kid).state is State.REMOVED


def test_both_documents_restored_from_an_old_copy_end_no_key_that_was_in_use_since(
    unwatched: World,
) -> None:
    old = unwatched
    copies = {store: dict(store.documents) for store in (old.state, old.published)}
    old.live(3 * ROTATION)
    in_use = {key.arn for key in old.keyring().published}
    for store, documents in copies.items():
        store.documents.clear()
        store.documents.update(documents)
    restored_at = old.now
    while old.now < restored_at + RETIREMENT - TICK:
        old.now += TICK
        old.rotation().tick()
    assert all(old.kms.keys[arn].deletion_at is None for arn in in_use)
    assert {each.arn for each in old.keyring().surplus} == in_use


@pytest.mark.parametrize("lose", LOSSES)
def test_nothing_is_rebuilt_from_what_kms_does_not_answer(
    old: World, lose: Callable[[World], None]
) -> None:
    lose(old)
    before = old.state.documents.get(KEYRING)

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("before", "tag:GetResources"):
            raise AwsError(call, "ThrottlingException")

    old.meddler = meddle
    with pytest.raises(AwsError):
        old.rotation().tick()
    assert old.state.documents.get(KEYRING) == before


def test_a_document_of_newer_code_that_cannot_be_read_is_not_rebuilt(old: World) -> None:
    document = Document(body=b'{"version": 2, "keys": {}}', tag="newer")
    old.state.documents[KEYRING] = document
    with pytest.raises(KeyringError, match="cannot be read") as raised:
        old.rotation().tick()
    assert not isinstance(raised.value, LostKeyringError)
    assert old.state.documents[KEYRING] == document


@pytest.mark.parametrize("lose", LOSSES)
def test_rule_11_a_clock_that_lies_rebuilds_nothing(
    old: World, lose: Callable[[World], None]
) -> None:
    lose(old)
    before = old.state.documents.get(KEYRING)
    old.clock_error = HOUR
    assert old.rotation().tick().wait.alarms == ("ClockApart",)
    assert old.state.documents.get(KEYRING) == before


@pytest.mark.parametrize("lose", LOSSES)
def test_a_plan_tells_of_the_rebuilt_keyring_and_writes_nothing(
    old: World, lose: Callable[[World], None]
) -> None:
    lose(old)
    before = old.state.documents.get(KEYRING)
    keyring, _ = old.rotation().plan(old.now)
    assert len(keyring.keys) == 3
    assert old.state.documents.get(KEYRING) == before


@pytest.mark.parametrize("lose", LOSSES)
def test_a_revocation_goes_before_a_recovery(old: World, lose: Callable[[World], None]) -> None:
    old.is_unsafe = True
    first = old.keyring().keys[0]
    old.meddled.add(first.arn)
    lose(old)
    old.rotation().revoke(first.kid, "stolen")
    assert not old.kms.keys[first.arn].enabled
    ring = old.rotation().tick().keyring
    assert ring.active is not None
    assert ring.active.kid != first.kid


def test_the_keyring_of_another_identity_is_not_rebuilt(old: World) -> None:
    other = Keyring(identity="other", issuer="https://identity.example")
    old.state.documents[KEYRING] = Document(body=serialise(other), tag="other")
    with pytest.raises(KeyringError, match="that of other"):
        old.rotation().tick()
    assert old.state.documents[KEYRING].tag == "other"


@pytest.mark.parametrize("lose", LOSSES)
def test_rule_9_nobody_falls_back_to_a_key_that_some_cache_may_not_know(
    old: World, lose: Callable[[World], None]
) -> None:
    newest = old.standby()
    lose(old)
    ring = old.rotation().tick().keyring
    assert ring.key(newest.kid).state is State.RETIRED
    assert ring.previous(old.now) is None


@pytest.mark.parametrize("lose", LOSSES)
def test_rule_3_a_key_that_signed_before_the_loss_is_not_discarded_but_retired(
    old: World, lose: Callable[[World], None]
) -> None:
    signed = old.active()
    lose(old)
    at = old.now
    old.policy = replace(POLICY, algorithm="ES384")
    ring = old.rotation().tick().keyring
    assert ring.key(signed.kid).state is State.RETIRED
    assert old.standby().jwk["alg"] == "ES384"
    old.tick(at + RETIREMENT - SECOND)
    assert signed.kid in published_kids(old)
    old.tick(at + RETIREMENT)
    assert signed.kid not in published_kids(old)


def test_rule_6_a_keyring_rolled_back_between_publications_is_known_by_what_the_signer_read(
    old: World,
) -> None:
    old.prove()
    standing, before = old.state.documents[KEYRING], old.keyring()
    assert old.testimony().keyring_revision == before.revision
    old.rotation().rotate(unsafe=False)
    old.prove()
    assert old.testimony().keyring_revision > before.revision
    old.state.documents[KEYRING] = standing
    old.now += TICK
    run = old.rotation().tick()
    assert isinstance(run.steps[0], Rebuild)
    assert run.steps[0].why.endswith("the keyring was rolled back")
    assert run.keyring.revision > before.revision + REVISIONS_LOST - 100
    old.live(2 * ROTATION)
    assert [type(step) for _, step in old.steps].count(Rebuild) == 1
    assert not old.orphans()


def test_a_signer_that_has_read_the_keyring_as_it_stands_speaks_for_it(old: World) -> None:
    old.prove()
    assert old.testimony().keyring_revision == old.keyring().revision
    assert Rebuild not in [type(step) for step in old.rotation().tick().steps]
