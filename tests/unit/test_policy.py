"""The timing contract by number: each inequality one second below, on and above."""

from datetime import timedelta
from typing import Any

import pytest

from machine_identity.errors import PolicyError, SettingsError
from machine_identity.policy import Policy
from machine_identity.providers import NAMES, PROVIDERS
from tests.keyrings import POLICY, PUBLICATION_INTERVAL, RETIRE_INTERVAL, SECOND, under

ZERO = timedelta()
ROTATION_INTERVAL_DAYS = (7, 14, 30, 60, 90, 180, 365)
"""What the template offers."""
BOUNDS = [
    *((name, SECOND) for name in ("max_age", "assertion_lifetime", "tick_interval")),
    *((name, SECOND) for name in ("signer_bound", "run_bound")),
    *((name, ZERO) for name in ("key_set_cache", "provider_leeway", "clock_skew")),
    *((name, ZERO) for name in ("origin_staleness", "edge_staleness")),
    ("deletion_window", timedelta(days=7)),
]


def message(**settings: Any) -> str:
    with pytest.raises(PolicyError) as refused:
        under(**settings)
    return str(refused.value)


@pytest.mark.parametrize(("name", "least"), BOUNDS, ids=[name for name, _ in BOUNDS])
def test_a_duration_below_its_least_is_refused_with_both_numbers(
    name: str, least: timedelta
) -> None:
    refused = message(**{name: least - SECOND})
    assert refused.startswith(f"{name} ({least - SECOND}) must be at least ")
    assert refused.endswith(f" ({least})")
    for value in (least, least + SECOND):
        settings: dict[str, Any] = {name: value}
        assert getattr(under(**settings), name) == value


def test_a_deletion_window_above_kms_s_most_is_refused_with_both_numbers() -> None:
    most = timedelta(days=30)
    assert under(deletion_window=most - SECOND).deletion_window == most - SECOND
    assert under(deletion_window=most).deletion_window == most
    refused = message(deletion_window=most + SECOND)
    assert (
        refused
        == "KMS's most (30 days, 0:00:00) must be at least deletion_window (30 days, 0:00:01)"
    )


def test_a_cap_that_leaves_no_room_for_a_rollover_is_refused_with_both_numbers() -> None:
    refused = message(most_live_keys=2)
    assert refused.startswith("most_live_keys (2) must be at least ")
    assert refused.endswith(" (3)")
    assert [under(most_live_keys=most).most_live_keys for most in (3, 4)] == [3, 4]


def test_a_key_must_sign_for_longer_than_it_takes_to_bring_and_to_take_one() -> None:
    least = PUBLICATION_INTERVAL + RETIRE_INTERVAL + 2 * POLICY.tick_interval
    refused = message(rotation_interval=least - SECOND)
    assert refused == (
        f"rotation_interval ({least - SECOND}) must be at least "
        f"publication interval + retire interval + two ticks ({least})"
    )
    for value in (least, least + SECOND):
        assert under(rotation_interval=value).rotation_interval == value


def test_a_rotation_interval_of_nothing_is_refused_by_its_own_name() -> None:
    assert message(rotation_interval=ZERO) == (
        "rotation_interval (0:00:00) must be at least one second (0:00:01)"
    )


def test_a_broken_rule_is_a_setting_s_error() -> None:
    with pytest.raises(SettingsError):
        Policy(rotation_interval=timedelta(hours=1))


def test_rule_1_the_publication_interval_is_staleness_cache_and_skew() -> None:
    assert POLICY.publication_interval() == PUBLICATION_INTERVAL


@pytest.mark.parametrize("name", ["origin_staleness", "edge_staleness", "clock_skew"])
def test_rule_1_each_of_them_adds_to_it(name: str) -> None:
    longer = under(**{name: getattr(POLICY, name) + SECOND})
    assert longer.publication_interval() == PUBLICATION_INTERVAL + SECOND


@pytest.mark.parametrize(
    ("max_age", "longest", "cache", "counted"),
    [(9, 1, 1, 9), (1, 9, 1, 9), (1, 1, 9, 9), (1, 0, 0, 1), (5, 6, 7, 7), (6, 7, 5, 7)],
)
def test_rule_1_of_the_ways_to_cache_a_copy_the_longest_counts(
    max_age: int, longest: int, cache: int, counted: int
) -> None:
    policy = under(max_age=max_age * SECOND, key_set_cache=cache * SECOND)
    rest = PUBLICATION_INTERVAL - POLICY.key_set_cache
    assert policy.publication_interval(longest * SECOND) == rest + counted * SECOND


def test_rule_3_the_retire_interval_runs_from_the_last_possible_signature() -> None:
    assert POLICY.fallback_interval == PUBLICATION_INTERVAL
    assert POLICY.retire_interval == RETIRE_INTERVAL


@pytest.mark.parametrize(
    ("name", "times"),
    [
        *((name, 1) for name in ("run_bound", "signer_bound", "assertion_lifetime")),
        *((name, 1) for name in ("provider_leeway", "max_age", "key_set_cache")),
        *((name, 1) for name in ("origin_staleness", "edge_staleness")),
        ("clock_skew", 2),
    ],
)
def test_rule_3_each_of_its_terms_adds_to_it(name: str, times: int) -> None:
    longer = under(**{name: getattr(POLICY, name) + SECOND})
    assert longer.retire_interval == RETIRE_INTERVAL + times * SECOND


def test_the_defaults_are_those_of_the_design() -> None:
    policy = Policy()
    assert policy.algorithm == "RS256"
    assert policy.rotation_interval == timedelta(days=30)
    assert policy.tick_interval == timedelta(minutes=15)
    assert policy.max_age == policy.assertion_lifetime == timedelta(seconds=300)
    assert policy.origin_staleness == timedelta(seconds=300)
    assert policy.clock_skew == timedelta(seconds=60)
    assert policy.signer_bound == timedelta(hours=1)
    assert policy.run_bound == timedelta(seconds=60)
    assert policy.key_set_cache == timedelta(hours=48)
    assert policy.provider_leeway == timedelta(minutes=5)
    assert policy.deletion_window == timedelta(days=7)
    assert policy.most_live_keys == 8
    assert policy.publication_interval() == timedelta(hours=48, minutes=6)


@pytest.mark.parametrize("days", ROTATION_INTERVAL_DAYS)
@pytest.mark.parametrize("name", NAMES)
def test_rule_7_every_provider_is_safe_with_every_interval_that_the_template_offers(
    name: str, days: int
) -> None:
    provider = PROVIDERS[name]
    policy = Policy(
        rotation_interval=timedelta(days=days),
        key_set_cache=provider.key_set_cache,
        provider_leeway=provider.leeway,
        assertion_lifetime=provider.assertion_lifetime,
    )
    assert policy.publication_interval() > max(provider.key_set_cache, policy.max_age)
    assert policy.retire_interval > policy.signer_bound + policy.publication_interval()
