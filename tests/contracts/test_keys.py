"""What rotation relies on in a key service: one suite, on the simulated one and on KMS."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.aws import Aws
from machine_identity.aws import AwsError
from machine_identity.aws.kms_keys import KmsKeys, Owner
from machine_identity.rotation import Keys
from tests import outside

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
UNKNOWN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"


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


def test_a_key_is_usable_while_it_is_enabled_and_only_for_its_own_kind(keys: Keys) -> None:
    disabled, ended, kept = (keys.create("ES256", intent) for intent in ("1", "2", "3"))
    keys.disable(disabled)
    keys.schedule_deletion(ended, WEEK)
    usable = [keys.is_usable(arn, "ES256") for arn in (disabled, ended, kept)]
    assert usable == [False, False, True]
    assert not keys.is_usable(kept, "ES384")


def test_a_search_tells_of_every_key_and_of_the_public_half_where_it_shows(keys: Keys) -> None:
    assert keys.search() == ()
    made = {intent: keys.create("ES384", intent) for intent in ("first", "second", "third")}
    public = keys.public_key(made["first"], "ES384")
    keys.disable(made["second"])
    keys.schedule_deletion(made["third"], WEEK)
    found = {each.intent: each for each in keys.search()}
    assert {intent: each.arn for intent, each in found.items()} == made
    assert found["first"].jwk == public
    assert (found["second"].jwk, found["third"].jwk) == (None, None)
    assert all(each.created_at.tzinfo is not None for each in found.values())


def test_every_key_is_listed_and_those_that_can_sign_tell_their_name(keys: Keys) -> None:
    assert keys.arns() == ()
    made = [keys.create("ES384", intent) for intent in ("first", "second", "third")]
    names = [keys.public_key(arn, "ES384")["kid"] for arn in made]
    assert [keys.kid(arn) for arn in made] == names
    keys.disable(made[1])
    keys.schedule_deletion(made[2], WEEK)
    assert set(keys.arns()) == set(made)
    assert [keys.kid(arn) for arn in made] == [names[0], None, None]


@pytest.mark.parametrize("verb", ["kid", "disable", "schedule_deletion", "is_usable"])
def test_rule_5_a_key_that_the_service_does_not_know_is_an_error(keys: Keys, verb: str) -> None:
    """Who knows its age can tell whether it is gone, or too new to be known."""
    verbs: dict[str, Callable[[], object]] = {
        "kid": lambda: keys.kid(UNKNOWN),
        "disable": lambda: keys.disable(UNKNOWN),
        "schedule_deletion": lambda: keys.schedule_deletion(UNKNOWN, WEEK),
        "is_usable": lambda: keys.is_usable(UNKNOWN, "ES256"),
    }
    with pytest.raises(AwsError) as refused:
        verbs[verb]()
    assert refused.value.code == "NotFoundException"
