"""The request as a server parses it, and every answer that a server has been seen to give."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine_identity.client_credentials import (
    AccessToken,
    is_passing,
    is_same_origin,
    is_scope,
    printable,
    process_metadata,
    process_response,
    token_request,
)
from machine_identity.errors import InvalidClientError, TokenRequestError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ISSUER = "https://as.example/tenant"
GOOD: dict[str, Any] = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 3600}
JWT = (
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMyJ9.eyJpc3MiOiJtZSIsInN1YiI6Im1lIn0."
    "dGhpcyBzdGFuZHMgZm9yIGEgc2lnbmF0dXJlIG9mIDI1NiBieXRlcyBvciBzbw"
)


def processed(members: Any, status: int = 200, scope: str = "read") -> AccessToken:
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return process_response(status, body, requested_scope=scope, now=NOW)


def refusal(members: Any, status: int = 200, scope: str = "read") -> TokenRequestError:
    with pytest.raises(TokenRequestError) as refused:
        processed(members, status, scope)
    return refused.value


def metadata(status: int = 200, **changes: object) -> str:
    members = {"issuer": ISSUER, "token_endpoint": ISSUER + "/token", **changes}
    return process_metadata(status, json.dumps(members).encode(), issuer=ISSUER)


def test_the_request_is_the_form_of_rfc_7523_section_2_2() -> None:
    headers, body = token_request(client_id="a&b", scope="read write", assertion="x.y.z")
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(body.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "client_id": ["a&b"],
        "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
        "client_assertion": ["x.y.z"],
        "scope": ["read write"],
    }


def test_a_request_for_no_scope_in_particular_leaves_the_parameter_out() -> None:
    assert b"scope" not in token_request(client_id="c", scope="", assertion="x.y.z")[1]


def test_a_good_answer_gives_a_token_that_lives_as_long_as_the_server_says() -> None:
    token = processed(GOOD)
    assert (token.value, token.scope) == ("a.b.c", "read")
    assert (token.issued_at, token.expires_at) == (NOW, NOW + timedelta(seconds=3600))


def test_a_token_is_passed_on_with_the_whole_seconds_that_are_left() -> None:
    left = processed(GOOD).answer(NOW + timedelta(seconds=600.5))
    assert left == {
        "access_token": "a.b.c",
        "token_type": "Bearer",
        "expires_in": 2999,
        "scope": "read",
    }


def test_the_repr_of_a_token_does_not_hold_it() -> None:
    assert "a.b.c" not in repr(processed(GOOD))


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_bearer_counts_in_any_case(kind: str) -> None:
    assert processed({**GOOD, "token_type": kind}).value == "a.b.c"


def test_a_token_without_a_named_lifetime_is_kept_for_a_minute() -> None:
    members = {name: value for name, value in GOOD.items() if name != "expires_in"}
    assert processed(members).expires_at == NOW + timedelta(seconds=60)


def test_a_token_that_claims_to_live_for_years_is_kept_for_a_day() -> None:
    assert processed({**GOOD, "expires_in": 10**12}).expires_at == NOW + timedelta(hours=24)


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "a\r\nx-evil: 1"},
        {"access_token": "a" * 16385},
        {"token_type": None},
        {"token_type": "DPoP"},
        {"expires_in": "3600"},
        {"expires_in": True},
        {"expires_in": 3600.5},
        {"expires_in": 0},
        {"expires_in": -1},
        {"scope": ["read"]},
        {"error": 7},
        {"error": "Not A Code"},
    ],
)
def test_an_answer_that_is_not_exactly_a_bearer_token_is_invalid(change: dict[str, Any]) -> None:
    assert refusal({**GOOD, **change}).code == "invalid_response"


@pytest.mark.parametrize("body", [b"", b"<html>sign in</html>", b"[]", b"\xff", b"[" * 200_000])
def test_an_answer_that_is_no_json_object_is_invalid(body: bytes) -> None:
    assert refusal(body).code == "invalid_response"
    assert refusal(body, status=404).code == "invalid_response"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "temporarily_unavailable"),
        (500, "server_error"),
        (501, "server_error"),
        (502, "temporarily_unavailable"),
        (503, "temporarily_unavailable"),
        (504, "temporarily_unavailable"),
    ],
)
def test_a_server_that_fails_in_html_gets_a_code_of_ours(status: int, code: str) -> None:
    assert refusal(b"<html>", status).code == code
    assert refusal({}, status).code == code
    assert is_passing(status)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404])
def test_what_a_repetition_would_not_better_is_not_passing(status: int) -> None:
    assert not is_passing(status)


def test_a_token_in_an_answer_that_is_not_200_is_no_token() -> None:
    assert refusal(GOOD, status=400).code == "invalid_response"


def test_the_error_of_the_server_is_passed_on() -> None:
    error = refusal({"error": "invalid_scope", "error_description": "AADSTS70011: no"}, 400)
    assert (error.code, error.description) == ("invalid_scope", "AADSTS70011: no")
    assert not isinstance(error, InvalidClientError)


def test_invalid_client_is_told_apart() -> None:
    assert isinstance(refusal({"error": "invalid_client"}, 401), InvalidClientError)


def test_an_error_without_a_readable_description_has_none() -> None:
    error = refusal({"error": "invalid_client", "error_description": {"a": 1}}, 401)
    assert error.description == ""


def test_a_scope_that_was_silently_dropped_is_an_error() -> None:
    error = refusal({**GOOD, "scope": "read"}, scope="read write admin")
    assert (error.code, error.description) == ("invalid_scope", "not granted: admin write")


def test_more_scope_than_asked_for_is_taken_and_named() -> None:
    assert processed({**GOOD, "scope": "write read"}).scope == "write read"


def test_a_description_of_entra_s_comes_through_in_one_line() -> None:
    text = "AADSTS700027: not valid.\r\nTrace ID: 1c7e5f4a-0000-4000-8000-3f1c2d4b5a69 é"
    assert printable(text) == (
        "AADSTS700027: not valid. Trace ID: 1c7e5f4a-0000-4000-8000-3f1c2d4b5a69 é"
    )


def test_a_kid_may_stand_in_a_description() -> None:
    kid = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    assert kid in printable(f"no key {kid} in the set")


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from([64, 76, len(JWT)]))
def test_nothing_of_an_assertion_that_is_long_enough_to_matter_survives_in_a_description(
    before: str, after: str, width: int
) -> None:
    echoed = "\r\n".join(JWT[i : i + width] for i in range(0, len(JWT), width))
    shown = printable(f"{before} client_assertion={echoed} {after}")
    assert not any(JWT[i : i + 44] in shown for i in range(len(JWT) - 43))


@given(st.text())
def test_a_description_is_one_bounded_line_that_can_be_printed(text: str) -> None:
    shown = printable(text * 40)
    assert len(shown) <= 500
    assert shown.isprintable()


def test_the_token_endpoint_comes_from_the_metadata() -> None:
    assert metadata() == ISSUER + "/token"
    assert metadata(token_endpoint="http://127.0.0.1:8/token") == "http://127.0.0.1:8/token"


@pytest.mark.parametrize("issuer", [ISSUER + "/", ISSUER.upper(), "https://evil.example", None])
def test_metadata_of_another_issuer_is_refused(issuer: str | None) -> None:
    with pytest.raises(TokenRequestError, match="names another issuer") as refused:
        metadata(issuer=issuer)
    assert refused.value.code == "invalid_metadata"


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "",
        "/token",
        "http://as.example/token",
        "https://",
        "https://[as.example/token",
        "https://user@as.example/token",
        "https://as.example/token#part",
        "ftp://127.0.0.1/token",
    ],
)
def test_an_endpoint_that_is_not_https_is_refused(endpoint: str | None) -> None:
    with pytest.raises(TokenRequestError, match="no https token_endpoint"):
        metadata(token_endpoint=endpoint)


@pytest.mark.parametrize(
    ("status", "code"), [(404, "invalid_metadata"), (503, "temporarily_unavailable")]
)
def test_metadata_that_is_not_there_is_an_error_by_its_status(status: int, code: str) -> None:
    with pytest.raises(TokenRequestError) as refused:
        metadata(status)
    assert refused.value.code == code


@pytest.mark.parametrize("text", ["read", "read write", "api://uppercase/.default", "!#[]~"])
def test_a_scope_is_words_of_printable_ascii(text: str) -> None:
    assert is_scope(text)


@pytest.mark.parametrize(
    "text", ["", " ", "read ", "read  write", 'a"b', "a\\b", "a\nb", "é", "a" * 1025]
)
def test_what_is_no_scope_is_not_sent(text: str) -> None:
    assert not is_scope(text)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://as.example/elsewhere", True),
        ("https://as.example:444/", False),
        ("http://as.example/", False),
        ("https://as.example.evil/", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(other: str, same: bool) -> None:  # noqa: FBT001
    assert is_same_origin(ISSUER, other) is same
