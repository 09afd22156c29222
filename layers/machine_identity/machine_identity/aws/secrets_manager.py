"""Secret documents in AWS Secrets Manager, written by compare-and-swap.

A new value is put beside the current one under a label of ours, and then the label ``AWSCURRENT``
is moved to it from the version that was expected. Secrets Manager moves it only from where it is,
so of two writers one loses and overwrites nothing.

A write whose answer was lost and which botocore sent again is no conflict: a token makes putting
idempotent, and what is current is compared before a conflict is called one.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from machine_identity.aws import AwsError
from machine_identity.aws.clients import translated
from machine_identity.client_registration.record import Kept
from machine_identity.errors import ConflictError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_ABSENT: Final = "ResourceNotFoundException"
_TAKEN: Final = "ResourceExistsException"
_NOT_THERE: Final = frozenset({"InvalidParameterException", "InvalidRequestException", _ABSENT})
"""What moving a label from a version that does not have it is answered with."""
_CURRENT: Final = "AWSCURRENT"
_NEXT: Final = "machine-identity-next"


class SecretsManager:
    """The secrets below one name, ``machine-identity/clients`` for example."""

    def __init__(
        self, client: "SecretsManagerClient", prefix: str, *, unique: Callable[[], str]
    ) -> None:
        """Make one; ``unique`` gives a version its name (``clock.unique``)."""
        self._client = client
        self._prefix = prefix.rstrip("/")
        self._unique = unique

    def read(self, name: str) -> Kept | None:
        """Return the document, or None if there is none. Raises AwsError."""
        try:
            with translated("secretsmanager:GetSecretValue"):
                found = self._client.get_secret_value(
                    SecretId=self._id(name), VersionStage=_CURRENT
                )
        except AwsError as error:
            if error.code == _ABSENT:
                return None
            raise
        return Kept(body=found["SecretString"], tag=found["VersionId"])

    def write(self, name: str, body: str, *, expected: str | None) -> str:
        """Write if the version that stands there is ``expected`` (None: there is none).

        Returns the new version. Raises ConflictError, or AwsError when it was not done.
        """
        version = self._unique()
        try:
            if expected is None:
                self._create(name, body, version)
            else:
                self._put(name, body, version)
                self._move(name, version, expected)
        except AwsError as error:
            lost = {_TAKEN} if expected is None else _NOT_THERE
            if error.code not in lost:
                raise
            standing = self.read(name)
            if standing is None or (standing.tag, standing.body) != (version, body):
                raise ConflictError(
                    f"{name} was written by somebody else at the same time"
                ) from error
        return version

    def _create(self, name: str, body: str, version: str) -> None:
        with translated("secretsmanager:CreateSecret"):
            self._client.create_secret(
                Name=self._id(name),
                Description="A client's registration (RFC 7592), kept by Machine Identity",
                SecretString=body,
                ClientRequestToken=version,
            )

    def _put(self, name: str, body: str, version: str) -> None:
        with translated("secretsmanager:PutSecretValue"):
            self._client.put_secret_value(
                SecretId=self._id(name),
                SecretString=body,
                ClientRequestToken=version,
                VersionStages=[_NEXT],
            )

    def _move(self, name: str, version: str, expected: str) -> None:
        with translated("secretsmanager:UpdateSecretVersionStage"):
            self._client.update_secret_version_stage(
                SecretId=self._id(name),
                VersionStage=_CURRENT,
                MoveToVersionId=version,
                RemoveFromVersionId=expected,
            )

    def _id(self, name: str) -> str:
        return f"{self._prefix}/{name}"
