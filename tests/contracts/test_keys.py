"""What rotation relies on in a key service: one suite, on the simulated one and on KMS."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.aws import Aws
from machine_identity.aws import AwsError
from machine_identity.aws.kms_keys import KmsKeys, Owner
from machine_identity.rotation import Keys
from tests import outside

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture(params=["simulated", "kms"])
def keys(request: pytest.FixtureRequest) -> Iterator[Keys]:
    if request.param == "simulated":
        yield outside.KeyService(lambda: NOW, lambda _moment, _call: None)
        return
    with Aws(now=lambda: NOW) as aws:
        owner = Owner(stack="stack", identity="default")
        yield KmsKeys(aws.client("kms"), aws.client("resourcegroupstaggingapi"), owner)


def test_a_key_is_found_by_its_intent_and_by_no_other(keys: Keys) -> None:
    assert not keys.any()
    assert keys.find("first") is None
    first, second = keys.create("ES256", "first"), keys.create("ES256", "second")
    assert first != second
    assert (keys.find("first"), keys.find("second")) == (first, second)
    assert keys.find("third") is None
    assert keys.any()


def test_the_public_half_is_a_jwk_of_its_own(keys: Keys) -> None:
    first, second = (keys.create("ES256", intent) for intent in ("first", "second"))
    jwk = keys.public_key(first, "ES256")
    assert (jwk["kty"], jwk["crv"], jwk["alg"], jwk["use"]) == ("EC", "P-256", "ES256", "sig")
    assert jwk == keys.public_key(first, "ES256")
    assert jwk["kid"] != keys.public_key(second, "ES256")["kid"]


def test_a_disabled_key_shows_its_public_half_no_more_and_is_found_all_the_same(
    keys: Keys,
) -> None:
    arn = keys.create("ES256", "first")
    keys.disable(arn)
    with pytest.raises(AwsError) as refused:
        keys.public_key(arn, "ES256")
    assert (refused.value.operation, refused.value.code) == (
        "kms:GetPublicKey",
        "DisabledException",
    )
    assert keys.find("first") == arn


def test_a_key_on_its_way_out_shows_its_public_half_no_more(keys: Keys) -> None:
    arn = keys.create("ES256", "first")
    keys.schedule_deletion(arn, WEEK)
    with pytest.raises(AwsError) as refused:
        keys.public_key(arn, "ES256")
    assert refused.value.code == "KMSInvalidStateException"


def test_rule_5_the_end_of_a_key_may_be_repeated_in_any_order(keys: Keys) -> None:
    arn = keys.create("ES256", "first")
    for _ in range(2):
        keys.disable(arn)
    for _ in range(2):
        keys.schedule_deletion(arn, WEEK)
    keys.disable(arn)
    assert keys.any()
