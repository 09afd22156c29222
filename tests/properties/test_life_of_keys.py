"""Whole lives of keys in which anything may happen, and the promise at every instant of them.

The machine is worth as much as what it finds: contracts that are broken on purpose, each in one
term of one inequality, are lived through by the same machine, and must not survive it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from machine_identity.policy import Policy
from tests import broken_contracts as contracts
from tests.deep import IS_DEEP
from tests.properties import acts, harms
from tests.properties.acts import HOUR, MINUTE, SETTINGS
from tests.properties.plots import Event, lived, lives, shortened
from tests.properties.processes import crew
from tests.properties.promise import NOTHING, SECOND, Tally

LIVES = 1_500 if IS_DEEP else 100
UNTIL_FOUND = 1_000
NUMBERS = st.integers(0, len(SETTINGS) - 1)
EDGES = st.sampled_from([NOTHING, 10 * MINUTE])
WALK = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],  # see ``plots.shortened``
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

type Count = Callable[[str, str], None]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for the runs that stand still, which end with the test."""
    with crew() as made:
        yield made


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """What the code warns of is not what is looked at, and a run makes millions of lines."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def walked(
    policy: Policy, events: Sequence[Event], tally: Tally, threads: ThreadPoolExecutor
) -> None:
    """Live through a life; one that breaks the promise is told as short as it can be."""
    broken: dict[int, AssertionError] = {}

    def fails(some: Sequence[Event]) -> bool:
        try:
            lived(policy, some, tally, threads)
        except AssertionError as error:
            broken[len(some)] = error
            return True
        return False

    if fails(events):
        story = shortened(events, fails)
        raise AssertionError(f"{policy}\n{story}\n{broken[len(story)]}") from None


def test_every_assertion_is_accepted_by_every_provider_at_every_instant_of_its_life(
    record_property: Count, threads: ThreadPoolExecutor
) -> None:
    tally = Tally()

    @settings(WALK, max_examples=LIVES)
    @given(NUMBERS, EDGES, lives({**acts.USUAL, **harms.HARMS}, 20, 100))
    def check(number: int, edge: timedelta, events: list[Event]) -> None:
        walked(acts.policy(number, edge), events, tally, threads)

    check()
    record_property("counted", str(tally))
    assert min(tally.promotions, tally.withdrawals, 5 * tally.rebuilds) > LIVES, tally


@pytest.mark.parametrize(
    "kind",
    [
        contracts.NaivePolicy,
        contracts.NoOriginPolicy,
        contracts.NoEdgePolicy,
        contracts.NoCachePolicy,
        contracts.NoRetirementPolicy,
    ],
)
def test_a_contract_that_forgets_a_term_of_its_sum_is_found_out(
    kind: type[Policy], record_property: Count, threads: ThreadPoolExecutor
) -> None:
    tally = Tally()

    @settings(WALK, max_examples=UNTIL_FOUND, derandomize=True)
    @given(NUMBERS, EDGES, lives(dict.fromkeys(acts.CALM, 1), 20, 60))
    def check(number: int, edge: timedelta, events: list[Event]) -> None:
        lived(acts.policy(number, edge, kind), events, tally, threads)

    with pytest.raises(AssertionError, match=r"lacks|gone from the set|refuses"):
        check()
    record_property("counted", f"found after {tally}")


# What the machine found, as stories

UNTIL_A_ROLLOVER = (
    Event(act=acts.live),
    Event(act=acts.prove, after="due", shift=-30 * MINUTE),
    Event(act=acts.prove, after="due", shift=-10 * MINUTE),
)
A_ROLLOVER = (*UNTIL_A_ROLLOVER, Event(act=acts.tick, after="due"))
LOST = Event(act=harms.lose_the_keyring)
CLOCK_BEHIND = 2
OTHER_ALGORITHM = Event(act=acts.change_settings, dial=2)


def told(
    threads: ThreadPoolExecutor, *events: Event, number: int = 0, kind: type[Policy] = Policy
) -> None:
    lived(acts.policy(number, NOTHING, kind), events, Tally(), threads)


LONG_MAX_AGE, SHORT_CACHE = 24, 36
AT_ONCE = (Event(act=acts.rotate, after=HOUR), Event(act=acts.tick, after="due"))


@pytest.mark.parametrize(
    ("kind", "number", "events"),
    [
        pytest.param(
            contracts.NoSkewPolicy,
            0,
            [
                *UNTIL_A_ROLLOVER,
                Event(act=acts.tick, after="due", shift=MINUTE, dial=CLOCK_BEHIND),
                *AT_ONCE,
            ],
            id="skew",
        ),
        pytest.param(
            contracts.NoMaxAgePolicy,
            LONG_MAX_AGE,
            [*UNTIL_A_ROLLOVER, Event(act=acts.change_settings), A_ROLLOVER[-1], *AT_ONCE],
            id="longest max-age",
        ),
        pytest.param(
            contracts.NoSignerPolicy,
            SHORT_CACHE,
            [
                *A_ROLLOVER,
                Event(act=acts.thaw, after="due", shift=-SECOND),
                Event(act=acts.tick, after="due"),
            ],
            id="signer's bound",
        ),
    ],
)
def test_the_same_life_holds_the_promise_only_under_the_whole_sum(
    kind: type[Policy], number: int, events: list[Event], threads: ThreadPoolExecutor
) -> None:
    told(threads, *events, number=number)
    with pytest.raises(AssertionError, match=r"lacks|gone from the set|refuses"):
        told(threads, *events, number=number, kind=kind)


def test_rule_1_a_standby_key_edited_out_where_no_probe_saw_it_waits_anew(
    threads: ThreadPoolExecutor,
) -> None:
    told(
        threads,
        *UNTIL_A_ROLLOVER,
        Event(act=harms.edit_a_document, after="due", shift=-MINUTE, dial=1),
        Event(act=acts.tick_that_sees_a_copy, after="due"),
    )


def test_rule_1_a_first_key_waits_if_another_was_published_before_it(
    threads: ThreadPoolExecutor,
) -> None:
    told(
        threads,
        Event(act=acts.tick_that_cannot_see),
        OTHER_ALGORITHM,
        Event(act=harms.delete_a_document, dial=1),
        Event(act=acts.tick),
    )


def test_rule_9_after_a_lost_keyring_nobody_falls_back_to_a_key_that_caches_do_not_know(
    threads: ThreadPoolExecutor,
) -> None:
    told(threads, *A_ROLLOVER, LOST)


def test_rule_3_after_a_lost_keyring_no_key_that_may_have_signed_is_discarded(
    threads: ThreadPoolExecutor,
) -> None:
    told(threads, *A_ROLLOVER, OTHER_ALGORITHM, LOST)
