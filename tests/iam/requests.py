"""A request as IAM judges it, and what each call of AWS's API is to IAM.

Where AWS does not document whether IAM is told something, a call is one request for each way it
may be: both must be allowed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from local.template import ACCOUNT, REGION

_NOTHING: Final[Mapping[str, str]] = {}

type Context = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An action on a resource, with what IAM is told beside."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)

    @property
    def service(self) -> str:
        return self.action.partition(":")[0]

    @property
    def account(self) -> str:
        """Whose the resource is; an ARN without an account is one of S3, or none."""
        parts = self.resource.split(":")
        return (parts[4] if len(parts) > 5 else "") or ACCOUNT

    def knowing(self, **context: str | tuple[str, ...]) -> "Request":
        return self.having(context)

    def having(self, context: Context) -> "Request":
        """Return it with more context, or other."""
        return replace(self, context={**self.context, **context})

    def without(self, *keys: str) -> "Request":
        """Return it without that context."""
        assert set(keys) <= self.context.keys()
        return replace(self, context={k: v for k, v in self.context.items() if k not in keys})

    def key(self) -> tuple[str, str, str]:
        """Return what is equal for equal requests."""
        return self.action, self.resource, repr(sorted(self.context.items()))


def arn(service: str, rest: str, *, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{region}:{account}:{rest}"


def tagged(prefix: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as context: of the request (``aws:RequestTag``) or of the resource."""
    return {f"{prefix}/{name}": value for name, value in tags.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as boto3 was asked to make it."""

    operation: str
    """``kms.CreateKey``"""
    params: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of the KMS key that it is about, at that moment."""
    is_absent: bool = False
    """S3 had no such object."""


def requests(call: Call) -> tuple[Request, ...]:
    """Return what IAM is asked before AWS does what is called for."""
    made = tuple(_KNOWN[call.operation](call))
    return tuple(each.having({"aws:SecureTransport": "true"}) for each in made)


def _named(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a key, with one name for every intent: no policy tells them apart."""
    return {name: "intent" if name.endswith(":intent") else tags[name] for name in tags}


def _create_key(call: Call) -> Iterator[Request]:
    # Without a key policy KMS gives the default one; with another, what is judged here is not it.
    assert call.params.keys() == {"Description", "KeyUsage", "KeySpec", "Tags"}
    tags = _named({each["TagKey"]: each["TagValue"] for each in call.params["Tags"]})
    asked: dict[str, str | tuple[str, ...]] = dict(tagged("aws:RequestTag", tags))
    asked["aws:TagKeys"] = tuple(tags)
    spec = {"kms:KeySpec": call.params["KeySpec"], "kms:KeyUsage": call.params["KeyUsage"]}
    silent = Request(action="kms:CreateKey", resource="*", context={**asked, **spec})
    yield silent
    # Not in the call, and IAM may be told of what KMS takes for it.
    yield silent.having({"kms:KeyOrigin": "AWS_KMS", "kms:MultiRegion": "false"})
    new = Request(action="kms:TagResource", resource=arn("kms", "key/new"), context=asked)
    yield new
    # A key in the making may count as tagged already.
    yield new.having(tagged("aws:ResourceTag", tags))


def _of_key(
    action: str,
    told: Mapping[str, str] = _NOTHING,
) -> Callable[[Call], Iterator[Request]]:
    def known(call: Call) -> Iterator[Request]:
        context = {key: str(call.params[name]) for key, name in told.items()}
        context |= tagged("aws:ResourceTag", _named(call.tags))
        account, of_ours, _ = call.params["KeyId"].partition(":key/")
        yield Request(action=action, resource=f"{account}{of_ours}ours", context=context)

    return known


def _get_object(call: Call) -> Iterator[Request]:
    bucket = f"arn:aws:s3:::{call.params['Bucket']}"
    yield Request(action="s3:GetObject", resource=f"{bucket}/{call.params['Key']}")
    if call.is_absent:  # S3 says so to whoever may list; to others, AccessDenied
        yield Request(action="s3:ListBucket", resource=bucket)


def _put_object(call: Call) -> Iterator[Request]:
    told = {"s3:if-match": "IfMatch", "s3:if-none-match": "IfNoneMatch"}
    context = {key: '"tag"' for key, name in told.items() if name in call.params}
    where = f"arn:aws:s3:::{call.params['Bucket']}/{call.params['Key']}"
    yield Request(action="s3:PutObject", resource=where, context=context)


def _list_versions(call: Call) -> Iterator[Request]:
    context = {"s3:prefix": call.params["Prefix"], "s3:max-keys": str(call.params["MaxKeys"])}
    where = f"arn:aws:s3:::{call.params['Bucket']}"
    yield Request(action="s3:ListBucketVersions", resource=where, context=context)


def _parameter(action: str) -> Callable[[Call], Iterator[Request]]:
    def known(call: Call) -> Iterator[Request]:
        name, _, _ = call.params["Name"].partition(":")  # the version is no part of its name
        yield Request(action=action, resource=arn("ssm", f"parameter{name}"))

    return known


def _secret(action: str) -> Callable[[Call], Iterator[Request]]:
    def known(call: Call) -> Iterator[Request]:
        name = f"secret:{call.params['SecretId']}-AbCdEf"  # the six are Secrets Manager's
        yield Request(action=action, resource=arn("secretsmanager", name))

    return known


def _nothing_in_particular(action: str) -> Callable[[Call], Iterator[Request]]:
    return lambda _: iter([Request(action=action, resource="*")])


_KNOWN: Final[Mapping[str, Callable[[Call], Iterator[Request]]]] = {
    "kms.CreateKey": _create_key,
    "kms.DescribeKey": _of_key("kms:DescribeKey"),
    "kms.DisableKey": _of_key("kms:DisableKey"),
    "kms.GetPublicKey": _of_key("kms:GetPublicKey"),
    "kms.ScheduleKeyDeletion": _of_key(
        "kms:ScheduleKeyDeletion",
        {"kms:ScheduleKeyDeletionPendingWindowInDays": "PendingWindowInDays"},
    ),
    "kms.Sign": _of_key(
        "kms:Sign", {"kms:MessageType": "MessageType", "kms:SigningAlgorithm": "SigningAlgorithm"}
    ),
    "resource-groups-tagging-api.GetResources": _nothing_in_particular("tag:GetResources"),
    "s3.GetObject": _get_object,
    "s3.ListObjectVersions": _list_versions,
    "s3.PutObject": _put_object,
    "secrets-manager.GetSecretValue": _secret("secretsmanager:GetSecretValue"),
    "secrets-manager.PutSecretValue": _secret("secretsmanager:PutSecretValue"),
    "secrets-manager.UpdateSecretVersionStage": _secret("secretsmanager:UpdateSecretVersionStage"),
    "ssm.GetParameter": _parameter("ssm:GetParameter"),
    "ssm.PutParameter": _parameter("ssm:PutParameter"),
}
"""By botocore's service ID, and operation; one that is not here fails the recording."""
