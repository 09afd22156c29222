"""What a deleted stack leaves behind: its keys, what KMS says of each, and their end.

1. A key is the stack's by the two tags, as for rotation. It is ended only if it is also such as
   rotation makes: else whoever may tag a key could have an operator delete somebody else's.
2. What AWS refuses about one key concerns that key alone.
3. It takes ``tag:GetResources`` and ``kms:DescribeKey``; ``kms:GetPublicKey`` for the names of
   keys, which are left out without it; ``kms:DisableKey`` and ``kms:ScheduleKeyDeletion`` to end.

Whether the stack is gone is not asked here, and nothing but keys is ever ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from machine_identity.aws import AwsError, StackError
from machine_identity.aws.clients import client, translated
from machine_identity.aws.kms_keys import KEY_SPECS, KmsKeys, Owner

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.type_defs import KeyMetadataTypeDef
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient

ENABLED: Final = "Enabled"
DISABLED: Final = "Disabled"
ENDING: Final = "PendingDeletion"
GONE: Final = "Gone"
"""KMS has deleted it, and the index of tags has not heard of that yet; the others are KMS's."""
_OURS: Final = ("SIGN_VERIFY", "AWS_KMS", "CUSTOMER", False)
_STACK_TAG: Final = "aws:cloudformation:stack-name"
"""CloudFormation's own, which what it retains keeps."""
_RETAINED_KINDS: Final = ("s3", "logs:log-group")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftKey:
    """A key with our tags; an empty state is one that KMS does not tell."""

    arn: str
    state: str = ""
    is_ours: bool = False
    kid: str | None = None
    created_at: datetime | None = None
    deletion_at: datetime | None = None
    fault: str = ""
    """What AWS refused of it, in a sentence."""

    @property
    def is_left(self) -> bool:
        """Whether it is ours to end, and is not on its way out."""
        return self.is_ours and self.state not in {"", ENDING, GONE}


class Leavings:
    """What is left of one identity of one stack, in the region that is asked."""

    def __init__(
        self, kms: "KMSClient", tagging: "ResourceGroupsTaggingAPIClient", owner: Owner
    ) -> None:
        self._kms = kms
        self._tagging = tagging
        self._owner = owner
        self._keys = KmsKeys(kms, tagging, owner)

    @classmethod
    def of(cls, stack: str, identity: str) -> Self:
        """Return what to ask in the region and with the credentials of the environment."""
        owner = Owner(stack=stack, identity=identity)
        return cls(client("kms"), client("resourcegroupstaggingapi"), owner)

    @property
    def region(self) -> str:
        """Return the region that is asked."""
        return self._kms.meta.region_name

    def keys(self) -> Iterator[LeftKey]:
        """Yield each key as soon as KMS has told about it. Raises StackError without the index."""
        try:
            arns = self._keys.arns()
        except AwsError as error:
            raise StackError(refusal(error)) from error
        for arn in arns:
            key = self._seen(arn)
            yield replace(key, kid=self._kid(arn)) if key.state == ENABLED else key

    def end(self, key: LeftKey, window: timedelta) -> LeftKey:
        """Disable a key, have KMS delete it after ``window``, and return what KMS says of it then.

        It is disabled first: one whose deletion is refused, or cancelled later, signs no more.
        """
        try:
            self._keys.disable(key.arn)
            key = replace(key, state=DISABLED)
            self._keys.schedule_deletion(key.arn, window)
        except AwsError as error:
            return replace(key, fault=refusal(error))
        return replace(self._seen(key.arn), kid=key.kid)

    def retained(self) -> tuple[str, ...]:
        """Return the ARNs of buckets and log groups of the stack, as far as AWS's index goes."""
        pages = self._tagging.get_paginator("get_resources").paginate(
            ResourceTypeFilters=list(_RETAINED_KINDS),
            TagFilters=[{"Key": _STACK_TAG, "Values": [self._owner.stack]}],
        )
        with translated("tag:GetResources"):
            listed = [each for page in pages for each in page["ResourceTagMappingList"]]
        return tuple(sorted(each["ResourceARN"] for each in listed))

    def _seen(self, arn: str) -> LeftKey:
        try:
            with translated("kms:DescribeKey"):
                told = self._kms.describe_key(KeyId=arn)["KeyMetadata"]
        except AwsError as error:
            if error.code == "NotFoundException":
                return LeftKey(arn=arn, state=GONE)
            return LeftKey(arn=arn, fault=refusal(error))
        return LeftKey(
            arn=arn,
            state=told.get("KeyState", ""),
            is_ours=_is_ours(told),
            created_at=told.get("CreationDate"),
            deletion_at=told.get("DeletionDate"),
        )

    def _kid(self, arn: str) -> str | None:
        try:
            return self._keys.kid(arn)
        except AwsError:
            return None


def refusal(error: AwsError) -> str:
    """Return what AWS refused, and which right it takes if that is what is missing."""
    is_denied = error.code.startswith("AccessDenied")
    return f"{error}: you need the right to {error.operation}" if is_denied else str(error)


def _is_ours(told: "KeyMetadataTypeDef") -> bool:
    """Whether rotation could have made it, see ``KmsKeys.create``."""
    found = tuple(told.get(name) for name in ("KeyUsage", "Origin", "KeyManager"))
    is_ours = (*found, told.get("MultiRegion", False)) == _OURS
    return is_ours and told.get("KeySpec") in KEY_SPECS.values()
