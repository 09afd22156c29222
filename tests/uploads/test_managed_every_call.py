"""Rule 5 over RFC 7592: the token function dies round any call, and the next run finishes it.

Where each PUT ends the registration's token, one death cannot be mended by any order of writes:
with the only answer that had the next one. Then no token is refused all the same, nothing
switches to a key that the server lacks, and one ``adopt`` of an operator's mends it.
"""

from collections.abc import Callable

import pytest

from machine_identity.client_registration.answers import Failure
from tests.uploads.lives import QUARTERS, Life, Strike, strikes
from tests.uploads.managed import World
from tests.uploads.token_function import QUARTER

ROLLOVERS = 1


def is_change(call: str) -> bool:
    """Whether a call leaves a mark."""
    return call in {"token.write", "secret.write"} or call.startswith("PUT ")


def lived(strike: Strike | None, *, rotates: bool) -> tuple[Life, bool]:
    """Return a life after which the server has the published set, and whether people mended it."""
    with World() as world:
        world.endpoint.rotates = frozenset({"PUT"}) if rotates else frozenset()
        life = Life(world, ROLLOVERS, strike)
        life.live()
        codes = {each.code for each in world.testimony().uploads}
        is_lost = Failure.INVALID_TOKEN in codes
        if is_lost:
            world.adopt()
            world.live_on(QUARTERS * QUARTER)
        world.prove()
        assert world.registered() == world.wanted(), strike
        assert world.taken().count("Promote") == 1 + ROLLOVERS, strike
        assert all(
            each.ended_at is not None or each.added_at is not None
            for each in world.testimony().uploads
        ), strike
        return life, is_lost


@pytest.mark.parametrize("rotates", [False, True], ids=["token stays", "token rotates"])
def test_rule_5_wherever_the_token_function_dies_the_server_has_the_published_set_in_the_end(
    record_property: Callable[[str, str], None], *, rotates: bool
) -> None:
    whole, is_lost = lived(None, rotates=rotates)
    assert not is_lost
    changes = {call for call in whole.calls if is_change(call)}
    assert len(changes) == 3
    planned = strikes(whole.calls, changes)
    mended = [strike for strike in planned if lived_struck(strike, rotates=rotates)]
    assert bool(mended) is rotates
    assert all(is_between_answer_and_store(strike) for strike in mended)
    record_property("counted", f"{len(planned)} lives of {len(whole.calls)} calls, none refused")


def lived_struck(strike: Strike, *, rotates: bool) -> bool:
    life, is_lost = lived(strike, rotates=rotates)
    assert life.is_struck, strike
    return is_lost


def is_between_answer_and_store(strike: Strike) -> bool:
    return (strike.call.startswith("PUT ") and strike.moment == "after") or (
        strike.call == "secret.write" and strike.moment == "before"
    )
