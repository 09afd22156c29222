"""Why the authorization server gives no token, said as Entra ID says it.

``error`` is for programs (RFC 6749 section 5.2), the AADSTS code for people who look it up. The
sentences are Entra's in substance, but name nothing of the request: what an assertion claims, or
a caller sends, comes back in no answer.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from http import HTTPStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One reason: Entra's number and words for it, and how OAuth calls it."""

    code: int
    error: str
    status: HTTPStatus
    text: str


def _request(code: int, text: str, *, error: str = "invalid_request") -> Entry:
    return Entry(code=code, error=error, status=HTTPStatus.BAD_REQUEST, text=text)


def _client(code: int, text: str) -> Entry:
    return Entry(code=code, error="invalid_client", status=HTTPStatus.UNAUTHORIZED, text=text)


class Fault(Enum):
    """All reasons for which a token is refused."""

    UNKNOWN_TENANT = _request(90002, "Tenant not found.")
    BAD_REQUEST = _request(90100, "A parameter is empty, repeated, too long or not valid.")
    MISSING_PARAMETER = _request(
        900144, "The request body must contain grant_type, client_id and scope."
    )
    UNSUPPORTED_GRANT = _request(
        70003, "The app requested an unsupported grant type.", error="unsupported_grant_type"
    )
    UNKNOWN_CLIENT = _request(
        700016, "The application was not found in the directory.", error="unauthorized_client"
    )
    NO_CREDENTIAL = _client(
        7000218,
        "The request body must contain client_assertion and RFC 7523's client_assertion_type.",
    )
    MALFORMED = _client(50027, "JWT token is invalid or malformed, or of another type.")
    UNSUPPORTED_ALGORITHM = _client(
        5002738, "Invalid JWT token. The signature algorithm is not supported."
    )
    NO_KEY_ID = _client(5002723, "Invalid JWT token. No keyId is specified in the token header.")
    UNKNOWN_KEY = _client(
        7000272,
        "The key used to sign the assertion could not be found in the metadata of its issuer.",
    )
    SIGNATURE = _client(700027, "Client assertion failed signature validation.")
    UNKNOWN_CERTIFICATE = _client(
        700027,
        "The certificate with identifier used to sign the client assertion is not registered on "
        "application. [Reason - The key was not found.]",
    )
    EXPIRED_CERTIFICATE = _client(
        700027,
        "Client assertion contains an invalid signature. [Reason - The key used is expired.]",
    )
    IDENTIFIER = _client(
        700021, "Client assertion application identifier doesn't match 'client_id' parameter."
    )
    REALM = _client(700023, "Client assertion audience claim does not match Realm issuer.")
    ISSUER = _client(700211, "No matching record found for presented assertion issuer.")
    AUDIENCE = _client(700212, "No matching record found for presented assertion audience.")
    SUBJECT = _client(700213, "No matching record found for presented assertion subject.")
    TIME_RANGE = _client(700024, "Client assertion is not within its valid time range.")
    # These two are stricter than Entra, which neither bounds the life of a federated token nor
    # minds a jti that it has seen; other providers do both. No certificate's owner hears them,
    # but for a jti that is missing. The number means "invalid assertion".
    LIFETIME = _client(50013, "Assertion is invalid: it expires too far in the future.")
    REPLAYED = _client(50013, "Assertion is invalid: its jti is missing or was used before.")
    # Entra has both numbers for one sentence; which means what is not documented.
    UNREACHABLE = _request(90061, "Request to External OIDC endpoint failed.")
    UNUSABLE = _request(50166, "Request to External OIDC endpoint failed: no usable document.")
    SCOPE = _request(
        1002012,
        "Client credential flows must have one scope value, /.default suffixed to the resource.",
        error="invalid_scope",
    )
    UNKNOWN_RESOURCE = _request(
        500011, "The resource principal was not found in the tenant.", error="invalid_resource"
    )
    BUSY = Entry(
        code=90033,
        error="temporarily_unavailable",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        text="A transient error has occurred. Please try again.",
    )


class EntraError(Exception):
    """The request is refused."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


def body(fault: Fault, *, now: datetime, trace_id: str, correlation_id: str) -> dict[str, object]:
    """Return the body of the answer, in Entra's shape."""
    entry = fault.value
    timestamp = f"{now:%Y-%m-%d %H:%M:%SZ}"
    ids = f"Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
    return {
        "error": entry.error,
        "error_description": f"AADSTS{entry.code}: {entry.text} {ids}",
        "error_codes": [entry.code],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
    }
