"""What Microsoft Graph answers to the calls of ``entra_keys``: a key's ID, a listing, or why not.

1. An answer is taken strictly: what is not what was documented is an error with a stable code.
2. What Graph wrote, it may take a minute to know: a certificate that it just took may be refused,
   and one that a listing shows may be called unknown.
3. Graph's sentences are for people. They pass ``printable``, and none repeats a secret of the
   request (``KeyRequest.secrets``).

What to do about an error, and when to ask again, is for others to say.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, NoReturn

from machine_identity import certificate as certificates
from machine_identity.client_credentials import is_passing, object_in, printable, repeats
from machine_identity.errors import MachineIdentityError
from machine_identity.providers import is_guid

_SHA1: Final = re.compile(r"[0-9A-Fa-f]{40}")
_SHA1_OCTETS: Final = 20
_GONE: Final = "No credentials found"
"""The one thing that tells an unknown key from any other bad request, as live tenants answer."""


class KeyFailure(StrEnum):
    """Why Graph did not do it, in our words: short, stable, safe to log and to count."""

    INVALID_TOKEN = "invalid_token"  # nosec B105 # noqa: S105 - a code
    PROOF = "proof_refused"
    FORBIDDEN = "forbidden"
    UNKNOWN_APPLICATION = "unknown_application"
    UNKNOWN_KEY = "unknown_key"
    INVALID_REQUEST = "invalid_request"
    THROTTLED = "throttled"
    UNAVAILABLE = "temporarily_unavailable"
    INVALID_RESPONSE = "invalid_response"


_BY_STATUS: Final[Mapping[int, KeyFailure]] = {
    HTTPStatus.UNAUTHORIZED: KeyFailure.INVALID_TOKEN,
    HTTPStatus.FORBIDDEN: KeyFailure.FORBIDDEN,
    HTTPStatus.NOT_FOUND: KeyFailure.UNKNOWN_APPLICATION,
    HTTPStatus.TOO_MANY_REQUESTS: KeyFailure.THROTTLED,
}


class KeyRollError(MachineIdentityError):
    """Graph did not do what it was asked, or did not say so in a way that can be read."""

    def __init__(self, code: KeyFailure, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredKey:
    """A certificate as a listing shows it."""

    key_id: str
    thumbprint: str
    """SHA-1 in hexadecimal (``certificate.sha1``); empty if the listing does not tell."""
    display_name: str


def process_added(status: int, body: bytes, *, secrets: tuple[str, ...]) -> str:
    """Return the ``keyId`` of the certificate that was added. Raises KeyRollError."""
    members = _answered(status, body, secrets)
    key_id = members.get("keyId")
    if not isinstance(key_id, str) or not is_guid(key_id):
        raise KeyRollError(KeyFailure.INVALID_RESPONSE, "the answer has no keyId")
    return key_id.lower()


def process_removed(status: int, body: bytes, *, secrets: tuple[str, ...]) -> None:
    """Return if the certificate was removed. Raises KeyRollError.

    UNKNOWN_KEY is heard after an earlier answer was lost, and sometimes too early (rule 2).
    """
    if status != HTTPStatus.NO_CONTENT:
        _answered(status, body, secrets)
        raise KeyRollError(
            KeyFailure.INVALID_RESPONSE, f"the server answered with status {status}, not 204"
        )


def process_listing(
    status: int, body: bytes, *, secrets: tuple[str, ...]
) -> tuple[RegisteredKey, ...]:
    """Return the certificates that are registered. Raises KeyRollError."""
    listed = _answered(status, body, secrets).get("keyCredentials")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise KeyRollError(KeyFailure.INVALID_RESPONSE, "the answer has no keyCredentials")
    return tuple(_registered(each) for each in listed)


def _registered(members: Mapping[str, Any]) -> RegisteredKey:
    key_id, name = members.get("keyId"), members.get("displayName")
    if not isinstance(key_id, str) or not is_guid(key_id):
        raise KeyRollError(KeyFailure.INVALID_RESPONSE, "a key in the listing has no keyId")
    return RegisteredKey(
        key_id=key_id.lower(),
        thumbprint=_listed_thumbprint(members.get("key"), members.get("customKeyIdentifier")),
        display_name=printable(name) if isinstance(name, str) else "",
    )


def _listed_thumbprint(key: object, identifier: object) -> str:
    """Take it from the certificate if that is there; the identifier is hex, or else base64."""
    certificate = _decoded(key)
    if certificate:
        return certificates.sha1(certificate)
    if isinstance(identifier, str) and _SHA1.fullmatch(identifier):
        return identifier.upper()
    octets = _decoded(identifier)
    return octets.hex().upper() if len(octets) == _SHA1_OCTETS else ""


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _answered(status: int, body: bytes, secrets: tuple[str, ...]) -> Mapping[str, Any]:
    members = object_in(body) or {}
    if status != HTTPStatus.OK:
        _refused(status, members.get("error"), secrets)
    return members


def _refused(status: int, error: object, secrets: tuple[str, ...]) -> NoReturn:
    said = error if isinstance(error, dict) else {}
    code, message = (
        each if isinstance(each, str) else "" for each in (said.get("code"), said.get("message"))
    )
    shown = printable(f"{code}: {message}") if code or message else "no readable error"
    if any(repeats(shown, secret) for secret in secrets):
        shown = "…"
    raise KeyRollError(_failure(status, code, message), f"status {status}, {shown}")


def _failure(status: int, code: str, message: str) -> KeyFailure:
    # What is wrong with a proof, Graph calls a malformed access token.
    if status == HTTPStatus.UNAUTHORIZED and code == "Authentication_MissingOrMalformed":
        return KeyFailure.PROOF
    if status == HTTPStatus.BAD_REQUEST and code == "Request_BadRequest" and _GONE in message:
        return KeyFailure.UNKNOWN_KEY
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if is_passing(status):
        return KeyFailure.UNAVAILABLE
    is_ours = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return KeyFailure.INVALID_REQUEST if is_ours else KeyFailure.INVALID_RESPONSE
