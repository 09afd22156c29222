"""What the functions do in their lives, as deployed, on AWS by strict moto: every call is kept.

Rotation, token and jwks live one life together; the two others are called and ask for nothing.
The calls of a function's platform (its logs and traces) and the scheduler's are added by hand.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from tempfile import NamedTemporaryFile
from typing import Any, Final

import pytest

from local.aws import Aws
from machine_identity.aws.clients import client
from machine_identity.cli import main
from machine_identity.jwk import ALGORITHMS
from tests.functions.test_rotation import DAY, START
from tests.functions.test_rotation import World as Rotation
from tests.handlers import Context, cold_start, event
from tests.iam import documents
from tests.iam.documents import ROLES, STACK
from tests.iam.recording import Recorder
from tests.iam.requests import Call, Request, requests
from tests.registration_endpoint import INITIAL, RegistrationEndpoint
from tests.token_endpoint import TokenEndpoint

QUARTER: Final = timedelta(minutes=15)
STORES: Final = (f"ssm:/machine-identity/{STACK}", f"secretsmanager:machine-identity/{STACK}")
FUNCTIONS: Final = ("rotation", "token", "jwks", "authorizer", "uppercase")
SCHEDULED: Final = {"tick": "RotationFunction", "canary": "TokenFunction"}


class World(Rotation):
    """The world of rotation, with the other functions, and somebody who listens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> None:
        super().__init__(monkeypatch)
        self.recorder = recorder

    def started(self, name: str, *questions: Any) -> list[dict[str, Any]]:
        logging.Logger.manager.loggerDict.pop(name, None)  # as in a new process
        with self.recorder.acting(name):
            function = cold_start(name)
            return [function.handler(each, Context()) for each in questions]

    def tick(self, *more: Mapping[str, Any]) -> list[str]:
        answers = self.started("rotation", event("rotation", "tick"), *more)
        return [step["step"] for each in answers for step in each.get("steps", [])]

    def canary(self) -> dict[str, Any]:
        (answer,) = self.started("token", event("token", "canary"))
        return answer

    def read(self) -> list[int]:
        cases = ("key_set", "configuration")
        answers = self.started("jwks", *(event("jwks", each) for each in cases))
        return [each["statusCode"] for each in answers]


def _ask_of_nobody(world: World) -> None:
    """Call the two that ask AWS for nothing."""
    world.configure(ISSUER=world.url.address, AUDIENCE="api", REQUIRED_ROLES="role")
    (refused,) = world.started("authorizer", event("authorizer", "no_token"))
    assert refused["isAuthorized"] is False
    (served,) = world.started("uppercase", event("uppercase", "hello"))
    assert served["statusCode"] == 200


def _life(world: World, server: TokenEndpoint, endpoint: RegistrationEndpoint) -> None:
    """Live from the first tick to the end of a key, and through what nobody planned."""
    _ask_of_nobody(world)
    assert world.read() == [503, 503]
    assert "error" in world.started("token", {})[0]
    assert "CreateKey" in world.tick({"command": "plan"}, {"command": "status"})
    assert world.read() == [200, 200]
    server.keys[:] = world.key_set()["keys"]
    assert "access_token" in world.started("token", {})[0]
    _register(world, server, endpoint)
    brought = world.canary()["uploads"]
    assert [each["did"] for each in brought] == ["add"] * 4
    assert not [each for each in brought if "code" in each]
    client("s3").delete_object(Bucket="state", Key="default/clients.json")
    world.now = START + 30 * DAY - QUARTER
    for _ in range(2):
        assert world.canary()["canary"] == "tried"
        world.now += QUARTER
    assert "Promote" in world.tick()
    _fall_back(world, server)
    world.now += 2 * DAY
    assert world.tick()[-2:] == ["Disable", "ScheduleDeletion"]
    world.now += 8 * DAY
    world.tick({"command": "explain"})
    _lose(world)


def _fall_back(world: World, server: TokenEndpoint) -> None:
    """Have the provider refuse the new key, and take the one before (rule 9)."""
    active = next(each["jwk"]["kid"] for each in world.recorded() if each["state"] == "active")
    server.keys[:] = [each for each in world.key_set()["keys"] if each["kid"] != active]
    assert "access_token" in world.started("token", {})[0]
    server.keys[:] = world.key_set()["keys"]


def _lose(world: World) -> None:
    """Revoke the key that signs, and lose the keyring."""
    kid = next(each["jwk"]["kid"] for each in world.recorded() if each["state"] == "active")
    revoke = {**event("rotation", "revoke"), "kid": kid}
    assert world.started("rotation", revoke)[0]["steps"][0]["step"] == "Revoke"
    client("s3").delete_object(Bucket="state", Key="default/keyring.json")
    world.now += DAY
    assert "Rebuild" in world.tick()


def _register(world: World, server: TokenEndpoint, endpoint: RegistrationEndpoint) -> None:
    """Register a client in each store of AWS's, as an operator does on the command line."""
    entries = {}
    for store in STORES:
        name = store.partition(":")[0]
        words = ["client", "register", name, "--store", store, "--scope", "read"]
        words += ["--registration-endpoint", endpoint.endpoint, "--authorization-server"]
        words += [server.url, "--initial-access-token-env", "INITIAL"]
        with NamedTemporaryFile("w", suffix=".json") as held:
            json.dump(world.key_set(), held)
            held.flush()
            with pytest.raises(SystemExit) as ended:
                main([*words, "--jwks", held.name])
        assert ended.value.code == 0
        entries[name] = {
            "provider": "rfc10070",
            "authorization_server": server.url,
            "client_id": next(reversed(endpoint.clients)),
            "scope": "read",
            "upload": {"registration": store},
        }
    world.state.write("default/clients.json", json.dumps(entries).encode(), expected=None)


def _sign(world: World, server: TokenEndpoint) -> None:
    """Make keys of another algorithm, and sign with one."""
    world.tick()
    server.keys[:] = world.key_set()["keys"]
    assert "access_token" in world.started("token", {})[0]


def _recorded() -> Iterator[tuple[str, Call]]:
    recorder = Recorder()
    for algorithm in ALGORITHMS:
        with pytest.MonkeyPatch.context() as patched, TokenEndpoint([]) as server:
            world = World(patched, recorder)
            with Aws(now=lambda world=world: world.time) as aws:  # type: ignore[misc]
                world.open(aws)
                world.configure(SIGNING_ALGORITHM=algorithm, INITIAL=INITIAL)
                world.configure(AUTHORIZATION_SERVER=server.url, CLIENT_ID="client-1")
                world.configure(SCOPE="read")
                with world.url, RegistrationEndpoint() as endpoint:
                    if algorithm == ALGORITHMS[0]:
                        _life(world, server, endpoint)
                    else:
                        _sign(world, server)
    for who, calls in recorder.calls.items():
        for call in calls:
            yield who, call


@cache
def needed() -> Mapping[str, tuple[Request, ...]]:
    """Return what each role of ``documents.ROLES`` must be allowed, each request once."""
    found: dict[str, dict[object, Request]] = {who: {} for who in ROLES}
    for who, call in _recorded():
        found[who] |= {each.key(): each for each in requests(call)}
    for who in FUNCTIONS:
        found[who] |= {each.key(): each for each in _platform(who)}
    for who, function in SCHEDULED.items():
        invoked = Request(action="lambda:InvokeFunction", resource=documents.arn(function))
        lost = Request(action="sqs:SendMessage", resource=documents.arn("DeadLetters"))
        found[who] |= {each.key(): each for each in (invoked, lost)}
    return {who: tuple(each.values()) for who, each in found.items()}


def _platform(who: str) -> Iterator[Request]:
    """Yield what Lambda itself does under a function's role: its logs and its traces."""
    group = documents.arn(f"{who.title()}LogGroup").removesuffix(":*")
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Request(action=action, resource=f"{group}:log-stream:2026/11/24/[$LATEST]0")
    for action in ("xray:PutTraceSegments", "xray:PutTelemetryRecords"):
        yield Request(action=action, resource="*")
