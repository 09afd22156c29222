"""A rotation under oidc-provider's cache: the key changes while a client keeps asking.

The server lives on the deployment's clock, so that a week takes seconds; what it keeps, it keeps
for as long as it would: our key set for five minutes, which is our max-age, whatever kid comes.
The rehearsal shows in real time what becomes of a rotation that does not wait for that.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from interop.deployment import CLIENT_ID, SCOPE, Deployment
from interop.oidc_provider import OidcProvider
from interop.recording import Shown
from interop.trials import from_npm
from machine_identity.providers import PROVIDERS

CALLS_APART = timedelta(hours=6)
TICK = timedelta(minutes=15)
"""The key became active a moment after its tick began, so the tick of its last second is too early
by that moment, and the next one is it."""


def keys(deployment: Deployment) -> dict[str, Any]:
    status = deployment.client.invoke("RotationFunction", {"command": "status"})
    return {each["state"]: each for each in status["keys"]}


def until(deployment: Deployment, instant: datetime, apart: timedelta) -> Iterator[None]:
    """Let time pass, and stop on the way every so often."""
    stack = deployment.stack
    while (left := instant - stack.clock.now()) > timedelta():
        stack.advance(min(left, apart))
        yield


@pytest.mark.parametrize("deployment", ["ES256 with time passing"], indirect=True)
def test_a_rotation_under_the_cache_of_oidc_provider_has_no_refusal(
    deployment: Deployment, oidc_provider: OidcProvider, shown: Shown
) -> None:
    old, new = keys(deployment)["active"], keys(deployment)["standby"]["kid"]
    due_at = datetime.fromisoformat(old["not_before"])
    provider = PROVIDERS["oidc-provider"]
    with deployment.client_of(provider, oidc_provider.issuer, CLIENT_ID, SCOPE):
        for _ in until(deployment, due_at + TICK - timedelta(minutes=1), CALLS_APART):
            assert "access_token" in deployment.token()
        before, fetches = oidc_provider.decisions(1), len(oidc_provider.fetches)
        deployment.stack.advance(timedelta(seconds=90))
        assert keys(deployment)["active"]["kid"] == new
        assert "access_token" in deployment.token()
        under_its_copy = oidc_provider.decisions(1)
        assert len(oidc_provider.fetches) == fetches > 0
        gone_at = datetime.fromisoformat(keys(deployment)["retired"]["not_before"])
        for _ in until(deployment, gone_at + TICK, timedelta(minutes=5)):
            assert "access_token" in deployment.token()
        after = oidc_provider.decisions(1)

    assert before[-1]["kid"] == old["kid"]
    assert under_its_copy[-1]["kid"] == after[-1]["kid"] == new
    assert "retired" not in keys(deployment)
    assert all(each["accepted"] for each in [*before, *under_its_copy, *after])
    role, algorithm = "authorization server", deployment.algorithm
    shown(
        from_npm("oidc-provider"),
        role,
        "takes the new key of a rotation from the copy that it has kept since before, and refuses "
        "nothing until the old key has left the set",
        algorithm,
    )
