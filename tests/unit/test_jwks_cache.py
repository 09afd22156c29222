"""For how long a stranger's set is trusted, and when the stranger is asked again."""

import json
from collections.abc import Mapping
from copy import replace
from datetime import UTC, datetime, timedelta

import pytest

from machine_identity import jwks_cache
from machine_identity.jwks_cache import Action, Attempt, Cache, Limits, decide
from machine_identity.key_set import TrustedKey, parse
from tests.strangers import PRIVATE, ec_jwk, rsa_jwk

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_neither_a_key_nor_an_entity_tag_is_in_a_repr() -> None:
    shown = repr(jwks_cache.fetched(KEYS, NOW, max_age=None, etag='"secret"'))
    assert "secret" not in shown
    assert str(PRIVATE.public_key().public_numbers().n) not in shown
    assert "object at" not in shown


# Decisions

LIMITS = Limits()
KEYS: Mapping[str, TrustedKey] = parse(json.dumps({"keys": [rsa_jwk()]}).encode())
KEY = KEYS["r1"]
EMPTY = Cache()
HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
CERTAIN = 1 - 2**-53
"""The greatest that chance can be."""


def attempt(
    after: timedelta = timedelta(), *, took: timedelta = timedelta(), chance: float = 0
) -> Attempt:
    return Attempt(begun_at=NOW + after, ended_at=NOW + after + took, chance=chance)


def holding(keys: Mapping[str, TrustedKey], after: timedelta = timedelta()) -> Cache:
    return jwks_cache.fetched(keys, NOW + after, max_age=None, etag='"v1"')


def succeeded(
    cache: Cache,
    keys: Mapping[str, TrustedKey],
    after: timedelta,
    *,
    took: timedelta = timedelta(),
    chance: float = 0,
) -> Cache:
    """What comes after ``cache`` when these keys are fetched."""
    new = holding(keys, after)
    return jwks_cache.successor(cache, new, attempt(after, took=took, chance=chance), LIMITS)


FULL = holding(KEYS)


def decided(
    cache: Cache, after: timedelta = timedelta(), kid: str = "r1", limits: Limits = LIMITS
) -> tuple[Action, TrustedKey | None]:
    decision = decide(cache, kid, NOW + after, limits)
    return decision.action, decision.key


def failing(cache: Cache, *after: timedelta, chance: float = 0) -> Cache:
    for each in after:
        cache = jwks_cache.failed(cache, attempt(each, chance=chance))
    return cache


USE, REFRESH, REFUSE, FAIL = Action.USE, Action.REFRESH, Action.REFUSE, Action.FAIL


def test_without_a_set_there_is_nothing_but_to_ask() -> None:
    assert decided(EMPTY) == (REFRESH, None)


def test_rule_1_a_known_key_serves_until_its_set_is_due() -> None:
    assert decided(FULL) == (USE, KEY)
    assert decided(FULL, HOUR - SECOND) == (USE, KEY)
    assert decided(FULL, HOUR) == (REFRESH, KEY)
    assert decided(FULL, DAY - SECOND) == (REFRESH, KEY)


def test_rule_1_and_beyond_while_the_issuer_is_down_until_the_hard_age() -> None:
    down = failing(FULL, HOUR)
    assert decided(down, HOUR) == (USE, KEY)
    assert decided(down, HOUR + LIMITS.cooldown - SECOND) == (USE, KEY)
    assert decided(down, HOUR + LIMITS.cooldown) == (REFRESH, KEY)
    late = failing(FULL, DAY - SECOND)
    assert decided(late, DAY - SECOND) == (USE, KEY)
    assert decided(late, DAY) == (REFRESH, None)
    assert decided(failing(late, DAY), DAY) == (FAIL, None)
    assert decided(FULL, DAY) == (REFRESH, None)
    assert decided(FULL, 300 * DAY) == (REFRESH, None)


@pytest.mark.parametrize(
    ("max_age", "due"),
    [
        (timedelta(), timedelta(minutes=5)),
        (timedelta(seconds=299), timedelta(minutes=5)),
        (timedelta(seconds=301), timedelta(seconds=301)),
        (timedelta(minutes=59), timedelta(minutes=59)),
        (DAY, HOUR),
        (None, HOUR),
    ],
)
def test_rule_1_the_issuer_s_max_age_counts_within_bounds(
    max_age: timedelta | None, due: timedelta
) -> None:
    cache = jwks_cache.fetched(KEYS, NOW, max_age=max_age, etag="")
    assert decided(cache, due - SECOND) == (USE, KEY)
    assert decided(cache, due) == (REFRESH, KEY)


def test_rule_1_a_refresh_interval_below_all_bounds_and_the_cooldown_still_counts() -> None:
    limits = replace(LIMITS, refresh_interval=timedelta(seconds=5))
    assert decided(FULL, timedelta(seconds=4), limits=limits) == (USE, KEY)
    assert decided(FULL, timedelta(seconds=5), limits=limits) == (REFRESH, KEY)


def test_rule_1_a_hard_age_below_the_cooldown_is_no_reason_to_wait() -> None:
    limits = replace(LIMITS, max_age=timedelta(seconds=5))
    assert decided(FULL, timedelta(seconds=4), limits=limits) == (USE, KEY)
    assert decided(FULL, timedelta(seconds=5), limits=limits) == (REFRESH, None)


def test_rule_2_unknown_keys_are_asked_for_once_in_a_cooldown_all_together() -> None:
    for kid in ("x1", "x2"):
        assert decided(FULL, kid=kid) == (REFUSE, None)
        assert decided(FULL, LIMITS.cooldown - SECOND, kid) == (REFUSE, None)
        assert decided(FULL, LIMITS.cooldown, kid) == (REFRESH, None)
    again = holding(KEYS, LIMITS.cooldown)
    assert decided(again, LIMITS.cooldown, "x3") == (REFUSE, None)
    assert decided(again, 2 * LIMITS.cooldown - SECOND, "x3") == (REFUSE, None)


def test_rule_2_an_unknown_key_does_not_make_a_known_one_wait() -> None:
    cache = failing(FULL, LIMITS.cooldown)
    assert decided(cache, LIMITS.cooldown) == (USE, KEY)


@pytest.mark.parametrize(
    ("chance", "seconds"),
    [
        (0, [30, 60, 120] + [150] * 11),
        (0.5, [45, 90, 180] + [225] * 11),
        (CERTAIN, [60, 120, 240] + [300] * 11),
    ],
)
def test_rule_3_the_pauses_double_up_to_five_minutes_and_up_to_half_of_them_is_chance(
    chance: float, seconds: list[int]
) -> None:
    cache, at = FULL, HOUR
    for each in seconds:
        cache = failing(cache, at, chance=chance)
        at += timedelta(seconds=each)
        assert decided(cache, at - timedelta(milliseconds=1)) == (USE, KEY)
        assert decided(cache, at) == (REFRESH, KEY)


def test_rule_3_a_pause_begins_when_the_attempt_ends() -> None:
    slow = jwks_cache.failed(FULL, attempt(HOUR, took=9 * SECOND))
    end = HOUR + 9 * SECOND + LIMITS.cooldown
    assert decided(slow, HOUR) == (USE, KEY)  # also for who read the clock when it began
    assert decided(slow, HOUR, "x") == (FAIL, None)
    assert decided(slow, end - SECOND) == (USE, KEY)
    assert decided(slow, end) == (REFRESH, KEY)


def test_rule_3_without_a_set_to_go_on_with_they_begin_at_a_second() -> None:
    cache = failing(EMPTY, timedelta())
    assert decided(cache) == (FAIL, None)
    assert decided(cache, SECOND - timedelta(milliseconds=1)) == (FAIL, None)
    assert decided(cache, SECOND) == (REFRESH, None)
    cache = failing(cache, SECOND)
    assert decided(cache, 3 * SECOND - timedelta(milliseconds=1)) == (FAIL, None)
    assert decided(cache, 3 * SECOND) == (REFRESH, None)
    for _ in range(1000):
        cache = failing(cache, timedelta())
    assert decided(cache, timedelta(seconds=149)) == (FAIL, None)
    assert decided(cache, timedelta(seconds=150)) == (REFRESH, None)


@pytest.mark.parametrize(("chance", "seconds"), [(0, 150), (CERTAIN, 300)])
def test_rule_3_a_long_cooldown_is_for_unknown_keys_and_no_pause_for_known_ones(
    chance: float, seconds: int
) -> None:
    limits = replace(LIMITS, cooldown=timedelta(minutes=10))
    cache = failing(FULL, HOUR, HOUR, HOUR, chance=chance)
    end = HOUR + timedelta(seconds=seconds)
    assert decided(cache, end - SECOND, limits=limits) == (USE, KEY)
    assert decided(cache, end, limits=limits) == (REFRESH, KEY)
    again = HOUR + timedelta(minutes=10)
    assert decided(cache, again - SECOND, "new", limits) == (FAIL, None)
    assert decided(cache, again, "new", limits) == (REFRESH, None)


def test_rule_3_one_success_ends_it() -> None:
    down = failing(FULL, HOUR, HOUR + 30 * SECOND)
    up = succeeded(down, KEYS, 2 * HOUR)
    same = jwks_cache.confirmed(down, NOW + 2 * HOUR, max_age=None)
    for cache in (up, same):
        assert decided(cache, 3 * HOUR - SECOND) == (USE, KEY)
        assert decided(cache, 2 * HOUR, "x") == (REFUSE, None)
        assert decided(cache, 3 * HOUR) == (REFRESH, KEY)


def test_rule_4_an_unknown_key_while_the_issuer_is_down_cannot_be_judged() -> None:
    down = failing(FULL, HOUR)
    assert decided(down, HOUR, "x") == (FAIL, None)
    assert decided(down, HOUR + LIMITS.cooldown, "x") == (REFRESH, None)


# Sets in doubt (rule 5)

FIVE = parse(json.dumps({"keys": [ec_jwk(kid=f"k{number}") for number in range(5)]}).encode())
OTHER = parse(json.dumps({"keys": [ec_jwk(kid=f"o{number}") for number in range(5)]}).encode())


def some(keys: Mapping[str, TrustedKey], count: int) -> dict[str, TrustedKey]:
    return dict(list(keys.items())[:count])


def after(old: Mapping[str, TrustedKey], *new: Mapping[str, TrustedKey]) -> Cache:
    """What comes of ``old``, fetched at NOW, when these are fetched one cooldown apart."""
    cache, at = holding(old), HOUR
    for each in new:
        cache = succeeded(cache, each, at)
        at += LIMITS.cooldown
    return cache


@pytest.mark.parametrize(
    ("known", "left"), [(1, 0), (2, 1), (2, 2), (3, 2), (4, 2), (5, 3), (5, 5)]
)
def test_rule_5_a_set_that_lost_half_of_the_keys_or_less_or_the_only_one_is_taken(
    known: int, left: int
) -> None:
    new = {**some(FIVE, left), **some(OTHER, 1)}
    assert after(some(FIVE, known), new) == holding(new, HOUR)


@pytest.mark.parametrize(("known", "left"), [(2, 0), (3, 0), (3, 1), (4, 1), (5, 2)])
def test_rule_5_a_set_that_lost_more_is_in_doubt_and_both_serve(known: int, left: int) -> None:
    old, new = some(FIVE, known), {**some(FIVE, left), **OTHER}
    cache = after(old, new)
    assert cache.is_in_doubt
    assert cache.keys == {**old, **OTHER}
    for kid in cache.keys:
        assert decided(cache, HOUR, kid) == (USE, cache.keys[kid])
    assert decided(cache, HOUR, "x") == (FAIL, None)


@pytest.mark.parametrize("known", [1, 2, 5])
def test_rule_5_a_set_without_a_key_is_in_doubt_however_few_there_were(known: int) -> None:
    old = some(FIVE, known)
    cache = after(old, {})
    assert cache.is_in_doubt
    assert cache.keys == old
    assert decided(cache, HOUR, "k0") == (USE, FIVE["k0"])


def test_rule_5_the_second_set_counts_whatever_is_in_it() -> None:
    for second in (OTHER, some(OTHER, 2), FIVE, some(FIVE, 1)):
        assert after(FIVE, OTHER, second) == holding(second, HOUR + LIMITS.cooldown)


def test_rule_5_a_second_set_without_a_key_leaves_none_and_nobody_can_say() -> None:
    at = HOUR + LIMITS.cooldown
    cache = after(FIVE, {}, {})
    assert (cache.keys, cache.fetched_at) == ({}, None)
    assert decided(cache, at, "k0") == (FAIL, None)
    assert decided(cache, at + 2 * SECOND - timedelta(milliseconds=1), "k0") == (FAIL, None)
    assert decided(cache, at + 2 * SECOND, "k0") == (REFRESH, None)
    assert after(FIVE, {}, {}, OTHER) == holding(OTHER, HOUR + 2 * LIMITS.cooldown)


def test_rule_5_a_set_in_doubt_is_asked_for_again_after_one_or_two_cooldowns() -> None:
    for chance, cooldowns in ((0, 1), (CERTAIN, 2)):
        down = failing(holding(FIVE), *[HOUR] * 9)
        cache = succeeded(down, OTHER, HOUR, took=9 * SECOND, chance=chance)
        end = HOUR + 9 * SECOND + cooldowns * LIMITS.cooldown
        assert decided(cache, end - SECOND, "k0") == (USE, FIVE["k0"])
        assert decided(cache, end, "k0") == (REFRESH, FIVE["k0"])
        assert decided(cache, end, "o0") == (REFRESH, OTHER["o0"])


def test_rule_5_it_is_asked_for_again_even_if_the_old_set_is_fresh() -> None:
    at = LIMITS.cooldown
    cache = succeeded(holding(FIVE), OTHER, at)
    assert decided(cache, 2 * at - SECOND, "k0") == (USE, FIVE["k0"])
    assert decided(cache, 2 * at, "k0") == (REFRESH, FIVE["k0"])


def test_rule_5_a_failure_decides_nothing_and_the_hard_age_is_that_of_the_old_set() -> None:
    cache = failing(after(FIVE, OTHER), HOUR + LIMITS.cooldown)
    assert cache.is_in_doubt
    assert decided(cache, DAY - SECOND, "k0") == (REFRESH, FIVE["k0"])
    assert decided(cache, DAY, "k0") == (REFRESH, None)
    assert decided(cache, DAY, "o0") == (REFRESH, None)
    assert succeeded(cache, OTHER, 2 * HOUR) == holding(OTHER, 2 * HOUR)


def test_rule_5_a_set_in_doubt_has_no_entity_tag_because_the_second_must_be_whole() -> None:
    assert holding(FIVE).etag
    assert after(FIVE, OTHER).etag == ""


def test_rule_5_a_key_that_was_replaced_under_the_same_name_is_lost_and_the_old_one_goes_on() -> (
    None
):
    swapped = dict(zip(FIVE, OTHER.values(), strict=True))
    cache = after(FIVE, swapped)
    assert cache.is_in_doubt
    assert cache.keys == FIVE
    assert after(FIVE, swapped, swapped).keys == swapped


def test_rule_5_the_same_key_read_anew_is_not_lost() -> None:
    entries = [rsa_jwk(), ec_jwk()]
    once, again = (parse(json.dumps({"keys": entries}).encode()) for _ in range(2))
    assert after(once, again) == holding(again, HOUR)
    assert again["r1"] is not once["r1"]


def test_rule_5_there_is_no_doubt_where_the_old_set_is_too_old_or_there_is_none() -> None:
    new = holding(OTHER, HOUR)
    for old in (holding(FIVE, HOUR - DAY), EMPTY, failing(EMPTY, timedelta())):
        assert succeeded(old, OTHER, HOUR) == new
    young = holding(FIVE, HOUR - DAY + SECOND)
    assert succeeded(young, OTHER, HOUR).is_in_doubt
    ahead = holding(FIVE, HOUR + jwks_cache.STEP_BACK)
    assert succeeded(ahead, OTHER, HOUR).is_in_doubt
    too_far = holding(FIVE, HOUR + jwks_cache.STEP_BACK + SECOND)
    assert succeeded(too_far, OTHER, HOUR) == new


def test_rule_5_a_set_without_a_key_where_none_can_serve_is_a_failure_like_any_other() -> None:
    cache, at = EMPTY, timedelta()
    for seconds in (1, 2, 4):
        cache = succeeded(cache, {}, at)
        at += timedelta(seconds=seconds)
        assert decided(cache, at - timedelta(milliseconds=1), "k0") == (FAIL, None)
        assert decided(cache, at, "k0") == (REFRESH, None)


# Clocks


def test_a_clock_that_went_back_makes_it_time_to_ask() -> None:
    assert decided(FULL, -jwks_cache.DISORDER) == (USE, KEY)
    assert decided(FULL, -jwks_cache.DISORDER, "x") == (REFUSE, None)
    assert decided(FULL, -jwks_cache.DISORDER - SECOND) == (REFRESH, KEY)
    assert decided(FULL, -jwks_cache.DISORDER - SECOND, "x") == (REFRESH, None)
    assert decided(FULL, -jwks_cache.STEP_BACK) == (REFRESH, KEY)


def test_far_back_the_set_counts_as_too_old_and_no_old_pause_holds() -> None:
    assert decided(FULL, -jwks_cache.STEP_BACK - SECOND) == (REFRESH, None)
    down = failing(FULL, HOUR)
    assert decided(down, -DAY) == (REFRESH, None)
    still = failing(down, -DAY)
    assert decided(still, -DAY) == (FAIL, None)
