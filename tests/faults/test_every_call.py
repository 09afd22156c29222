"""A whole life of keys, repeated with something going wrong at each call to the outside."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest

from machine_identity import publication
from tests.deep import IS_DEEP
from tests.faults.audit import Tally
from tests.faults.broken import BROKEN, Broken
from tests.faults.exploring import KINDS, Explorer
from tests.faults.lives import CHANGES, Life
from tests.faults.timeline import TIMELINE, Act

FIRSTS, SECONDS = (1, 8) if IS_DEEP else (29, 1)
"""Of how many first strikes that may leave a mark one is tried, with how many second ones."""

type Count = Callable[[str, str], None]


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return Explorer()


def strained(tally: Tally) -> Life:
    life = Life(tally)
    life.strain()
    return life


def test_a_life_has_a_bootstrap_three_rollovers_a_revocation_and_the_end_of_every_other_key(
    explorer: Explorer,
) -> None:
    taken = explorer.undisturbed_steps
    assert [taken.count(each) for each in ("CreateKey", "Promote", "Revoke")] == [6, 4, 1]
    assert [taken.count(each) for each in ("Withdraw", "Disable", "Forget")] == [3, 4, 4]
    assert sum(each.act is Act.TICK for each in TIMELINE) < 80


def test_rule_5_whatever_call_goes_wrong_however_every_key_is_where_it_would_have_been(
    explorer: Explorer, record_property: Count
) -> None:
    met = set()
    for strike in explorer.every_way() if IS_DEEP else explorer.in_rotation():
        explorer.live(strike)
        met.add((explorer.call(strike), strike.kind))
    names = {call for calls in explorer.calls for call in calls}
    assert met == {(call, kind) for call in names for kind in KINDS}
    assert explorer.tally.emergencies == 0
    record_property("counted", explorer.counted())


def test_rule_5_whatever_goes_wrong_after_that(explorer: Explorer, record_property: Count) -> None:
    before = explorer.lives
    marking = [each for each in explorer.every_way() if explorer.call(each) in CHANGES]
    for pair in explorer.pairs(marking[::FIRSTS], SECONDS):
        explorer.live(*pair)
    for pair in explorer.pairs(islice(explorer.every_way(), 0, None, 2 * FIRSTS), 1):
        explorer.live(*pair)
    lives = explorer.lives - before
    record_property("counted", f"{lives} of {explorer.pairs_in_all} pairs of strikes")


def test_rule_5_at_a_kms_at_its_strictest_it_only_takes_longer(record_property: Count) -> None:
    explorer = Explorer(strained)
    for strike in islice(explorer.every_way(), 0, None, 5 if IS_DEEP else 41):
        explorer.live(strike)
    record_property("counted", explorer.counted())


def test_lives_that_have_become_alike_end_alike(explorer: Explorer) -> None:
    explorer.is_patient = True
    before = explorer.whole_lives
    for strike in islice(explorer.every_way(), 0, None, 61 if IS_DEEP else 307):
        explorer.live(strike)
    explorer.is_patient = False
    assert explorer.whole_lives > before


def test_the_audit_finds_a_provider_that_lacks_the_key_that_signs() -> None:
    life = Life(Tally())
    life.live(0, TIMELINE[0])
    key = publication.object_key("default", publication.JWKS_PATH)
    documents = life.world.published.documents
    documents[key] = replace(documents[key], body=b'{"keys": []}', tag="by hand")
    life.world.now += life.world.policy.key_set_cache
    with pytest.raises(AssertionError, match="a provider refuses"):
        life.audit.look()


@pytest.mark.parametrize("broken", BROKEN, ids=lambda each: each.patch.__name__)
def test_a_rotation_that_is_broken_in_one_place_is_found_out(
    broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.patch(monkeypatch)
    with pytest.raises(AssertionError, match=broken.found):
        _live_with(broken.call)


def _live_with(call: str) -> None:
    explorer = Explorer()
    for strike in explorer.every_way():
        if explorer.call(strike) == call:
            explorer.live(strike)
