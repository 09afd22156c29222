"""Each function at its work with the rights of its own role, and moto's IAM watching S3."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from moto.core.authorization import enable_iam_authentication

from interop import roles
from interop.deployment import Deployment
from interop.recording import Shown
from interop.trials import from_pypi
from machine_identity import transport
from machine_identity.publication import JWKS_PATH

FUNCTIONS = ("RotationFunction", "TokenFunction", "JwksFunction")
ROLE = "AWS, with IAM"
pytestmark = pytest.mark.parametrize("deployment", ["ES384 with roles"], indirect=True)


def buckets(deployment: Deployment) -> Mapping[str, str]:
    settings = deployment.stack.functions["RotationFunction"].spec.environment
    return {
        "StateBucket": settings["STATE_BUCKET"],
        "PublishedBucket": settings["PUBLISHED_BUCKET"],
    }


@contextmanager
def under(
    deployment: Deployment, statements: Mapping[str, list[dict[str, Any]]], name: str
) -> Iterator[None]:
    """Have each function do what these statements allow, and nothing else on S3."""
    aws = deployment.stack.aws
    rights = {each: roles.assumed(aws, f"{name}-{each}", statements[each]) for each in FUNCTIONS}
    with ExitStack() as opened:
        for each in FUNCTIONS:
            opened.enter_context(deployment.redeployed(each, rights[each]))
        opened.enter_context(enable_iam_authentication())
        yield


def refusals(deployment: Deployment) -> int:
    logs = (deployment.stack.logs / f"{each}.log" for each in FUNCTIONS)
    return sum(log.read_text().count("AccessDenied") for log in logs if log.exists())


def key_set(deployment: Deployment) -> int:
    url = deployment.issuer + JWKS_PATH
    return transport.send("GET", url, headers={}, timeout=timedelta(seconds=10)).status


def test_every_function_does_its_work_with_the_rights_of_its_role(
    deployment: Deployment, shown: Shown
) -> None:
    written = {each: roles.of(each, buckets(deployment)) for each in FUNCTIONS}
    before = deployment.client.invoke("RotationFunction", {"command": "status"})
    refused = refusals(deployment)
    with under(deployment, written, "written"):
        deployment.stack.advance(timedelta(days=8))
        after = deployment.client.invoke("RotationFunction", {"command": "status"})
        assert key_set(deployment) == 200
        assert deployment.client.uppercase("hello world") == "HELLO WORLD"

    active = {each["state"]: each["kid"] for each in after["keys"]}["active"]
    assert active in {each["kid"] for each in before["keys"] if each["state"] == "standby"}
    assert refusals(deployment) == refused
    said = "S3 lets every function do its work under its own role; rights on KMS it cannot judge"
    shown(from_pypi("moto"), ROLE, said)


def test_no_function_does_anything_without_them(deployment: Deployment, shown: Shown) -> None:
    with under(deployment, {each: [] for each in FUNCTIONS}, "empty"):
        ticked = deployment.client.invoke("RotationFunction", {"command": "tick"})
        token = deployment.token()
        status = key_set(deployment)

    assert "AccessDenied" in ticked["error_description"]
    assert "AccessDenied" in token["error_description"]
    assert status == 503
    said = "S3 refuses rotation, token and key set to functions whose roles say nothing of it"
    shown(from_pypi("moto"), ROLE, said)
