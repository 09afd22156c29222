"""The client credentials grant with a client assertion: its request, and what the answer means.

RFC 6749 sections 4.4 and 5, RFC 7521 section 4.2, RFC 8414 section 3.3. Making a request and
processing its answer are apart, and neither does I/O. An answer is taken strictly: what is not
exactly a bearer token for what was asked is an error with a stable code.

A server may put anything into ``error_description``, our own request included, so it goes through
``printable`` before it reaches a log or a caller.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, NoReturn
from urllib.parse import parse_qs, urlencode, urlsplit

from machine_identity.errors import InvalidClientError, TokenRequestError

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
"""Behind a server's issuer identifier (OpenID Connect Discovery 1.0 section 4)."""
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 section 2.2."""
LIFETIME_UNNAMED: Final = timedelta(seconds=60)
"""For a server that leaves out ``expires_in``, which RFC 6749 section 5.1 only recommends."""
LONGEST_LIFETIME: Final = timedelta(hours=24)
"""An access token is asked for anew after this, however long the server says that it lives."""

_MOST_DESCRIPTION: Final = 500
_MOST_SCOPE: Final = 1024
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_ERROR: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
# A JWT's header and claims begin with {" and so with eyJ; its signature is a long run, longer
# than the 43 characters of a kid, which is welcome in a description.
_SECRET: Final = re.compile(r"eyJ\S*|[A-Za-z0-9_+/=-]{44,}")
_ECHO: Final = 12
"""Characters in a row that no text has in common with an assertion by chance."""
_SEPARATOR: Final = re.compile(r"[^A-Za-z0-9_.-]")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_BUSY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class Failure(StrEnum):
    """Why there is no token, where the authorization server did not say so itself."""

    INVALID_REQUEST = "invalid_request"
    NOT_CONFIGURED = "not_configured"
    UNKNOWN_CLIENT = "unknown_client"
    MISCONFIGURED = "misconfigured"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    SERVER_ERROR = "server_error"
    INVALID_METADATA = "invalid_metadata"
    INVALID_RESPONSE = "invalid_response"
    INVALID_SCOPE = "invalid_scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A bearer token (RFC 6750), and for how long it is good."""

    value: str = field(repr=False)
    issued_at: datetime
    """When it was asked for, which is no later than when it was issued."""
    expires_at: datetime
    scope: str

    def answer(self, now: datetime) -> dict[str, str | int]:
        """Return the token as RFC 6749 section 5.1 passes one on, with the seconds left now."""
        return {
            "access_token": self.value,
            "token_type": "Bearer",  # nosec B105 # a type, no token
            "expires_in": int((self.expires_at - now).total_seconds()),
            "scope": self.scope,
        }


def token_request(*, client_id: str, scope: str, assertion: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the ``POST`` to the token endpoint; no scope is left out."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    if scope:
        form["scope"] = scope
    headers = {
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
    }
    return headers, urlencode(form).encode()


def process_response(
    status: int, body: bytes, *, requested_scope: str, now: datetime, sent: bytes = b""
) -> AccessToken:
    """Return the token in the answer to a request sent at ``now``. Raises TokenRequestError.

    ``sent`` is the request's body: no error repeats its assertion, in whatever pieces it returns.
    """
    members = _object(status, body, Failure.INVALID_RESPONSE)
    if "error" in members:
        _refused(members, sent)
    if status != HTTPStatus.OK:
        _unusable(status, Failure.INVALID_RESPONSE)
    token, kind = members.get("access_token"), members.get("token_type")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise TokenRequestError(Failure.INVALID_RESPONSE, "the answer has no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenRequestError(Failure.INVALID_RESPONSE, "the token is not a bearer token")
    return AccessToken(
        value=token,
        issued_at=now,
        expires_at=now + _lifetime(members),
        scope=_granted(members, requested_scope),
    )


def process_metadata(
    status: int, body: bytes, *, issuer: str, member: str = "token_endpoint"
) -> str:
    """Return the endpoint that ``member`` of a discovery document names.

    Raises TokenRequestError.

    The document must name exactly the issuer that was asked (RFC 8414 section 3.3), or any server
    could send us to another's endpoint.
    """
    members = _object(status, body, Failure.INVALID_METADATA)
    if status != HTTPStatus.OK:
        _unusable(status, Failure.INVALID_METADATA)
    if members.get("issuer") != issuer:
        named = printable(str(members.get("issuer")))
        raise TokenRequestError(
            Failure.INVALID_METADATA,
            f"the discovery document of {issuer} names another issuer: {named}",
        )
    endpoint = members.get(member)
    if not isinstance(endpoint, str) or not is_secure(endpoint):
        raise TokenRequestError(Failure.INVALID_METADATA, f"there is no https {member}")
    return endpoint


def object_in(body: bytes) -> dict[str, Any] | None:
    """Return the members of a body that is a JSON object; None of any other."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or brackets without end
        return None
    return members if isinstance(members, dict) else None


def is_passing(status: int) -> bool:
    """Whether the same question may well be answered a moment later (RFC 9110 section 15)."""
    return status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def is_scope(text: str) -> bool:
    """Whether ``text`` is a scope as RFC 6749 section 3.3 writes one, of a sane length."""
    return len(text) <= _MOST_SCOPE and _SCOPE.fullmatch(text) is not None


def is_same_origin(one: str, other: str) -> bool:
    """Whether two URLs share scheme, host and port (RFC 6454)."""
    return urlsplit(one)[:2] == urlsplit(other)[:2]


def is_secure(url: str) -> bool:
    """Whether a URL of a server's may be spoken to: https, or http on loopback; no user."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    scheme = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    return scheme and bool(host) and not parts.fragment and "@" not in parts.netloc


def one_line(text: str) -> str:
    """Return text of a stranger's in one line, without what cannot be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def printable(text: str) -> str:
    """Return text of a stranger's, short, in one line, without whatever looks like a token."""
    shown = _SECRET.sub("…", one_line(text))
    return shown if len(shown) <= _MOST_DESCRIPTION else shown[: _MOST_DESCRIPTION - 1] + "…"


def repeats(shown: str, secret: str) -> bool:
    """Whether text repeats a run of the secret, line breaks or not; a short secret as a whole."""
    known = _SEPARATOR.sub("", secret)
    size = min(_ECHO, len(known))
    runs = {known[i : i + size] for i in range(len(known) - size + 1)} if size else set()
    squeezed = _SEPARATOR.sub("", shown)
    return any(squeezed[i : i + size] in runs for i in range(len(squeezed) - size + 1))


def _object(status: int, body: bytes, failure: Failure) -> Mapping[str, Any]:
    members = object_in(body)
    if members is None:
        _unusable(status, failure)
    return members


def _unusable(status: int, failure: Failure) -> NoReturn:
    if status in _BUSY:
        failure = Failure.TEMPORARILY_UNAVAILABLE
    elif is_passing(status):
        failure = Failure.SERVER_ERROR
    raise TokenRequestError(
        failure, f"the server answered with status {status} and no usable body"
    )


def _refused(members: Mapping[str, Any], sent: bytes) -> NoReturn:
    code, description = members["error"], members.get("error_description", "")
    if not isinstance(code, str) or not _ERROR.fullmatch(code):
        raise TokenRequestError(
            Failure.INVALID_RESPONSE, "the server's error is no code of RFC 6749"
        )
    shown = printable(description if isinstance(description, str) else "")
    assertion = parse_qs(sent.decode()).get("client_assertion", [""])[0]
    shown = "…" if repeats(shown, assertion) else shown
    if code == "invalid_client":
        raise InvalidClientError(code, shown)
    raise TokenRequestError(code, shown)


def _lifetime(members: Mapping[str, Any]) -> timedelta:
    seconds = members.get("expires_in", int(LIFETIME_UNNAMED.total_seconds()))
    if type(seconds) is not int or seconds <= 0:
        raise TokenRequestError(Failure.INVALID_RESPONSE, "expires_in is not a positive integer")
    return timedelta(seconds=min(seconds, int(LONGEST_LIFETIME.total_seconds())))


def _granted(members: Mapping[str, Any], requested: str) -> str:
    """Return the scope of the token; left out, it is what was asked for (RFC 6749 section 5.1)."""
    granted = members.get("scope", requested)
    if not isinstance(granted, str):
        raise TokenRequestError(Failure.INVALID_RESPONSE, "scope is not a string")
    # Some servers drop a scope that they do not know and answer 200 all the same.
    missing = sorted(set(requested.split()) - set(granted.split()))
    if missing:
        raise TokenRequestError(Failure.INVALID_SCOPE, f"not granted: {' '.join(missing)}")
    return granted
