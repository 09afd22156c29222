"""The table: every entry whole, and what it makes of a client."""

from datetime import timedelta

import pytest

from machine_identity import jwk
from machine_identity.policy import Policy
from machine_identity.providers import (
    ASSERTION_LIFETIME,
    DEFAULT,
    NAMES,
    PROVIDERS,
    Audience,
    Client,
    Provider,
)

ISSUER = "https://as.example/tenant"
ENDPOINT = "https://as.example/tenant/token"


def client(provider: str, subject: str = "") -> Client:
    return Client(
        name="default",
        provider=PROVIDERS[provider],
        authorization_server=ISSUER,
        client_id="client-1",
        scope="read",
        subject=subject,
    )


def test_the_default_provider_is_rfc_10070_s() -> None:
    draft = client(DEFAULT).draft(ENDPOINT)
    assert (draft.audience, draft.typ) == (ISSUER, "client-authentication+jwt")
    assert (draft.issuer, draft.subject) == ("client-1", "client-1")


def test_rfc_7523_as_older_servers_read_it_names_the_token_endpoint() -> None:
    draft = client("rfc7523").draft(ENDPOINT)
    assert (draft.audience, draft.typ) == (ENDPOINT, "JWT")


def test_entra_by_federation_gets_our_issuer_its_own_audience_and_rs256_only() -> None:
    draft = client("entra-federated").draft(ENDPOINT)
    assert (draft.issuer, draft.subject) == (None, "client-1")
    assert (draft.audience, draft.algorithms) == ("api://AzureADTokenExchange", ("RS256",))


def test_a_registered_subject_replaces_the_client_id_as_sub_only() -> None:
    draft = client("entra-federated", subject="machine-7").draft(ENDPOINT)
    assert draft.subject == "machine-7"
    assert client("rfc10070", subject="machine-7").draft(ENDPOINT).issuer == "client-1"


def test_no_provider_gets_a_not_before() -> None:
    assert all(client(name).draft(ENDPOINT).not_before_backdate is None for name in NAMES)


@pytest.mark.parametrize(
    ("name", "seconds"), [("rfc10070", 300), ("okta", 300), ("auth0", 240), ("keycloak", 60)]
)
def test_an_assertion_lives_five_minutes_or_less_where_the_provider_says_so(
    name: str, seconds: int
) -> None:
    assert client(name).draft(ENDPOINT).lifetime == timedelta(seconds=seconds)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=NAMES)
def test_every_entry_is_whole(provider: Provider) -> None:
    assert provider.source.startswith(("ran:", "read:", "documented:", "said:"))
    assert set(provider.algorithms) <= set(jwk.ALGORITHMS)
    assert "RS256" in provider.algorithms
    assert (provider.audience is Audience.FIXED) == bool(provider.fixed_audience)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=NAMES)
def test_a_rotation_every_thirty_days_is_safe_with_every_provider(provider: Provider) -> None:
    policy = Policy(
        rotation_interval=timedelta(days=30),
        key_set_cache=provider.key_set_cache,
        provider_leeway=provider.leeway,
        assertion_lifetime=provider.assertion_lifetime,
    )
    assert policy.publication_interval() >= provider.key_set_cache
    assert provider.assertion_lifetime <= ASSERTION_LIFETIME
