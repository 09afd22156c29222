"""Every order in which two runs, a signer and a caching provider can act, to a fixed depth.

A run may die at each of its calls: wherever all of them die, three ticks put everything in order.
The exploration is worth what it finds: cores that are broken on purpose must not survive it.
"""

from collections.abc import Callable

import pytest

from tests import broken_contracts
from tests.deep import IS_DEEP, deep
from tests.model import broken
from tests.model.answering import Outside
from tests.model.beginnings import (
    Beginning,
    genesis,
    request,
    revoke,
    rollover,
    rotate,
    tick,
    unpublished,
    withdrawal,
)
from tests.model.broken import Break
from tests.model.calls import Command
from tests.model.exploration import BrokenPromiseError, Count, Explorer
from tests.world import POLICY

TO_THE_END = 1_000
"""More moves than there are in two runs and the time round them."""
UNTIL_FOUND = 30
WHAT_HAPPENS: dict[Beginning, set[str]] = {
    genesis: {"Intend", "CreateKey", "AdoptKey", "Publish", "Promote"},
    rollover: {"Promote", "Intend", "CreateKey", "Publish"},
    unpublished: {"Publish", "Withdraw"},
    request: {"Withdraw", "Promote", "Publish"},
    withdrawal: {"Withdraw", "Publish", "Disable", "Promote"},
}
"""Steps that some run must take in an exploration that is worth anything."""
BEGINNINGS = [*WHAT_HAPPENS]
IN_USE = [rollover, request, withdrawal]

type Record = Callable[[str, str], None]

every_beginning = pytest.mark.parametrize("beginning", BEGINNINGS)


def explored(explorer: Explorer, beginning: Beginning, depth: int, record: Record) -> Count:
    """Explore, let all runs die wherever they can, and tell what was visited."""
    count = explorer.explore(beginning(explorer.outside), depth=depth)
    recovered = explorer.recover(tick)
    record("counted", f"{count}; {explorer.races_lost} races lost, {recovered} deaths recovered")
    return count


@every_beginning
def test_the_promise_holds_in_every_order_of_two_runs_a_signer_and_a_provider(
    beginning: Beginning, record_property: Record
) -> None:
    explorer = Explorer(tick, rotate, outside=Outside(policy=POLICY))
    explored(explorer, beginning, 22 if IS_DEEP else 17, record_property)
    assert explorer.taken >= WHAT_HAPPENS[beginning]
    assert explorer.races_lost, "no run ever came between"


@pytest.mark.parametrize("beginning", BEGINNINGS if IS_DEEP else [rollover, unpublished])
def test_the_promise_holds_behind_a_cdn(beginning: Beginning, record_property: Record) -> None:
    explorer = Explorer(tick, rotate, outside=Outside(policy=POLICY, has_cdn=True))
    explored(explorer, beginning, 18 if IS_DEEP else 13, record_property)


@pytest.mark.parametrize("beginning", IN_USE if IS_DEEP else [rollover])
def test_rule_10_a_revocation_and_another_run_break_nothing_between_them(
    beginning: Beginning, record_property: Record
) -> None:
    explorer = Explorer(tick, revoke, outside=Outside(policy=POLICY))
    explored(explorer, beginning, 22 if IS_DEEP else 17, record_property)
    assert "Revoke" in explorer.taken
    assert explorer.races_lost, "no run ever came between"


@deep
@every_beginning
def test_the_promise_holds_in_two_ticks_until_nothing_is_left_to_visit(
    beginning: Beginning, record_property: Record
) -> None:
    explorer = Explorer(tick, outside=Outside(policy=POLICY))
    assert explored(explorer, beginning, TO_THE_END, record_property).is_exhausted


@deep
@every_beginning
def test_the_promise_holds_where_time_passes_within_runs(
    beginning: Beginning, record_property: Record
) -> None:
    explorer = Explorer(tick, outside=Outside(policy=POLICY), has_slow_runs=True)
    explored(explorer, beginning, 16, record_property)


@deep
@every_beginning
def test_the_promise_holds_where_each_call_is_a_move_of_its_own(
    beginning: Beginning, record_property: Record
) -> None:
    explorer = Explorer(tick, rotate, outside=Outside(policy=POLICY), is_every_call_one=True)
    explored(explorer, beginning, 24, record_property)


def found(
    outside: Outside, command: Command, beginning: Beginning, what: str, record: Record
) -> None:
    """Assert that a broken core is found out, and tell after how many moves."""
    explorer = Explorer(command, outside=outside)
    with pytest.raises(BrokenPromiseError, match=what) as error:
        explored(explorer, beginning, UNTIL_FOUND, lambda *_: None)
    record("counted", f"found in {error.value.moves} moves, among {len(explorer)} states")


def test_rule_1_who_signs_with_what_was_just_published_is_found_out(
    record_property: Record,
) -> None:
    outside = Outside(policy=broken.policy(broken_contracts.NaivePolicy))
    found(outside, rotate, unpublished, "the provider refuses what key 2", record_property)


def test_rule_1_who_forgets_that_an_origin_may_serve_an_old_copy_is_found_out(
    record_property: Record,
) -> None:
    outside = Outside(policy=broken.policy(broken_contracts.NoOriginPolicy))
    found(outside, rotate, unpublished, "the provider refuses what key 2", record_property)


def test_rule_1_who_looks_where_no_stranger_can_is_found_out(record_property: Record) -> None:
    outside = Outside(policy=POLICY, has_cdn=True, is_probe_past_it=True)
    found(outside, rotate, unpublished, "the provider refuses what key 2", record_property)


def test_rule_3_who_withdraws_a_key_as_soon_as_it_signs_no_more_is_found_out(
    record_property: Record,
) -> None:
    outside = Outside(policy=broken.policy(broken_contracts.NoRetirementPolicy))
    found(outside, tick, withdrawal, "a fetch now refuses what key 0", record_property)


@every_beginning
def test_rule_6_stores_without_compare_and_swap_are_found_out(
    beginning: Beginning, record_property: Record
) -> None:
    outside = Outside(policy=POLICY, has_compare_and_swap=False)
    lost = "a write of the keyring was lost|is retired, and not in the published set"
    found(outside, tick, beginning, lost, record_property)


@pytest.mark.parametrize(
    ("breaks", "beginning", "what"),
    [
        (broken.count_from_creation, unpublished, "the provider refuses what key 2"),
        (broken.create_again_at_once, genesis, "key 1 is an orphan"),
        (broken.read_the_keyring_first, rollover, "a keyring that nobody lost is written anew"),
    ],
)
def test_a_core_that_is_broken_in_one_thing_is_found_out(
    breaks: Break,
    beginning: Beginning,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    breaks(monkeypatch)
    command = rotate if beginning is unpublished else tick
    found(Outside(policy=POLICY), command, beginning, what, record_property)
