"""What should not happen to certificates at Entra, and does: rules 3, 5, 6, 8, 9 and 10."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import pytest

from local.disturbances import LoseAnswer
from machine_identity.errors import TokenRequestError
from machine_identity.keyring import State
from machine_identity.testimony import Certified, Testimony, Upload
from tests.uploads.token_function import POLICY, QUARTER
from tests.uploads.world import SCOPE, World

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def world() -> Iterator[World]:
    """A world in which keys have rolled over once, and a new standby key is to be brought."""
    with World(can_list=True) as made:
        made.begin()
        made.tick()
        made.prove()
        known = made.standby().kid
        while made.standby().kid == known:
            made.live_on(QUARTER)
        yield made


def check_registrations(world: World) -> None:
    """Assert that the application has each certificate once, and no other."""
    while not all(world.wanted()):
        world.live_on(QUARTER)
    world.prove()
    assert world.registered() == world.wanted()


def names(world: World) -> dict[str, str]:
    return {key.kid: key.thumbprint for key in world.keyring().published if key.thumbprint}


def test_rule_6_a_keyring_that_was_rolled_back_costs_no_key_its_certificate(world: World) -> None:
    old = world.state.documents["default/keyring.json"]
    world.live_on(26 * HOUR)
    before, told = names(world), world.testimony()
    world.state.documents["default/keyring.json"] = old
    world.bring()  # a token function just started, and quicker than rotation
    assert world.testimony().certificates == told.certificates
    assert world.testimony().uploads == told.uploads
    world._rings.clear()  # noqa: SLF001 - the world takes a lower revision for a fault of ours
    world.tick()
    assert before.items() <= names(world).items()
    world.get_token()
    world.live_on(DAY)
    check_registrations(world)


def test_rule_5_evidence_that_was_rolled_back_costs_no_token_and_leaves_nothing_behind(
    world: World,
) -> None:
    old = world.state.documents["default/evidence.json"]
    world.live_on(12 * HOUR)
    world.state.documents["default/evidence.json"] = old
    world.live_on(3 * DAY)
    check_registrations(world)


def test_rule_8_evidence_that_somebody_broke_costs_no_token(world: World) -> None:
    other = world.foreign_certificate()
    before = names(world)

    def forged(told: Testimony) -> Testimony:
        swapped = [each.der for each in reversed(told.certificates)]
        made = (
            Certified(kid=each.kid, der=der)
            for each, der in zip(told.certificates, swapped, strict=True)
        )
        upload = Upload(
            client="default",
            kid=world.standby().kid,
            registration=world.client.registration,
            asked_at=world.now + 1000 * DAY,
            asked=2**61,
            key_id="../../applications",
            failed_at=world.now + 1000 * DAY,
            failures=2**61,
        )
        strange = Certified(kid="strange", der=base64.b64encode(other).decode())
        return replace(told, certificates=(*made, strange), uploads=(upload,))

    world.write_testimony(forged)
    world.live_on(QUARTER)
    after = names(world)
    assert {kid: after.get(kid, name) for kid, name in before.items()} == before
    world.state.documents["default/evidence.json"] = replace(
        world.state.documents["default/evidence.json"], body=b"{"
    )
    world.live_on(3 * DAY)
    check_registrations(world)


def test_a_clock_that_was_ahead_for_one_run_stops_nothing_for_long(world: World) -> None:
    world.now += 365 * DAY
    assert [each.code for each in world.bring()] == ["", "invalid_client"]
    world.now -= 365 * DAY
    world.live_on(HOUR)
    assert world.standby().thumbprint in world.registered()
    world.live_on(2 * DAY)
    check_registrations(world)


def test_rule_5_two_clients_at_one_application_have_each_certificate_registered_once(
    world: World,
) -> None:
    clients = [world.client, replace(world.client, name="billing")]
    for _ in range(3 * 24 * 4):
        world.now += QUARTER
        world.hand().work(clients)
        world.prove()
        world.tick()
        world.get_token()
    check_registrations(world)


def test_rule_3_a_certificate_is_removed_only_when_nothing_that_it_signed_can_be_valid(
    world: World,
) -> None:
    removed: list[str] = []

    def watch(moment: Literal["before", "after"], call: str) -> None:
        if (moment, call) != ("before", "POST removeKey"):
            return
        ring = world.keyring()
        for key in ring.in_state(State.REMOVED):
            signed_until = world._retired_at[key.kid]  # noqa: SLF001 - as the world saw it
            assert world.now >= signed_until + world.times.retirement
            removed.append(key.kid)

    world.meddler = watch
    world.live_on(3 * DAY)
    assert len(set(removed)) >= 3


def test_rule_9_the_previous_key_still_has_its_certificate_when_the_active_one_s_is_gone(
    world: World,
) -> None:
    while world.keyring().previous(world.now) is None:
        world.live_on(QUARTER)
    active, previous = world.active(), world.keyring().previous(world.now)
    assert previous is not None
    assert previous.thumbprint in world.registered()
    held = world.server.graph.directory.keys(world.app, world.now + DAY)
    gone = next(each for each in held if each.names["x5t#S256"] == active.thumbprint)
    world.server.graph.directory.remove(world.app, gone.key_id, world.now)
    world.now += QUARTER
    world.source().get(world.client, SCOPE)
    assert world.server.decisions[-1].fault is None
    world.rotation().revoke(world.standby().kid, "by mistake")
    kid = world.standby().kid
    for _ in range(8):  # two audiences and two keys, each after a pause
        world.prove()
        world.tick()
        world.now += QUARTER
    assert world.standby().kid == kid
    assert world.standby().thumbprint in world.registered()


def test_rule_10_without_a_registered_standby_key_a_revocation_needs_the_administrator() -> None:
    with World(can_list=True) as world:
        world.begin()
        world.tick()
        stolen, unknown = world.active(), world.standby()
        notes = world.rotation().revoke(stolen.kid, "it was stolen").notes
        assert f"no client has had a token with {unknown.kid}: bring it to the server" in str(
            notes
        )
        assert world.active().kid == unknown.kid
        with pytest.raises(TokenRequestError):
            world.source().get(world.client, SCOPE)
        world.administrate()
        world.now += QUARTER
        world.live_on(2 * DAY)
        world.prove()
        assert world.registered() == world.wanted()


def test_rule_5_a_lost_answer_of_a_key_revoked_at_once_leaves_nothing_behind(
    world: World,
) -> None:
    kid = world.standby().kid
    world.server.graph.disturb(LoseAnswer())
    assert [each.did for each in world.bring()] == ["certify", "add"]
    world.rotation().revoke(kid, "by mistake")
    world.bring()
    world.live_on(DAY)
    check_registrations(world)


def test_a_deployment_goes_from_fetched_to_uploaded_and_back_and_no_token_is_refused() -> None:
    fetched = replace(POLICY, uploads=False)
    with World(can_list=True, policy=fetched) as world:
        world.begin()
        world.tick()
        for policy in (fetched, POLICY, fetched, POLICY):
            world.policy = policy
            world.live_on(DAY)
        assert world.taken().count("Promote") >= 7
        world.prove()
        assert world.registered() == world.wanted()
