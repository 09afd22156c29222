"""Writes down what a function asks of AWS, from inside its own boto3 clients."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import pytest

from tests.iam.requests import Call


class Recorder:
    """``with recorder.acting("token"):`` start the function and call it; then ``recorder.calls``.

    Only clients that are made meanwhile are listened to, so a world may ask AWS for itself.
    """

    def __init__(self) -> None:
        self.calls: dict[str, list[Call]] = {}
        self._real: Any = boto3.client

    @contextmanager
    def acting(self, who: str) -> Iterator[None]:
        made = self.calls.setdefault(who, [])

        def client(*args: Any, **more: Any) -> Any:
            built = self._real(*args, **more)
            self._listen(built, made)
            return built

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(boto3, "client", client)
            yield

    def _listen(self, client: Any, made: list[Call]) -> None:
        def asked(params: Mapping[str, Any], model: Any, **_: object) -> None:
            service = model.service_model.service_id.hyphenize()
            tags = self._tags(params["KeyId"]) if service == "kms" and "KeyId" in params else {}
            made.append(Call(operation=f"{service}.{model.name}", params=dict(params), tags=tags))

        def answered(parsed: Mapping[str, Any], model: Any, **_: object) -> None:
            if model.name == "GetObject" and parsed.get("Error", {}).get("Code") == "NoSuchKey":
                last = made.pop()
                made.append(Call(operation=last.operation, params=last.params, is_absent=True))

        client.meta.events.register("provide-client-params.*.*", asked)
        client.meta.events.register("after-call.s3.GetObject", answered)

    def _tags(self, key: str) -> dict[str, str]:
        found = self._real("kms").list_resource_tags(KeyId=key)["Tags"]
        return {each["TagKey"]: each["TagValue"] for each in found}
