"""The uppercase function as Lambda runs it: its events, and everything that is not like them."""

import base64
import json
import logging
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handlers import ROOT, Context, cold_start, event

EXPECTED: dict[str, Any] = json.loads(
    (ROOT / "tests" / "vectors" / "uppercase" / "expected.json").read_text()
)
MALFORMED = (400, "malformed_json")
HELLO = b'{"text": "hello world"}'


def start() -> ModuleType:
    # A new process has no logger yet; this one has that of the last cold start.
    logging.Logger.manager.loggerDict.pop("uppercase", None)
    return cold_start("uppercase")


FUNCTION = start()
LIMIT = 64 * 1024


def ask(question: object) -> tuple[int, dict[str, str]]:
    answer = FUNCTION.handler(question, Context())
    assert answer["isBase64Encoded"] is False
    assert answer["headers"] == {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    json.dumps(answer)  # as the runtime does
    answer["body"].encode()
    return answer["statusCode"], json.loads(answer["body"])


def request(body: str | None = '{"text": "hello world"}', **headers: str) -> dict[str, Any]:
    """Return the event of a request, as AWS sends it; None leaves the body out, as AWS does."""
    hello = event("uppercase", "hello")
    for name, value in headers.items():
        hello["headers"][name.replace("_", "-")] = value
    if body is None:
        del hello["body"]
        return dict(hello)
    return {**hello, "body": body}


def octets(content: bytes) -> dict[str, Any]:
    return {**request(base64.b64encode(content).decode()), "isBase64Encoded": True}


def refusal(question: object) -> tuple[int, str]:
    status, body = ask(question)
    assert body.keys() == {"error", "message"}
    return status, body["error"]


def test_every_event_has_an_expectation_and_every_expectation_an_event() -> None:
    assert {each.stem for each in (ROOT / "events" / "uppercase").iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("case", EXPECTED)
def test_every_event_is_answered_as_expected(case: str) -> None:
    assert ask(event("uppercase", case)) == (EXPECTED[case]["status"], EXPECTED[case]["body"])


# What is answered


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", ""),
        ("straße", "STRASSE"),
        ("ﬁancé", "FIANCÉ"),
        ("\u0390", "\u0399\u0308\u0301"),
        ("ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ"),
        ("a\x00\u2028b", "A\x00\u2028B"),
        ("\U0001f600", "\U0001f600"),
        ("\U00010428", "\U00010400"),
    ],
)
def test_uppercasing_is_unicode_s(text: str, result: str) -> None:
    for body in (json.dumps({"text": text}), json.dumps({"text": text}, ensure_ascii=False)):
        assert ask(request(body)) == (200, {"result": result})
        assert ask(octets(body.encode())) == (200, {"result": result})


def test_the_answer_is_written_in_utf_8_and_not_in_escapes() -> None:
    answer = FUNCTION.handler(request('{"text": "\\u00e9"}'), Context())
    assert answer["body"] == '{"result": "É"}'


def test_members_that_nobody_asked_for_are_ignored() -> None:
    assert ask(request('{"text": "a", "more": [1e999, "\\ud800"]}')) == (200, {"result": "A"})


@given(st.text())
def test_any_text_that_json_can_carry_is_answered(text: str) -> None:
    status, body = ask(request(json.dumps({"text": text})))
    assert (status, body) == (200, {"result": text.upper()})


@given(st.binary())
def test_no_body_at_all_is_ever_a_500(content: bytes) -> None:
    assert ask(octets(content))[0] == 400


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_json_value_but_an_object_with_text_is_taken(value: Any) -> None:
    assert refusal(request(json.dumps(value))) == (400, "not_an_object")
    expected = (200, "result") if isinstance(value, str) else (400, "text_not_a_string")
    status, body = ask(request(json.dumps({"text": value})))
    assert (status, body.get("error", "result")) == expected


# Bodies


@pytest.mark.parametrize(
    "body", ["", " ", "{", "{'text': 'a'}", '\ufeff{"text": "a"}', "[" * 60_000]
)
def test_what_is_no_json_is_malformed(body: str) -> None:
    assert refusal(request(body)) == MALFORMED


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1" * 5000])
def test_python_s_own_numbers_are_not_json(number: str) -> None:
    assert refusal(request(f'{{"text": "a", "more": {number}}}')) == MALFORMED


@pytest.mark.parametrize("body", [None, ""])
def test_a_body_that_is_not_there_is_malformed_and_not_a_wrong_event(body: str | None) -> None:
    assert refusal(request(body)) == MALFORMED
    assert refusal({**request(), "body": None}) == MALFORMED  # sam local


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_no_encoding_but_utf_8_is_guessed(encoding: str) -> None:
    status, code = refusal(octets('{"text": "é"}'.encode(encoding)))
    assert (status, code in {"invalid_utf8", "malformed_json"}) == (400, True)


def test_a_body_of_the_gateway_s_that_is_half_a_surrogate_pair_is_not_utf_8() -> None:
    assert refusal(request('{"text": "\ud800"}')) == (400, "invalid_utf8")


@pytest.mark.parametrize("text", ["\\ud800", "\\udfff", "a\\ud83db", "\\ude00\\ud83d"])
def test_half_a_surrogate_pair_is_refused_and_never_a_500(text: str) -> None:
    assert refusal(request(f'{{"text": "{text}"}}')) == (400, "invalid_text")


@pytest.mark.parametrize(
    "body",
    [
        '{"text": "a", "text": "a"}',
        '{"text": "a", "more": {"x": 1, "x": 2}}',
        '{"text": "a", "t\\u0065xt": "b"}',
    ],
)
def test_what_two_readers_may_read_differently_is_refused(body: str) -> None:
    assert refusal(request(body)) == (400, "duplicate_member")


@pytest.mark.parametrize("body", ["e30=!", "e30", "e3 0=", "e30=\n", "é", "\ud800", "e30=e30="])
def test_base64_is_taken_to_the_letter(body: str) -> None:
    assert refusal({**request(body), "isBase64Encoded": True}) == (400, "invalid_base64")


def sized(octet_count: int, filling: str = "a") -> str:
    """Return a body of that many bytes of UTF-8."""
    frame = len('{"text": ""}')
    return f'{{"text": "{filling * ((octet_count - frame) // len(filling.encode()))}"}}'


@pytest.mark.parametrize("filling", ["a", "é"])
def test_the_limit_counts_bytes_and_is_itself_allowed(filling: str) -> None:
    exact, over = sized(LIMIT, filling), sized(LIMIT + 2, filling)
    assert (len(exact.encode()), len(over.encode())) == (LIMIT, LIMIT + 2)
    assert ask(request(exact))[0] == 200
    assert refusal(request(over)) == (413, "body_too_large")
    assert ask(octets(exact.encode()))[0] == 200
    assert refusal(octets(over.encode())) == (413, "body_too_large")
    assert refusal(request(sized(LIMIT) + " ")) == (413, "body_too_large")


# Content types


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        " application/json ",
        "application/json;charset=utf-8",
        "application/json ; charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json;",
    ],
)
def test_json_in_utf_8_is_taken_however_it_is_written(content_type: str) -> None:
    assert ask(request(content_type=content_type))[0] == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/jsonp",
        "application/json-patch+json",
        "text/json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; version=2",
        "application/json, text/plain",
        "text/plain; application/json",
    ],
)
def test_any_other_content_type_is_not_supported(content_type: str) -> None:
    assert refusal(request(content_type=content_type)) == (415, "unsupported_media_type")


def test_no_content_type_is_not_supported_and_its_name_may_be_in_any_case() -> None:
    question = request()
    content_type = question["headers"].pop("content-type")
    assert refusal(question) == (415, "unsupported_media_type")
    question["headers"]["Content-Type"] = content_type  # sam local
    assert ask(question)[0] == 200


# Events


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.0"},
        {"version": 2.0},
        {"headers": None},
        {"headers": [["content-type", "application/json"]]},
        {"headers": {"content-type": 7}},
        {"body": {"text": "a"}},
        {"body": 7},
        {"isBase64Encoded": "false"},
        {"isBase64Encoded": None},
    ],
)
def test_an_event_of_another_shape_is_an_invalid_event(change: dict[str, object]) -> None:
    assert refusal({**request(), **change}) == (400, "invalid_event")


@pytest.mark.parametrize("member", ["version", "headers", "isBase64Encoded"])
def test_an_event_that_lacks_a_member_is_an_invalid_event(member: str) -> None:
    question = request()
    del question[member]
    assert refusal(question) == (400, "invalid_event")


@pytest.mark.parametrize(
    "question", [None, [], "hello", 7, {}, {"Records": []}, [{"version": "2.0"}], ["version"]]
)
def test_what_is_no_event_of_an_http_api_is_an_invalid_event(question: object) -> None:
    assert refusal(question) == (400, "invalid_event")


# Logs


def test_each_log_is_json_with_the_request_and_the_client_and_nothing_that_was_sent(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    function = start()
    question = request('{"text": "my private words"}')
    function.handler(question, Context())
    question["body"] = '{"text": "my private words", "text": "my private words"}'
    function.handler(question, Context())
    printed = "".join(capfd.readouterr())
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [(line["message"], line.get("code")) for line in lines] == [
        ("answered", None),
        ("refused", "duplicate_member"),
    ]
    for line in lines:
        assert line["correlation_id"] == "BvXlUhEwFiAEJzQ="
        assert line["function_request_id"] == Context.aws_request_id
        assert line["client"] == "client-1"
    sent = [*question["headers"]["authorization"].split(" ")[1].split("."), "private", "PRIVATE"]
    assert not [word for word in [*sent, "Bearer", "curl"] if word in printed]


@pytest.mark.parametrize(
    "context",
    [{}, {"authorizer": {"jwt": {}}}, {"authorizer": {"lambda": {"client": ["a"]}}}, None],
)
def test_a_caller_whom_nobody_named_is_served_and_logged_as_nobody(
    capfd: pytest.CaptureFixture[str], context: object
) -> None:
    answer = start().handler({**request(), "requestContext": context}, Context())
    assert answer["statusCode"] == 200
    (line,) = [json.loads(each) for each in "".join(capfd.readouterr()).splitlines()]
    assert (line["message"], line.get("client")) == ("answered", None)


def test_the_function_knows_no_client_of_aws_and_nothing_of_the_core() -> None:
    look = (
        "import sys; from tests.handlers import cold_start; cold_start('uppercase');"
        "print({'boto3', 'botocore.client', 'machine_identity'} & sys.modules.keys())"
    )
    seen = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert seen.stdout == "set()\n"
