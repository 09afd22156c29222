"""The deployment as ``sam local`` runs it: five functions in containers, and all that they call.

AWS and the authorization server are those of the embedded stack, on this host's loopback. The API
is ``sam local start-api``, so the key set that the authorization server fetches comes out of a
container too. Once a session; where there is no Docker everything here is skipped, by name.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from local.authorization_server import API_AUDIENCE, AuthorizationServer
from local.aws import Aws
from local.registrations import API_URI, ROLE, app_for
from machine_identity.aws.s3 import Bucket
from machine_identity.providers import DEFAULT, PROVIDERS
from tests import decisions
from tests.decisions import JWKS
from tests.key_set_server import KeySetServer
from tests.sam import containers, sam_cli

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

CLIENT_ID: Final = "client-1"
SCOPE: Final = f"{API_URI}/.default"
_WARM: Final = ("--warm-containers", "LAZY")
"""One container a function, made at its first call and kept, as an environment of Lambda is."""


_TIMES_ASKED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What runs, and where."""

    api: str
    functions: "LambdaClient"
    state: Bucket
    environments: dict[str, dict[str, str]]
    options: tuple[str, ...]
    """What ``sam local`` is told so that a container reaches this host."""

    def invoke(self, function: str, event: object) -> Any:
        """Return the answer of a function; one that raised is an error of this test."""
        payload = json.dumps(event).encode()
        for _ in range(_TIMES_ASKED):
            answer = self.functions.invoke(FunctionName=function, Payload=payload)
            # A function's answer is JSON, if only null. Nothing at all is from sam itself, which
            # on a busy machine passes on the silence of a container that was not up yet.
            if text := answer["Payload"].read():
                break
        content = json.loads(text)
        assert "FunctionError" not in answer, content
        return content

    def invoke_cold(self, function: str, event: Path, **variables: str) -> Any:
        """Return the answer of ``sam local invoke``, with some variables set otherwise."""
        told = {**self.environments[function], **variables}
        environments = {**self.environments, function: told}
        return sam_cli.invoke(function, event, *self.options, environments=environments)


@pytest.fixture(scope="session")
def built() -> Path:
    """Skip without Docker; else build, and return where."""
    reason = containers.reason_to_skip()
    if reason is not None:
        pytest.skip(f"sam local ran nothing: {reason}")
    sam_cli.build()
    return sam_cli.BUILT


@pytest.fixture(scope="session")
def deployment(built: Path) -> Iterator[Deployment]:
    """Start everything, and make the first keys."""
    assert built.is_dir()
    with ExitStack() as world:
        patch = world.enter_context(pytest.MonkeyPatch.context())
        aws = world.enter_context(Aws())
        # The name that is a loopback to our code and, in a container, leads to this host as well.
        patch.setattr("local.loopback.HOST", "localhost")
        server = world.enter_context(AuthorizationServer(refetches_on_unknown_kid=True))
        vectors = world.enter_context(KeySetServer(JWKS))
        api, functions = sam_cli.free_port(), sam_cli.free_port()
        public_url = f"http://localhost:{api}"
        server.register(app_for(PROVIDERS[DEFAULT], client_id=CLIENT_ID, public_url=public_url))
        address = containers.host_address()
        for url in (public_url, aws.url, server.issuer, vectors.issuer):
            world.enter_context(containers.Relay(address, urlsplit(url).port or 0))
        _make_buckets(aws, server.issuer)
        environments = _environments(
            aws_url=aws.url.replace("127.0.0.1", address),
            server=server,
            vectors=vectors.jwks_uri.replace("127.0.0.1", "localhost"),
            public_url=public_url,
        )
        options = ("--add-host", f"localhost:{address}")
        warm = (*options, *_WARM)
        start = sam_cli.started
        world.enter_context(start("start-api", api, *warm, environments=environments))
        url = world.enter_context(
            start("start-lambda", functions, *warm, environments=environments)
        )
        yield Deployment(
            api=f"http://127.0.0.1:{api}",
            functions=_lambda(url),
            state=Bucket(aws.client("s3"), "state"),
            environments=environments,
            options=options,
        )


@pytest.fixture(scope="session")
def ticked(deployment: Deployment) -> Any:
    """Return the answer to the first tick, which creates and publishes the first keys."""
    return deployment.invoke("RotationFunction", {"command": "tick"})


def _environments(
    *, aws_url: str, server: AuthorizationServer, vectors: str, public_url: str
) -> dict[str, dict[str, str]]:
    cases = decisions.ENVIRONMENT
    state = {"AWS_ENDPOINT_URL": aws_url, "STATE_BUCKET": "state"}
    published = {"AWS_ENDPOINT_URL": aws_url, "PUBLISHED_BUCKET": "published"}
    client = {"AUTHORIZATION_SERVER": server.issuer, "CLIENT_ID": CLIENT_ID, "SCOPE": SCOPE}
    return {
        "RotationFunction": {**state, **published, "PUBLIC_URL": public_url},
        "TokenFunction": {**state, **client},
        "JwksFunction": published,
        "AuthorizerFunction": {
            "ISSUER": f"{server.issuer} {cases['ISSUER']}",
            "JWKS_URI": f"{server.jwks_uri} {vectors}",
            "AUDIENCE": f"{API_AUDIENCE} {cases['AUDIENCE']}",
            "REQUIRED_ROLES": f"{ROLE} {cases['REQUIRED_ROLES']}",
            "ALLOWED_ALGORITHMS": cases["ALLOWED_ALGORITHMS"],
        },
        "UppercaseFunction": {},
    }


def _make_buckets(aws: Aws, issuer: str) -> None:
    s3 = aws.client("s3")
    for bucket in ("state", "published"):
        s3.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": sam_cli.REGION}
        )
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    billing = {
        "provider": DEFAULT,
        "authorization_server": issuer,
        "client_id": CLIENT_ID,
        "scope": SCOPE,
    }
    clients = json.dumps({"billing": billing}).encode()
    s3.put_object(Bucket="state", Key="default/clients.json", Body=clients)


def _lambda(url: str) -> "LambdaClient":
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name=sam_cli.REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(read_timeout=120, retries={"total_max_attempts": 1}),
    )
