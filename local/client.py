"""The client of the story (steps 1, 9 and 13): asks the token function, then calls the API.

Real HTTP both ways: Lambda's Invoke to the token function, a bearer token to the API.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from machine_identity import transport

_TIMEOUT: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    members: Any
    """The body, which is JSON or the client raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client of one stack, by its addresses."""

    lambda_url: str
    api_url: str

    def invoke(self, function: str, event: object) -> Any:  # noqa: ANN401 - any JSON
        """Return a function's answer to an event. Raises TransportError."""
        url = f"{self.lambda_url}/2015-03-31/functions/{function}/invocations"
        body = json.dumps(event).encode()
        answer = transport.send("POST", url, headers={}, body=body, timeout=_TIMEOUT)
        return json.loads(answer.body)

    def call(self, content: bytes, token: str | None) -> ApiAnswer:
        """Send ``content`` to the API, with a bearer token or without."""
        bearer = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = transport.send(
            "POST",
            f"{self.api_url}/api/uppercase",
            headers={"content-type": "application/json", **bearer},
            body=content,
            timeout=_TIMEOUT,
        )
        members = json.loads(answer.body)
        return ApiAnswer(status=answer.status, headers=answer.headers, members=members)

    def uppercase(self, text: str) -> str | None:
        """Do steps 1 to 13; return the result, or None if anything was refused on the way."""
        token = self.invoke("TokenFunction", {})
        if "access_token" not in token:
            return None
        answer = self.call(json.dumps({"text": text}).encode(), token["access_token"])
        return str(answer.members["result"]) if answer.status == HTTPStatus.OK else None
