"""A client of npm's oidc-provider whose key set the token function puts there, by RFC 7592.

The client registers by our command line with the set itself, and no URL of ours. From then on a
whole rotation passes on the deployment's clock, and nobody but the token function's schedule is at
work. The server ends the registration's token with each change; SSM is moto's.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from interop.deployment import SCOPE, Deployment, Trust
from interop.oidc_provider import OidcProvider
from interop.recording import Shown
from interop.test_with_time_passing import CALLS_APART, keys, until
from interop.trials import from_npm
from machine_identity import transport
from machine_identity.cli import main
from machine_identity.jwk import PublicJwk
from machine_identity.publication import JWKS_PATH
from machine_identity.registrar.stores import registrar_at

INITIAL = "initial-access-token-of-the-operator"
STORE = "ssm:/machine-identity/embedded"


def published(deployment: Deployment) -> list[PublicJwk]:
    """Return the keys that everybody may read."""
    url = deployment.issuer + JWKS_PATH
    answer = transport.send("GET", url, headers={}, timeout=timedelta(seconds=5))
    found: list[PublicJwk] = json.loads(answer.body)["keys"]
    return found


@pytest.fixture
def server(
    deployment: Deployment, trust: Trust, executable: str, tmp_path: Path
) -> Iterator[OidcProvider]:
    """Start oidc-provider on the deployment's clock, with no client yet."""
    log = tmp_path / "log"
    with OidcProvider(executable, trust.server, deployment.algorithm, log) as started:
        started.open_to(INITIAL, clock=deployment.stack.addresses["control"] + "/clock")
        yield started


@pytest.fixture
def entry(
    deployment: Deployment,
    server: OidcProvider,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Mapping[str, Any]:
    """Register a client with the published set, and return its entry as it is printed."""
    for name, value in {**deployment.stack.aws.environment, "INITIAL": INITIAL}.items():
        monkeypatch.setenv(name, value)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": published(deployment)}))
    words = ["client", "register", "billing", "--store", STORE, "--json"]
    words += ["--authorization-server", server.issuer, "--provider", "oidc-provider"]
    words += ["--scope", SCOPE, "--initial-access-token-env", "INITIAL"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--jwks", str(jwks)])
    printed = capsys.readouterr().out
    assert ended.value.code == 0, printed
    found: Mapping[str, Any] = json.loads(printed)["clients.json"]["billing"]
    return found


@pytest.mark.parametrize("deployment", ["RS256 registering"], indirect=True)
def test_the_set_of_a_registered_client_rolls_by_put_and_nothing_is_fetched_or_refused(
    deployment: Deployment, server: OidcProvider, entry: Mapping[str, Any], shown: Shown
) -> None:
    deployment.configure({"billing": {**entry, "upload": {"registration": STORE}}})
    old = keys(deployment)["active"]["kid"]
    due_at = deployment.stack.clock.now() + timedelta(days=7)
    for _ in until(deployment, due_at + timedelta(days=3), CALLS_APART):
        answer = deployment.client.invoke("TokenFunction", {"client": "billing"})
        assert "access_token" in answer, answer
    new = keys(deployment)["active"]["kid"]
    decided = server.decisions(1)
    has = registrar_at(STORE, "store").read("billing").client.members["jwks"]["keys"]
    wanted = {key["kid"]: key for key in published(deployment)}

    assert old not in wanted
    assert {key["kid"]: key for key in has} == wanted
    assert {each["kid"] for each in decided} == {old, *wanted}
    assert new in wanted
    assert all(each["accepted"] for each in decided)
    assert server.fetches == []
    shown(
        from_npm("oidc-provider"),
        "authorization server",
        "has the key set of a client that registered it rolled by `PUT` through a rotation, with "
        "a new registration access token each time; fetches nothing and refuses nothing",
        deployment.algorithm,
    )
