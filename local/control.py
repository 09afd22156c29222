"""The stack's two doors for programs: the clock, and Lambda's own API to invoke a function.

``POST /clock`` with ``{"advance_seconds": N}`` moves everything forward and answers ``{"now"}``;
``GET /clock`` only answers. The Lambda endpoint takes what boto3 and ``aws lambda invoke
--endpoint-url`` send.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from werkzeug.wrappers import Request, Response

from local.clock import MovableClock
from local.functions import Function, FunctionError

MOST_SECONDS: Final = 10 * 365 * 24 * 60 * 60
"""Ten years in one move."""
_INVOCATIONS: Final = "/2015-03-31/functions/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockControl:
    """A WSGI application that moves the clock."""

    clock: MovableClock
    advance: Callable[[timedelta], datetime]

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if request.path != "/clock" or request.method not in {"GET", "POST"}:
            return _json(HTTPStatus.NOT_FOUND, {"error": "not_found"})
        if request.method == "GET":
            return _json(HTTPStatus.OK, {"now": self.clock.now().isoformat()})
        seconds = _seconds(request.get_data())
        if seconds is None:
            sentence = f"advance_seconds must be a number from 0 to {MOST_SECONDS}"
            answer = {"error": "invalid_request", "error_description": sentence}
            return _json(HTTPStatus.BAD_REQUEST, answer)
        return _json(HTTPStatus.OK, {"now": self.advance(timedelta(seconds=seconds)).isoformat()})


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaControl:
    """A WSGI application that speaks Lambda's Invoke."""

    functions: Mapping[str, Function]
    clock: MovableClock

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        name, _, rest = request.path.removeprefix(_INVOCATIONS).partition("/")
        if not request.path.startswith(_INVOCATIONS) or rest != "invocations":
            sentence = f"only POST {_INVOCATIONS}NAME/invocations is answered"
            return _fault(HTTPStatus.NOT_FOUND, "UnknownOperationException", sentence)
        function = self.functions.get(name.rpartition(":function:")[2].partition(":")[0])
        if function is None:
            known = ", ".join(self.functions)
            sentence = f"there is no such function; there are {known}"
            return _fault(HTTPStatus.NOT_FOUND, "ResourceNotFoundException", sentence)
        try:
            event = json.loads(request.get_data() or b"{}")
        except (ValueError, RecursionError):
            sentence = "the payload is not JSON"
            return _fault(HTTPStatus.BAD_REQUEST, "InvalidRequestContentException", sentence)
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            return Response(status=HTTPStatus.NO_CONTENT)
        answer = self._invoked(function, event)
        return Response(status=HTTPStatus.ACCEPTED) if kind == "Event" else answer

    def _invoked(self, function: Function, event: object) -> Response:
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        try:
            with self.clock.held():
                answer = function.invoke(event)
        except FunctionError as error:
            headers["X-Amz-Function-Error"] = "Unhandled"
            answer = {"errorType": error.kind, "errorMessage": error.message}
        return _json(HTTPStatus.OK, answer, headers)


def _seconds(body: bytes) -> float | None:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None
    seconds = members.get("advance_seconds") if isinstance(members, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return seconds if 0 <= seconds <= MOST_SECONDS else None


def _fault(status: HTTPStatus, kind: str, message: str) -> Response:
    return _json(status, {"Message": message}, {"x-amzn-ErrorType": kind})


def _json(
    status: HTTPStatus,
    members: object,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return Response(
        json.dumps(members), status=status, mimetype="application/json", headers=headers
    )
