"""Certificates at Entra over the embedded stack: every function of the template, and Graph."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from local.stack import Stack
from machine_identity.certificate import thumbprint
from tests.e2e.test_story import World

QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)


class EntraWorld(World):
    """A deployment for Entra's certificates, whose administrator has done his part."""

    def certificates(self) -> dict[str, bytes]:
        assert self.stack.administrator is not None
        return self.stack.administrator.certificates()

    def registered(self) -> set[str]:
        assert self.stack.administrator is not None
        directory = self.stack.authorization_server.graph.directory
        keys = directory.keys(self.stack.administrator.app, self.stack.clock.now())
        return {thumbprint(each.der) for each in keys}


@pytest.fixture
def world() -> Iterator[EntraWorld]:
    with Stack({"Provider": "entra-certificate"}) as stack:
        yield EntraWorld(stack)


def test_certificates_at_entra_roll_by_themselves_and_hello_world_never_fails(
    world: EntraWorld,
) -> None:
    assert world.client.uppercase("hello world") == "HELLO WORLD"
    world.stack.advance(timedelta(hours=2))
    (first,) = world.states()["active"]
    assert len(world.registered()) == 2
    for _ in range(13):
        world.stack.advance(5 * DAY)
        assert world.client.uppercase("hello world") == "HELLO WORLD"
    states = world.states()
    assert first not in [*states["active"], *states["standby"]]
    made = world.certificates()
    wanted = {thumbprint(made[kid]) for kid in (*states["active"], *states["standby"])}
    assert wanted <= world.registered()


def test_what_the_token_function_says_of_an_upload_has_no_secret_in_it(world: EntraWorld) -> None:
    world.stack.advance(2 * QUARTER)
    answer = world.client.invoke("TokenFunction", {"command": "canary"})
    printed = (world.stack.logs / "TokenFunction.log").read_text() + json.dumps(answer)
    assert '"did":"add"' in printed.replace(": ", ":")
    assert "eyJ" not in printed
    for der in world.certificates().values():
        assert base64.b64encode(der).decode()[:60] not in printed
