"""The requests of RFC 7591 and RFC 7592, and what their answers mean; neither does I/O.

A server may put anything into its answer, our own tokens included: what of it is shown is
``legible`` first. The token of a registration goes to no other origin than the registration
endpoint's, unless an operator named it: a stranger's URL in an answer must not collect it.

Once a client has its name it exists, whatever else is wrong with the answer, and forgetting it
would leave an orphan. So only a name that cannot be read makes an answer unusable; a token or a
URL that cannot be used is as good as none, and the client as one that nobody manages.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from machine_identity.client_credentials import (
    is_passing,
    is_same_origin,
    is_secure,
    one_line,
    printable,
    repeats,
)
from machine_identity.encoding import json_object
from machine_identity.errors import MachineIdentityError

_CLIENT_ID: Final = re.compile(r"[\x20-\x7e]{1,600}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_ERROR: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOST_TEXT: Final = 500
_LAST_SECOND: Final = 253402300799
"""9999-12-31T23:59:59Z, the last that a datetime can hold."""
_NOT_SENT: Final = frozenset(
    {
        "registration_access_token",
        "registration_client_uri",
        "client_id_issued_at",
        "client_secret_expires_at",
        "client_secret",
    }
)
"""RFC 7592 section 2.2 forbids the first four; a secret is not ours to keep or to send."""
_DONE: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
"""The RFCs say 201 to a registration and 200 to the rest. IBM's server said 200 for years, and an
answer that is thrown away for its number takes the only copy of a token with it."""
_SERVER_ERRORS: Final = HTTPStatus.INTERNAL_SERVER_ERROR
_NOT_PROCESSED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Failure(StrEnum):
    """Why a registration failed, where the server did not say so itself."""

    INVALID_TOKEN = "invalid_token"  # nosec B105 # noqa: S105 - a code of RFC 6750
    INVALID_RESPONSE = "invalid_response"
    SERVER_ERROR = "server_error"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    REFUSED = "refused"
    NO_ANSWER = "no_answer"
    REPLACED = "replaced"
    FOREIGN_URI = "foreign_uri"
    NOT_MANAGEABLE = "not_manageable"
    ALREADY_REGISTERED = "already_registered"
    INTERRUPTED = "interrupted"
    NOT_REGISTERED = "not_registered"
    NOT_KEPT = "not_kept"
    CONFLICT = "conflict"
    STORE = "store"


class RegistrationError(MachineIdentityError):
    """A client was not registered, read, changed or deleted as it was asked for.

    ``code`` is the server's ``error`` (RFC 7591 section 3.2.2, RFC 6750 section 3.1) or a Failure.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class RejectedError(RegistrationError):
    """The server says that it did nothing of what it was asked."""


class TokenRefusedError(RejectedError):
    """The server takes the token no more, or never did, or has no such client (RFC 7592 2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be sent, all of it."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredClient:
    """A client as the server has it."""

    client_id: str
    issued_at: datetime | None
    members: Mapping[str, Any] = field(repr=False)
    """All that is registered and may be sent back, which is neither its secret nor its token."""
    uri: str = field(default="", repr=False)
    """Where it is read, changed and deleted; nothing if the answer does not say."""
    token: str = field(default="", repr=False)
    """The registration's own token; nothing if the answer does not bring one."""


def request(method: str, url: str, *, token: str, members: Mapping[str, Any] | None) -> Request:
    """Return a request of either RFC; no token is no ``Authorization``."""
    headers = {"accept": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if members is None:
        return Request(method=method, url=url, headers=headers)
    headers["content-type"] = "application/json"
    return Request(method=method, url=url, headers=headers, body=json.dumps(members).encode())


def is_token(text: str) -> bool:
    """Whether ``text`` can stand behind ``Bearer`` and be kept: printable, no spaces, 4 kB."""
    return _TOKEN.fullmatch(text) is not None


def check_uri(uri: str, *, endpoint: str, origin: str = "") -> None:
    """Say whether the registration's token may go to ``uri``. Raises RegistrationError.

    That is: over https (http on loopback) to the origin of the registration endpoint, or to the
    one that the operator named.
    """
    if not uri:
        raise RegistrationError(
            Failure.NOT_MANAGEABLE, "the server gave no way to manage this client (RFC 7592)"
        )
    known = is_same_origin(uri, endpoint) or (origin and is_same_origin(uri, origin))
    if not (is_secure(uri) and known):
        raise RegistrationError(
            Failure.FOREIGN_URI,
            "the server has this client managed at another origin than it is registered at, and "
            "the token does not go there unless you name that origin",
        )


def process_registration(
    status: int, body: bytes, *, secrets: tuple[str, ...] = ()
) -> RegisteredClient:
    """Return the client in the answer to a registration. Raises RegistrationError.

    A RejectedError says that there is none; any other that there may be one that nobody knows.
    """
    return _client(status, body, secrets)


def process_client(
    status: int, body: bytes, *, client_id: str, secrets: tuple[str, ...] = ()
) -> RegisteredClient:
    """Return the client in the answer to a read or an update. Raises RegistrationError."""
    client = _client(status, body, secrets)
    if client.client_id != client_id:
        raise RegistrationError(Failure.INVALID_RESPONSE, "the answer is about another client")
    return client


def process_deletion(status: int, body: bytes, *, secrets: tuple[str, ...] = ()) -> None:
    """Return if the client is deleted (RFC 7592 section 2.3). Raises RegistrationError."""
    if status not in {HTTPStatus.NO_CONTENT, HTTPStatus.OK}:
        raise _refusal(status, _object(body), secrets)


def legible(value: object, secrets: tuple[str, ...]) -> str:
    """Return a value of a stranger's on one line, or … if it repeats a secret of ours."""
    text = value if isinstance(value, str) else json.dumps(value)
    line = one_line(text)
    if "eyJ" in line or _repeats(line, secrets):
        return "…"
    return line if len(line) <= _MOST_TEXT else line[: _MOST_TEXT - 1] + "…"


def _client(status: int, body: bytes, secrets: tuple[str, ...]) -> RegisteredClient:
    members = _object(body)
    if status not in _DONE:
        raise _refusal(status, members, secrets)
    client_id, token = members.get("client_id"), members.get("registration_access_token")
    if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
        raise RegistrationError(Failure.INVALID_RESPONSE, "the answer has no usable client_id")
    uri = members.get("registration_client_uri")
    kept = token if isinstance(token, str) and is_token(token) else ""
    if any(each and each in client_id for each in (*secrets, kept)):
        raise RegistrationError(Failure.INVALID_RESPONSE, "the client_id repeats a token")
    return RegisteredClient(
        client_id=client_id,
        issued_at=_instant(members.get("client_id_issued_at")),
        members={name: each for name, each in members.items() if name not in _NOT_SENT},
        uri=uri if isinstance(uri, str) and is_secure(uri) else "",
        token=kept,
    )


def _object(body: bytes) -> dict[str, Any]:
    """Return the members of the answer; of what is no JSON object, none."""
    try:
        return json_object(body)
    except (ValueError, RecursionError):
        return {}


def _refusal(
    status: int, members: Mapping[str, Any], secrets: tuple[str, ...]
) -> RegistrationError:
    """Return the error of an answer that is not what was asked for."""
    code, description = members.get("error"), members.get("error_description", "")
    if status == HTTPStatus.UNAUTHORIZED:
        kind: type[RegistrationError] = TokenRefusedError
    elif status in _NOT_PROCESSED or HTTPStatus.BAD_REQUEST <= status < _SERVER_ERRORS:
        kind = RejectedError
    else:
        kind = RegistrationError
    if not isinstance(code, str) or not _ERROR.fullmatch(code) or _repeats(code, secrets):
        sentence = f"the server answered with status {status} and no code of RFC 7591"
        return kind(_code(status), sentence)
    shown = printable(description if isinstance(description, str) else "")
    return kind(code, "…" if _repeats(shown, secrets) else shown)


def _code(status: int) -> Failure:
    if status == HTTPStatus.UNAUTHORIZED:
        return Failure.INVALID_TOKEN
    if is_passing(status):
        is_error = status == HTTPStatus.INTERNAL_SERVER_ERROR
        return Failure.SERVER_ERROR if is_error else Failure.TEMPORARILY_UNAVAILABLE
    refused = HTTPStatus.BAD_REQUEST <= status < _SERVER_ERRORS
    return Failure.REFUSED if refused else Failure.INVALID_RESPONSE


def _repeats(shown: str, secrets: tuple[str, ...]) -> bool:
    return any(repeats(shown, secret) for secret in secrets)


def _instant(seconds: object) -> datetime | None:
    if type(seconds) is not int or not 0 < seconds <= _LAST_SECOND:
        return None
    return datetime.fromtimestamp(seconds, UTC)
