"""Rule 5 over uploads: the token function dies round any call, and the next run finishes it.

A standby key is certified and registered, takes over, and the old key's certificate is removed;
that of the very first, which an administrator brought, only by who may list it.
"""

from collections.abc import Callable

import pytest

from tests.uploads.lives import Life, Strike, strikes
from tests.uploads.world import World

CHANGES = frozenset({"token.write", "POST addKey", "POST removeKey"})
"""The calls that leave a mark; round these it dies, and round some of the others."""


def lived(strike: Strike | None, *, can_list: bool) -> tuple[Life, list[str], list[str]]:
    """Return a life, and what is registered in the end beside what is wanted."""
    rollovers = 1 if can_list else 2
    with World(can_list=can_list) as world:
        life = Life(world, rollovers, strike)
        life.live()
        assert world.taken().count("Promote") == 1 + rollovers
        return life, world.registered(), world.wanted()


@pytest.mark.parametrize("can_list", [True, False])
def test_rule_5_wherever_the_token_function_dies_every_key_is_registered_once_and_none_is_left(
    record_property: Callable[[str, str], None], *, can_list: bool
) -> None:
    whole, registered, wanted = lived(None, can_list=can_list)
    assert set(whole.calls) >= CHANGES
    left = set(registered) - set(wanted)
    assert len(left) == (0 if can_list else 1), "what an administrator brought"
    planned = strikes(whole.calls, CHANGES)
    for strike in planned:
        life, registered, wanted = lived(strike, can_list=can_list)
        assert life.is_struck, strike
        assert len(registered) == len(set(registered)), strike
        assert set(wanted) <= set(registered), strike
        more = set(registered) - set(wanted)
        assert len(more) <= (0 if can_list else 2), strike
    record_property("counted", f"{len(planned)} lives of {len(whole.calls)} calls, none refused")
