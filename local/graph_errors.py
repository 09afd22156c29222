"""Why Microsoft Graph does not do what it is asked, said as Graph says it.

``code`` is for programs, ``message`` for people. Most of what can be wrong with a proof, Graph
answers with one code and a sentence about access tokens; that is how it was seen, and it is kept,
since whoever reads it in production reads just that.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from http import HTTPStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One reason, as it is answered."""

    status: HTTPStatus
    code: str
    message: str


def _token(message: str) -> Entry:
    return Entry(
        status=HTTPStatus.UNAUTHORIZED, code="InvalidAuthenticationToken", message=message
    )


def _request(message: str) -> Entry:
    return Entry(status=HTTPStatus.BAD_REQUEST, code="Request_BadRequest", message=message)


class GraphFault(Enum):
    """All reasons for which a call does not succeed."""

    NO_TOKEN = _token("Access token is empty.")
    BAD_TOKEN = _token("Access token validation failure. Invalid signature.")
    TOKEN_AUDIENCE = _token("Access token validation failure. Invalid audience.")
    TOKEN_EXPIRED = _token("Lifetime validation failed, the token is expired.")
    FORBIDDEN = Entry(
        status=HTTPStatus.FORBIDDEN,
        code="Authorization_RequestDenied",
        message="Insufficient privileges to complete the operation.",
    )
    PROOF = Entry(
        status=HTTPStatus.UNAUTHORIZED,
        code="Authentication_MissingOrMalformed",
        message="Access Token missing or malformed.",
    )
    UNKNOWN_APPLICATION = Entry(
        status=HTTPStatus.NOT_FOUND,
        code="Request_ResourceNotFound",
        message="The application does not exist or one of its queried reference-property objects "
        "are not present.",
    )
    BODY = _request("The request body is not a JSON object with all required properties.")
    CREDENTIAL = _request("New key credential is not valid: its type, usage or key.")
    DATES = _request("Key credential end date is invalid.")
    UNKNOWN_KEY = _request("No credentials found to be removed.")
    THROTTLED = Entry(
        status=HTTPStatus.TOO_MANY_REQUESTS,
        code="TooManyRequests",
        message="Too many requests. Please retry later.",
    )
    BUSY = Entry(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        code="ServiceUnavailable",
        message="The service is temporarily unavailable.",
    )
    BROKEN = Entry(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code="InternalServerError",
        message="An internal server error occurred.",
    )
    SLOW = Entry(
        status=HTTPStatus.GATEWAY_TIMEOUT, code="GatewayTimeout", message="The request timed out."
    )


class GraphError(Exception):
    """The call does not succeed."""

    def __init__(self, fault: GraphFault) -> None:
        super().__init__(fault.name)
        self.fault = fault


def body(fault: GraphFault, *, now: datetime, request_id: str) -> dict[str, object]:
    """Return the body of the answer, in Graph's shape."""
    inner = {
        "date": f"{now:%Y-%m-%dT%H:%M:%S}",
        "request-id": request_id,
        "client-request-id": request_id,
    }
    entry = fault.value
    return {"error": {"code": entry.code, "message": entry.message, "innerError": inner}}
