"""The authorizer as Lambda runs it, on the events that ``sam local`` takes and a real key set."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from machine_identity import clock, transport
from machine_identity.errors import KeySetUnavailableError, Refusal, SettingsError
from tests.decisions import ENVIRONMENT, EXPECTED, JWKS, is_allowed
from tests.handlers import ROOT, Context, cold_start, event
from tests.key_set_server import Answer, KeySetServer

REQUEST_ID = "JKJaXmPLvHcESHA="
REFUSED = {case: code for case, code in EXPECTED.items() if code != "allowed"}


@pytest.fixture
def server() -> Iterator[KeySetServer]:
    with KeySetServer(JWKS) as server:
        yield server


@pytest.fixture
def start(server: KeySetServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[], ModuleType]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JWKS_URI", server.jwks_uri)
    return lambda: cold_start("authorizer")


def ask(function: ModuleType, case: str) -> dict[str, Any]:
    answer: dict[str, Any] = function.handler(event("authorizer", case), Context())
    return answer


def test_every_event_has_a_decision_and_every_refusal_s_reason_an_event() -> None:
    files = {path.stem for path in (ROOT / "events" / "authorizer").glob("*.json")}
    assert files == EXPECTED.keys()
    # What needs a deny list or requires scopes or clients is asked for in unit tests.
    elsewhere = {"denied_key", "denied_token", "scope", "client"}
    assert {code.value for code in Refusal} - elsewhere == {*REFUSED.values()}


@pytest.mark.parametrize("case", EXPECTED)
def test_each_event_is_decided_as_it_is_written_down(
    case: str, start: Callable[[], ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    function = start()
    with caplog.at_level(logging.INFO):
        answer = ask(function, case)
    assert answer["isAuthorized"] is is_allowed(case)
    if is_allowed(case):
        assert answer["context"] == {
            "issuer": "https://issuer.example",
            "subject": "subject-1",
            "client": "client-1",
            "scope": "uppercase",
            "roles": "Uppercase.Call",
        }
        assert caplog.records == []
    else:
        assert answer == {"isAuthorized": False, "context": {}}
        (record,) = caplog.records
        told = {**record.__dict__}
        assert (told["code"], record.getMessage()) == (
            EXPECTED[case],
            f"token refused: {EXPECTED[case]}",
        )
        assert told["api_request_id"] == ("" if case == "wrong_shape" else REQUEST_ID)


def test_one_environment_decides_them_all_and_asks_for_the_key_set_once(
    start: Callable[[], ModuleType], server: KeySetServer
) -> None:
    function = start()
    assert server.requests == []
    for _ in range(2):
        decisions = {case: ask(function, case)["isAuthorized"] for case in EXPECTED}
        assert decisions == {case: is_allowed(case) for case in EXPECTED}
    assert server.fetches == 1


@pytest.mark.parametrize("shape", [None, [], "event", 7, {}, {"headers": None}, {"headers": []}])
def test_an_event_of_another_shape_is_refused(
    shape: object, start: Callable[[], ModuleType]
) -> None:
    assert start().handler(shape, Context()) == {"isAuthorized": False, "context": {}}


@pytest.mark.parametrize("request_context", [None, [], {"requestId": ["x"]}])
def test_nor_is_the_request_id_s_place_relied_on(
    request_context: object, start: Callable[[], ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    shape = {**event("authorizer", "expired"), "requestContext": request_context}
    assert start().handler(shape, Context())["isAuthorized"] is False
    assert caplog.records[0].__dict__["api_request_id"] == ""


def test_a_token_expires_while_the_function_lives(
    start: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    function = start()
    assert ask(function, "allowed")["isAuthorized"]
    monkeypatch.setattr(clock, "now", lambda: datetime(2100, 1, 1, 0, 0, 59, tzinfo=UTC))
    assert ask(function, "allowed")["isAuthorized"]
    monkeypatch.setattr(clock, "now", lambda: datetime(2100, 1, 1, 0, 1, tzinfo=UTC))
    assert not ask(function, "allowed")["isAuthorized"]


def test_while_the_key_set_is_not_to_be_had_nobody_is_judged(
    start: Callable[[], ModuleType], server: KeySetServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = Answer(status=503)
    function = start()
    for case in ("allowed", "unknown_key", "bad_signature"):
        with pytest.raises(KeySetUnavailableError, match="not to be had"):
            ask(function, case)
    assert not ask(function, "wrong_issuer")["isAuthorized"]
    told = [record.__dict__ for record in caplog.records if record.name == "authorizer"]
    assert [each["code"] for each in told] == ["key_set_unavailable"] * 3 + ["issuer"]
    assert {each["api_request_id"] for each in told} == {REQUEST_ID}
    assert server.fetches == 1


def test_a_wrong_setting_stops_the_function_at_its_start(
    start: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUIRED_ROLES", "")
    with pytest.raises(SettingsError, match="one must be set, or ALLOW_ANY_CLIENT=true"):
        start()


def test_nothing_of_a_token_is_ever_logged(
    start: Callable[[], ModuleType],
    server: KeySetServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    function = start()
    with caplog.at_level(logging.DEBUG):
        for case in EXPECTED:
            ask(function, case)
        server.answer = Answer(status=500)
        with pytest.raises(KeySetUnavailableError) as error:
            ask(start(), "allowed")
    told = [str(record.__dict__) + record.getMessage() for record in caplog.records]
    shown = "".join([*told, *capfd.readouterr(), repr(error.value)])
    assert len(told) >= len(REFUSED)
    for case in EXPECTED:
        headers = event("authorizer", case).get("headers", {})
        for name in ("authorization", "Authorization"):
            parts = headers.get(name, "").replace(" ", ".").replace(",", ".").split(".")
            assert not [part for part in parts if len(part) > 6 and part in shown]
    for claim in ("subject-1", "client-1", "api://other", "Uppercase.Read", "attacker"):
        assert claim not in shown


NEEDLESS = {
    *("jwt", "joserfc", "aws_lambda_powertools", "boto3", "botocore", "requests", "urllib3"),
    *("dataclasses", "inspect", "ast", "asyncio", "urllib.request", "importlib.metadata"),
    *("http.client", "email", "email.parser", "uuid"),
    *("cryptography.x509", "cryptography.hazmat.primitives.serialization", "encodings.idna"),
    *("cryptography.hazmat.backends.openssl.backend", "machine_identity.jwk"),
}
"""What somebody may import without a thought, and what it is not needed for."""


def imported(then: str = "pass") -> set[str]:
    """Return what a fresh interpreter has imported after the start, and after ``then``."""
    program = (
        "import json, runpy, sys; app = runpy.run_path('functions/authorizer/app.py');"
        f"{then}; print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(ran.stderr.splitlines()[-1].split())


def test_up_to_its_first_decision_it_imports_no_more_than_it_uses(
    start: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALLOWED_ALGORITHMS")
    start()  # under this environment the same start works
    case = "events/authorizer/allowed.json"
    decision = f"answer = app['handler'](json.load(open('{case}')), None)"
    names = imported(f"{decision}; assert answer['isAuthorized'] is True")
    assert NEEDLESS & names == set()
    ours = {each.partition(".")[2] for each in names if each.startswith("machine_identity.")}
    assert ours == {
        *("access_token", "clock", "emf", "encoding", "errors", "http1", "jose", "jwks_cache"),
        *("jwks_client", "jws", "key_set", "records", "transport", "verifier"),
        *("settings", "settings.authorizer", "settings.environment"),
    }


@pytest.mark.parametrize(("algorithm", "is_needed"), [("ES256", True), ("PS256", False)])
def test_what_only_some_algorithms_need_is_imported_at_the_start_and_for_them_only(
    algorithm: str,
    is_needed: bool,  # noqa: FBT001 - of a table
    start: Callable[[], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALLOWED_ALGORITHMS", algorithm)
    start()
    assert ("cryptography.hazmat.backends.openssl.backend" in imported()) is is_needed


@pytest.mark.parametrize(
    ("jwks_uri", "count"), [("https://issuer.example/keys", 1), ("", 1), (None, 0)]
)
def test_the_system_s_authorities_are_read_before_the_first_call_where_there_is_tls(
    jwks_uri: str | None,
    count: int,
    start: Callable[[], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contexts: list[object] = []
    monkeypatch.setattr(transport, "_contexts", contexts)
    if jwks_uri is not None:
        monkeypatch.setenv("JWKS_URI", jwks_uri)
    start()
    assert len(contexts) == count


# What is counted


def counted(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("case", EXPECTED)
def test_every_decision_is_counted_by_its_reason_and_by_nothing_else(
    case: str, start: Callable[[], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    function = start()
    ask(function, case)
    (line,) = counted(capsys.readouterr().out)
    (metric,) = line.pop("_aws")["CloudWatchMetrics"]
    assert metric["Namespace"] == "MachineIdentity"
    if is_allowed(case):
        assert line == {"service": "authorizer", "Authorized": 1}
        assert metric["Dimensions"] == [["service"]]
    else:
        assert line == {"service": "authorizer", "reason": EXPECTED[case], "Refused": 1}
        assert metric["Dimensions"] == [["service"], ["service", "reason"]]


def test_what_could_not_be_judged_is_counted_too(
    start: Callable[[], ModuleType], server: KeySetServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = Answer(status=503)
    with pytest.raises(KeySetUnavailableError):
        ask(start(), "allowed")
    (line,) = counted(capsys.readouterr().out)
    assert line.pop("_aws")["CloudWatchMetrics"][0]["Metrics"][0]["Name"] == "NotJudged"
    assert line == {"service": "authorizer", "NotJudged": 1}
