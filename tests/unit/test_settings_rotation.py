"""What the rotation function is told, and the sentence for everything that it is told wrongly."""

from dataclasses import replace
from datetime import timedelta

import pytest

from machine_identity.errors import PolicyError, SettingsError
from machine_identity.jwk import ALGORITHMS
from machine_identity.providers import NAMES, PROVIDERS
from machine_identity.settings import rotation
from machine_identity.settings.rotation import RotationSettings

NEEDED = {
    "STATE_BUCKET": "state",
    "PUBLISHED_BUCKET": "published",
    "PUBLIC_URL": "https://identity.example",
    "STACK_NAME": "machine-identity",
}


def read(**variables: str) -> RotationSettings:
    return RotationSettings.from_environment({**NEEDED, **variables})


def fault(**variables: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(**variables)
    return str(refused.value)


def test_the_defaults_are_those_of_the_design() -> None:
    settings = read(IDENTITY="", PROVIDER="", SIGNING_ALGORITHM="", ROTATION_INTERVAL_DAYS="")
    assert settings == read()
    assert (settings.identity, settings.stack) == ("default", "machine-identity")
    assert (settings.state_bucket, settings.published_bucket) == ("state", "published")
    assert settings.public_url == "https://identity.example"
    assert settings.policy.algorithm == "RS256"
    assert settings.policy.rotation_interval == timedelta(days=30)
    assert settings.policy.key_set_cache == PROVIDERS["rfc10070"].key_set_cache


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_is_named_when_it_is_missing(name: str) -> None:
    assert fault(**{name: ""}) == f"{name} is not set, and it is required"


def test_other_settings_are_tried_by_the_names_that_the_template_gives_them() -> None:
    settings = read(ROTATION_INTERVAL_DAYS="90")
    assert settings.policy_under({"PublicUrl": "https://other.example"}) == replace(
        settings.policy, issuer="https://other.example"
    )
    other = settings.policy_under({"SigningAlgorithm": "ES256", "RotationIntervalDays": "7"})
    assert (other.algorithm, other.rotation_interval) == ("ES256", timedelta(days=7))
    assert (
        settings.policy_under({"Provider": "hydra"})
        == read(PROVIDER="hydra", ROTATION_INTERVAL_DAYS="90").policy
    )
    assert settings.policy_under({"RotationIntervalDays": ""}) == read().policy  # the default


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Identity": "other"}, "no setting of rotation is called Identity: it has Signing"),
        ({"PUBLIC_URL": "https://other.example"}, "no setting of rotation is called PUBLIC_URL"),
        ({"PublicUrl": "https://other.example/"}, "PublicUrl must not end with a slash"),
        ({"RotationIntervalDays": "0"}, "RotationIntervalDays must be a whole number"),
    ],
)
def test_settings_that_cannot_be_are_named(changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        read().policy_under(changes)


def test_rule_7_settings_that_are_unsafe_together_are_an_inequality() -> None:
    settings = read(PROVIDER="hydra", ROTATION_INTERVAL_DAYS="1")
    with pytest.raises(PolicyError, match=r"rotation_interval \(1 day, .*\) must be at least"):
        settings.policy_under({"Provider": "entra-federated"})


@pytest.mark.parametrize("name", NAMES)
def test_every_wait_comes_from_the_provider_s_entry(name: str) -> None:
    provider = PROVIDERS[name]
    policy = read(PROVIDER=name, SIGNING_ALGORITHM=provider.algorithms[0]).policy
    assert (policy.key_set_cache, policy.provider_leeway, policy.assertion_lifetime) == (
        provider.key_set_cache,
        provider.leeway,
        provider.assertion_lifetime,
    )


def test_a_provider_s_leeway_counts_also_where_it_is_not_everybody_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lenient = replace(PROVIDERS["okta"], leeway=timedelta(minutes=17))
    monkeypatch.setattr(rotation, "PROVIDERS", {"okta": lenient})
    assert read(PROVIDER="okta").policy.provider_leeway == timedelta(minutes=17)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_must_be_one_that_the_provider_takes(name: str, algorithm: str) -> None:
    if algorithm in PROVIDERS[name].algorithms:
        settings = read(PROVIDER=name, SIGNING_ALGORITHM=algorithm)
        assert settings.policy.algorithm == algorithm
    else:
        assert fault(PROVIDER=name, SIGNING_ALGORITHM=algorithm).startswith(
            f"SIGNING_ALGORITHM must be one that the PROVIDER {name} takes: "
            f"{', '.join(PROVIDERS[name].algorithms)}"
        )


def test_unknown_choices_are_named() -> None:
    assert fault(PROVIDER="other").startswith("PROVIDER must be one of rfc10070, ")
    assert fault(SIGNING_ALGORITHM="HS256").startswith("SIGNING_ALGORITHM must be one of RS256, ")


@pytest.mark.parametrize("days", ["0", "366", "30.5", "-1", "a month"])
def test_a_key_signs_for_one_to_365_days(days: str) -> None:
    assert fault(ROTATION_INTERVAL_DAYS=days) == (
        "ROTATION_INTERVAL_DAYS must be a whole number from 1 to 365"
    )


def test_the_bounds_of_the_rotation_interval_are_taken() -> None:
    shortest = read(ROTATION_INTERVAL_DAYS="1", PROVIDER="oidc-provider").policy
    assert shortest.rotation_interval == timedelta(days=1)
    assert read(ROTATION_INTERVAL_DAYS="365").policy.rotation_interval == timedelta(days=365)


def test_rule_7_an_interval_too_short_for_the_provider_prints_the_inequality() -> None:
    with pytest.raises(PolicyError) as refused:
        read(PROVIDER="entra-federated", ROTATION_INTERVAL_DAYS="4")
    assert str(refused.value) == (
        "rotation_interval (4 days, 0:00:00) must be at least publication interval + "
        "retire interval + two ticks (4 days, 1:59:00)"
    )
    assert read(PROVIDER="entra-federated", ROTATION_INTERVAL_DAYS="5").policy


@pytest.mark.parametrize(
    "url", ["https://identity.example/", "https://identity.example/stage/", "http://localhost/"]
)
def test_an_issuer_that_ends_with_a_slash_is_refused_and_told_why(url: str) -> None:
    assert fault(PUBLIC_URL=url) == (
        "PUBLIC_URL must not end with a slash: paths that begin with one are appended to it, "
        "and an issuer is compared character by character"
    )


@pytest.mark.parametrize(
    "url", ["http://identity.example", "identity.example", "https://identity.example?a=b"]
)
def test_an_issuer_is_an_https_url(url: str) -> None:
    assert fault(PUBLIC_URL=url).startswith("PUBLIC_URL must be an https URL")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://identity.example/stage"])
def test_an_issuer_may_have_a_path_or_be_on_loopback(url: str) -> None:
    assert read(PUBLIC_URL=url).public_url == url


@pytest.mark.parametrize("identity", ["a b", ".hidden", "a/b", "x" * 65, "é"])
def test_an_identity_is_a_name(identity: str) -> None:
    assert fault(IDENTITY=identity).startswith("IDENTITY must be at most 64 letters, digits")


@pytest.mark.parametrize("stack", ["a_b", "1st", "x" * 129, "a/b"])
def test_a_stack_is_named_as_cloudformation_names_it(stack: str) -> None:
    assert fault(STACK_NAME=stack).startswith("STACK_NAME must be at most 128 letters, digits")


def test_the_longest_names_are_taken() -> None:
    settings = read(IDENTITY="x" * 64, STACK_NAME="x" * 128)
    assert (len(settings.identity), len(settings.stack)) == (64, 128)
