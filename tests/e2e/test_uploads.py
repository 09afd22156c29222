"""Certificates at Entra over the embedded stack: every function of the template, and Graph."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local import key_credentials
from local.stack import CLIENT_ID, Stack
from machine_identity import clock, testimony
from machine_identity.certificate import thumbprint
from tests.e2e.test_story import World

if TYPE_CHECKING:
    from local.registrations import App

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


class EntraWorld(World):
    """A deployment for Entra's certificates; what an administrator does is done by hand."""

    def store(self, name: str, body: bytes) -> None:
        self.stack.aws.client("s3").put_object(Bucket=self.state_bucket, Key=name, Body=body)

    def read(self, name: str) -> bytes:
        answer = self.stack.aws.client("s3").get_object(Bucket=self.state_bucket, Key=name)
        return bytes(answer["Body"].read())

    @property
    def state_bucket(self) -> str:
        buckets = self.stack.aws.client("s3").list_buckets()["Buckets"]
        return next(each["Name"] for each in buckets if "state" in each["Name"].lower())

    @property
    def app(self) -> "App":
        app = self.stack.authorization_server.graph.directory.app(CLIENT_ID)
        assert app is not None
        return app

    def configure(self) -> None:
        upload = {"object_id": self.app.object_id, "graph": self.stack.addresses["graph"]}
        document = {"default": {"upload": upload}}
        self.store("default/clients.json", json.dumps(document).encode())

    def certificates(self) -> dict[str, bytes]:
        told = testimony.parse(self.read("default/evidence.json"))
        return {each.kid: base64.b64decode(each.der) for each in told.certificates}

    def administrate(self) -> None:
        (active,) = self.states()["active"]
        credential = key_credentials.from_der(self.certificates()[active], key_id=clock.unique())
        directory = self.stack.authorization_server.graph.directory
        directory.add(self.app, credential, self.stack.clock.now())

    def registered(self) -> set[str]:
        directory = self.stack.authorization_server.graph.directory
        return {thumbprint(each.der) for each in directory.keys(self.app, self.stack.clock.now())}


@pytest.fixture
def world() -> Iterator[EntraWorld]:
    with Stack({"Provider": "entra-certificate"}) as stack:
        yield EntraWorld(stack)


def test_certificates_at_entra_roll_by_themselves_and_hello_world_never_fails(
    world: EntraWorld,
) -> None:
    world.configure()
    world.stack.advance(QUARTER)
    world.administrate()
    world.stack.advance(timedelta(hours=2))
    assert world.client.uppercase("hello world") == "HELLO WORLD"
    (first,) = world.states()["active"]
    assert len(world.registered()) == 2
    for _ in range(65):
        world.stack.advance(DAY)
        assert world.client.uppercase("hello world") == "HELLO WORLD"
    states = world.states()
    assert first not in [*states["active"], *states["standby"]]
    made = world.certificates()
    wanted = {thumbprint(made[kid]) for kid in (*states["active"], *states["standby"])}
    assert wanted <= world.registered()


def test_what_the_token_function_says_of_an_upload_has_no_secret_in_it(world: EntraWorld) -> None:
    world.configure()
    world.stack.advance(QUARTER)
    world.administrate()
    world.stack.advance(QUARTER)
    answer: Any = {}
    for _ in range(8):
        world.stack.advance(QUARTER)
        answer = world.client.invoke("TokenFunction", {"command": "canary"})
        if "uploads" in answer:
            break
    printed = (world.stack.logs / "TokenFunction.log").read_text() + json.dumps(answer)
    assert '"did": "add"' in printed or '"did":"add"' in printed
    assert "eyJ" not in printed
    assert base64.b64encode(next(iter(world.certificates().values()))).decode()[:60] not in printed
