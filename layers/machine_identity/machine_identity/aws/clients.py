"""boto3 clients with bounded patience, and the translation of their errors, once, at the edge."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, overload

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from machine_identity.aws import AwsError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client

_ATTEMPTS: Final = 3


@overload
def client(service: Literal["kms"], *, attempts: int = ...) -> "KMSClient": ...
@overload
def client(service: Literal["s3"], *, attempts: int = ...) -> "S3Client": ...
@overload
def client(
    service: Literal["resourcegroupstaggingapi"], *, attempts: int = ...
) -> "ResourceGroupsTaggingAPIClient": ...
def client(service: str, *, attempts: int = _ATTEMPTS) -> object:
    """Return a client for ``service``; endpoint, region and credentials from the environment.

    ``attempts`` counts the first one in: 1 for a call that must not be sent twice unseen.
    """
    retries = {"mode": "standard", "total_max_attempts": attempts}
    config = Config(connect_timeout=2, read_timeout=5, retries=retries)  # type: ignore[arg-type]
    return boto3.client(service, config=config)  # type: ignore[call-overload]


@contextmanager
def translated(operation: str) -> Iterator[None]:
    """Turn whatever boto3 raises into an AwsError that names ``operation`` and AWS's code."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        raise AwsError(operation, code) from error
    except BotoCoreError as error:
        raise AwsError(operation, type(error).__name__) from error
