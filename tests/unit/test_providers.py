"""The table: every entry whole, and what it makes of a client."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import machine_identity.providers
from machine_identity import clock, jwk
from machine_identity.errors import SettingsError
from machine_identity.policy import Policy
from machine_identity.providers import (
    ASSERTION_LIFETIME,
    CAREFUL_FETCH_LIMIT,
    CAREFUL_KEY_SET_CACHE,
    CAREFUL_LEEWAY,
    DEFAULT,
    PROVIDERS,
    Audience,
    Client,
    Grant,
    JtiRule,
    Kind,
    Provider,
    Registration,
    custom,
)
from machine_identity.settings.token import client as configured

ISSUER = "https://as.example/tenant"
ENDPOINT = "https://as.example/tenant/token"

TABLE = json.loads(Path(machine_identity.providers.__file__).with_name("table.json").read_text())
FACTS = set(TABLE[DEFAULT])


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


MACHINES = [n for n, each in PROVIDERS.items() if each.grant is Grant.CLIENT_CREDENTIALS]
FLOWS: list[str] = sorted(PROVIDERS.keys() - set(MACHINES))


def test_no_provider_gets_a_not_before() -> None:
    assert all(client(name).draft(ENDPOINT).not_before_backdate is None for name in MACHINES)


@pytest.mark.parametrize("name", FLOWS)
def test_no_client_is_configured_at_a_provider_that_gives_machines_no_token(name: str) -> None:
    fields = {"authorization_server": ISSUER, "client_id": "client-1", "scope": "read"}
    with pytest.raises(SettingsError, match=f"{name} gives no token for client credentials: "):
        configured("default", PROVIDERS[name], fields, str)


# A provider of one's own

OWN: dict[str, Any] = {"audience": "token_endpoint", "typ": "JWT", "algorithms": ["ES256"]}


def test_three_fields_make_a_provider_and_what_they_leave_out_is_careful() -> None:
    own = custom("ours", OWN, PROVIDERS)
    assert (own.name, own.audience, own.algorithms) == (
        "ours",
        Audience.TOKEN_ENDPOINT,
        ("ES256",),
    )
    assert (own.key_set_cache, own.leeway) == (CAREFUL_KEY_SET_CACHE, CAREFUL_LEEWAY)
    assert (own.assertion_lifetime, own.jti) == (ASSERTION_LIFETIME, JtiRule.UNKNOWN)
    assert own.registration == (Registration.JWKS_URI,)


def test_a_provider_like_a_known_one_says_only_what_differs() -> None:
    own = custom("ours", {"like": "keycloak", "lifetime_limit_seconds": 30}, PROVIDERS)
    assert own.assertion_lifetime == timedelta(seconds=30)
    assert own.key_unknown == PROVIDERS["keycloak"].key_unknown
    assert own.sources == ()  # nobody vouched for that


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lifetime": 30}, "ours: there is no field of that name; a provider has title, grant"),
        ({"audience": "anything"}, "audience must be one of issuer, token_endpoint, fixed"),
        ({"audience": "fixed"}, "fixed_audience is required with audience fixed"),
        ({"fixed_audience": "x"}, "fixed_audience goes with the audience fixed only"),
        ({"typ": 1}, "typ must be a string of at most 600 printable characters"),
        ({"typ": "a\nb"}, "typ must be a string"),
        ({"typ": "x" * 601}, "typ must be a string"),
        ({"algorithms": []}, "algorithms must be a list, not empty, of RS256"),
        ({"algorithms": ["HS256"]}, "algorithms must be a list, each once, of RS256"),
        ({"algorithms": ["RS256", "RS256"]}, "algorithms must be a list, each once"),
        ({"algorithms": "RS256"}, "algorithms must be a list"),
        ({"header": ["jku"]}, "header must be a list with kid or x5t#S256 in it"),
        ({"header": ["kid", "x5c"]}, "header must be a list, each once, of kid, x5t#S256, jku"),
        ({"extra_claims": {"sub": "root"}}, "extra_claims must be an object of strings without"),
        ({"extra_claims": {"n": 1}}, "extra_claims must be an object of strings"),
        ({"lifetime_limit_seconds": 0}, "must be a whole number from 1 to 604800"),
        ({"lifetime_limit_seconds": 604801}, "must be a whole number from 1 to 604800"),
        ({"lifetime_limit_seconds": True}, "must be a whole number"),
        ({"leeway_seconds": -1}, "leeway_seconds must be a whole number from 0 to 604800"),
        ({"fetch_limit_milliseconds": 60001}, "must be a whole number from 1 to 60000"),
        ({"refetches_on_unknown_kid": "yes"}, "must be true, false or null"),
        ({"most_keys": 0}, "most_keys must be a whole number from 1, or null"),
        ({"registration": []}, "registration must name a way to register a key"),
        ({"registration": ["post"]}, "registration must be a list, each once, of issuer"),
        ({"key_unknown": []}, "key_unknown must be a list of error codes"),
        ({"jti": "maybe"}, "jti must be one of one_time, unchecked, unknown"),
        ({"sources": [{"of": ["typ"]}]}, "sources must be objects with of, kind, where, on"),
        ({"sources": {}}, "sources must be a list"),
        ({"like": "nobody"}, "like must be one of rfc10070, rfc7523"),
    ],
)
def test_a_fault_in_a_provider_is_one_sentence_with_the_field_and_the_rule(
    change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError) as error:
        custom("ours", {**OWN, **change}, PROVIDERS)
    assert sentence in str(error.value)
    assert str(error.value).startswith("ours: ")


@pytest.mark.parametrize("missing", OWN)
def test_a_provider_that_resembles_nobody_must_say_how_an_assertion_looks(missing: str) -> None:
    members = {name: value for name, value in OWN.items() if name != missing}
    with pytest.raises(SettingsError, match=f"ours: {missing} is not set, and it is required"):
        custom("ours", members, PROVIDERS)


def test_extra_claims_and_the_header_s_names_reach_the_draft() -> None:
    members = {**OWN, "extra_claims": {"tenant": "7"}, "header": ["kid", "jku"]}
    own = custom("ours", members, PROVIDERS)
    made = Client(
        name="default",
        provider=own,
        authorization_server=ISSUER,
        client_id="client-1",
        scope="read",
    )
    draft = made.draft(ENDPOINT)
    assert (draft.extra_claims, draft.header) == ({"tenant": "7"}, ("kid", "jku"))
    assert {made: "token"}[replace(made)] == "token"  # a client is what tokens are kept by


@pytest.mark.parametrize(
    ("name", "seconds"), [("rfc10070", 300), ("okta", 300), ("auth0", 240), ("keycloak", 60)]
)
def test_an_assertion_lives_five_minutes_or_less_where_the_provider_says_so(
    name: str, seconds: int
) -> None:
    assert client(name).draft(ENDPOINT).lifetime == timedelta(seconds=seconds)


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_fact_has_one_source_and_the_day_it_was_read(name: str) -> None:
    facts = TABLE[name].keys() - {"title", "cannot", "sources"}
    vouched = [field for each in PROVIDERS[name].sources for field in each.of]
    assert sorted(vouched) == sorted(facts)
    for each in PROVIDERS[name].sources:
        assert bool(each.where) is (each.kind is not Kind.UNVERIFIED), each
        assert date(2026, 1, 1) <= each.on <= clock.now().date()
        assert each.says.endswith(".")


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_entry_says_everything_and_the_careful_value_of_what_nobody_knows(name: str) -> None:
    members = TABLE[name]
    assert FACTS <= members.keys() <= FACTS | {"fixed_audience", "cannot"}
    provider = PROVIDERS[name]
    unverified = {
        field for each in provider.sources for field in each.of if each.kind is Kind.UNVERIFIED
    }
    if "key_set_cache_seconds" in unverified:
        assert provider.key_set_cache >= CAREFUL_KEY_SET_CACHE
    if "leeway_seconds" in unverified:
        assert provider.leeway >= CAREFUL_LEEWAY
    if "fetch_limit_milliseconds" in unverified:
        assert provider.fetch_limit <= CAREFUL_FETCH_LIMIT
    if "lifetime_limit_seconds" in unverified:
        assert provider.assertion_lifetime <= ASSERTION_LIFETIME


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_every_entry_is_whole(provider: Provider) -> None:
    assert provider.title
    assert set(provider.algorithms) <= set(jwk.ALGORITHMS)
    if provider.grant is Grant.CLIENT_CREDENTIALS:
        assert (provider.audience is Audience.FIXED) == bool(provider.fixed_audience)
    assert (provider.grant in {Grant.NONE, Grant.USER_FLOW}) == bool(provider.cannot)


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_a_rotation_every_thirty_days_is_safe_with_every_provider(provider: Provider) -> None:
    policy = Policy(
        rotation_interval=timedelta(days=30),
        key_set_cache=provider.key_set_cache,
        provider_leeway=provider.leeway,
        assertion_lifetime=provider.assertion_lifetime,
    )
    assert policy.publication_interval() >= provider.key_set_cache
    assert provider.assertion_lifetime <= ASSERTION_LIFETIME
