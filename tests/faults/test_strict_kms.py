"""What the simulated KMS does when it is at its strictest, as KMS does it."""

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from machine_identity.aws import AwsError
from tests.outside import SigningService
from tests.world import SECOND, World

LAG = timedelta(seconds=30)
REQUEST = {"Message": b"1", "MessageType": "RAW", "SigningAlgorithm": "ECDSA_SHA_256"}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def arn(world: World) -> str:
    return world.kms.create("ES256", "intent")


def signs(world: World, arn: str) -> bool:
    service = SigningService(world.kms, lambda _moment, _call: None)
    try:
        return bool(service.sign(KeyId=arn, **REQUEST)["Signature"])
    except ClientError:
        return False


def test_a_disabled_key_signs_until_the_disable_has_bitten(world: World, arn: str) -> None:
    world.kms.disable_lag = LAG
    world.kms.disable(arn)
    assert not world.kms.is_usable(arn, "ES256")
    world.now += LAG - SECOND
    world.kms.disable(arn)
    assert signs(world, arn)
    world.now += SECOND
    assert not signs(world, arn)


def test_a_key_on_its_way_out_signs_no_more_at_once(world: World, arn: str) -> None:
    world.kms.disable_lag = LAG
    world.kms.disable(arn)
    world.kms.schedule_deletion(arn, timedelta(days=7))
    assert not signs(world, arn)


def test_a_new_key_is_unknown_to_whoever_asks_about_it_too_soon(world: World, arn: str) -> None:
    world.kms.known_after = LAG
    world.now += LAG - SECOND
    for ask in (world.kms.public_key, world.kms.is_usable):
        with pytest.raises(AwsError, match="NotFoundException"):
            ask(arn, "ES256")
    assert not signs(world, arn)
    world.now += SECOND
    assert world.kms.public_key(arn, "ES256")["kty"] == "EC"
    assert world.kms.is_usable(arn, "ES256")
    assert signs(world, arn)


def test_each_nth_call_is_throttled_before_it_acts(world: World) -> None:
    world.kms.throttles_each = 3
    for _ in range(2):
        world.kms.create("ES256", "intent")
    with pytest.raises(AwsError, match="kms:CreateKey failed: ThrottlingException"):
        world.kms.create("ES256", "intent")
    assert len(world.kms.keys) == 2
    assert world.kms.create("ES256", "intent") in world.kms.keys


def test_tags_count_and_the_index_shows_them_only_after_a_while(world: World, arn: str) -> None:
    world.kms.tags_count_after, world.kms.index_lag = LAG, 2 * LAG
    world.now += LAG - SECOND
    with pytest.raises(AwsError, match="kms:DisableKey failed: AccessDeniedException"):
        world.kms.disable(arn)
    world.now += SECOND
    world.kms.disable(arn)
    assert world.kms.find("intent") is None
    world.now += LAG
    assert world.kms.find("intent") == arn
