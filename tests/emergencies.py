"""Worlds in which a key is revoked, and what is asked of them afterwards."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest

from machine_identity import commands
from machine_identity.aws import AwsError
from machine_identity.keyring import Key, State
from machine_identity.rotation import Revocation
from tests.world import POLICY, START, TICK, World

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
ROTATION = POLICY.rotation_interval
PUBLICATION = timedelta(hours=1, minutes=6)
WHY = "a laptop was stolen"
JWKS = "default/.well-known/jwks.json"
KEYRING = "default/keyring.json"
THROTTLED = AwsError("kms:any", "ThrottlingException")
DOWN = AwsError("s3:any", "EndpointConnectionError")
SHOWN = "the published set may still show the key"
NOT_TOLD = "KMS has not told this run that the key is disabled"


class DiedError(BaseException):
    """The process is gone: nothing can catch it."""


def after_first_tick(world: World | None = None) -> World:
    """Return a world after its first tick, in which a revocation breaks rule 1 on purpose."""
    world = World() if world is None else world
    world.tick()
    world.is_unsafe = True
    world.now = START + TICK
    return world


def condemned(world: World, key: Key) -> Key:
    """Take the key from those that must not be disabled while they are published."""
    world.meddled.add(key.arn)
    return key


def revoke(world: World, kid: str) -> Revocation:
    return world.rotation().revoke(kid, WHY)


def ask(world: World, **members: str) -> dict[str, Any]:
    answer = commands.answer(world.rotation(), {"command": "revoke", **members}, lambda _: POLICY)
    read: dict[str, Any] = json.loads(json.dumps(answer))
    return read


def done(revocation: Revocation) -> list[str]:
    return [type(step).__name__ for step in revocation.steps]


def published_kids(world: World) -> set[str]:
    return {key["kid"] for key in json.loads(world.published.documents[JWKS].body)["keys"]}


def fails(world: World, *calls: str, error: Exception = THROTTLED) -> None:
    """Let every call fail whose name begins so."""

    def meddle(moment: Literal["before", "after"], call: str) -> None:
        if moment == "before" and any(call.startswith(each) for each in calls):
            raise error

    world.meddler = meddle


def fails_from(world: World, call: str, number: int) -> None:
    """Let the world fail at the given ``call`` of that name, and at all after it."""
    world.calls.clear()

    def meddle(moment: Literal["before", "after"], name: str) -> None:
        if (moment, name) == ("before", call) and world.calls.count(call) >= number:
            raise DOWN

    world.meddler = meddle


def alone(world: World) -> str:
    """Take the standby key away by hand; return the only key left."""
    ring, standby = world.keyring(), world.standby()
    world.meddled.add(standby.arn)
    world.kms.keys[standby.arn].deletion_at = world.now + 7 * DAY
    world.replace_keyring(replace(ring, revision=ring.revision + 1, keys=ring.keys[:1]))
    return condemned(world, ring.keys[0]).kid


@contextmanager
def unchecked(world: World) -> Iterator[None]:
    """Let the documents be lost: what must be true of them is not asserted meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "check", lambda: None)
        patch.setattr(world, "_record", lambda: None)
        yield


def assert_ended(world: World, kid: str) -> None:
    """Assert that the key is trusted for nothing, and that two others are there for its work."""
    ring = world.keyring()
    assert kid not in published_kids(world)
    assert published_kids(world) == {key.kid for key in ring.published}
    key = ring.key(kid)
    assert (key.state, key.reason, key.revoked_at is None) == (State.REMOVED, WHY, False)
    assert not world.kms.keys[key.arn].enabled
    assert world.kms.keys[key.arn].deletion_at is not None
    assert (len(ring.in_state(State.ACTIVE)), len(ring.in_state(State.STANDBY))) == (1, 1)
    assert not world.orphans()
