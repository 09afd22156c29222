"""Steps 0 to 13 through ``sam local start-api``, with the authorizer in its place."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.sam.conftest import Deployment

pytestmark = pytest.mark.sam

HELLO = b'{"text": "hello world"}'


def call(
    deployment: Deployment, path: str, body: bytes | None = None, token: str | None = None
) -> tuple[int, Any]:
    """Return status and JSON of an answer; a POST if there is a body."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(  # noqa: S310 - our own http URL
        deployment.api + path, data=body, headers=headers
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def token(deployment: Deployment, ticked: Any) -> str:
    assert ticked["steps"]
    answer = deployment.invoke("TokenFunction", {})
    access_token: str = answer["access_token"]
    return access_token


@pytest.mark.usefixtures("ticked")
def test_steps_3_to_5_the_key_set_is_there_for_everybody(deployment: Deployment) -> None:
    status, key_set = call(deployment, "/.well-known/jwks.json")
    assert status == 200
    assert {key["alg"] for key in key_set["keys"]} == {"RS256"}
    status, configuration = call(deployment, "/.well-known/openid-configuration")
    assert (status, configuration["jwks_uri"]) == (
        200,
        f"{configuration['issuer']}/.well-known/jwks.json",
    )


def test_steps_9_to_13_a_call_with_the_token_is_answered(
    deployment: Deployment, token: str
) -> None:
    answer = call(deployment, "/api/uppercase", HELLO, token)
    assert answer == (200, {"result": "HELLO WORLD"})


def test_a_call_without_a_token_is_401(deployment: Deployment) -> None:
    assert call(deployment, "/api/uppercase", HELLO)[0] == 401


def test_a_call_with_a_forged_token_is_403(deployment: Deployment, token: str) -> None:
    header, claims, _ = token.split(".")
    assert call(deployment, "/api/uppercase", HELLO, f"{header}.{claims}.{'A' * 342}")[0] == 403


def test_a_call_that_is_let_in_and_makes_no_sense_is_400(
    deployment: Deployment, token: str
) -> None:
    status, answer = call(deployment, "/api/uppercase", b"{", token)
    assert (status, answer["error"]) == (400, "malformed_json")
