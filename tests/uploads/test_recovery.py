"""What an administrator does when no valid certificate is left, as the way to Entra says it."""

from datetime import timedelta

import pytest

from machine_identity.errors import InvalidClientError
from tests.uploads.token_function import QUARTER
from tests.uploads.world import SCOPE, World
from tests.world import TICK

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Lost(World):
    """A world with a few rollovers behind it, which can lose what is registered."""

    def begin(self) -> None:
        super().begin()
        self.live_on(DAY)

    def lose(self) -> None:
        directory = self.server.graph.directory
        for each in directory.keys(self.app, self.now + DAY):
            directory.remove(self.app, each.key_id, self.now - DAY)

    def go_on(self, duration: timedelta) -> None:
        """Let the schedules run, whether a token is to be had or not."""
        until = self.now + duration
        while self.now + TICK <= until:
            self.now += TICK
            self._prove_if_possible()
            self.rotation().tick()

    def is_refused(self) -> bool:
        try:
            self.source().get(self.client, SCOPE)
        except InvalidClientError:
            return True
        return False


def test_certificates_that_somebody_removed_are_healed_by_the_active_key_s_alone() -> None:
    with Lost() as world:
        world.begin()
        world.lose()
        assert world.is_refused()
        world.register(world.active())
        was = world.active().kid
        world.live_on(2 * DAY)
        assert world.active().kid != was


@pytest.mark.parametrize("is_standby_lapsed", [False, True])
def test_lapsed_ones_are_healed_by_the_standby_key_s(*, is_standby_lapsed: bool) -> None:
    with Lost() as world:
        world.begin()
        lapsed, young = world.active(), world.standby()
        assert lapsed.certificate_until is not None
        assert young.certificate_until is not None
        world.lose()
        last = young if is_standby_lapsed else lapsed
        world.now = (last.certificate_until or world.now) + QUARTER
        world.go_on(QUARTER)
        world.register(lapsed)
        assert world.is_refused()
        world.go_on(HOUR)
        heir = world.standby()
        assert (heir.kid != young.kid) is is_standby_lapsed
        world.register(heir)
        while world.is_refused():
            world.go_on(TICK)
            assert world.now < (heir.certificate_until or world.now)
        assert world.active().kid == heir.kid
