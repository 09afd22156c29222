"""The deployments and the parties, one after another; ``recording`` does the rest."""

from collections.abc import Iterator
from typing import Final

import pytest

from bench import tls
from interop.deployment import Deployment, Trust
from interop.oidc_provider import OidcProvider
from interop.recording import (
    pytest_addoption,
    pytest_configure,
    pytest_deselected,
    pytest_runtest_teardown,
    pytest_sessionfinish,
    shown,
)
from interop.trials import NODE_FOLDER
from local.stack import Stack
from machine_identity.jwk import ALGORITHMS
from machine_identity.publication import JWKS_PATH
from rehearsal import node

__all__ = [
    "pytest_addoption",
    "pytest_configure",
    "pytest_deselected",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
    "shown",
]

LEAST_NODE: Final = 20
"""What jwks-rsa asks for."""


@pytest.fixture(scope="session")
def executable(request: pytest.FixtureRequest) -> str:
    """Return Node, with the packages of the lock file; without it there is no run."""
    tell = request.config.get_terminal_writer().line
    try:
        found = node.find(LEAST_NODE)
        node.install(tell, NODE_FOLDER)
    except node.NodeError as error:
        pytest.exit(f"make interop cannot run: {error}", returncode=1)
    return found


@pytest.fixture(scope="session", autouse=True)
def trust(
    executable: str,  # noqa: ARG001 - npm fetches with the trust of whoever runs this
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Trust]:
    """Have every party of the run trust one authority, by the variables that each reads."""
    folder = tmp_path_factory.mktemp("tls")
    context, authority, bundle = tls.make(folder)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(bundle))
        environment.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        environment.setenv("NODE_EXTRA_CA_CERTS", str(authority))
        environment.setenv("NO_PROXY", "127.0.0.1")
        environment.delenv("CURL_CA_BUNDLE", raising=False)
        yield Trust(context=context, server=folder / "server.pem")


@pytest.fixture(scope="session", params=ALGORITHMS)
def deployment(request: pytest.FixtureRequest, trust: Trust) -> Iterator[Deployment]:
    """Start the whole deployment, with keys of one algorithm.

    A word behind the algorithm's name makes it another deployment, whose clock may be moved.
    """
    algorithm, _, _ = request.param.partition(" ")
    parameters = {
        "SigningAlgorithm": algorithm,
        "Provider": "oidc-provider",
        "RotationIntervalDays": "7",
    }
    with Stack(parameters, tls=trust.context) as stack:
        yield Deployment(stack, algorithm)


@pytest.fixture(scope="session")
def oidc_provider(
    deployment: Deployment,
    trust: Trust,
    executable: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OidcProvider]:
    """Start oidc-provider with this deployment's client, on the deployment's clock."""
    log = tmp_path_factory.mktemp("oidc-provider") / "log"
    with OidcProvider(executable, trust.server, deployment.algorithm, log) as server:
        clock = deployment.stack.addresses["control"] + "/clock"
        server.open(deployment.issuer + JWKS_PATH, clock=clock)
        yield server
