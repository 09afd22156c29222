"""Documents in S3, written by compare-and-swap only.

Every write names the version it replaces, so two writers never overwrite each other (rule 6). A
write whose answer was lost and which botocore sent again comes back as lost, although it won: so
what stands there is read and compared before a conflict is called one (rule 5). S3's 409 means
that another conditional write was under way, and decides nothing: it is tried again here, since
botocore does not.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from machine_identity.aws import AwsError
from machine_identity.aws.clients import translated
from machine_identity.errors import ConflictError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PutObjectRequestTypeDef

_LOST: Final = frozenset({"PreconditionFailed", "412"})
_UNDECIDED: Final = frozenset({"ConditionalRequestConflict", "409"})
_ABSENT: Final = frozenset({"NoSuchKey", "404"})
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An object as it was read: its bytes, its version tag, and how long others may cache it."""

    body: bytes = field(repr=False)
    tag: str
    cache_control: str | None = None
    date: str | None = field(default=None, compare=False)
    """When S3 answered, as its ``Date`` header says it."""


class Bucket:
    """One S3 bucket, as a store of small JSON documents."""

    def __init__(self, client: "S3Client", name: str) -> None:
        self._client = client
        self._name = name

    def read(self, key: str) -> Document | None:
        """Return the document, or None if there is none. Raises AwsError.

        To be told of an absent object, S3 asks for the right to list the bucket; without it S3
        answers AccessDenied.
        """
        try:
            with translated("s3:GetObject"):
                answer = self._client.get_object(Bucket=self._name, Key=key)
                body = answer["Body"].read()
        except AwsError as error:
            if error.code in _ABSENT:
                return None
            raise
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return Document(
            body=body,
            tag=answer["ETag"],
            cache_control=answer.get("CacheControl"),
            date=headers.get("date"),
        )

    def has_history(self, key: str) -> bool:
        """Return whether any version of the object was ever there, a deleted one included."""
        with translated("s3:ListObjectVersions"):
            answer = self._client.list_object_versions(Bucket=self._name, Prefix=key, MaxKeys=1000)
        marks = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
        return any(mark.get("Key") == key for mark in marks)

    def write(
        self, key: str, body: bytes, *, expected: str | None, cache_control: str | None = None
    ) -> str:
        """Write JSON if the version that stands there is ``expected`` (None: there is none).

        Returns the new version tag. Raises ConflictError when somebody else wrote first, AwsError
        when S3 did not answer.
        """
        request: PutObjectRequestTypeDef = {
            "Bucket": self._name,
            "Key": key,
            "Body": body,
            "ContentType": "application/json",
        }
        if cache_control is not None:
            request["CacheControl"] = cache_control
        if expected is None:
            request["IfNoneMatch"] = "*"
        else:
            request["IfMatch"] = expected
        return self._put(request, key, body)

    def _put(self, request: "PutObjectRequestTypeDef", key: str, body: bytes) -> str:
        for _ in range(_ATTEMPTS):
            try:
                with translated("s3:PutObject"):
                    return self._client.put_object(**request)["ETag"]
            except AwsError as error:
                if error.code in _UNDECIDED:
                    continue
                # If-Match on an object that is gone is answered 404: deleted under our hands.
                if error.code not in _LOST | _ABSENT:
                    raise
                break
        standing = self.read(key)
        wanted = (body, request.get("CacheControl"))
        if standing is not None and (standing.body, standing.cache_control) == wanted:
            return standing.tag
        raise ConflictError(f"{key} was written by somebody else at the same time")
