"""What the authorizer is told, and the sentence for everything that it is told wrongly."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from machine_identity import jwk
from machine_identity.access_token import Expectations
from machine_identity.errors import InvalidTokenError, Refusal, SettingsError
from machine_identity.jwks_cache import Cache, Limits
from machine_identity.jwks_client import Location
from machine_identity.settings.authorizer import (
    FOR_THE_ANSWER,
    AuthorizerSettings,
    Issuer,
    bearer_token,
    correlation_id,
    time_left,
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
        denied_key_ids=frozenset(),
        denied_token_ids=frozenset(),
    )
    (issuer,) = read().issuers
    assert issuer.known == Cache()


def test_an_empty_variable_counts_as_absent() -> None:
    names = ("JWKS_URI", "ALLOWED_ALGORITHMS", "REQUIRED_SCOPES", "ALLOWED_CLIENTS", "TOKEN_TYPES")
    later = ("JWKS_BUNDLED", "DENIED_KEY_IDS", "DENIED_TOKEN_IDS")
    empty = dict.fromkeys((*names, *later), " ")
    assert read(**empty, ALLOW_ANY_CLIENT="", LEEWAY_SECONDS="") == read()


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
        DENIED_KEY_IDS=" k1  k2 ",
        DENIED_TOKEN_IDS="t1 t2 t1",
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
    assert settings.denied_key_ids == {"k1", "k2"}
    assert settings.denied_token_ids == {"t1", "t2"}
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
        ({"JWKS_URI": "https://a.example/keys?é"}, "JWKS_URI must be printable ASCII"),
        ({"JWKS_URI": "https://a.example/keys?a\x7f"}, "JWKS_URI must be printable ASCII"),
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


# Bundled key sets

FETCHED_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def bundle(path: Path, **members: Any) -> str:
    """Write a set with one key to a file; return its name."""
    key = jwk.from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key(), "ES256")
    entry = {**key, "kid": path.name}
    document = {"keys": [entry], "fetched_at": FETCHED_AT.isoformat(), **members}
    kept = {name: each for name, each in document.items() if each is not ...}
    path.write_text(json.dumps(kept))
    return str(path)


def test_a_bundled_set_is_as_old_as_it_says(tmp_path: Path) -> None:
    (issuer,) = read(JWKS_BUNDLED=bundle(tmp_path / "one.json")).issuers
    assert issuer.known == Cache(keys=issuer.known.keys, fetched_at=FETCHED_AT)
    assert issuer.known.keys.keys() == {"one.json"}


def test_bundled_sets_are_in_the_order_of_the_issuers_and_found_where_the_function_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle(tmp_path / "two.json", fetched_at="2026-11-24T13:00:00+01:00")
    monkeypatch.chdir(tmp_path)
    names = f"two.json {bundle(tmp_path / 'one.json', fetched_at='2026-11-24T12:00:00Z')}"
    settings = read(ISSUER="https://two.example https://one.example", JWKS_BUNDLED=names)
    assert [list(each.known.keys) for each in settings.issuers] == [["two.json"], ["one.json"]]
    assert [each.known.fetched_at for each in settings.issuers] == [FETCHED_AT] * 2


@pytest.mark.parametrize("count", [1, 3])
def test_there_are_as_many_bundled_sets_as_issuers(tmp_path: Path, count: int) -> None:
    names = " ".join([bundle(tmp_path / "one.json")] * count)
    said = fault(ISSUER="https://one.example https://two.example", JWKS_BUNDLED=names)
    assert said == "JWKS_BUNDLED must name as many files as ISSUER, in the same order, or none"


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({"fetched_at": ...}, "must be a file with an instant fetched_at (KeyError)"),
        ({"fetched_at": None}, "must be a file with an instant fetched_at (TypeError)"),
        ({"fetched_at": 1763985600}, "must be a file with an instant fetched_at (TypeError)"),
        ({"fetched_at": "today"}, "must be a file with an instant fetched_at (ValueError)"),
        ({"fetched_at": "2026-11-24T12:00:00"}, "fetched_at must be given with its zone"),
        ({"fetched_at": "2026-11-24"}, "fetched_at must be given with its zone"),
        ({"keys": ...}, "the answer is not a JWK Set"),
        ({"keys": []}, "the key set has no key that can be used"),
    ],
)
def test_a_file_that_is_no_dated_key_set_is_named_with_its_rule(
    tmp_path: Path, members: dict[str, Any], rule: str
) -> None:
    name = bundle(tmp_path / "one.json", **members)
    assert fault(JWKS_BUNDLED=name) == f"JWKS_BUNDLED, {name}: {rule}"


def test_so_is_one_that_is_not_there_or_no_json(tmp_path: Path) -> None:
    assert re.fullmatch(
        r"JWKS_BUNDLED, .*none\.json: must be a file .*\(FileNotFoundError\)",
        fault(JWKS_BUNDLED=str(tmp_path / "none.json")),
    )
    (tmp_path / "html").write_text("<html>")
    assert fault(JWKS_BUNDLED=str(tmp_path / "html")).endswith("the answer is not a JWK Set")


# Time


class Running:
    """An invocation that has so many milliseconds left."""

    def __init__(self, milliseconds: int) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def test_some_of_the_time_that_is_left_is_kept_for_the_answer() -> None:
    assert time_left(Running(9000)) == timedelta(milliseconds=8800)
    assert time_left(Running(0)) == -FOR_THE_ANSWER
    assert timedelta(milliseconds=50) <= FOR_THE_ANSWER <= timedelta(milliseconds=500)


@pytest.mark.parametrize("context", [None, object(), {"get_remaining_time_in_millis": 9000}])
def test_without_lambda_s_context_the_time_has_no_end(context: object) -> None:
    assert time_left(context) is None


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
