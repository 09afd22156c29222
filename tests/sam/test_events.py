"""Every function answers every event of ``events/`` rightly, in a container of Lambda's image."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from machine_identity import keyring
from tests.decisions import REQUESTS, is_allowed, post, status
from tests.handlers import ROOT, event
from tests.sam.conftest import SCOPE, Deployment

pytestmark = pytest.mark.sam


def cases(function: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / "events" / function).glob("*.json"))


def expected(function: str) -> dict[str, Any]:
    path = ROOT / "tests" / "vectors" / function / "expected.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@pytest.mark.parametrize("function", ["authorizer", "jwks", "uppercase"])
def test_every_event_has_an_expected_answer(function: str) -> None:
    assert cases(function) == sorted(expected(function))


@pytest.mark.parametrize("case", cases("uppercase"))
def test_uppercase(deployment: Deployment, case: str) -> None:
    answer = deployment.invoke("UppercaseFunction", event("uppercase", case))
    wanted = expected("uppercase")[case]
    assert (answer["statusCode"], json.loads(answer["body"])) == (wanted["status"], wanted["body"])


@pytest.mark.parametrize("case", cases("authorizer"))
def test_authorizer(deployment: Deployment, case: str) -> None:
    answer = deployment.invoke("AuthorizerFunction", event("authorizer", case))
    assert answer["isAuthorized"] is is_allowed(case)


@pytest.mark.parametrize("case", REQUESTS)
def test_the_api_answers_each_request_as_the_authorizer_decides_it(
    deployment: Deployment, case: str
) -> None:
    assert post(deployment.api, case) == status(case)


@pytest.mark.usefixtures("ticked")
@pytest.mark.parametrize("case", cases("jwks"))
def test_jwks(deployment: Deployment, case: str) -> None:
    answer = deployment.invoke("JwksFunction", event("jwks", case))
    assert answer["statusCode"] == expected("jwks")[case]["status"]
    if case == "key_set":
        assert len(json.loads(answer["body"])["keys"]) >= 2


def test_the_first_tick_makes_an_active_and_a_standby_key(
    deployment: Deployment, ticked: Any
) -> None:
    done = [each["step"] for each in ticked["steps"]]
    assert done.count("CreateKey") == 2
    assert "Promote" in done
    assert ticked["wait"]["why"]
    status = deployment.invoke("RotationFunction", event("rotation", "status"))
    assert sorted(key["state"] for key in status["keys"]) == ["active", "standby"]


ROTATION: Final = {
    "status": {"identity", "revision", "now", "issuers", "seen", "keys"},
    "tick": {"identity", "revision", "now", "steps", "wait"},
    "plan": {"identity", "revision", "now", "until", "steps", "keys"},
    "plan_at": {"identity", "revision", "now", "until", "steps", "keys"},
    "rotate": {"identity", "revision", "now", "steps", "wait"},
    "rotate_unsafe": {"identity", "revision", "now", "steps", "wait"},
    "explain": {"identity", "revision", "now", "at", "keys"},
    "confirm": {"error", "error_description"},
    "revoke": {
        "identity",
        "revision",
        "now",
        "revoked",
        "reason",
        "steps",
        "wait",
        "signing_stops_within_seconds",
        "accepted_until",
        "refused_until",
        "access_tokens",
        "notes",
    },
    "revoke_unknown": {"error", "error_description"},
    "unknown_command": {"error", "error_description"},
    "wrong_shape": {"error", "error_description"},
}
"""The members of each answer; in this order, since three of them change what stands."""
_MEANT: Final = {"revoke": "active", "confirm": "standby"}
"""The state of the key that an operator would name in the event."""


def test_every_event_of_rotation_has_an_expected_answer() -> None:
    assert cases("rotation") == sorted(ROTATION)


@pytest.fixture(scope="module")
def an_hour_later(deployment: Deployment, ticked: Any) -> None:
    """Let the active key have signed for an hour: a promotion just after another is not made."""
    assert ticked["steps"]
    document = deployment.state.read("default/keyring.json")
    assert document is not None
    ring = keyring.parse(document.body)
    assert ring.active is not None
    older = replace(ring.active, since=ring.active.since - timedelta(hours=1))
    aged = replace(ring.with_key(older), revision=ring.revision + 1)
    deployment.state.write("default/keyring.json", keyring.serialise(aged), expected=document.tag)


@pytest.mark.usefixtures("an_hour_later")
@pytest.mark.parametrize("case", ROTATION)
def test_rotation(deployment: Deployment, case: str) -> None:
    asked = event("rotation", case)
    if case in _MEANT:
        status = deployment.invoke("RotationFunction", event("rotation", "status"))
        kids = {key["state"]: key["kid"] for key in status["keys"]}
        asked = {**asked, "kid": kids[_MEANT[case]]}
    answer = deployment.invoke("RotationFunction", asked)
    assert answer.keys() == ROTATION[case], answer
    steps = [each["step"] for each in answer.get("steps", [])]
    match case:
        case "tick" | "rotate":
            # A standby key that was made a moment ago waits, whoever asks.
            assert "Promote" not in steps
        case "rotate_unsafe":
            assert steps[0] == "Promote"
            assert "CreateKey" in steps
        case "plan":
            assert steps[0] == "Promote"
        case "plan_at":
            assert {"Promote", "CreateKey", "Withdraw", "ScheduleDeletion"} <= set(steps)
        case "revoke":
            assert steps[:3] == ["Revoke", "Disable", "Publish"]
            assert answer["notes"] == []
        case "explain":
            assert all(key["because"] for key in answer["keys"])
        case "unknown_command" | "wrong_shape" | "revoke_unknown" | "confirm":
            assert answer["error"] == "invalid_request"
        case _:
            assert answer["keys"]


TOKEN: Final = {
    "default": None,
    "named": None,
    "scope": None,
    "unknown_client": "unknown_client",
    "unknown_scope": "invalid_scope",
    "wrong_shape": "invalid_request",
}
"""The error of each answer; None is a token."""


def test_every_event_of_token_has_an_expected_answer() -> None:
    assert cases("token") == sorted([*TOKEN, "canary"])


@pytest.mark.usefixtures("ticked")
@pytest.mark.parametrize(("case", "error"), TOKEN.items())
def test_token(deployment: Deployment, case: str, error: str | None) -> None:
    answer = deployment.invoke("TokenFunction", event("token", case))
    if error is not None:
        assert (answer.keys(), answer["error"]) == ({"error", "error_description"}, error)
        return
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}, answer
    assert (answer["token_type"], answer["scope"]) == ("Bearer", SCOPE)
    assert answer["access_token"].count(".") == 2


@pytest.mark.usefixtures("ticked")
def test_the_canary_is_idle_while_the_standby_key_is_young(deployment: Deployment) -> None:
    answer = deployment.invoke("TokenFunction", event("token", "canary"))
    assert (answer["canary"], answer["trials"], answer["strangers"]) == ("idle", [], [])
    assert answer["revision"] == 1  # that there is a key to be tried is written down


COLD: Final = {
    "RotationFunction": "rotation/status",
    "TokenFunction": "token/default",
    "JwksFunction": "jwks/key_set",
    "AuthorizerFunction": "authorizer/allowed",
    "UppercaseFunction": "uppercase/hello",
}


@pytest.mark.usefixtures("ticked")
@pytest.mark.parametrize(("function", "case"), COLD.items())
def test_sam_local_invoke_answers_as_a_cold_start_does(
    deployment: Deployment, function: str, case: str
) -> None:
    answer = deployment.invoke_cold(function, ROOT / "events" / f"{case}.json")
    match function:
        case "RotationFunction":
            assert "active" in {key["state"] for key in answer["keys"]}
        case "TokenFunction":
            assert answer["token_type"] == "Bearer"
        case "AuthorizerFunction":
            assert answer["isAuthorized"] is True
        case _:
            assert answer["statusCode"] == 200


def test_after_a_first_deploy_the_authorizer_refuses_to_start(deployment: Deployment) -> None:
    path = ROOT / "events" / "authorizer" / "allowed.json"
    answer = deployment.invoke_cold("AuthorizerFunction", path, ISSUER="", JWKS_URI="")
    assert "isAuthorized" not in answer
    assert (answer["errorType"], answer["errorMessage"]) == (
        "SettingsError",
        "ISSUER is not set, and it is required",
    )
