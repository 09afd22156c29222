"""The rotator's view of KMS: keys come and go, and nothing here can sign.

``CreateKey`` has no idempotency token, so a key is tagged with the intent that it is created for,
and is found again by that tag, never by walking over the keys of the account (rule 5). The client
that creates must not repeat calls by itself: see ``client("kms", attempts=1)``. Every other call
may be repeated, and is if another client is there for it: a throttle then postpones nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from machine_identity import jwk
from machine_identity.aws import AwsError
from machine_identity.aws.clients import translated
from machine_identity.evidence import OwnedKey
from machine_identity.jwk import PublicJwk

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.literals import KeySpecType
    from mypy_boto3_kms.type_defs import KeyMetadataTypeDef
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient

TAG: Final = "machine-identity:"
"""The prefix of our tags: stack, identity and intent."""

KEY_SPECS: Final[dict[str, "KeySpecType"]] = {
    "RS256": "RSA_2048",
    "RS384": "RSA_2048",
    "RS512": "RSA_2048",
    "PS256": "RSA_2048",
    "ES256": "ECC_NIST_P256",
    "ES384": "ECC_NIST_P384",
}
_NAMED: Final = {spec: name for name, spec in reversed(KEY_SPECS.items())}
"""The first algorithm of each kind of key."""
_NOT_SHOWN: Final = frozenset({"AccessDenied", "AccessDeniedException", "NotFoundException"})
_NO_PUBLIC_HALF: Final = frozenset({"DisabledException", "KMSInvalidStateException", *_NOT_SHOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose keys they are: a stack's, by name so that a redeploy finds them, and an identity's."""

    stack: str
    identity: str

    def tags(self) -> dict[str, str]:
        """Return the tags that every key of this owner carries."""
        return {f"{TAG}stack": self.stack, f"{TAG}identity": self.identity}


class KmsKeys:
    """Creates, finds and ends the asymmetric keys of one owner. Every method raises AwsError."""

    def __init__(
        self,
        kms: "KMSClient",
        tagging: "ResourceGroupsTaggingAPIClient",
        owner: Owner,
        *,
        repeating: "KMSClient | None" = None,
    ) -> None:
        self._creating = kms
        self._kms = kms if repeating is None else repeating
        self._tagging = tagging
        self._owner = owner

    def create(self, algorithm: str, intent: str) -> str:
        """Create a SIGN_VERIFY key for ``algorithm``, tagged with the intent; return its ARN."""
        tags = {**self._owner.tags(), f"{TAG}intent": intent}
        with translated("kms:CreateKey"):
            answer = self._creating.create_key(
                Description=f"Machine Identity: {self._owner.identity}",
                KeyUsage="SIGN_VERIFY",
                KeySpec=KEY_SPECS[algorithm],
                Tags=[{"TagKey": key, "TagValue": value} for key, value in tags.items()],
            )
        return answer["KeyMetadata"]["Arn"]

    def public_key(self, arn: str, algorithm: str) -> PublicJwk:
        """Return the JWK of a key; KMS refuses that of a disabled one, so it is kept."""
        with translated("kms:GetPublicKey"):
            answer = self._kms.get_public_key(KeyId=arn)
        return jwk.from_der(answer["PublicKey"], algorithm)

    def find(self, intent: str) -> str | None:
        """Return the ARN of the key that was created for ``intent``, if the index shows one."""
        tags = {**self._owner.tags(), f"{TAG}intent": intent}
        return next((arn for arn, _ in self._tagged(tags)), None)

    def any(self) -> bool:
        """Return whether this owner has a key already, whatever its state."""
        return next(self._tagged(self._owner.tags()), None) is not None

    def is_usable(self, arn: str, algorithm: str) -> bool:
        """Return whether a key is enabled, and of the kind that signs with ``algorithm``."""
        key = self._described(arn)
        return (key.get("KeyState"), key.get("KeySpec")) == ("Enabled", KEY_SPECS[algorithm])

    def search(self) -> tuple[OwnedKey, ...]:
        """Return all keys of this owner, without those that KMS will not tell us about.

        Of an RSA key KMS does not know which of its algorithms is used: the JWK names the first.
        """
        found = [self._owned(*tagged) for tagged in self._tagged(self._owner.tags())]
        return tuple(key for key in found if key is not None)

    def arns(self) -> tuple[str, ...]:
        """Return the ARN of every key of this owner that the index shows, whatever its state."""
        return tuple(arn for arn, _ in self._tagged(self._owner.tags()))

    def kid(self, arn: str) -> str | None:
        """Return the name of a key, which KMS tells of an enabled one only; None of any other."""
        key = self._described(arn)
        algorithm = _NAMED.get(key.get("KeySpec", "RSA_2048"))
        if key.get("KeyState") != "Enabled" or algorithm is None:
            return None
        return self.public_key(arn, algorithm)["kid"]

    def disable(self, arn: str) -> None:
        """Disable a key; one that awaits its deletion is as good as disabled.

        One that KMS does not know is an error here: it is gone, or too young to be known
        everywhere, and only who knows its age can tell.
        """
        try:
            with translated("kms:DisableKey"):
                self._kms.disable_key(KeyId=arn)
        except AwsError as error:
            self._unless_ending(arn, error)

    def schedule_deletion(self, arn: str, window: timedelta) -> None:
        """Have KMS delete a key after ``window`` (whole days); doing so again changes nothing.

        Of one that KMS does not know the same holds as in ``disable``.
        """
        try:
            with translated("kms:ScheduleKeyDeletion"):
                self._kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=window.days)
        except AwsError as error:
            self._unless_ending(arn, error)

    def _unless_ending(self, arn: str, error: AwsError) -> None:
        """Swallow ``error`` if the key is on its way out already: a crash came after the call."""
        if error.code != "KMSInvalidStateException":
            raise error
        if self._described(arn).get("KeyState") != "PendingDeletion":
            raise error

    def _described(self, arn: str) -> "KeyMetadataTypeDef":
        with translated("kms:DescribeKey"):
            return self._kms.describe_key(KeyId=arn)["KeyMetadata"]

    def _owned(self, arn: str, intent: str) -> OwnedKey | None:
        try:
            key = self._described(arn)
        except AwsError as error:
            if error.code in _NOT_SHOWN:
                return None
            raise
        algorithm = _NAMED.get(key.get("KeySpec", "RSA_2048"))
        public = None if algorithm is None else self._public_half(arn, algorithm)
        return OwnedKey(
            arn=arn,
            intent=intent,
            created_at=key["CreationDate"],
            jwk=public,
            is_ending=key.get("KeyState") == "PendingDeletion",
        )

    def _public_half(self, arn: str, algorithm: str) -> PublicJwk | None:
        try:
            return self.public_key(arn, algorithm)
        except AwsError as error:
            if error.code in _NO_PUBLIC_HALF:
                return None
            raise

    def _tagged(self, tags: dict[str, str]) -> Iterator[tuple[str, str]]:
        """Yield the ARN of each key that carries these tags, and the intent it was made for."""
        pages = self._tagging.get_paginator("get_resources").paginate(
            ResourceTypeFilters=["kms:key"],
            TagFilters=[{"Key": key, "Values": [value]} for key, value in tags.items()],
        )
        with translated("tag:GetResources"):
            for page in pages:
                for resource in page["ResourceTagMappingList"]:
                    named = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
                    yield resource["ResourceARN"], named.get(f"{TAG}intent", "")
