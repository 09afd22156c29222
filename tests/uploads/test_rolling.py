"""Certificates at Entra that roll by themselves: rules 1, 2, 3, 5, 8 and 10 over uploads."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from local.disturbances import Disturbance, LoseAnswer, Refuse
from local.graph_errors import GraphFault
from local.registrations import GRAPH
from machine_identity import commands
from machine_identity.certificate import thumbprint
from machine_identity.testimony import Certified, Testimony, Upload
from machine_identity.uploads import LEFT_BEHIND
from tests.uploads.token_function import POLICY, QUARTER
from tests.uploads.world import World

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def upload(world: World, kid: str) -> Upload:
    return next(each for each in world.testimony().uploads if each.kid == kid)


def did(world: World) -> list[tuple[str, str]]:
    return [(each.did, each.code) for each in world.bring()]


def copies(world: World, name: str) -> int:
    """Return how often a certificate is registered."""
    return world.registered().count(name)


@pytest.mark.parametrize("propagation", [timedelta(0), timedelta(minutes=2), 2 * HOUR])
def test_certificates_roll_for_days_and_not_one_token_is_refused(propagation: timedelta) -> None:
    with World(can_list=True, propagation=propagation) as world:
        world.begin()
        world.live_on(5 * DAY)
        assert world.taken().count("Promote") >= 9
        assert world.tokens == 5 * 24 * 4
        world.prove()
        assert world.registered() == world.wanted()


def test_without_the_right_to_list_only_what_an_administrator_registered_is_left() -> None:
    with World() as world:
        world.begin()
        world.tick()
        first = world.active()
        world.live_on(2 * DAY)
        world.prove()
        left = [each for each in world.registered() if each not in world.wanted()]
        assert left == [first.thumbprint]
        assert upload(world, first.kid).code == LEFT_BEHIND


def test_before_the_administrator_acts_there_is_a_certificate_and_nothing_is_registered() -> None:
    with World() as world:
        world.tick()
        assert did(world) == [("certify", ""), ("certify", ""), ("add", "misconfigured")]
        assert did(world) == [("list", "misconfigured")]
        world.now += QUARTER
        world.tick()
        assert did(world) == [("add", "invalid_client")]
        assert world.registered() == []
        world.administrate()
        world.now += HOUR
        assert ("add", "") in did(world)
        assert did(world) == []
        assert len(world.registered()) == 2


LOST: list[Disturbance] = [LoseAnswer(), LoseAnswer(fault=GraphFault.BUSY)]


def with_a_new_standby_key(world: World) -> str:
    """Live until there is a standby key that nobody was shown yet."""
    world.begin()
    world.tick()
    world.prove()
    known = world.standby().kid
    while world.standby().kid == known:
        world.live_on(QUARTER)
    return world.standby().kid


@pytest.mark.parametrize("lost", LOST, ids=["cut", "503"])
@pytest.mark.parametrize("can_list", [True, False])
def test_rule_5_a_lost_answer_is_settled_and_the_key_registered_once(
    lost: Disturbance, *, can_list: bool
) -> None:
    with World(can_list=can_list) as world:
        kid = with_a_new_standby_key(world)
        world.server.graph.disturb(lost)
        assert did(world)[1:] == [("add", "temporarily_unavailable")]
        assert did(world) == []
        asked = upload(world, kid)
        assert (asked.asked, asked.added_at, asked.key_id) == (1, None, "")
        world.live_on(6 * HOUR)
        assert copies(world, world.standby().thumbprint) == 1
        assert world.standby().kid == kid
        settled = upload(world, kid)
        assert settled.added_at is not None
        assert bool(settled.key_id) is can_list
        name = world.standby().thumbprint
        world.live_on(2 * DAY)
        assert copies(world, name) == (0 if can_list else 1)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (GraphFault.THROTTLED, "throttled"),
        (GraphFault.FORBIDDEN, "forbidden"),
        (GraphFault.UNKNOWN_APPLICATION, "unknown_application"),
        (GraphFault.CREDENTIAL, "invalid_request"),
        (GraphFault.BAD_TOKEN, "invalid_token"),
    ],
)
def test_a_refusal_is_written_down_and_asked_about_again_after_a_pause(
    fault: GraphFault, code: str
) -> None:
    with World() as world:
        kid = with_a_new_standby_key(world)
        world.server.graph.disturb(Refuse(fault=fault))
        assert did(world)[1:] == [("add", code)]
        assert upload(world, kid).code == code
        world.now += QUARTER - timedelta(seconds=1)
        assert did(world) == []
        world.now += timedelta(seconds=1)
        assert did(world) == [("add", "")]
        known = upload(world, kid)
        assert (known.failures, known.failed_at, known.code) == (0, None, "")
        assert known.key_id


def test_a_proof_is_tried_with_either_audience_that_microsoft_s_texts_have() -> None:
    with World(proof_audience=GRAPH.client_id) as world:
        kid = with_a_new_standby_key(world)
        assert did(world)[1:] == [("add", "proof_refused")]
        world.now += QUARTER
        assert did(world) == [("add", "")]
        assert upload(world, kid).key_id


def test_a_certificate_that_somebody_removed_is_brought_again_after_a_day_and_not_before() -> None:
    with World(policy=replace(POLICY, rotation_interval=2 * DAY)) as world:
        kid = with_a_new_standby_key(world)
        world.live_on(HOUR)
        name, known = world.standby().thumbprint, upload(world, kid)
        assert known.asked_at is not None
        world.server.graph.directory.remove(world.app, known.key_id, world.now)
        while copies(world, name) == 0:
            world.live_on(QUARTER)
        assert DAY <= world.now - known.asked_at < DAY + 7 * HOUR
        world.live_on(DAY)
        assert (world.active().kid, upload(world, kid).asked) == (kid, 2)


def test_status_tells_how_far_each_key_has_come_at_each_server() -> None:
    with World(can_list=True) as world:
        kid = with_a_new_standby_key(world)
        world.server.graph.disturb(Refuse(fault=GraphFault.FORBIDDEN))
        world.bring()
        answer = commands.answer(world.rotation(), {"command": "status"}, lambda _: POLICY)
        rows = {each["kid"]: each for each in answer["uploads"]}
        told = {"client": "default", "asked_at": None, "added_at": None, "ended_at": None}
        assert rows[kid] == {"kid": kid, **told, "code": "forbidden"}
        assert rows[world.active().kid]["added_at"] is not None


def test_rule_10_a_revoked_key_s_certificate_is_removed_by_the_proof_of_its_successor() -> None:
    with World(can_list=True) as world:
        with_a_new_standby_key(world)
        world.live_on(2 * HOUR)
        stolen = world.active()
        notes = world.rotation().revoke(stolen.kid, "it was stolen").notes
        assert "no client has had a token" not in str(notes)
        world.get_token()
        assert copies(world, stolen.thumbprint) == 1
        world.now += QUARTER
        world.bring()
        world.get_token()
        assert copies(world, stolen.thumbprint) == 0


@pytest.mark.parametrize("can_list", [True, False])
def test_rule_10_revoke_names_the_credentials_that_are_not_ours(*, can_list: bool) -> None:
    with World(can_list=can_list) as world:
        with_a_new_standby_key(world)
        foreign = world.register_foreign_key()
        world.live_on(DAY)
        notes = world.rotation().revoke(world.active().kid, "it was stolen").notes
        said = [note for note in notes if "credentials that are not ours" in note]
        assert len(said) == 1
        assert (foreign in said[0]) is can_list
        assert ("its server does not tell us" in said[0]) is not can_list


def test_rule_8_what_somebody_else_put_into_the_evidence_is_neither_shown_nor_named() -> None:
    with World() as world:
        kid = with_a_new_standby_key(world)
        stranger = world.foreign_certificate()

        def forged(told: Testimony) -> Testimony:
            made = Certified(kid=kid, der=base64.b64encode(stranger).decode())
            return replace(told, certificates=(*told.certificates, made))

        world.write_testimony(forged)
        world.tick()
        assert world.standby().thumbprint == ""
        assert did(world) == [("certify", ""), ("add", "")]
        assert thumbprint(stranger) not in world.registered()


def test_a_keyring_that_was_lost_is_rebuilt_with_the_certificates_that_were_made() -> None:
    with World(can_list=True) as world:
        with_a_new_standby_key(world)
        world.live_on(2 * HOUR)
        names = world.wanted()
        world.state.delete("default/keyring.json")
        world.tick()
        world.get_token()
        assert world.wanted() == names
        world.live_on(2 * DAY)
        world.prove()
        world.tick()
        assert world.registered() == world.wanted()
