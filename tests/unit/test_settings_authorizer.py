"""What the authorizer is told, and the sentence for everything that it is told wrongly."""

from datetime import timedelta
from typing import Any

import pytest

from machine_identity.access_token import Expectations
from machine_identity.errors import InvalidTokenError, Refusal, SettingsError
from machine_identity.jwks_cache import Limits
from machine_identity.jwks_client import Location
from machine_identity.settings.authorizer import (
    AuthorizerSettings,
    Issuer,
    bearer_token,
    correlation_id,
)

NEEDED = {
    "ISSUER": "https://issuer.example",
    "AUDIENCE": "api://uppercase",
    "REQUIRED_ROLES": "Uppercase.Call",
}


def read(**variables: str) -> AuthorizerSettings:
    return AuthorizerSettings.from_environment({**NEEDED, **variables})


def fault(**variables: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(**variables)
    return str(refused.value)


def test_issuer_audience_and_one_demand_are_enough_and_the_rest_is_as_documented() -> None:
    expected = Expectations(
        issuer="https://issuer.example",
        audiences=frozenset({"api://uppercase"}),
        roles=frozenset({"Uppercase.Call"}),
        token_types=frozenset({"at+jwt", "application/at+jwt", "jwt"}),
        leeway=timedelta(seconds=60),
    )
    assert read() == AuthorizerSettings(
        issuers=(
            Issuer(location=Location(issuer="https://issuer.example"), expectations=expected),
        ),
        algorithms=frozenset({"RS256"}),
        limits=Limits(
            refresh_interval=timedelta(seconds=3600),
            max_age=timedelta(seconds=86400),
            cooldown=timedelta(seconds=30),
        ),
        jwks_timeout=timedelta(seconds=2),
    )


def test_an_empty_variable_counts_as_absent() -> None:
    names = ("JWKS_URI", "ALLOWED_ALGORITHMS", "REQUIRED_SCOPES", "ALLOWED_CLIENTS", "TOKEN_TYPES")
    assert read(**dict.fromkeys(names, " "), ALLOW_ANY_CLIENT="", LEEWAY_SECONDS="") == read()


def test_everything_can_be_set() -> None:
    settings = read(
        ISSUER="https://a.example/v2.0  https://b.example/",
        JWKS_URI="https://a.example/keys?appid=1 http://127.0.0.1:9/keys",
        AUDIENCE="api://uppercase 1111",
        ALLOWED_ALGORITHMS="PS256 ES256",
        REQUIRED_SCOPES="read write",
        REQUIRED_ROLES="a b",
        ALLOWED_CLIENTS="c1 c2",
        TOKEN_TYPES="AT+JWT x",
        LEEWAY_SECONDS="0",
        JWKS_REFRESH_SECONDS="60",
        JWKS_MAX_AGE_SECONDS="120",
        JWKS_COOLDOWN_SECONDS="5",
        JWKS_TIMEOUT_SECONDS="1",
    )
    assert [each.location for each in settings.issuers] == [
        Location(issuer="https://a.example/v2.0", jwks_uri="https://a.example/keys?appid=1"),
        Location(issuer="https://b.example/", jwks_uri="http://127.0.0.1:9/keys"),
    ]
    for each in settings.issuers:
        assert each.expectations == Expectations(
            issuer=each.location.issuer,
            audiences=frozenset({"api://uppercase", "1111"}),
            scopes=frozenset({"read", "write"}),
            roles=frozenset({"a", "b"}),
            clients=frozenset({"c1", "c2"}),
            token_types=frozenset({"at+jwt", "x"}),
            leeway=timedelta(),
        )
    assert settings.algorithms == {"PS256", "ES256"}
    assert settings.jwks_timeout == timedelta(seconds=1)
    assert settings.limits == Limits(
        refresh_interval=timedelta(seconds=60),
        max_age=timedelta(seconds=120),
        cooldown=timedelta(seconds=5),
    )


@pytest.mark.parametrize(
    "demand",
    [{"REQUIRED_SCOPES": "read"}, {"ALLOWED_CLIENTS": "c1"}, {"ALLOW_ANY_CLIENT": "true"}],
)
def test_each_demand_alone_is_one_and_any_client_is_the_ugly_opt_out(
    demand: dict[str, str],
) -> None:
    (issuer,) = read(REQUIRED_ROLES="", **demand).issuers
    assert issuer.expectations.roles == frozenset()
    assert issuer.expectations.allow_any_client is (demand == {"ALLOW_ANY_CLIENT": "true"})


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"ISSUER": ""}, "ISSUER is not set, and it is required"),
        ({"ISSUER": "http://issuer.example"}, "ISSUER must be an https URL"),
        ({"ISSUER": "issuer.example"}, "ISSUER must be an https URL"),
        ({"ISSUER": "https://a.example http://b.example"}, "ISSUER must be an https URL"),
        ({"ISSUER": "https://a.example https://a.example"}, "ISSUER must not name an issuer"),
        ({"AUDIENCE": ""}, "AUDIENCE is not set, and it is required"),
        ({"JWKS_URI": "http://a.example/keys"}, "JWKS_URI must be an https URL"),
        ({"JWKS_URI": "https://a.example/keys?a#b"}, "JWKS_URI must be"),
        ({"JWKS_URI": "https://a.example/keys#b"}, "JWKS_URI must be"),
        ({"JWKS_URI": "https://a.example/ https://b.example/"}, "JWKS_URI must hold as many URLs"),
        (
            {"ISSUER": "https://a.example https://b.example", "JWKS_URI": "https://a.example/k"},
            "JWKS_URI must hold as many URLs",
        ),
        ({"ALLOWED_ALGORITHMS": "RS256 none"}, "ALLOWED_ALGORITHMS must be some of RS256, RS384,"),
        ({"ALLOWED_ALGORITHMS": "HS256"}, "ALLOWED_ALGORITHMS must be some of RS256, RS384,"),
        ({"REQUIRED_ROLES": ""}, "REQUIRED_SCOPES, REQUIRED_ROLES, ALLOWED_CLIENTS: one must be"),
        ({"REQUIRED_ROLES": "", "ALLOW_ANY_CLIENT": "false"}, "REQUIRED_SCOPES, REQUIRED_ROLES,"),
        ({"ALLOW_ANY_CLIENT": "yes"}, "ALLOW_ANY_CLIENT must be one of true, false"),
        ({"ALLOW_ANY_CLIENT": "true", "ALLOWED_CLIENTS": "c1"}, "ALLOW_ANY_CLIENT must not be"),
        ({"LEEWAY_SECONDS": "301"}, "LEEWAY_SECONDS must be a whole number from 0 to 300"),
        ({"LEEWAY_SECONDS": "-1"}, "LEEWAY_SECONDS must be a whole number from 0 to 300"),
        ({"JWKS_REFRESH_SECONDS": "0"}, "JWKS_REFRESH_SECONDS must be a whole number from 1"),
        ({"JWKS_MAX_AGE_SECONDS": "0"}, "JWKS_MAX_AGE_SECONDS must be a whole number from 1"),
        ({"JWKS_COOLDOWN_SECONDS": "0"}, "JWKS_COOLDOWN_SECONDS must be a whole number from 1"),
        ({"JWKS_TIMEOUT_SECONDS": "10"}, "JWKS_TIMEOUT_SECONDS must be a whole number from 1"),
    ],
)
def test_a_wrong_variable_is_named_with_its_rule(variables: dict[str, str], sentence: str) -> None:
    said = fault(**variables)
    assert said.startswith(sentence)
    assert "\n" not in said


# Events


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer a.b.c"},
        {"Authorization": "bearer a.b.c"},
        {"AUTHORIZATION": "BEARER   a.b.c", "x-authorization": "Bearer d.e.f"},
    ],
)
def test_the_bearer_token_is_taken_in_any_case(headers: dict[str, str]) -> None:
    assert bearer_token({"headers": headers}) == "a.b.c"


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "event",
        {},
        {"headers": None},
        {"headers": [["authorization", "Bearer a.b.c"]]},
        {"headers": {}},
        {"headers": {7: "Bearer a.b.c"}},
        {"headers": {"authorization": None}},
        {"headers": {"authorization": ["Bearer a.b.c"]}},
        {"headers": {"authorization": ""}},
        {"headers": {"authorization": "a.b.c"}},
        {"headers": {"authorization": "Bearer"}},
        {"headers": {"authorization": "Bearer  "}},
        {"headers": {"authorization": "Bearera.b.c"}},
        {"headers": {"authorization": " Bearer a.b.c"}},
        {"headers": {"authorization": "DPoP a.b.c"}},
        {"headers": {"authorization": "Bearer\ta.b.c"}},
        {"headers": {"authorization": "Bearer a.b.c", "Authorization": "Bearer a.b.c"}},
        {"authorizationToken": "Bearer a.b.c"},
        {"identitySource": ["Bearer a.b.c"]},
    ],
)
def test_without_exactly_one_bearer_token_there_is_none(event: object) -> None:
    with pytest.raises(InvalidTokenError) as refused:
        bearer_token(event)
    assert refused.value.code is Refusal.NO_TOKEN


@pytest.mark.parametrize(
    ("event", "request_id"),
    [
        ({"requestContext": {"requestId": "r1"}}, "r1"),
        ({"requestContext": {"requestId": 7}}, ""),
        ({"requestContext": {}}, ""),
        ({"requestContext": None}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_request_id_is_the_api_s_or_nothing(event: Any, request_id: str) -> None:
    assert correlation_id(event) == request_id
