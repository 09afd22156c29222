"""The eight rules by which an access token is for us, each just enough and just too little."""

from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from machine_identity import client_assertion
from machine_identity.access_token import Expectations, VerifiedClaims, check
from machine_identity.errors import (
    InsufficientScopeError,
    InvalidTokenError,
    Refusal,
    SettingsError,
)
from machine_identity.jws import SignedClaims

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
EXPECTED = Expectations(
    issuer="https://issuer.example",
    audiences=frozenset({"api://uppercase", "11111111-2222"}),
    roles=frozenset({"Uppercase.Call", "Uppercase.Admin"}),
)
CLAIMS: dict[str, Any] = {
    "iss": "https://issuer.example",
    "aud": "api://uppercase",
    "exp": SECONDS + 3600,
    "iat": SECONDS,
    "nbf": SECONDS,
    "sub": "subject-1",
    "azp": "client-1",
    "roles": ["Uppercase.Call"],
}


def judged(
    expected: Expectations = EXPECTED,
    *,
    typ: str | None = "JWT",
    now: datetime = NOW,
    **claims: Any,
) -> VerifiedClaims:
    members = {name: each for name, each in {**CLAIMS, **claims}.items() if each is not ...}
    return check(SignedClaims(typ=typ, claims=members), expected, now)


def refused(
    expected: Expectations = EXPECTED,
    *,
    typ: str | None = "JWT",
    now: datetime = NOW,
    **claims: Any,
) -> Refusal:
    with pytest.raises(InvalidTokenError) as error:
        judged(expected, typ=typ, now=now, **claims)
    rights = {Refusal.SCOPE, Refusal.ROLE, Refusal.CLIENT}
    assert isinstance(error.value, InsufficientScopeError) == (error.value.code in rights)
    return error.value.code


def test_a_good_token_says_who_calls_and_until_when() -> None:
    claims = judged(scp="read write", scope=["write", "delete"])
    assert claims == VerifiedClaims(
        issuer="https://issuer.example",
        subject="subject-1",
        client="client-1",
        scopes=("read", "write", "delete"),
        roles=("Uppercase.Call",),
        valid_from=NOW - timedelta(seconds=60),
        valid_until=NOW + timedelta(seconds=3660),
    )
    assert claims.context() == {
        "issuer": "https://issuer.example",
        "subject": "subject-1",
        "client": "client-1",
        "scope": "read write delete",
        "roles": "Uppercase.Call",
    }


def test_the_least_token_has_issuer_audience_expiry_and_the_right() -> None:
    claims = judged(typ="at+jwt", iat=..., nbf=..., sub=..., azp=...)
    assert (claims.subject, claims.client, claims.scopes) == ("", "", ())


def test_the_context_leaves_out_a_name_that_would_read_as_two() -> None:
    claims = judged(roles=["Uppercase.Call", "x admin"], scope=["read", "x write"])
    assert claims.roles == ("Uppercase.Call", "x admin")
    assert claims.context()["roles"] == "Uppercase.Call"
    assert claims.context()["scope"] == "read"


# Rule 1


@pytest.mark.parametrize(
    "typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT", "JWT", "jwt", None]
)
def test_rule_1_an_access_token_s_type_is_taken_without_case_and_absent_is_jwt(
    typ: str | None,
) -> None:
    assert judged(typ=typ).client == "client-1"


@pytest.mark.parametrize(
    "typ",
    [
        "",
        " JWT",
        "application/jwt",
        "client-authentication+jwt",
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "JOSE",
        "at",
    ],
)
def test_rule_1_a_client_assertion_and_every_other_type_is_refused(typ: str) -> None:
    assert refused(typ=typ) is Refusal.TYPE


def test_rule_1_the_types_can_be_narrowed_and_absent_still_counts_as_jwt() -> None:
    strict = replace(EXPECTED, token_types=frozenset({"at+jwt"}))
    assert judged(strict, typ="at+JWT").client == "client-1"
    assert refused(strict, typ="JWT") is Refusal.TYPE
    assert refused(strict, typ=None) is Refusal.TYPE


# Rule 2


@pytest.mark.parametrize("name", ["nonce", "at_hash", "c_hash", "s_hash", "events", "cnf"])
@pytest.mark.parametrize("value", ["x", None, {}])
def test_rule_2_a_claim_of_another_kind_of_token_is_refused(name: str, value: Any) -> None:
    assert refused(**{name: value}) is Refusal.TYPE


@pytest.mark.parametrize("name", ["typ_claim", "token_use", "token_type"])
@pytest.mark.parametrize(
    "kind", ["ID", "id", "id_token", "Refresh", "refresh_token", "Offline", "Logout", "DPoP"]
)
def test_rule_2_a_kind_written_as_a_claim_is_refused(name: str, kind: str) -> None:
    claims = {**CLAIMS, name.removesuffix("_claim"): kind}
    with pytest.raises(InvalidTokenError) as error:
        check(SignedClaims(typ="JWT", claims=claims), EXPECTED, NOW)
    assert error.value.code is Refusal.TYPE


@pytest.mark.parametrize("kind", ["Bearer", "access", 7, None, ["ID"]])
def test_rule_2_and_an_access_token_s_kind_is_taken(kind: object) -> None:
    claims = {**CLAIMS, "typ": kind, "token_use": kind, "token_type": kind}
    assert check(SignedClaims(typ="JWT", claims=claims), EXPECTED, NOW).client == "client-1"


@pytest.mark.parametrize(
    ("typ", "code"),
    [("client-authentication+jwt", Refusal.TYPE), ("JWT", Refusal.ISSUER)],
)
def test_rule_2_a_client_assertion_is_no_access_token_whatever_type_it_has(
    typ: str, code: Refusal
) -> None:
    draft = client_assertion.Draft(
        issuer="client-1",
        subject="client-1",
        audience="api://uppercase",
        typ=typ,
        algorithms=("RS256",),
        lifetime=timedelta(seconds=300),
    )
    claims = client_assertion.claims(draft, issuer="client-1", now=NOW, jti="jti-1")
    with pytest.raises(InvalidTokenError) as error:
        check(SignedClaims(typ=typ, claims=claims), EXPECTED, NOW)
    assert error.value.code is code


def test_rule_2_an_id_token_is_no_access_token_with_a_nonce_or_without() -> None:
    members: dict[str, Any] = {"aud": "client-1", "azp": "client-1", "auth_time": SECONDS}
    assert refused(**members, nonce="n-1") is Refusal.TYPE
    assert refused(**members) is Refusal.AUDIENCE


@pytest.mark.parametrize("typ", ["JWT", "jwt", None])
@pytest.mark.parametrize("client", [..., ""])
def test_rule_2_nor_is_one_for_our_audience_with_our_roles_since_it_names_no_client(
    typ: str | None, client: object
) -> None:
    assert refused(typ=typ, azp=client) is Refusal.TYPE
    assert judged(typ="application/AT+jwt", azp=client).client == ""
    assert judged(typ=typ, azp=..., cid="client-1").client == "client-1"


# Rule 3


@pytest.mark.parametrize(
    "issuer",
    [
        ...,
        None,
        7,
        "",
        "https://issuer.example/",
        "https://ISSUER.example",
        "https://issuer.example.attacker.example",
        "https://issuer.exampl",
        "http://issuer.example",
        ["https://issuer.example"],
    ],
)
def test_rule_3_the_issuer_is_compared_letter_for_letter(issuer: object) -> None:
    assert refused(iss=issuer) is Refusal.ISSUER


# Rule 4


@pytest.mark.parametrize(
    "audience",
    [
        "api://uppercase",
        "11111111-2222",
        ["api://uppercase"],
        ["api://other", "11111111-2222"],
    ],
)
def test_rule_4_the_audience_is_or_holds_one_of_ours(audience: object) -> None:
    assert judged(aud=audience).client == "client-1"


@pytest.mark.parametrize(
    "audience",
    [
        ...,
        "",
        [],
        "api://uppercase/",
        "API://uppercase",
        "api://uppercas",
        "api://uppercase 11111111-2222",
        ["api://other"],
    ],
)
def test_rule_4_another_audience_is_refused_and_none_too(audience: object) -> None:
    assert refused(aud=audience) is Refusal.AUDIENCE


@pytest.mark.parametrize(
    "audience", [None, 7, True, {"api://uppercase": 1}, ["api://uppercase", 7], [["x"]]]
)
def test_rule_4_an_audience_is_a_string_or_a_list_of_strings(audience: object) -> None:
    assert refused(aud=audience) is Refusal.CLAIM_TYPE


# Rule 5

LEEWAY = EXPECTED.leeway
SECOND = timedelta(seconds=1)


def test_rule_5_a_token_is_good_until_the_leeway_after_its_expiry_is_over() -> None:
    end = NOW + timedelta(seconds=3600) + LEEWAY
    assert judged(now=end - SECOND).valid_until == end
    assert judged(now=end - timedelta(microseconds=1)).valid_until == end
    assert refused(now=end) is Refusal.EXPIRED
    assert refused(now=end + timedelta(days=365)) is Refusal.EXPIRED


@pytest.mark.parametrize(
    ("name", "code"),
    [("nbf", Refusal.NOT_YET_VALID), ("iat", Refusal.ISSUED_IN_FUTURE)],
)
def test_rule_5_a_token_is_good_from_the_leeway_before_its_nbf_and_iat(
    name: str, code: Refusal
) -> None:
    claims: dict[str, Any] = {name: SECONDS + 600}
    start = NOW + timedelta(seconds=600) - LEEWAY
    other: dict[str, Any] = {"nbf": 0, "iat": 0, **claims}
    assert refused(now=start - timedelta(days=365), **other) is code
    assert refused(now=start - SECOND, **claims) is code
    assert refused(now=start - timedelta(microseconds=1), **claims) is code
    assert judged(now=start, **claims).valid_from == start
    assert judged(now=start + SECOND, **claims).valid_from == start


def test_rule_5_the_leeway_is_as_it_is_set() -> None:
    none = replace(EXPECTED, leeway=timedelta())
    assert judged(none, now=NOW + timedelta(seconds=3599)).valid_from == NOW
    assert refused(none, now=NOW + timedelta(seconds=3600)) is Refusal.EXPIRED
    assert refused(none, nbf=SECONDS + 1) is Refusal.NOT_YET_VALID
    most = replace(EXPECTED, leeway=timedelta(minutes=5))
    assert judged(most, now=NOW + timedelta(seconds=3899)).valid_from == NOW - most.leeway
    assert refused(most, now=NOW + timedelta(seconds=3900)) is Refusal.EXPIRED


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        str(SECONDS + 3600),
        True,
        SECONDS + 0.5,
        float(SECONDS),
        float("nan"),
        float("inf"),
        [],
        {},
        -1,
        10**12,
        10**19,
    ],
)
def test_rule_5_a_time_is_a_whole_number_of_seconds_before_the_year_9999(
    name: str, value: Any
) -> None:
    assert refused(**{name: value}) is Refusal.CLAIM_TYPE


def test_rule_5_an_expiry_is_required() -> None:
    assert refused(exp=...) is Refusal.CLAIM_TYPE


def test_rule_5_the_last_instant_that_can_be_written_is_taken() -> None:
    last = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())
    assert judged(exp=last).valid_until.year == 9999
    assert refused(exp=last + 1) is Refusal.CLAIM_TYPE


# Rule 6

SCOPED = replace(EXPECTED, roles=frozenset(), scopes=frozenset({"read", "write"}))


@pytest.mark.parametrize(
    "claims",
    [
        {"scp": "read write"},
        {"scope": "write read"},
        {"scp": ["write", "other", "read"]},
        {"scope": ["read", "write"]},
        {"scp": "read", "scope": "write"},
        {"scp": " read  write "},
    ],
)
def test_rule_6_all_scopes_are_required_by_whichever_name(claims: dict[str, Any]) -> None:
    assert set(judged(SCOPED, **claims).scopes) >= {"read", "write"}


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"scp": ""},
        {"scope": []},
        {"scp": "read"},
        {"scope": "write"},
        {"scp": "readwrite"},
        {"scp": "read\twrite"},
        {"scp": "read,write"},
        {"scp": "READ WRITE"},
        {"scp": ["read write"]},
        {"roles": ["read", "write"]},
    ],
)
def test_rule_6_one_scope_too_few_is_too_few(claims: dict[str, Any]) -> None:
    assert refused(SCOPED, **claims) is Refusal.SCOPE


@pytest.mark.parametrize("name", ["scp", "scope"])
@pytest.mark.parametrize("value", [None, 7, True, {"read": 1}, ["read", 7]])
def test_rule_6_scopes_are_a_string_or_a_list_of_strings(name: str, value: Any) -> None:
    assert refused(**{name: value}) is Refusal.CLAIM_TYPE


# Rule 7


@pytest.mark.parametrize("roles", [["Uppercase.Admin"], ["x", "Uppercase.Call"]])
def test_rule_7_one_of_the_roles_is_enough(roles: list[str]) -> None:
    assert judged(roles=roles).roles == tuple(roles)


@pytest.mark.parametrize(
    "roles", [..., [], ["Uppercase"], ["uppercase.call"], ["Uppercase.Call Uppercase.Admin"]]
)
def test_rule_7_no_role_or_another_is_refused(roles: object) -> None:
    assert refused(roles=roles) is Refusal.ROLE


@pytest.mark.parametrize(
    "roles", [None, "Uppercase.Call", {"Uppercase.Call": 1}, ["Uppercase.Call", None], 7]
)
def test_rule_7_a_string_is_no_list_of_roles(roles: object) -> None:
    assert refused(roles=roles) is Refusal.CLAIM_TYPE
    assert refused(SCOPED, scp="read write", roles=roles) is Refusal.CLAIM_TYPE


def test_rule_7_a_scope_is_no_role() -> None:
    assert refused(roles=..., scp="Uppercase.Call") is Refusal.ROLE


# Rule 8

CLIENTS = replace(EXPECTED, clients=frozenset({"client-1", "client-2"}))


@pytest.mark.parametrize("name", ["azp", "appid", "client_id", "cid"])
def test_rule_8_the_client_is_allowed_by_whichever_name(name: str) -> None:
    named: dict[str, Any] = {"azp": ..., name: "client-2"}
    assert judged(CLIENTS, **named).client == "client-2"


@pytest.mark.parametrize("client", [..., "", "client-3", "CLIENT-1", "client-1 client-2"])
def test_rule_8_no_client_or_another_is_refused(client: object) -> None:
    assert refused(CLIENTS, typ="at+jwt", azp=client) is Refusal.CLIENT


def test_rule_8_what_okta_calls_the_client_counts_where_nothing_else_does() -> None:
    assert judged(CLIENTS, cid="client-9").client == "client-1"
    assert judged(CLIENTS, cid=7).client == "client-1"
    assert judged(CLIENTS, azp=..., cid="client-2").client == "client-2"
    assert refused(CLIENTS, azp=..., cid="client-9") is Refusal.CLIENT
    assert refused(CLIENTS, azp=..., cid=7) is Refusal.CLAIM_TYPE


def test_rule_8_two_names_for_one_client_are_none() -> None:
    assert judged(CLIENTS, client_id="client-1", appid="client-1").client == "client-1"
    assert refused(CLIENTS, client_id="client-2") is Refusal.CLIENT
    assert refused(appid="client-2") is Refusal.CLIENT


@pytest.mark.parametrize("name", ["azp", "appid", "client_id", "sub", "jti"])
@pytest.mark.parametrize("value", [None, 7, True, ["client-1"]])
def test_rule_8_names_are_strings(name: str, value: Any) -> None:
    assert refused(**{name: value}) is Refusal.CLAIM_TYPE


def test_all_demands_hold_together() -> None:
    both = replace(CLIENTS, scopes=frozenset({"read"}))
    assert judged(both, scp="read").client == "client-1"
    assert refused(both) is Refusal.SCOPE
    assert refused(both, scp="read", roles=["x"]) is Refusal.ROLE
    assert refused(both, scp="read", azp="x") is Refusal.CLIENT


def test_any_client_comes_in_only_where_that_is_said() -> None:
    anyone = replace(EXPECTED, roles=frozenset(), allow_any_client=True)
    assert judged(anyone, roles=[], azp="whoever").client == "whoever"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"issuer": ""}, "must be expected"),
        ({"audiences": frozenset()}, "must be expected"),
        ({"token_types": frozenset()}, "must be expected"),
        ({"roles": frozenset()}, "must be required, or any client allowed"),
        ({"audiences": frozenset({"api://uppercase", ""})}, "cannot be expected"),
        ({"scopes": frozenset({""})}, "cannot be expected"),
        ({"roles": frozenset({"x", ""})}, "cannot be expected"),
        ({"clients": frozenset({""})}, "cannot be expected"),
        ({"token_types": frozenset({"at+JWT"})}, "in lower case"),
        ({"leeway": timedelta(seconds=-1)}, "between 0 and"),
        ({"leeway": timedelta(seconds=301)}, "between 0 and"),
    ],
)
def test_demands_that_let_anybody_in_cannot_be_made(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        replace(EXPECTED, **change)


@pytest.mark.parametrize("empty", ["", " ", [""]])
def test_rule_6_an_empty_scope_is_none(empty: object) -> None:
    assert judged(scope=empty, scp="read  write ").scopes == ("read", "write")
