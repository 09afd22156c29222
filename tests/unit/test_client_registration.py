"""What is asked of a server, what its answer means, and what is kept of it: no I/O."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import jwk
from machine_identity.client_registration.answers import (
    RegistrationError,
    RejectedError,
    TokenRefusedError,
    check_uri,
    is_token,
    legible,
    process_client,
    process_deletion,
    process_registration,
    request,
)
from machine_identity.client_registration.metadata import (
    Metadata,
    differences,
    handed_over,
    merged,
)
from machine_identity.client_registration.record import (
    Kept,
    Registered,
    Registering,
    State,
    StoreError,
    Vacant,
    read,
    with_token,
    written,
)
from machine_identity.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

URI = "https://us.example/jwks.json"
TOKEN = "registration-access-token-1234567890"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
PUBLIC = jwk.from_public_key(
    rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(), "RS256"
)
OTHER = jwk.from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key(), "ES256")


def asked(**more: Any) -> Metadata:
    return Metadata(**{"client_name": "billing", "jwks_uri": URI, "algorithm": "RS256", **more})


def body(**members: Any) -> bytes:
    standard = {
        "client_id": "client-1",
        "registration_access_token": TOKEN,
        "registration_client_uri": "https://as.example/register/client-1",
    }
    return json.dumps({**standard, **members}).encode()


# What is asked


def test_a_client_authenticates_by_its_keys_and_asks_for_tokens_by_itself_only() -> None:
    assert asked(scope="read write").members == {
        "client_name": "billing",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "RS256",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "jwks_uri": URI,
        "scope": "read write",
    }


def test_keys_that_are_handed_over_take_the_place_of_a_uri() -> None:
    members = asked(jwks_uri="", jwks=handed_over(json.dumps({"keys": [PUBLIC]}).encode())).members
    assert members["jwks"] == {"keys": [PUBLIC]}
    assert "jwks_uri" not in members


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"jwks": {"keys": [PUBLIC]}}, "a jwks_uri or a jwks, never both"),
        ({"jwks_uri": "http://us.example/jwks.json"}, "jwks_uri must be an https URL"),
        ({"jwks_uri": "https://us.example/\njwks.json"}, "jwks_uri must be an https URL"),
        ({"jwks_uri": "https://us:pw@us.example/"}, "jwks_uri must be an https URL"),
        ({"algorithm": "HS256"}, "the algorithm must be one of RS256"),
        ({"scope": "a  b"}, "scope must be words"),
        ({"client_name": "bill\ning"}, "client_name must be 1 to 256 printable"),
        ({"client_name": "b" * 257}, "client_name must be 1 to 256 printable"),
        ({"software_id": "é"}, "software_id must be"),
        ({"software_version": "\t"}, "software_version must be"),
        ({"software_statement": "no.jwt"}, "must be a signed JWT"),
        ({"software_statement": "a.b.c" + "c" * 40_000}, "must be a signed JWT"),
    ],
)
def test_a_member_that_is_none_of_rfc_7591_is_named_with_its_rule(
    members: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        asked(**members)


def test_a_software_statement_is_passed_on_and_shown_by_no_repr() -> None:
    made = asked(software_statement="eyJh.eyJi.c2ln")
    assert made.members["software_statement"] == "eyJh.eyJi.c2ln"
    assert "eyJ" not in repr(made)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"keys": []}',
        b'{"keys": 7}',
        json.dumps({"keys": [PUBLIC, {**OTHER, "d": "AQAB"}]}).encode(),
        json.dumps({"keys": [{**PUBLIC, "p": "AQAB"}]}).encode(),
        json.dumps({"keys": [PUBLIC, {"kty": "oct", "k": "AQAB", "kid": "1"}]}).encode(),
        json.dumps({"keys": [PUBLIC, PUBLIC]}).encode(),
        json.dumps({"keys": [PUBLIC, {**OTHER, "use": "enc"}]}).encode(),
        b'{"keys": [], "keys": [' + json.dumps(PUBLIC).encode() + b"]}",
    ],
)
def test_no_set_is_handed_over_with_a_key_that_should_not_be(document: bytes) -> None:
    with pytest.raises(SettingsError, match="the key set"):
        handed_over(document)


def test_a_token_stands_in_the_header_and_in_no_repr() -> None:
    made = request("POST", "https://as.example/register", token=TOKEN, members={"a": 1})
    assert made.headers["authorization"] == f"Bearer {TOKEN}"
    assert made.body == b'{"a": 1}'
    assert TOKEN not in repr(made)
    without = request("GET", "https://as.example", token="", members=None)
    assert "authorization" not in without.headers
    assert without.body is None


@pytest.mark.parametrize(
    ("text", "good"), [("a", True), ("a" * 4096, True), ("", False), ("a" * 4097, False)]
)
def test_a_token_is_of_a_sane_length(text: str, *, good: bool) -> None:
    assert is_token(text) is good


@pytest.mark.parametrize("text", ["a b", "a\n", "é", "a\r\nx: y"])
def test_what_would_break_a_header_is_no_token(text: str) -> None:
    assert not is_token(text)


# An update


def test_an_update_says_all_that_is_registered_and_leaves_out_what_is_null() -> None:
    registered = {"jwks_uri": URI, "contacts": ["a"], "tos_uri": None, "scope": "read"}
    members = merged(registered, Metadata(scope="write"))
    assert members["contacts"] == ["a"]
    assert (members["jwks_uri"], members["scope"]) == (URI, "write")
    assert "tos_uri" not in members


def test_the_new_way_of_the_keys_ends_the_other() -> None:
    keys = {"keys": [PUBLIC]}
    assert "jwks_uri" not in merged({"jwks_uri": URI}, Metadata(jwks=keys))
    assert "jwks" not in merged({"jwks": keys}, Metadata(jwks_uri=URI))


# What the server made of it


def test_what_was_registered_as_asked_is_no_difference() -> None:
    assert differences(asked().members, {**asked().members, "more": 1}) == ()


def test_order_in_scopes_and_writing_in_keys_are_no_difference() -> None:
    wanted = asked(jwks_uri="", jwks={"keys": [PUBLIC, OTHER]}, scope="a b").members
    bare = {name: value for name, value in PUBLIC.items() if name not in {"alg", "kid", "use"}}
    registered = {**wanted, "scope": "b a", "jwks": {"keys": [OTHER, bare]}}
    assert differences(wanted, registered) == ()


@pytest.mark.parametrize(
    ("member", "value", "matters"),
    [
        ("token_endpoint_auth_method", "client_secret_basic", True),
        ("token_endpoint_auth_method", None, True),
        ("token_endpoint_auth_signing_alg", "ES256", True),
        ("token_endpoint_auth_signing_alg", None, False),
        ("jwks_uri", "https://them.example/jwks.json", True),
        ("jwks_uri", None, True),
        ("grant_types", ["authorization_code"], True),
        ("grant_types", None, True),
        ("grant_types", ["client_credentials", "refresh_token"], False),
        ("scope", "read", True),
        ("scope", None, True),
        ("scope", "read write more", False),
        ("response_types", ["code"], False),
        ("client_name", "other", False),
    ],
)
def test_what_makes_a_client_useless_matters_and_the_rest_is_told(
    member: str, value: object, *, matters: bool
) -> None:
    wanted = asked(scope="read write").members
    registered = {name: each for name, each in wanted.items() if name != member}
    if value is not None:
        registered[member] = value
    [found] = differences(wanted, registered)
    assert (found.name, found.registered, found.matters) == (member, value, matters)


@pytest.mark.parametrize("value", [{"keys": [OTHER]}, {"keys": []}, {}, "x", {"keys": [7]}, None])
def test_other_keys_than_those_handed_over_matter(value: object) -> None:
    wanted = asked(jwks_uri="", jwks={"keys": [PUBLIC]}).members
    [found] = differences(wanted, {**wanted, "jwks": value})
    assert (found.name, found.matters) == ("jwks", True)


def test_what_matters_comes_first() -> None:
    wanted = asked().members
    found = differences(wanted, {**wanted, "client_name": "x", "jwks_uri": "x"})
    assert [each.name for each in found] == ["jwks_uri", "client_name"]


# Answers


@pytest.mark.parametrize("status", [200, 201])
def test_a_registration_is_taken_with_all_that_manages_it(status: int) -> None:
    client = process_registration(status, body(client_id_issued_at=1_800_000_000, x=1))
    assert client.client_id == "client-1"
    assert client.issued_at == datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
    assert (client.token, client.uri) == (TOKEN, "https://as.example/register/client-1")
    assert client.members == {"client_id": "client-1", "x": 1}


def test_neither_secret_nor_token_is_among_what_is_sent_back_or_shown() -> None:
    client = process_registration(
        201, body(client_secret="s3cret", client_secret_expires_at=0, client_id_issued_at=1)
    )
    assert client.members == {"client_id": "client-1"}
    assert "s3cret" not in repr(client)
    assert TOKEN not in repr(client)


@pytest.mark.parametrize(
    "members",
    [
        {"registration_access_token": 7},
        {"registration_access_token": "a b"},
        {"registration_access_token": None},
        {"registration_client_uri": "http://as.example/"},
        {"registration_client_uri": None},
        {"client_id_issued_at": "now"},
        {"client_id_issued_at": 10**15},
        {"client_id_issued_at": -1},
    ],
)
def test_a_client_that_exists_is_not_forgotten_for_the_rest_of_its_answer(
    members: dict[str, Any],
) -> None:
    client = process_registration(201, body(**members))
    assert client.client_id == "client-1"
    assert not (client.token and client.uri and client.issued_at)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"client_id": "a", "client_id": "b"}',
        b'{"client_id": 7}',
        b'{"client_id": ""}',
        body(client_id="cl\nient"),
        body(client_id="x" * 601),
        body(client_id=f"id-{TOKEN}"),
    ],
)
def test_an_answer_without_a_name_for_the_client_is_no_answer_and_no_refusal(
    answer: bytes,
) -> None:
    with pytest.raises(RegistrationError) as failed:
        process_registration(201, answer)
    assert failed.value.code == "invalid_response"
    assert not isinstance(failed.value, RejectedError)
    assert TOKEN not in str(failed.value)


@pytest.mark.parametrize(
    ("status", "answer", "code", "kind"),
    [
        (400, {"error": "invalid_client_metadata"}, "invalid_client_metadata", RejectedError),
        (
            400,
            {"error": "invalid_software_statement"},
            "invalid_software_statement",
            RejectedError,
        ),
        (401, {"error": "invalid_token"}, "invalid_token", TokenRefusedError),
        (401, {}, "invalid_token", TokenRefusedError),
        (403, {"error": "insufficient_scope"}, "insufficient_scope", RejectedError),
        (403, {}, "refused", RejectedError),
        (404, {"error": "NOT FOUND"}, "refused", RejectedError),
        (429, {}, "temporarily_unavailable", RejectedError),
        (503, {}, "temporarily_unavailable", RejectedError),
        (500, {}, "server_error", RegistrationError),
        (502, {}, "temporarily_unavailable", RegistrationError),
        (504, {}, "temporarily_unavailable", RegistrationError),
        (202, {}, "invalid_response", RegistrationError),
        (204, {}, "invalid_response", RegistrationError),
    ],
)
def test_only_what_says_that_nothing_was_done_is_a_refusal(
    status: int, answer: dict[str, Any], code: str, kind: type[RegistrationError]
) -> None:
    content = json.dumps(answer).encode()
    processes: list[Callable[[], object]] = [
        lambda: process_registration(status, content),
        lambda: process_client(status, content, client_id="client-1"),
    ]
    for process in processes:
        with pytest.raises(RegistrationError) as failed:
            process()
        assert (failed.value.code, type(failed.value)) == (code, kind)


@pytest.mark.parametrize("status", [200, 201])
def test_a_read_or_update_is_about_the_client_that_was_asked_for(status: int) -> None:
    assert process_client(status, body(), client_id="client-1").token == TOKEN
    with pytest.raises(RegistrationError, match="about another client"):
        process_client(status, body(), client_id="client-2")


@pytest.mark.parametrize("status", [200, 204])
def test_a_deletion_is_done_with_200_or_204(status: int) -> None:
    process_deletion(status, b"")


@pytest.mark.parametrize("status", [202, 401, 404, 500])
def test_and_with_nothing_else(status: int) -> None:
    with pytest.raises(RegistrationError):
        process_deletion(status, b"")


@pytest.mark.parametrize(
    "echo",
    [TOKEN, TOKEN[5:30], "\n".join(TOKEN), f"bad token <{TOKEN}>", TOKEN[:20] + " " + TOKEN[20:]],
)
def test_an_error_that_repeats_a_token_is_not_told(echo: str) -> None:
    for members in ({"error": "x", "error_description": echo}, {"error": TOKEN.replace("-", "_")}):
        with pytest.raises(RegistrationError) as failed:
            process_registration(
                400, json.dumps(members).encode(), secrets=(TOKEN, TOKEN.replace("-", "_"))
            )
        for part in (TOKEN[:12], TOKEN[12:24], TOKEN[-12:]):
            assert part not in str(failed.value).replace(" ", "")


def test_a_short_token_is_not_told_either() -> None:
    answer = json.dumps({"error": "x", "error_description": "bad token hunter2"}).encode()
    with pytest.raises(RegistrationError) as failed:
        process_registration(400, answer, secrets=("", "hunter2"))
    assert str(failed.value) == "x: …"


def test_a_description_is_told_on_one_line_and_a_value_without_our_secrets() -> None:
    answer = json.dumps({"error": "x", "error_description": "a\n\x1b[31mb"}).encode()
    with pytest.raises(RegistrationError) as failed:
        process_registration(400, answer)
    assert str(failed.value) == "x: a [31mb"
    assert legible(["a", 1], ()) == '["a", 1]'
    assert legible("a\nb", ()) == "a b"
    assert legible(f"x{TOKEN}", (TOKEN,)) == "…"
    assert legible("eyJhbGciOiJub25lIn0", ()) == "…"
    assert len(legible("x" * 1000, ())) == 500


# Where the token may go


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/register/1",
        "https://as.example:8443/register/1",
        "https://as.example@evil.example/",
        "https://as.example.evil.example/",
        "http://as.example/register/1",
    ],
)
def test_a_token_goes_to_no_other_origin_than_it_came_from(uri: str) -> None:
    with pytest.raises(RegistrationError) as failed:
        check_uri(uri, endpoint="https://as.example/register")
    assert failed.value.code == "foreign_uri"


def test_unless_the_operator_named_it_and_then_still_over_https() -> None:
    endpoint = "https://as.example/register"
    check_uri("https://as.example/r/1?client_id=1", endpoint=endpoint)
    check_uri("https://api.example/r/1", endpoint=endpoint, origin="https://api.example")
    for uri in ("http://api.example/r/1", "https://other.example/r/1"):
        with pytest.raises(RegistrationError, match="another origin"):
            check_uri(uri, endpoint=endpoint, origin="http://api.example")


def test_a_client_without_a_uri_is_not_manageable() -> None:
    with pytest.raises(RegistrationError) as failed:
        check_uri("", endpoint="https://as.example/register")
    assert failed.value.code == "not_manageable"


# What is kept

STATES: list[State] = [
    Vacant(),
    Registering(endpoint="https://as.example/register", since=NOW),
    Registered(endpoint="https://as.example/register", client_id="client-1"),
    Registered(
        endpoint="https://as.example/register",
        client_id="client-1",
        uri="https://as.example/register/1",
        tokens=(TOKEN, "older"),
        unanswered="update",
        unanswered_at=NOW,
    ),
]


@pytest.mark.parametrize("state", STATES)
def test_what_is_written_is_read_again(state: State) -> None:
    assert read(written(state, revision=7)) == (state, 7)


def test_two_tokens_of_1500_bytes_fit_a_standard_parameter() -> None:
    full = Registered(
        endpoint="https://as.example/" + "r" * 100,
        client_id="c" * 64,
        uri="https://as.example/" + "r" * 164,
        tokens=("a" * 1500, "b" * 1500),
        unanswered="update",
        unanswered_at=NOW,
    )
    assert len(written(full, revision=10**6)) <= 4096


def test_the_newest_token_comes_first_and_two_are_kept_at_most() -> None:
    assert with_token(("a",), "b") == ("b", "a")
    assert with_token(("b", "a"), "c") == ("c", "b")
    assert with_token(("b", "a"), "", "a") == ("a", "b")
    assert with_token((), "") == ()


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        "7",
        "[" * 100_000,
        '{"version": 1, "revision": 1, "state": "other"}',
        '{"version": 1, "revision": 1, "state": "registered"}',
        '{"version": 1, "revision": "x", "state": "vacant"}',
    ],
)
def test_what_is_no_record_is_an_error_that_shows_nothing_of_it(document: str) -> None:
    with pytest.raises(StoreError, match="is no record of a registration"):
        read(document)


def test_a_record_of_newer_code_is_not_read() -> None:
    with pytest.raises(StoreError, match="newer version"):
        read('{"version": 2}')


def test_no_repr_shows_a_token_or_where_it_goes() -> None:
    for shown in (*map(repr, STATES), repr(Kept(body=TOKEN, tag="1"))):
        assert TOKEN not in shown
        assert "older" not in shown
