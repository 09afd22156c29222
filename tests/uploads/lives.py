"""Rule 5: lives of a token function that may die once, before or after any call to the outside.

One life is a rollover or two. At every quarter of an hour a token is asked for, and must be had.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from tests.deep import IS_DEEP
from tests.uploads.token_function import QUARTER, World

EACH, OF_CHANGES = (1, 1) if IS_DEEP else (97, 4)
"""Of the calls that leave a mark, and of the others, how many are tried."""
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


def strikes(
    calls: list[str], changes: Collection[str], *, each: int = EACH, of_changes: int = OF_CHANGES
) -> list[Strike]:
    """Return those to be tried: round ``changes``, which leave a mark, and some of the others."""
    numbered = list(enumerate(calls))
    chosen = [one for one in numbered if one[1] in changes][::of_changes]
    chosen += [one for one in numbered if one[1] not in changes][::each]
    return [
        Strike(number=number, moment=moment, call=call)
        for number, call in chosen
        for moment in ("before", "after")
    ]
