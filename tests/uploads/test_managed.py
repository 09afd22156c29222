"""A registration whose key set rolls by itself: rules 1, 2, 5, 8 and 10 over RFC 7592."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from machine_identity.canary import TIMES, is_overdue
from machine_identity.jwk import thumbprint
from machine_identity.policy import Policy
from machine_identity.steps import Wait
from machine_identity.testimony import Upload
from machine_identity.uploads import MOST_ASKED
from tests.registration_endpoint import Asked, with_members
from tests.token_endpoint import Answer
from tests.uploads.managed import World
from tests.uploads.token_function import POLICY, QUARTER

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LONGEST = TIMES.longest_pause + HOUR
"""Until a key is tried again that was refused many times, and what two trials take."""
FETCHED = replace(POLICY, uploads=False)
"""Of a deployment whose provider fetches; the client of this server is another one."""


def upload(world: World, kid: str) -> Upload:
    return next(each for each in world.testimony().uploads if each.kid == kid)


def did(world: World) -> list[tuple[str, str]]:
    return [(each.did, each.code) for each in world.bring()]


def with_a_new_standby_key(world: World) -> str:
    """Live until there is a standby key that the server was not given yet."""
    world.begin()
    world.live_on(HOUR)
    known = world.standby().kid
    while world.standby().kid == known:
        world.live_on(QUARTER)
    return world.standby().kid


def promotions(world: World) -> int:
    return world.taken().count("Promote")


def alarms(world: World) -> set[str]:
    waits = [step for _, step in world.steps if isinstance(step, Wait)]
    return {alarm for wait in waits for alarm in wait.alarms}


@pytest.mark.parametrize("policy", [POLICY, FETCHED], ids=["uploaded", "fetched"])
@pytest.mark.parametrize("rotates", [(), ("PUT",), ("GET", "PUT")], ids="+".join)
def test_the_set_rolls_for_days_and_not_one_token_is_refused(
    policy: Policy, rotates: tuple[str, ...]
) -> None:
    with World(policy=policy) as world:
        world.endpoint.rotates = frozenset(rotates)
        world.begin()
        world.live_on(3 * DAY)
        assert promotions(world) >= 5
        assert world.tokens == 3 * 24 * 4
        world.prove()
        assert world.registered() == world.wanted()
        assert world.puts() <= 2 * promotions(world) + 1
        assert world.testimony().certificates == ()
        assert not any("jwks_uri" in each.members for each in world.endpoint.requests)


def test_all_keys_that_are_due_cost_one_put_and_a_run_without_any_costs_none() -> None:
    with World() as world:
        world.begin()
        assert did(world) == [("add", ""), ("add", "")]
        assert world.puts() == 1
        assert world.registered() == world.wanted()
        world.now += QUARTER
        assert did(world) == []
        assert world.puts() == 1


def test_rule_5_after_a_lost_answer_the_set_is_put_again_after_a_pause() -> None:
    with World() as world:
        kid = with_a_new_standby_key(world)
        world.answers_lost = 1
        assert ("add", "no_answer") in did(world)
        assert world.registered() == world.wanted()
        known = upload(world, kid)
        assert (known.asked, known.added_at, known.code) == (1, None, "no_answer")
        world.now += QUARTER - timedelta(seconds=1)
        assert did(world) == []
        world.now += timedelta(seconds=1)
        assert did(world) == [("add", "")]
        settled = upload(world, kid)
        assert settled.added_at is not None
        assert (settled.failures, settled.code) == (0, "")


@pytest.mark.parametrize("policy", [POLICY, FETCHED], ids=["uploaded", "fetched"])
def test_rule_2_without_the_registration_s_token_no_unknown_key_signs_and_people_are_told(
    policy: Policy,
) -> None:
    with World(policy=policy) as world:
        kid = with_a_new_standby_key(world)
        signs, before = world.active().kid, promotions(world)
        world.endpoint.tokens[world.client_id] = set()
        assert did(world)[-1:] == [("add", "invalid_token")]
        world.live_on(2 * DAY)
        assert (world.active().kid, promotions(world)) == (signs, before)
        assert ("UploadWanted" in alarms(world)) is policy.uploads
        assert is_overdue(world.keyring(), DAY, world.now), "which is counted too"
        known = upload(world, kid)
        assert (known.code, known.added_at) == ("invalid_token", None)
        assert known.failures > 40, "it is asked once an hour, for as long as it takes"
        world.adopt()
        world.live_on(LONGEST)
        assert world.active().kid == kid
        world.prove()
        assert world.registered() == world.wanted()


def test_an_answer_with_another_set_is_no_publication() -> None:
    with World() as world:
        kid = with_a_new_standby_key(world)
        before = promotions(world)
        world.endpoint.replaces = {"jwks": {"keys": world.registered()}}
        assert did(world)[-1:] == [("add", "replaced")]
        assert upload(world, kid).added_at is None
        world.live_on(DAY)
        assert (world.standby().kid, promotions(world)) == (kid, before)
        world.endpoint.replaces = {}
        world.live_on(LONGEST)
        assert world.active().kid == kid


def test_rule_2_a_server_that_says_it_took_a_set_and_did_not_is_found_out_by_the_canary() -> None:
    with World() as world:
        kid = with_a_new_standby_key(world)
        before = promotions(world)
        world.endpoint.replaces = {"jwks": {"keys": world.registered()}}

        def lying(asked: Asked, answer: Answer) -> Answer:
            is_put = asked.method == "PUT"
            return with_members(answer, jwks=asked.members["jwks"]) if is_put else answer

        world.endpoint.instead = lying
        assert did(world)[-1:] == [("add", "")]
        world.live_on(4 * DAY)
        assert (world.standby().kid, promotions(world)) == (kid, before)
        assert 1 < upload(world, kid).asked <= MOST_ASKED


def test_rule_10_a_revoked_key_is_out_of_the_server_s_set_with_the_next_run() -> None:
    with World() as world:
        with_a_new_standby_key(world)
        world.live_on(2 * HOUR)
        stolen = world.active().kid
        world.rotation().revoke(stolen, "it was stolen")
        world.get_token()
        assert stolen in {key["kid"] for key in world.registered()}
        world.now += QUARTER
        assert ("remove", "") in did(world)
        world.get_token()
        assert world.registered() == world.wanted()
        assert stolen not in {key["kid"] for key in world.registered()}
        assert upload(world, stolen).ended_at is not None


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=400, body={"error": "unknown_key"}),
        Answer(status=503),
        Answer(body={"client_id": "another"}),
    ],
    ids=["its word for it", "busy", "no answer of ours"],
)
def test_rule_10_a_removed_key_is_ended_by_the_server_s_own_set_and_nothing_else(
    fault: Answer,
) -> None:
    with World() as world:
        with_a_new_standby_key(world)
        world.live_on(2 * HOUR)
        stolen = world.active().kid
        world.rotation().revoke(stolen, "it was stolen")
        world.endpoint.before = lambda asked: fault if asked.method == "PUT" else None
        world.live_on(2 * HOUR)
        known = upload(world, stolen)
        assert known.ended_at is None
        assert known.code in {"refused", "temporarily_unavailable", "invalid_response"}
        world.endpoint.behave()
        world.live_on(2 * HOUR)
        assert upload(world, stolen).ended_at is not None
        assert world.registered() == world.wanted()


def while_asked(world: World, method: str, act: Callable[[], object]) -> None:
    """Have something happen once, between the decision to send and the server."""

    def meddle(moment: Literal["before", "after"], call: str) -> None:
        if moment == "before" and call.startswith(method):
            world.meddler = None
            act()

    world.meddler = meddle


def test_rule_10_of_two_runs_the_later_put_with_the_older_set_brings_no_revoked_key_back() -> None:
    with World() as world:
        kid = with_a_new_standby_key(world)
        stolen = world.active().kid
        ends: list[str] = []

        def overtaken() -> None:
            world.rotation().revoke(stolen, "it was stolen")
            ends.extend(code for _, code in did(world))

        while_asked(world, "PUT", overtaken)
        assert ("add", "outdated") in did(world)
        assert set(ends) == {""}
        assert stolen in {key["kid"] for key in world.registered()}, "the older set came last"
        assert upload(world, kid).code == "outdated"
        world.now += QUARTER
        did(world)
        assert world.registered() == world.wanted()
        assert stolen not in {key["kid"] for key in world.registered()}
        world.get_token()


def test_a_registration_of_another_client_under_the_name_is_told() -> None:
    with World() as world:
        world.begin()
        world.client_id = "client-of-yesterday"
        assert did(world) == [("add", "another_client")] * 2


def test_before_the_client_is_registered_nothing_is_asked() -> None:
    with World() as world:
        world.tick()
        assert did(world) == [("add", "not_registered")] * 2
        assert world.endpoint.requests == []


def test_rule_8_what_is_put_is_the_published_set_and_no_member_more() -> None:
    with World() as world:
        world.begin()
        world.bring()
        put = next(each for each in world.endpoint.requests if each.method == "PUT")
        assert put.members["jwks"] == {"keys": world.wanted()}
        assert {thumbprint(key) for key in put.members["jwks"]["keys"]} == {
            key.kid for key in world.keyring().published
        }
        assert put.members["scope"] == "read", "the rest stays as it was registered"
