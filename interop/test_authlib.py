"""Authlib's authorization server takes our assertions, and the API takes its tokens."""

from collections.abc import Iterator

import pytest

from interop.authlib_server import AuthlibServer
from interop.deployment import CLIENT_ID, SCOPE, Deployment, Trust
from interop.recording import Shown
from interop.trials import from_pypi
from local import tokens
from machine_identity.providers import PROVIDERS
from machine_identity.publication import JWKS_PATH

ROLE = "authorization server"
TAKEN = frozenset({"RS256", "ES256"})
"""What it verifies as it ships: joserfc's own list of what is recommended."""


@pytest.fixture
def server(deployment: Deployment, trust: Trust) -> Iterator[AuthlibServer]:
    with AuthlibServer(trust) as server:
        server.open(deployment.issuer + JWKS_PATH)
        yield server


def test_it_gives_a_token_for_an_assertion_or_does_not_know_its_algorithm(
    deployment: Deployment, server: AuthlibServer, shown: Shown
) -> None:
    algorithm = deployment.algorithm
    with (
        deployment.client_of(PROVIDERS["rfc10070"], server.issuer, CLIENT_ID, SCOPE),
        deployment.trusting(server.issuer, "RS256"),
    ):
        given = deployment.token()
        token = given.get("access_token")
        answer = deployment.upper("hello world", token)

    party = from_pypi("authlib", "Authlib's server")
    if algorithm not in TAKEN:
        assert given["error"] == "invalid_client"
        assert "lgorithm" in given["error_description"]
        shown(party, ROLE, "as it ships, does not take the algorithm", algorithm)
        return
    assert given["scope"] == SCOPE
    assert tokens.header(token)["typ"] == "at+jwt"
    assert (answer.status, answer.members) == (200, {"result": "HELLO WORLD"})
    shown(party, ROLE, "gives a token for an assertion that KMS signed", algorithm)
    shown(party, ROLE, "its access token, a JWT, opens the uppercase API", "RS256")


@pytest.mark.parametrize("deployment", ["RS256"], indirect=True)
def test_it_takes_its_issuer_as_audience_and_an_assertion_once(
    deployment: Deployment, server: AuthlibServer, shown: Shown
) -> None:
    token_endpoint = f"{server.issuer}/token"
    fields = {"issuer": CLIENT_ID, "audience": server.issuer}
    assertion = deployment.assertion(**fields)

    assert deployment.asked(token_endpoint, assertion)[0] == 200
    again, replayed = deployment.asked(token_endpoint, assertion)
    fields["audience"] = "https://other.example"
    elsewhere, other = deployment.asked(token_endpoint, deployment.assertion(**fields))

    assert (again, replayed["error"]) == (400, "invalid_client")
    assert "used before" in replayed["error_description"]
    assert (elsewhere, other["error"]) == (400, "invalid_client")
    assert "aud" in other["error_description"]
    party = from_pypi("authlib", "Authlib's server")
    shown(party, ROLE, "takes its issuer as `aud`, and no other server's", "RS256")
    shown(party, ROLE, "refuses the same assertion a second time (`jti`)", "RS256")
