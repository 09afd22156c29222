"""boto3 clients with bounded patience, and the translation of their errors, once, at the edge."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, overload

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from machine_identity.aws import AwsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

_ATTEMPTS: Final = 3
_PATIENCE: Final = timedelta(seconds=5)

# At DEBUG these write whole requests: the message that KMS signs, the headers, the signature.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.INFO)


@overload
def client(
    service: Literal["cloudformation"], *, attempts: int = ..., patience: timedelta = ...
) -> "CloudFormationClient": ...
@overload
def client(
    service: Literal["kms"], *, attempts: int = ..., patience: timedelta = ...
) -> "KMSClient": ...
@overload
def client(
    service: Literal["s3"], *, attempts: int = ..., patience: timedelta = ...
) -> "S3Client": ...
@overload
def client(
    service: Literal["sts"], *, attempts: int = ..., patience: timedelta = ...
) -> "STSClient": ...
@overload
def client(
    service: Literal["resourcegroupstaggingapi"],
    *,
    attempts: int = ...,
    patience: timedelta = ...,
) -> "ResourceGroupsTaggingAPIClient": ...
@overload
def client(
    service: Literal["secretsmanager"], *, attempts: int = ..., patience: timedelta = ...
) -> "SecretsManagerClient": ...
@overload
def client(
    service: Literal["ssm"], *, attempts: int = ..., patience: timedelta = ...
) -> "SSMClient": ...
def client(service: str, *, attempts: int = _ATTEMPTS, patience: timedelta = _PATIENCE) -> object:
    """Return a client for ``service``; endpoint, region and credentials from the environment.

    ``attempts`` counts the first one in: 1 for a call that must not be sent twice unseen. In each
    a silent server is waited for as long as ``patience``, and for a connection two seconds.
    """
    retries = {"mode": "standard", "total_max_attempts": attempts}
    read_timeout = patience.total_seconds()
    config = Config(connect_timeout=2, read_timeout=read_timeout, retries=retries)  # type: ignore[arg-type]
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
