"""Secret documents as SecureString parameters of SSM Parameter Store.

A first write is atomic: without ``Overwrite`` SSM refuses a name that is taken. A later one cannot
be conditional, since SSM has no such thing; it is made only if the version is still the expected
one, and every write has a number, so a writer in between is found out afterwards and told as a
conflict. What that one wrote is then overwritten, and stays in the parameter's history.

A write whose answer was lost and which botocore sent again is no conflict: what stands there, or
has the number in question, is compared with what was written.
"""

from typing import TYPE_CHECKING, Final

from machine_identity.aws import AwsError
from machine_identity.aws.clients import translated
from machine_identity.client_registration.record import Kept
from machine_identity.errors import ConflictError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_ABSENT: Final = frozenset({"ParameterNotFound", "ParameterVersionNotFound"})
_TAKEN: Final = "ParameterAlreadyExists"


class ParameterStore:
    """The parameters below one path, ``/machine-identity/clients`` for example."""

    def __init__(self, client: "SSMClient", path: str) -> None:
        self._client = client
        self._path = path.rstrip("/")

    def read(self, name: str) -> Kept | None:
        """Return the document, or None if there is none. Raises AwsError."""
        return self._version(name, "")

    def write(self, name: str, body: str, *, expected: str | None) -> str:
        """Write if the version that stands there is ``expected`` (None: there is none).

        Returns the new version. Raises ConflictError, or AwsError when SSM did not do it.
        """
        if expected is None:
            return self._first(name, body)
        standing = self.read(name)
        if standing is None or standing.tag != expected:
            raise _conflict(name)
        version = self._put(name, body, overwrite=True)
        if version != int(expected) + 1:
            between = self._version(name, f":{int(expected) + 1}")
            if between is None or between.body != body:
                raise _conflict(name)
        return str(version)

    def _first(self, name: str, body: str) -> str:
        try:
            return str(self._put(name, body, overwrite=False))
        except AwsError as error:
            if error.code != _TAKEN:
                raise
        standing = self.read(name)
        if standing is None or standing.body != body:
            raise _conflict(name)
        return standing.tag

    def _put(self, name: str, body: str, *, overwrite: bool) -> int:
        with translated("ssm:PutParameter"):
            return self._client.put_parameter(
                Name=f"{self._path}/{name}",
                Value=body,
                Type="SecureString",
                Overwrite=overwrite,
                # Beyond 4 kB a parameter costs money, and is better than no parameter.
                Tier="Intelligent-Tiering",
            )["Version"]

    def _version(self, name: str, selector: str) -> Kept | None:
        try:
            with translated("ssm:GetParameter"):
                found = self._client.get_parameter(
                    Name=f"{self._path}/{name}{selector}", WithDecryption=True
                )["Parameter"]
        except AwsError as error:
            if error.code in _ABSENT:
                return None
            raise
        return Kept(body=found["Value"], tag=str(found["Version"]))


def _conflict(name: str) -> ConflictError:
    return ConflictError(f"{name} was written by somebody else at the same time")
