"""Another issuer: published and waited for like a key, named in assertions only then."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import jwt
import pytest

from machine_identity import commands, publication, relocation
from machine_identity.aws import AwsError
from machine_identity.client_assertion import Draft
from machine_identity.errors import PolicyError
from machine_identity.evidence import Seen
from machine_identity.keyring import Incoming, State
from machine_identity.policy import Policy
from machine_identity.publication import CONFIGURATION_PATH
from machine_identity.rotation import RefusedError
from machine_identity.steps import AddIssuer, DropIssuer, Publish, Rebuild, SwitchIssuer, Wait
from tests.keyrings import active, ring, shown, standby, unseen
from tests.world import ISSUER, POLICY, SECOND, START, TICK, World

OTHER = "https://new.example"
THIRD = "https://third.example"
PUBLICATION = timedelta(hours=1, minutes=6)
RETIREMENT = timedelta(hours=2, minutes=23)
ASKED = START + TICK
"""When the settings name another issuer."""
ASSERTION = Draft(
    issuer=None,
    subject="client-1",
    audience="https://as.example",
    typ="JWT",
    algorithms=("ES256",),
    lifetime=timedelta(minutes=5),
)


@pytest.fixture
def world() -> World:
    """A world whose settings name another issuer than the one that signs since the first tick."""
    world = World()
    world.tick()
    world.issuer = OTHER
    world.tick(ASKED)
    return world


def confirm(world: World, issuer: str = OTHER, *, unsafe: bool = False) -> None:
    world.rotation().confirm_issuer(issuer, unsafe=unsafe)


def every_tick(world: World, until: datetime) -> None:
    while world.now + TICK < until:
        world.tick(world.now + TICK)
    world.tick(until)


def document(world: World, issuer: str) -> dict[str, Any]:
    """Return the discovery document as a stranger gets it under that issuer."""
    url = issuer + CONFIGURATION_PATH
    answer = world.url("GET", url, headers={}, timeout=SECOND)
    read: dict[str, Any] = json.loads(answer.body)
    return read


def named(world: World) -> str:
    """Return the issuer that an assertion names which is made now."""
    signed = world.signer().sign(ASSERTION, now=world.now, jti="jti")
    claims: dict[str, Any] = jwt.decode(signed, options={"verify_signature": False})
    return str(claims["iss"])


def switched(world: World) -> World:
    """Return the world after the switch."""
    confirm(world)
    every_tick(world, ASKED + PUBLICATION)
    assert world.keyring().issuer == OTHER
    return world


# Publish before sign


def test_both_issuers_are_published_each_with_documents_of_its_own(world: World) -> None:
    kids = [key.kid for key in world.keyring().keys]
    for issuer in (ISSUER, OTHER):
        told = document(world, issuer)
        assert (told["issuer"], told["jwks_uri"]) == (issuer, issuer + publication.JWKS_PATH)
        assert "other_issuers" not in told
    assert document(world, "https://unheard.example")["issuer"] == ISSUER
    assert AddIssuer(url=OTHER) in [step for _, step in world.steps]
    assert [key.kid for key in world.keyring().keys] == kids


def test_rule_1_assertions_name_it_only_when_every_cache_can_know_its_documents(
    world: World,
) -> None:
    confirm(world)
    every_tick(world, ASKED + PUBLICATION - SECOND)
    assert named(world) == ISSUER
    run = world.tick(ASKED + PUBLICATION)
    assert run.steps[0] == SwitchIssuer(url=OTHER, retires=ISSUER)
    world.now += TICK / 15
    assert named(world) == OTHER


def test_rule_1_very_late_it_is_looked_at_once_more(world: World) -> None:
    confirm(world)
    world.url.unreachable.add("new.example")
    world.tick(ASKED + 8 * PUBLICATION)
    assert named(world) == ISSUER
    world.url.unreachable.clear()
    world.tick(world.now + TICK)
    assert world.keyring().issuer == OTHER


def test_it_is_not_named_without_the_word_of_an_operator(world: World) -> None:
    every_tick(world, ASKED + 3 * PUBLICATION)
    wait = world.steps[-1][1]
    assert isinstance(wait, Wait)
    assert wait.alarms == ("IssuerUnconfirmed",)
    assert OTHER in wait.why
    assert named(world) == ISSUER
    confirm(world)
    assert world.keyring().issuer == OTHER
    assert named(world) == OTHER


def test_nothing_but_the_word_is_asked_for_while_the_wait_is_not_over(world: World) -> None:
    every_tick(world, ASKED + PUBLICATION - SECOND)
    waits = [step for _, step in world.steps if isinstance(step, Wait)]
    assert {wait.alarms for wait in waits} == {()}
    assert waits[-1].until == ASKED + PUBLICATION


def test_rule_1_a_look_without_its_documents_starts_the_wait_over(world: World) -> None:
    confirm(world)
    every_tick(world, ASKED + PUBLICATION - TICK)
    standing = world.published.documents["default" + CONFIGURATION_PATH]
    alone = json.loads(standing.body)
    del alone["other_issuers"]
    edited = replace(standing, body=json.dumps(alone).encode(), tag="edited")
    world.published.documents["default" + CONFIGURATION_PATH] = edited
    world.tick(world.now + SECOND)  # sees it, and puts it right
    seen_at = world.now
    every_tick(world, seen_at + PUBLICATION - SECOND)
    assert world.keyring().issuer == ISSUER
    world.tick(seen_at + PUBLICATION)
    assert world.keyring().issuer == OTHER


def test_rule_1_a_failed_look_proves_nothing_and_disproves_nothing(world: World) -> None:
    confirm(world)
    every_tick(world, ASKED + 2 * TICK)
    world.url.unreachable.add("new.example")
    every_tick(world, ASKED + 3 * TICK)
    world.url.unreachable.clear()
    every_tick(world, ASKED + PUBLICATION)
    assert world.keyring().issuer == OTHER


def test_rule_1_another_active_key_starts_the_wait_over(world: World) -> None:
    confirm(world)
    every_tick(world, ASKED + PUBLICATION - TICK)
    world.prove()
    world.rotation().rotate(unsafe=True)
    world.is_unsafe = True
    promoted_at = world.now
    every_tick(world, promoted_at + PUBLICATION - SECOND)
    assert world.keyring().issuer == ISSUER
    world.tick(promoted_at + PUBLICATION)
    assert world.keyring().issuer == OTHER


def test_rule_1_the_standby_key_is_news_to_the_caches_of_the_new_issuer(world: World) -> None:
    standby = switched(world).standby()
    assert standby.first_seen_at == ASKED + PUBLICATION
    world.rotation().rotate(unsafe=False)
    every_tick(world, ASKED + 2 * PUBLICATION - SECOND)
    assert world.standby() == standby
    world.tick(ASKED + 2 * PUBLICATION)
    assert world.active().kid == standby.kid


def test_rule_4_other_settings_never_shorten_the_wait(world: World) -> None:
    confirm(world)
    long = replace(POLICY, key_set_cache=timedelta(hours=2))
    world.rotation(long).tick()
    every_tick(world, ASKED + PUBLICATION + timedelta(hours=1) - SECOND)
    assert world.keyring().issuer == ISSUER
    world.tick(ASKED + PUBLICATION + timedelta(hours=1))
    assert world.keyring().issuer == OTHER


def test_rule_1_what_stood_there_before_may_live_in_caches_for_as_long_as_it_said(
    world: World,
) -> None:
    world = World()
    world.tick()
    world.issuer = OTHER
    world.published.documents.pop("default" + CONFIGURATION_PATH)
    world.url.max_age = timedelta(hours=5)
    world.rotation().tick()
    confirm(world)
    world.url.max_age = None
    every_tick(world, START + timedelta(hours=5, minutes=6) - SECOND)
    assert world.keyring().issuer == ISSUER
    every_tick(world, world.now + TICK)
    assert world.keyring().issuer == OTHER


@pytest.mark.parametrize(("late", "is_named"), [(0 * SECOND, True), (SECOND, False)])
def test_rule_1_what_was_seen_too_long_ago_is_no_evidence_any_more(
    late: timedelta, *, is_named: bool
) -> None:
    now = START + POLICY.publication_interval()
    incoming = Incoming(url=OTHER, since=START, first_seen_at=START, confirmed_at=START)
    keyring = ring(active(), standby(), incoming=incoming)
    policy = replace(POLICY, issuer=OTHER)
    looked = Seen(at=now - POLICY.run_bound - late, kids=frozenset({"active"}), max_age=SECOND)
    evidence = shown(unseen(now), incoming=looked)
    step = relocation.next_step(keyring, policy, evidence, now)
    assert isinstance(step, SwitchIssuer) is is_named


# The operator


def test_unsafe_does_not_wait_but_wants_the_documents_to_be_there(world: World) -> None:
    world.url.unreachable.add("new.example")
    with pytest.raises(RefusedError, match=f"{OTHER} does not show its own documents"):
        confirm(world, unsafe=True)
    assert named(world) == ISSUER
    world.url.unreachable.clear()
    confirm(world, unsafe=True)
    assert named(world) == OTHER


def test_the_word_can_be_given_before_the_first_tick_under_the_new_settings() -> None:
    world = World()
    world.tick()
    world.issuer = OTHER
    confirm(world)
    incoming = world.keyring().incoming
    assert incoming is not None
    assert incoming.confirmed_at == world.now


def test_who_confirms_twice_changes_nothing(world: World) -> None:
    confirm(world)
    first = world.keyring().incoming
    world.now += SECOND
    confirm(world)
    assert world.keyring().incoming == first
    every_tick(world, ASKED + PUBLICATION)
    before = world.keyring()
    confirm(world)
    assert world.keyring() == before


def test_only_the_issuer_that_the_settings_name_can_be_confirmed(world: World) -> None:
    with pytest.raises(RefusedError, match=r"the settings do not ask for that issuer"):
        confirm(world, THIRD)


def test_rule_11_a_clock_that_is_apart_confirms_nothing(world: World) -> None:
    world.clock_error = timedelta(hours=1)
    before = world.keyring()
    confirm(world)
    confirm(world, unsafe=True)
    assert world.keyring() == before


def test_the_command_answers_what_is_confirmed_and_what_is_waited_for(world: World) -> None:
    asked = {"command": "confirm", "issuer": OTHER}
    told = commands.answer(world.rotation(), asked, lambda _: POLICY)
    assert told["confirmed"] == OTHER
    assert told["steps"] == [{"step": "ConfirmIssuer", "url": OTHER}]
    assert told["wait"]["until"] == (ASKED + PUBLICATION).isoformat()


# The old one


def test_rule_3_the_old_documents_stay_while_what_names_it_may_be_valid(world: World) -> None:
    switched(world)
    switched_at = ASKED + PUBLICATION
    every_tick(world, switched_at + RETIREMENT - SECOND)
    assert document(world, ISSUER)["issuer"] == ISSUER
    run = world.tick(switched_at + RETIREMENT)
    assert isinstance(run.steps[0], DropIssuer)
    assert isinstance(run.steps[1], Publish)
    assert document(world, ISSUER)["issuer"] == OTHER
    assert world.keyring().issuers == (OTHER,)


def test_rule_4_other_settings_never_shorten_the_stay(world: World) -> None:
    switched(world)
    long = replace(POLICY, key_set_cache=timedelta(hours=2))
    world.rotation(long).tick()
    every_tick(world, ASKED + PUBLICATION + RETIREMENT + timedelta(hours=1) - SECOND)
    assert document(world, ISSUER)["issuer"] == ISSUER
    world.tick(ASKED + PUBLICATION + RETIREMENT + timedelta(hours=1))
    assert document(world, ISSUER)["issuer"] == OTHER


def test_what_the_signer_signs_with_an_old_copy_finds_its_documents(world: World) -> None:
    signer = world.signer()
    every_tick(world, ASKED + PUBLICATION - SECOND)
    signer.sign(ASSERTION, now=world.now, jti="jti")
    switched(world)
    world.now += POLICY.signer_bound - 2 * SECOND
    world.token_state.documents = {}  # S3 fails for the token function
    signed = signer.sign(ASSERTION, now=world.now, jti="jti")
    claims = jwt.decode(signed, options={"verify_signature": False})
    last = datetime.fromtimestamp(claims["exp"], tz=START.tzinfo) + POLICY.provider_leeway
    assert claims["iss"] == ISSUER
    every_tick(world, last)
    assert document(world, ISSUER)["issuer"] == ISSUER


# Changes of mind


def test_settings_that_go_back_leave_everything_as_it_was(world: World) -> None:
    confirm(world)
    world.issuer = ISSUER
    run = world.tick(ASKED + PUBLICATION)
    assert [type(step) for step in run.steps] == [DropIssuer, Publish]
    assert (world.keyring().issuers, world.keyring().incoming) == ((ISSUER,), None)
    assert document(world, OTHER)["issuer"] == ISSUER


def test_a_third_issuer_takes_the_place_of_one_that_was_never_named(world: World) -> None:
    confirm(world)
    world.issuer = THIRD
    world.tick(ASKED + TICK)
    assert world.keyring().issuers == (ISSUER, THIRD)
    every_tick(world, ASKED + TICK + 2 * PUBLICATION)
    assert world.keyring().issuer == ISSUER, "the word was for another one"
    confirm(world, THIRD)
    assert world.keyring().issuer == THIRD


def test_the_old_issuer_may_come_back_while_it_still_stands(world: World) -> None:
    switched(world)
    world.issuer = ISSUER
    world.tick(world.now + TICK)
    assert world.keyring().issuers == (OTHER, ISSUER)
    asked_at = world.now
    confirm(world, ISSUER)
    every_tick(world, asked_at + PUBLICATION)
    assert world.keyring().issuers == (ISSUER, OTHER)
    every_tick(world, world.now + RETIREMENT)
    assert world.keyring().issuers == (ISSUER,)


@pytest.mark.parametrize("settings", list(product([ISSUER, OTHER, THIRD], repeat=3)))
def test_rule_3_wherever_the_settings_wander_what_an_assertion_names_shows_its_documents(
    world: World, settings: tuple[str, ...]
) -> None:
    """A signer may name an issuer for its bound, and what it made is looked at for a while."""
    to_come, copies = list(settings), [(world.now, ISSUER)]
    while world.now < START + timedelta(hours=6):
        if world.keyring().issuer == OTHER and to_come:
            world.issuer = to_come.pop(0)
        confirm(world, world.issuer)
        every_tick(world, world.now + TICK)
        copies.append((world.now, world.keyring().issuer))
        long_ago = world.now - POLICY.signer_bound - timedelta(minutes=11)
        for issuer in {issuer for at, issuer in copies if at >= long_ago}:
            assert document(world, issuer)["issuer"] == issuer
    assert not to_come


def test_an_old_url_behind_a_cdn_keeps_its_documents_for_as_long_as_any_other(
    world: World,
) -> None:
    cdn_asks = "https://abc.execute-api.example"
    assert document(world, cdn_asks)["issuer"] == ISSUER
    switched(world)
    assert document(world, cdn_asks)["issuer"] == ISSUER
    every_tick(world, world.now + RETIREMENT)
    assert document(world, cdn_asks)["issuer"] == OTHER


def test_documents_of_the_old_issuer_go_although_a_third_is_asked_for(world: World) -> None:
    switched(world)
    world.issuer = THIRD
    every_tick(world, world.now + RETIREMENT + TICK)
    assert world.keyring().issuers == (OTHER, THIRD)


# What is told


@pytest.mark.parametrize(("late", "alarms"), [(-SECOND, ()), (0 * SECOND, ("IssuerNotShown",))])
def test_an_issuer_that_never_shows_its_documents_is_an_alarm(
    late: timedelta, alarms: tuple[str, ...]
) -> None:
    world = World()
    world.tick()
    world.issuer = OTHER
    world.url.unreachable.add("new.example")
    world.tick(ASKED)
    every_tick(world, ASKED + PUBLICATION + late)
    wait = world.steps[-1][1]
    assert isinstance(wait, Wait)
    assert wait.alarms == alarms
    told = commands.answer(world.rotation(), {"command": "status"}, lambda _: POLICY)["issuers"]
    assert (told[1]["not_before"], told[1]["held_by"]) == (None, "rule 1: publish before sign")


def test_nothing_is_answered_as_confirmed_but_what_is(world: World) -> None:
    confirm(world)
    world.clock_error = timedelta(hours=1)
    asked = {"command": "confirm", "issuer": THIRD}
    assert commands.answer(world.rotation(), asked, lambda _: POLICY)["confirmed"] is None


def test_status_tells_of_each_issuer_what_comes_next_when_and_what_holds_it(
    world: World,
) -> None:
    def told() -> list[list[object]]:
        answer = commands.answer(world.rotation(), {"command": "status"}, lambda _: POLICY)
        return [list(each.values()) for each in answer["issuers"]]

    ready = (ASKED + PUBLICATION).isoformat()
    in_use = [ISSUER, "in use", "outgoing", ready, "the incoming issuer"]
    assert told() == [in_use, [OTHER, "incoming", "in use", ready, "the operator's word"]]
    confirm(world)
    held = "rule 1: publish before sign"
    assert told() == [in_use, [OTHER, "incoming", "in use", ready, held]]
    gone = (ASKED + PUBLICATION + RETIREMENT).isoformat()
    held = "rule 3: retire after the last signature"
    switched(world)
    assert told() == [
        [OTHER, "in use", "", None, "no other is asked for"],
        [ISSUER, "outgoing", "removed", gone, held],
    ]


def planned(world: World, other: Callable[[dict[str, str]], Policy], **changes: str) -> Any:
    asked = {"command": "plan", "settings": changes}
    return commands.answer(world.rotation(), asked, lambda given: other(dict(given)))


def test_a_plan_shows_what_other_settings_would_do_and_does_nothing() -> None:
    world = World()
    world.tick()
    before = world.keyring()
    given: list[dict[str, str]] = []

    def other(changes: dict[str, str]) -> Policy:
        given.append(changes)
        return replace(POLICY, issuer=OTHER)

    told = planned(world, other, PublicUrl=OTHER)
    assert given == [{"PublicUrl": OTHER}]
    at = {each["step"]: each["at"] for each in told["steps"]}
    assert at["AddIssuer"] == at["ConfirmIssuer"] == START.isoformat()
    assert at["SwitchIssuer"] == (START + PUBLICATION).isoformat()
    assert at["DropIssuer"] == (START + PUBLICATION + RETIREMENT).isoformat()
    assert world.keyring() == before


def test_a_plan_shows_that_another_algorithm_replaces_the_standby_key() -> None:
    world = World()
    world.tick()
    told = planned(world, lambda _: replace(POLICY, algorithm="ES384"), SigningAlgorithm="ES384")
    assert [each["step"] for each in told["steps"][:4]] == [
        "Discard",
        "Intend",
        "CreateKey",
        "Publish",
    ]


def test_a_plan_for_settings_that_are_unsafe_is_the_inequality() -> None:
    world = World()
    world.tick()

    def unsafe(_: dict[str, str]) -> Policy:
        raise PolicyError("rotation_interval (1 day) must be at least 2 days")

    told = planned(world, unsafe, RotationIntervalDays="1")
    assert told == {
        "error": "settings",
        "error_description": "rotation_interval (1 day) must be at least 2 days",
    }


# Whatever dies


def lose(world: World) -> None:
    world.state.delete("default/keyring.json")


def tear(world: World) -> None:
    document = world.state.documents["default/keyring.json"]
    torn = replace(document, body=document.body[:200], tag="torn")
    world.state.documents["default/keyring.json"] = torn


@pytest.mark.parametrize("loss", [lose, tear])
def test_a_keyring_lost_on_the_way_goes_on_with_the_issuer_in_use(
    world: World, loss: Callable[[World], None]
) -> None:
    confirm(world)
    loss(world)
    run = world.tick(ASKED + TICK)
    assert isinstance(run.steps[0], Rebuild)
    assert world.keyring().issuers == (ISSUER, OTHER)
    assert document(world, OTHER)["issuer"] == OTHER
    every_tick(world, ASKED + TICK + 2 * PUBLICATION)
    assert world.keyring().issuer == ISSUER, "the word is lost, too"
    confirm(world)
    assert world.keyring().issuer == OTHER


@pytest.mark.parametrize("loss", [lose, tear])
def test_a_keyring_lost_after_the_switch_keeps_the_old_documents_for_the_whole_interval(
    world: World, loss: Callable[[World], None]
) -> None:
    loss(switched(world))
    lost_at = world.now
    world.rotation().tick()
    assert world.keyring().issuers == (OTHER, ISSUER)
    every_tick(world, lost_at + RETIREMENT - SECOND)
    assert document(world, ISSUER)["issuer"] == ISSUER
    every_tick(world, lost_at + RETIREMENT)
    assert world.keyring().issuers == (OTHER,)


def test_a_keyring_rolled_back_across_a_switch_goes_on_with_the_issuer_that_is_published(
    world: World,
) -> None:
    old = world.state.documents["default/keyring.json"]
    switched(world)
    every_tick(world, world.now + RETIREMENT + TICK)
    assert world.keyring().issuers == (OTHER,)
    world.state.documents["default/keyring.json"] = old
    run = world.tick(world.now + TICK)
    assert isinstance(run.steps[0], Rebuild)
    assert world.keyring().issuer == OTHER
    assert document(world, OTHER)["issuer"] == OTHER
    assert document(world, ISSUER)["issuer"] == ISSUER, "it is kept for a while, to be sure"


@pytest.mark.parametrize("loss", [lose, tear])
def test_where_the_discovery_document_is_lost_too_the_signer_knows_which_issuer_is_in_use(
    world: World, loss: Callable[[World], None]
) -> None:
    world.prove()
    loss(world)
    world.published.delete("default" + CONFIGURATION_PATH)
    world.tick(ASKED + TICK)
    assert world.keyring().issuers == (ISSUER, OTHER)
    assert world.keyring().incoming is not None


def test_an_issuer_that_somebody_wrote_into_the_document_is_not_taken_for_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "check", lambda: None)
    for name, changes in (("jwks.json", {"revision": 99}), ("openid-configuration", {})):
        path = f"default/.well-known/{name}"
        standing = world.published.documents[path]
        edited = {**json.loads(standing.body), **changes}
        if "issuer" in edited:
            edited["issuer"] = "https://evil.example"
        body = json.dumps(edited).encode()
        world.published.documents[path] = replace(standing, body=body, tag="by hand")
    run = world.rotation().tick()
    assert isinstance(run.steps[0], Rebuild)
    assert world.keyring().issuers == (ISSUER, OTHER)


def test_rule_1_a_document_in_the_bucket_without_it_starts_the_wait_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(has_cdn=True)
    monkeypatch.setattr(world, "check", lambda: None)
    world.tick()
    world.issuer = OTHER
    world.tick(ASKED)
    every_tick(world, ASKED + 2 * TICK)
    path = "default" + CONFIGURATION_PATH
    standing = world.published.documents[path]
    alone = json.loads(standing.body)
    del alone["other_issuers"]
    world.published.documents[path] = replace(standing, body=json.dumps(alone).encode(), tag="x")
    world.tick(world.now + SECOND)  # a copy shows it still, and the run puts it right
    incoming = world.keyring().incoming
    assert incoming is not None
    assert incoming.first_seen_at == world.now


class _DiedError(BaseException):
    """The process ended here."""


def test_whatever_call_of_a_switch_dies_the_next_tick_ends_it() -> None:
    calls = 0
    while True:
        world = World()
        world.tick()
        world.issuer = OTHER
        world.calls.clear()
        last = calls

        def meddle(moment: str, call: str, world: World = world, last: int = last) -> None:
            if moment == "before" and len(world.calls) == last + 1:
                world.meddler = None
                raise (_DiedError if last % 2 else AwsError(call, "ServiceUnavailable"))

        world.meddler = meddle
        for command in (_tick, confirm, _last_tick):
            try:
                command(world)
            except (_DiedError, AwsError):
                command(world)
        if world.meddler is not None:
            break
        every_tick(world, world.now + TICK)
        assert world.keyring().issuers == (OTHER, ISSUER)
        assert document(world, ISSUER)["issuer"] == ISSUER
        assert document(world, OTHER)["issuer"] == OTHER
        assert len(world.keyring().in_state(State.STANDBY)) == 1
        assert not world.orphans()
        calls += 1
    assert calls > 20


def _tick(world: World) -> None:
    world.rotation().tick()


def _last_tick(world: World) -> None:
    world.now = max(world.now, START + PUBLICATION)
    world.rotation().tick()
