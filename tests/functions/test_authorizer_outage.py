"""The authorizer as Lambda runs it, while its issuer is down, and what an operator can deny."""

import json
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any

import pytest

from machine_identity import clock
from machine_identity.errors import KeySetUnavailableError
from tests.decisions import ENVIRONMENT, JWKS
from tests.handlers import Context, cold_start, event
from tests.key_set_server import KeySetServer

ALLOWED = event("authorizer", "allowed")
TOKEN_ID = "0b0c3b4e-9d3c-4a5e-8f51-6f6d2f1c9a77"  # the jti in it


class Hurried(Context):
    """An invocation with so many milliseconds left."""

    def __init__(self, milliseconds: int) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture
def server() -> Iterator[KeySetServer]:
    with KeySetServer(JWKS) as server:
        yield server


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/keys"


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    def started(jwks_uri: str, **variables: str) -> ModuleType:
        for name, value in {**ENVIRONMENT, "JWKS_URI": jwks_uri, **variables}.items():
            monkeypatch.setenv(name, value)
        return cold_start("authorizer")

    return started


def is_allowed(function: ModuleType, context: object = None) -> bool:
    answer: dict[str, Any] = function.handler(ALLOWED, context or Context())
    return bool(answer["isAuthorized"])


def bundle(folder: Path, age: timedelta) -> str:
    path = folder / "bundled.json"
    path.write_text(json.dumps({**JWKS, "fetched_at": (clock.now() - age).isoformat()}))
    return str(path)


# Time left


@pytest.mark.parametrize(("milliseconds", "seconds"), [(700, 0.5), (9000, 1)])
def test_an_answer_comes_before_the_invocation_ends_and_after_the_time_out_at_the_latest(
    milliseconds: int, seconds: float, silent: str, start: Callable[..., ModuleType]
) -> None:
    function = start(silent, JWKS_TIMEOUT_SECONDS="1")
    begun = monotonic()
    with pytest.raises(KeySetUnavailableError):
        is_allowed(function, Hurried(milliseconds))
    assert seconds - 0.05 < monotonic() - begun < seconds + 0.2


def test_with_no_time_left_nothing_is_begun_and_nothing_is_held_against_the_issuer(
    server: KeySetServer, start: Callable[..., ModuleType]
) -> None:
    function = start(server.jwks_uri)
    with pytest.raises(KeySetUnavailableError):
        is_allowed(function, Hurried(250))
    assert server.fetches == 0
    assert is_allowed(function, Hurried(9000))
    assert is_allowed(function, Hurried(1))


# A bundled set


def test_with_a_bundled_set_the_first_call_needs_no_issuer(
    tmp_path: Path, silent: str, start: Callable[..., ModuleType]
) -> None:
    function = start(silent, JWKS_BUNDLED=bundle(tmp_path, timedelta(minutes=59)))
    begun = monotonic()
    assert is_allowed(function)
    assert monotonic() - begun < 1


@pytest.mark.parametrize(("hours", "serves"), [(23.9, True), (24, False), (1000, False)])
def test_a_bundled_set_serves_until_its_hard_age_while_the_issuer_is_down(
    tmp_path: Path, start: Callable[..., ModuleType], *, hours: float, serves: bool
) -> None:
    nobody = "http://127.0.0.1:1/keys"
    function = start(nobody, JWKS_BUNDLED=bundle(tmp_path, timedelta(hours=hours)))
    if serves:
        assert is_allowed(function)
    else:
        with pytest.raises(KeySetUnavailableError):
            is_allowed(function)


def test_a_bundled_set_from_the_future_does_not_serve(
    tmp_path: Path, start: Callable[..., ModuleType]
) -> None:
    nobody = "http://127.0.0.1:1/keys"
    function = start(nobody, JWKS_BUNDLED=bundle(tmp_path, -timedelta(hours=1)))
    with pytest.raises(KeySetUnavailableError):
        is_allowed(function)


# Deny lists


def test_a_denied_key_s_tokens_are_refused_after_the_next_cold_start_and_others_are_not(
    server: KeySetServer, start: Callable[..., ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    assert is_allowed(start(server.jwks_uri, DENIED_KEY_IDS="another"))
    kids = " ".join(str(each.get("kid")) for each in JWKS["keys"])
    assert not is_allowed(start(server.jwks_uri, DENIED_KEY_IDS=f"another {kids}"))
    assert [record.__dict__["code"] for record in caplog.records] == ["denied_key"]


def test_a_denied_token_is_refused_after_the_next_cold_start_and_others_are_not(
    server: KeySetServer, start: Callable[..., ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    assert is_allowed(start(server.jwks_uri, DENIED_TOKEN_IDS="another"))
    function = start(server.jwks_uri, DENIED_TOKEN_IDS=f"another {TOKEN_ID}")
    assert [is_allowed(function) for _ in range(2)] == [False, False]
    assert [record.__dict__["code"] for record in caplog.records] == ["denied_token"] * 2
