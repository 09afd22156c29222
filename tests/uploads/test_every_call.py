"""Rule 5 over uploads: the token function dies round any call, and the next run finishes it.

One life is a rollover or two: a standby key is certified and registered, takes over, and the old
key's certificate is removed; that of the very first, which an administrator brought, only by who
may list it. At every quarter of an hour a token is asked for, and must be had.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import pytest

from tests.deep import IS_DEEP
from tests.uploads.world import QUARTER, World

CHANGES = frozenset({"token.write", "POST addKey", "POST removeKey"})
"""The calls that leave a mark; round these it dies, and round some of the others."""
EACH, OF_CHANGES = (1, 1) if IS_DEEP else (61, 2)
QUARTERS = 20
"""Of an hour: how long a rollover may take, with an hour for a lost answer."""


class DiedError(BaseException):
    """The process is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """Die before or after the nth call of the token function."""

    number: int
    moment: Literal["before", "after"]
    call: str


class Life:
    """So many rollovers, with at most one strike in them."""

    def __init__(self, world: World, rollovers: int, strike: Strike | None) -> None:
        self.world = world
        self.rollovers = rollovers
        self.strike = strike
        self.calls: list[str] = []
        self.is_struck = False

    def live(self) -> None:
        world = self.world
        world.begin()
        world.tick()
        self._prove()
        for number in range(self.rollovers * QUARTERS):
            if number % QUARTERS == 0:
                world.rotation().rotate(unsafe=False)
            world.now += QUARTER
            self._prove()
            world.tick()
            world.get_token()

    def _prove(self) -> None:
        self.world.meddler = self._meddle
        with suppress(DiedError):
            self.world.prove()
        self.world.meddler = None

    def _meddle(self, moment: Literal["before", "after"], call: str) -> None:
        if moment == "before":
            self.calls.append(call)
        strike = self.strike
        is_it = strike is not None and (len(self.calls) - 1, moment) == (
            strike.number,
            strike.moment,
        )
        if is_it and not self.is_struck:
            self.is_struck = True
            raise DiedError


def lived(strike: Strike | None, *, can_list: bool) -> tuple[Life, list[str], list[str]]:
    """Return a life, and what is registered in the end beside what is wanted."""
    rollovers = 1 if can_list else 2
    with World(can_list=can_list) as world:
        life = Life(world, rollovers, strike)
        life.live()
        assert world.taken().count("Promote") == 1 + rollovers
        return life, world.registered(), world.wanted()


def strikes(calls: list[str]) -> list[Strike]:
    numbered = list(enumerate(calls))
    chosen = [each for each in numbered if each[1] in CHANGES][::OF_CHANGES]
    chosen += [each for each in numbered if each[1] not in CHANGES][::EACH]
    return [
        Strike(number=number, moment=moment, call=call)
        for number, call in chosen
        for moment in ("before", "after")
    ]


@pytest.mark.parametrize("can_list", [True, False])
def test_rule_5_wherever_the_token_function_dies_every_key_is_registered_once_and_none_is_left(
    record_property: Callable[[str, str], None], *, can_list: bool
) -> None:
    whole, registered, wanted = lived(None, can_list=can_list)
    assert set(whole.calls) >= CHANGES
    left = set(registered) - set(wanted)
    assert len(left) == (0 if can_list else 1), "what an administrator brought"
    planned = strikes(whole.calls)
    for strike in planned:
        life, registered, wanted = lived(strike, can_list=can_list)
        assert life.is_struck, strike
        assert len(registered) == len(set(registered)), strike
        assert set(wanted) <= set(registered), strike
        more = set(registered) - set(wanted)
        assert len(more) <= (0 if can_list else 2), strike
    record_property("counted", f"{len(planned)} lives of {len(whole.calls)} calls, none refused")
