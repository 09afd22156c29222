"""The deployments and the parties, one after another, and the document at the end.

A test hands what it saw to ``shown``. With ``--into FILE`` the session writes the document there,
if every test that there is has passed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Final, Protocol

import pytest

from bench import tls
from interop import trials
from interop.deployment import Deployment
from interop.oidc_provider import OidcProvider
from interop.trials import NODE_FOLDER, Party, Trial
from local.stack import Stack
from machine_identity.jwk import ALGORITHMS
from machine_identity.publication import JWKS_PATH
from rehearsal import node

SEEN: Final = pytest.StashKey[list[Trial]]()
LEAST_NODE: Final = 20
"""What jwks-rsa asks for."""
DONE: Final = pytest.StashKey[list[Trial]]()


class Shown(Protocol):
    """Writes down what a test saw of a party."""

    def __call__(self, party: Party, role: str, shown: str, algorithm: str = "") -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The certificate authority of the run, which every party finds where it looks for one."""

    context: SSLContext
    server: Path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--into", type=Path, help="write what was shown into this file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[DONE] = []


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items and items[0].config.option.into:
        raise pytest.UsageError("a run of a part shows a part: --into needs all of it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    if SEEN in item.stash:
        seen = item.stash[SEEN]
        item.config.stash[DONE].extend(seen)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    into: Path | None = session.config.option.into
    if into is not None and exitstatus == pytest.ExitCode.OK:
        done = session.config.stash[DONE]
        into.write_text(trials.document(done))


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Shown:
    """Return what writes down a trial; it counts when the test has passed."""
    seen: list[Trial] = []
    request.node.stash[SEEN] = seen

    def write_down(party: Party, role: str, shown: str, algorithm: str = "") -> None:
        seen.append(Trial(party=party, role=role, shown=shown, algorithm=algorithm))

    return write_down


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
def trust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trust]:
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
