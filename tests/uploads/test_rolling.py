"""Certificates at Entra that roll by themselves: rules 1, 2, 3, 5, 8 and 10 over uploads."""

from datetime import timedelta

import pytest

from machine_identity.testimony import Upload
from tests.uploads.world import World

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def upload(world: World, kid: str) -> Upload:
    return next(each for each in world.testimony().uploads if each.kid == kid)


def did(world: World) -> list[tuple[str, str]]:
    return [(each.did, each.code) for each in world.bring()]


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
        first = world.active().thumbprint
        world.live_on(3 * DAY)
        world.prove()
        left = [each for each in world.registered() if each not in world.wanted()]
        assert len(left) == 1
        assert first in {"", left[0]}


def test_before_the_administrator_acts_there_is_a_certificate_and_nothing_is_added() -> None:
    with World() as world:
        world.tick()
        assert did(world)[:2] == [("certify", ""), ("certify", "")]
        assert did(world) == [("list", "invalid_client")]
        world.administrate()
        world.now += HOUR
        world.tick()
        assert ("add", "") in did(world)
