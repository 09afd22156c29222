"""The rotator's view of KMS, over HTTP on moto made strict (local/strict_moto.py)."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from local.aws import Aws
from machine_identity import jwk
from machine_identity.aws import AwsError
from machine_identity.aws.kms_keys import TAG, KmsKeys, Owner
from machine_identity.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
OWNER = Owner(stack="stack-1", identity="default")
UNKNOWN = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"

CALLS: dict[str, tuple[str, Callable[[KmsKeys, str], object]]] = {
    "CreateKey": ("kms:CreateKey", lambda keys, _: keys.create("ES256", "i")),
    "GetPublicKey": ("kms:GetPublicKey", lambda keys, arn: keys.public_key(arn, "ES256")),
    "DisableKey": ("kms:DisableKey", lambda keys, arn: keys.disable(arn)),
    "ScheduleKeyDeletion": (
        "kms:ScheduleKeyDeletion",
        lambda keys, arn: keys.schedule_deletion(arn, WEEK),
    ),
    "GetResources": ("tag:GetResources", lambda keys, _: keys.find("i")),
}
"""How each operation is named, and what leads to it."""


class World:
    """One AWS account, and the keys under test as their owner sees them."""

    def __init__(self, kms: "KMSClient", tagging: "ResourceGroupsTaggingAPIClient") -> None:
        self.kms = kms
        self.tagging = tagging
        self.keys = self.of(OWNER)

    def of(self, owner: Owner) -> KmsKeys:
        return KmsKeys(self.kms, self.tagging, owner)

    def state(self, arn: str) -> str:
        return self.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]

    def fail(self, operation: str, error: Exception) -> None:
        """Let the client's next calls of an operation fail before they are sent."""

        def failing(**_: Any) -> None:
            raise error

        service = self.tagging if operation == "GetResources" else self.kms
        name = "resource-groups-tagging-api" if service is self.tagging else "kms"
        service.meta.events.register(f"before-call.{name}.{operation}", failing)


@pytest.fixture
def world() -> Iterator[World]:
    with Aws(now=lambda: NOW) as aws:
        kms, tagging = aws.client("kms"), aws.client("resourcegroupstaggingapi")
        yield World(kms, tagging)
        kms.close()
        tagging.close()


# Creation


@pytest.mark.parametrize(
    ("algorithm", "spec"),
    [
        ("RS256", "RSA_2048"),
        ("RS384", "RSA_2048"),
        ("RS512", "RSA_2048"),
        ("PS256", "RSA_2048"),
        ("ES256", "ECC_NIST_P256"),
        ("ES384", "ECC_NIST_P384"),
    ],
)
def test_a_key_is_made_for_signatures_with_its_algorithm_and_for_nothing_else(
    world: World, algorithm: str, spec: str
) -> None:
    arn = world.keys.create(algorithm, "intent-1")
    made = world.kms.describe_key(KeyId=arn)["KeyMetadata"]
    assert (made["Arn"], made["KeyUsage"], made["KeySpec"]) == (arn, "SIGN_VERIFY", spec)
    assert made["KeyState"] == "Enabled"
    assert "default" in made["Description"]
    published: Any = world.keys.public_key(arn, algorithm)
    der = world.kms.get_public_key(KeyId=arn)["PublicKey"]
    assert jwt.PyJWK(published).key == load_der_public_key(der)
    assert published["alg"] == algorithm


def test_there_is_a_key_for_every_algorithm_of_ours(world: World) -> None:
    for algorithm in jwk.ALGORITHMS:
        assert world.state(world.keys.create(algorithm, algorithm)) == "Enabled"


def test_a_key_of_another_kind_than_the_algorithm_is_refused(world: World) -> None:
    arn = world.keys.create("ES256", "intent-1")
    with pytest.raises(SettingsError, match="cannot sign with RS256"):
        world.keys.public_key(arn, "RS256")


def test_rule_5_a_key_is_tagged_with_its_owner_and_its_intent_from_its_first_moment(
    world: World,
) -> None:
    arn = world.keys.create("ES256", "intent-1")
    tags = world.kms.list_resource_tags(KeyId=arn)["Tags"]
    assert {each["TagKey"]: each["TagValue"] for each in tags} == {
        "machine-identity:stack": "stack-1",
        "machine-identity:identity": "default",
        "machine-identity:intent": "intent-1",
    }
    assert all(each["TagKey"].startswith(TAG) for each in tags)


# Finding


def test_rule_5_a_key_is_found_by_its_intent(world: World) -> None:
    assert world.keys.find("intent-1") is None
    first, second = (world.keys.create("ES256", f"intent-{n}") for n in (1, 2))
    assert (world.keys.find("intent-1"), world.keys.find("intent-2")) == (first, second)
    assert world.keys.find("intent-3") is None


@pytest.mark.parametrize(
    "other",
    [Owner(stack="stack-2", identity="default"), Owner(stack="stack-1", identity="other")],
)
def test_rule_5_the_key_of_another_stack_or_identity_is_never_found(
    world: World, other: Owner
) -> None:
    world.of(other).create("ES256", "intent-1")
    assert world.keys.find("intent-1") is None
    assert not world.keys.any()
    assert world.of(other).any()


def test_any_key_counts_whatever_its_state(world: World) -> None:
    assert not world.keys.any()
    arn = world.keys.create("ES256", "intent-1")
    assert world.keys.any()
    world.keys.schedule_deletion(arn, WEEK)
    assert world.keys.any()


def test_a_key_without_our_tags_is_none_of_ours(world: World) -> None:
    world.kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    assert not world.keys.any()


def test_a_key_is_found_on_whatever_page_of_the_index_it_stands(world: World) -> None:
    pages: Iterator[dict[str, Any]] = iter(
        [
            {"PaginationToken": "more", "ResourceTagMappingList": []},
            {
                "PaginationToken": "",
                "ResourceTagMappingList": [{"ResourceARN": UNKNOWN, "Tags": []}],
            },
        ]
    )
    asked: list[str | None] = []

    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        asked.append("more" if b"more" in params["body"] else None)
        return _Ok(), next(pages)

    events: Any = world.tagging.meta.events
    events.register("before-call.resource-groups-tagging-api.GetResources", answer)
    assert world.keys.find("intent-1") == UNKNOWN
    assert asked == [None, "more"]


class _Ok:
    status_code = 200


# Ending


def test_a_key_is_disabled_and_doing_so_again_changes_nothing(world: World) -> None:
    arn = world.keys.create("ES256", "intent-1")
    for _ in range(2):
        world.keys.disable(arn)
        assert world.state(arn) == "Disabled"


@pytest.mark.parametrize("days", [7, 30])
def test_a_key_is_deleted_after_the_window_and_asking_again_does_not_move_it(
    world: World, days: int
) -> None:
    arn = world.keys.create("ES256", "intent-1")
    world.keys.disable(arn)
    for window in (timedelta(days=days), timedelta(days=15)):
        world.keys.schedule_deletion(arn, window)
        deletion_at = world.kms.describe_key(KeyId=arn)["KeyMetadata"]["DeletionDate"]
        assert (world.state(arn), deletion_at) == ("PendingDeletion", NOW + days * WEEK / 7)


def test_a_key_that_awaits_its_deletion_is_as_good_as_disabled(world: World) -> None:
    arn = world.keys.create("ES256", "intent-1")
    world.keys.schedule_deletion(arn, WEEK)
    world.keys.disable(arn)
    assert world.state(arn) == "PendingDeletion"


@pytest.mark.parametrize("operation", ["DisableKey", "ScheduleKeyDeletion"])
def test_a_key_that_kms_does_not_know_is_an_error(world: World, operation: str) -> None:
    """It may be gone, or a minute old: who knows its age can tell."""
    with pytest.raises(AwsError, match=f"kms:{operation} failed: NotFoundException"):
        CALLS[operation][1](world.keys, UNKNOWN)


@pytest.mark.parametrize("days", [6, 31])
def test_a_window_that_kms_does_not_take_is_an_error(world: World, days: int) -> None:
    arn = world.keys.create("ES256", "intent-1")
    with pytest.raises(AwsError, match="kms:ScheduleKeyDeletion failed: ValidationException"):
        world.keys.schedule_deletion(arn, timedelta(days=days))
    assert world.state(arn) == "Enabled"


def refusal(operation: str, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "s3cr3t"}}, operation)


@pytest.mark.parametrize("operation", ["DisableKey", "ScheduleKeyDeletion"])
def test_a_key_in_another_state_that_does_not_allow_it_is_an_error(
    world: World, operation: str
) -> None:
    """KMS answers so for a key that is being created or updated, for instance."""
    arn = world.keys.create("ES256", "intent-1")
    world.fail(operation, refusal(operation, "KMSInvalidStateException"))
    with pytest.raises(AwsError, match=f"kms:{operation} failed: KMSInvalidStateException"):
        CALLS[operation][1](world.keys, arn)
    assert world.state(arn) == "Enabled"


# Errors


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    ("failure", "code"),
    [("AccessDeniedException", "AccessDeniedException"), (None, "ConnectTimeoutError")],
)
def test_an_error_names_the_operation_and_its_code_and_nothing_else(
    world: World, operation: str, failure: str | None, code: str
) -> None:
    name, call = CALLS[operation]
    timeout = ConnectTimeoutError(endpoint_url="https://s3cr3t")
    world.fail(operation, refusal(operation, failure) if failure else timeout)
    with pytest.raises(AwsError) as refused:
        call(world.keys, UNKNOWN)
    assert (refused.value.operation, refused.value.code) == (name, code)
    assert str(refused.value) == f"{name} failed: {code}"


def test_a_key_whose_state_cannot_be_asked_is_an_error(world: World) -> None:
    arn = world.keys.create("ES256", "intent-1")
    world.fail("DisableKey", refusal("DisableKey", "KMSInvalidStateException"))
    world.fail("DescribeKey", refusal("DescribeKey", "ThrottlingException"))
    with pytest.raises(AwsError, match="kms:DescribeKey failed: ThrottlingException"):
        world.keys.disable(arn)


def test_the_public_half_of_a_disabled_key_is_refused_by_kms(world: World) -> None:
    arn = world.keys.create("RS256", "intent-1")
    half = load_der_public_key(world.kms.get_public_key(KeyId=arn)["PublicKey"])
    assert isinstance(half, rsa.RSAPublicKey)
    world.keys.disable(arn)
    with pytest.raises(AwsError, match="kms:GetPublicKey failed: DisabledException"):
        world.keys.public_key(arn, "RS256")


# Repetition


@pytest.mark.parametrize("operation", CALLS)
def test_rule_5_what_creates_is_never_asked_by_the_client_that_repeats(
    world: World, operation: str
) -> None:
    asked: list[str] = []
    with Aws(now=lambda: NOW) as aws:
        repeating = aws.client("kms")
        for client, name in ((world.kms, "once"), (repeating, "repeating")):
            event = f"before-call.kms.{operation}"
            client.meta.events.register(event, lambda name=name, **_: asked.append(name))
        keys = KmsKeys(world.kms, world.tagging, OWNER, repeating=repeating)
        with suppress(AwsError):
            CALLS[operation][1](keys, UNKNOWN)
        repeating.close()
    by_kms = [] if operation == "GetResources" else ["repeating"]
    assert asked == (["once"] if operation == "CreateKey" else by_kms)


# What is there


@pytest.mark.parametrize("operation", ["DescribeKey", "GetPublicKey"])
@pytest.mark.parametrize("code", ["AccessDeniedException", "NotFoundException"])
def test_a_search_leaves_out_what_kms_does_not_tell_us_about(
    world: World, operation: str, code: str
) -> None:
    world.keys.create("RS256", "intent-1")
    world.fail(operation, ClientError({"Error": {"Code": code}}, operation))
    found = world.keys.search()
    assert [each.jwk for each in found] == ([] if operation == "DescribeKey" else [None])


def test_a_name_that_kms_does_not_tell_is_an_error_and_no_name_is_an_answer(world: World) -> None:
    tags: Any = [{"TagKey": name, "TagValue": value} for name, value in OWNER.tags().items()]
    encrypts = world.kms.create_key(Tags=tags)["KeyMetadata"]["Arn"]
    assert world.keys.kid(encrypts) is None
    arn = world.keys.create("PS256", "intent-1")
    assert world.keys.kid(arn) == world.keys.public_key(arn, "RS256")["kid"]
    for operation in ("GetPublicKey", "DescribeKey"):
        world.fail(operation, refusal(operation, "AccessDeniedException"))
        with pytest.raises(AwsError, match=f"kms:{operation} failed: AccessDeniedException"):
            world.keys.kid(arn)


@pytest.mark.parametrize("operation", ["DescribeKey", "GetPublicKey", "GetResources"])
def test_a_search_that_kms_does_not_answer_is_an_error(world: World, operation: str) -> None:
    world.keys.create("ES256", "intent-1")
    world.fail(operation, ConnectTimeoutError(endpoint_url="https://kms"))
    with pytest.raises(AwsError, match="ConnectTimeoutError"):
        world.keys.search()


def test_a_search_finds_no_key_of_another_owner_and_names_rsa_by_its_first_algorithm(
    world: World,
) -> None:
    arn = world.keys.create("PS256", "intent-1")
    world.of(Owner(stack="stack-2", identity="default")).create("ES256", "intent-1")
    (found,) = world.keys.search()
    assert (found.arn, found.intent) == (arn, "intent-1")
    assert found.jwk is not None
    assert found.jwk["alg"] == "RS256"


def test_a_tagged_key_that_does_not_sign_has_no_public_half(world: World) -> None:
    tags = [{"TagKey": name, "TagValue": value} for name, value in OWNER.tags().items()]
    arn = world.kms.create_key(Tags=tags)["KeyMetadata"]["Arn"]  # type: ignore[arg-type]
    (found,) = world.keys.search()
    assert (found.arn, found.intent, found.jwk) == (arn, "", None)
