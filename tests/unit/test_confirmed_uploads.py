"""What an operator says and is told where keys are uploaded, by his hand or by the signer's."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from machine_identity.channels.uploaded import LAPSING, WANTED
from machine_identity.commands import answer
from machine_identity.policy import Policy
from machine_identity.providers import PROVIDERS
from machine_identity.settings.rotation import RotationSettings
from tests.world import POLICY, SECOND, START, TICK, Provider, World

UPLOADS = replace(POLICY, uploads=True)
ROTATION = POLICY.rotation_interval
DAY = timedelta(days=1)
PUBLICATION = timedelta(minutes=5 + 5 + 1)
"""Origin staleness, max-age and skew: no cache of the provider's."""
TO_BE_TOLD = "rule 1: the server is to be told of the standby key"


@pytest.fixture
def born() -> World:
    world = World(policy=UPLOADS)
    world.tick()
    return world


def asked(world: World, command: str, **members: Any) -> dict[str, Any]:
    told = answer(world.rotation(), {"command": command, **members}, lambda _: UPLOADS)
    read: dict[str, Any] = json.loads(json.dumps(told))
    return read


def row(world: World, command: str, kid: str) -> dict[str, Any]:
    return next(each for each in asked(world, command)["keys"] if each["kid"] == kid)


def test_rule_1_the_first_key_signs_without_anybody_s_word(born: World) -> None:
    assert born.taken().count("Promote") == 1
    assert born.active().since == START


@pytest.mark.parametrize(
    "at",
    [SECOND, ROTATION - SECOND, ROTATION, 30 * ROTATION],
    ids=["soon", "early", "due", "late"],
)
def test_rule_1_an_operator_may_confirm_at_any_time_and_is_asked_until_he_does(
    born: World, at: timedelta
) -> None:
    kid = born.standby().kid
    born.tick(START + at)
    assert row(born, "status", kid)["held_by"] == TO_BE_TOLD
    told = asked(born, "confirm", kid=kid)
    assert told["confirmed"] == kid
    assert told["steps"][0] == {"step": "Confirm", "kid": kid}
    assert (born.active().kid == kid) is (at >= ROTATION)
    again = asked(born, "confirm", kid=born.standby().kid)
    assert again["confirmed"] == born.standby().kid


def test_rule_1_only_the_standby_key_can_be_confirmed(born: World) -> None:
    for kid in (born.active().kid, "unknown"):
        told = asked(born, "confirm", kid=kid)
        assert told["error"] == "invalid_request"
        assert "only the standby key" in told["error_description"]


@pytest.mark.parametrize(
    ("late", "is_over"), [(-SECOND, False), (timedelta(), True), (6 * ROTATION, True)]
)
def test_rule_1_a_word_that_comes_early_waits_for_the_caches_of_the_published_set(
    born: World, late: timedelta, *, is_over: bool
) -> None:
    kid = born.standby().kid
    asked(born, "rotate")
    assert asked(born, "confirm", kid=kid)["confirmed"] == kid
    assert born.active().kid != kid
    seen_at = born.standby().first_seen_at
    assert seen_at is not None
    born.tick(seen_at + PUBLICATION + late)
    assert (born.active().kid == kid) is is_over


def test_rule_2_a_word_that_comes_early_is_no_proof_of_the_published_set(born: World) -> None:
    kid = born.standby().kid
    asked(born, "confirm", kid=kid)
    asked(born, "rotate")
    seen_at = born.standby().first_seen_at
    assert seen_at is not None
    due = seen_at + PUBLICATION
    for at, is_over in [(due, False), (due + DAY - SECOND, False), (due + DAY, True)]:
        born.now = at  # and the token function never runs
        born.rotation().tick()
        assert (born.active().kid == kid) is is_over


def test_what_is_waited_for_is_told_by_status_and_explain(born: World) -> None:
    kid, active = born.standby().kid, born.active().kid
    born.tick(START + TICK)
    for each in (kid, active):
        told = row(born, "status", each)
        assert (told["held_by"], told["not_before"]) == (
            TO_BE_TOLD,
            (START + ROTATION).isoformat(),
        )
        because = row(born, "explain", each)["because"]
        assert "it is to be brought to the server, and confirmed" in because


def test_once_confirmed_the_sum_that_holds_the_key_adds_up(born: World) -> None:
    kid = born.standby().kid
    asked(born, "rotate")
    asked(born, "confirm", kid=kid)
    told = row(born, "explain", kid)
    assert told["not_before"] == (START + PUBLICATION).isoformat()
    assert told["held_by"] == "rule 1: publish before sign"
    assert told["because"] == (
        f"first seen {START.isoformat()} + origin staleness 0:05 + edge staleness 0:00"
        f" + max-age 0:05 + skew 0:01 = {(START + PUBLICATION).isoformat()}"
    )


def test_the_token_of_a_client_is_as_good_as_a_word(born: World) -> None:
    Provider(born, timedelta())
    kid = born.standby().kid
    born.live(ROTATION)
    assert born.active().kid == kid
    assert "Confirm" not in born.taken()


def test_a_plan_foresees_what_an_uploading_policy_will_do(born: World) -> None:
    planned = asked(born, "plan", at=(START + 3 * ROTATION).isoformat())
    promoted = [each["at"] for each in planned["steps"] if each["step"] == "Promote"]
    assert promoted == [(START + each * ROTATION).isoformat() for each in (1, 2, 3)]


def test_the_reminders_are_told_by_every_tick_until_somebody_speaks(born: World) -> None:
    born.tick(START + timedelta(days=1) - SECOND)
    assert said(born) == []
    for late in (timedelta(), TICK):
        born.tick(START + timedelta(days=1) + late)
        assert said(born) == [WANTED]
    asked(born, "confirm", kid=born.standby().kid)
    born.rotation().tick()
    assert WANTED not in said(born)


def said(world: World) -> list[str]:
    """Return the alarms of the last wait."""
    _, step = world.steps[-1]
    return [each for each in getattr(step, "alarms", ()) if each in {WANTED, LAPSING}]


# The settings


def policy(provider: str, algorithm: str = "RS256") -> Policy:
    return RotationSettings.from_environment(
        {
            "STATE_BUCKET": "state",
            "PUBLISHED_BUCKET": "published",
            "PUBLIC_URL": "https://identity.example",
            "STACK_NAME": "machine-identity",
            "PROVIDER": provider,
            "SIGNING_ALGORITHM": algorithm,
        }
    ).policy


@pytest.mark.parametrize(
    ("provider", "is_uploaded_to"),
    [("auth0", True), ("entra-certificate", True), ("govuk-one-login", False)],
)
def test_whether_keys_are_uploaded_is_what_the_provider_s_entry_says_first(
    provider: str, *, is_uploaded_to: bool
) -> None:
    entry = PROVIDERS[provider]
    assert policy(provider).uploads is is_uploaded_to
    assert entry.is_uploaded_to is (entry.registration[0] not in {"jwks_uri", "issuer"})


def test_rule_9_where_keys_are_uploaded_the_provider_s_cache_counts_for_the_fallback() -> None:
    uploaded = [each for each in PROVIDERS.values() if each.is_uploaded_to]
    assert {each.name for each in uploaded} >= {"auth0", "entra-certificate"}
    for entry in uploaded:
        found = policy(entry.name, entry.algorithms[0])
        fetched = replace(found, uploads=False)
        assert found.key_set_cache == entry.key_set_cache > found.max_age
        assert found.fallback_interval == fetched.fallback_interval > entry.key_set_cache
        assert found.retire_interval == fetched.retire_interval
        assert found.publication_interval() < fetched.publication_interval()
