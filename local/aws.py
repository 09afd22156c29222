"""AWS as the embedded stack has it: KMS, S3 and the tagging index of moto's server, made strict.

See local/strict_moto.py for what that means. Beside it, in the same process, moto is as ever.

Never point a reader of the key set at this server: moto's Cognito part answers an unsigned
``GET /…/.well-known/jwks.json`` with a set of its own.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self, overload

import boto3
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler

from local.loopback import LoopbackServer
from local.strict_moto import apps
from machine_identity import clock

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client

REGION: Final = "eu-central-1"
NOBODY: Final = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Keeps what a person has configured for AWS out of it."""


class Aws:
    """``with Aws() as aws``: an empty account, at ``aws.url``; one at a time in a process."""

    def __init__(self, *, now: Callable[[], datetime] = clock.now) -> None:
        self.denied: frozenset[str] = frozenset()
        """What KMS denies to everybody: of its operations, ``DisableKey`` can be among these."""
        app = DomainDispatcherApplication(apps(now, lambda: self.denied))
        self._server = LoopbackServer(app, now=now, handler=MotoRequestHandler)
        self._open = ExitStack()

    @property
    def url(self) -> str:
        """The endpoint for every service, as ``AWS_ENDPOINT_URL`` takes it."""
        return self._server.url

    @property
    def environment(self) -> dict[str, str]:
        """What a process must have in its environment so that its boto3 comes here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",  # nosec B105 # moto checks none
            **NOBODY,
        }

    @overload
    def client(self, service: Literal["kms"]) -> "KMSClient": ...
    @overload
    def client(self, service: Literal["s3"]) -> "S3Client": ...
    @overload
    def client(
        self, service: Literal["resourcegroupstaggingapi"]
    ) -> "ResourceGroupsTaggingAPIClient": ...
    def client(self, service: str) -> object:
        """Return a boto3 client for ``service``, whatever the environment says."""
        return boto3.client(  # type: ignore[call-overload] # the stubs know literals only
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # nosec B106 # noqa: S106 - moto checks none
        )

    def __enter__(self) -> Self:
        """Start with nothing: no key, no bucket."""
        with ExitStack() as opening:
            moto_api_backend.reset()
            opening.callback(moto_api_backend.reset)
            opening.enter_context(self._server)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and forget all keys and objects."""
        self._open.close()
