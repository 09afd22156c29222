"""What a resource server answers to a bearer token (RFC 6750 section 3), whatever serves it.

| the request has | it is answered |
|---|---|
| no ``Authorization``, or one of another scheme | 401 and the challenge, without an error |
| two of them, ``Bearer`` without a token, or more than one token | 400 ``invalid_request`` |
| a token that is not to be believed, or not for us | 401 ``invalid_token`` |
| a good token that lacks a right | 403 ``insufficient_scope``, and the scopes if they lack |
| a token, and the issuer's keys are not to be had | 503 and when to try again: no judgement |

Whoever is refused learns no more than that; the reason goes to the log, as a short stable code. A
token in the body or in the query (sections 2.2 and 2.3) is not looked for: it ends up in logs.
"""

import logging
import re
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final

from machine_identity.access_token import VerifiedClaims
from machine_identity.errors import (
    InsufficientScopeError,
    InvalidTokenError,
    KeySetUnavailableError,
    Refusal,
    SettingsError,
)
from machine_identity.records import record
from machine_identity.verifier import Verifier

CLAIMS: Final = "machine_identity.claims"
"""Where an application finds who calls, a VerifiedClaims: in WSGI's environ or ASGI's scope."""
RETRY_AFTER: Final = "5"
"""Seconds: another's fetch, which it may be, is over by then; else to ask again costs nobody."""

_BEARER: Final = "bearer"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
"""RFC 6750 section 2.1, ``b64token``."""
_QUOTABLE: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*", re.ASCII)
"""What needs no escape in a quoted string (RFC 9110 section 5.6.4)."""
_logger: Final = logging.getLogger(__name__)


@record
class Refused:
    """What to answer instead of letting the call through; there is no body."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]

    @property
    def line(self) -> str:
        """Return the status as WSGI wants it."""
        return f"{self.status.value} {self.status.phrase}"


class Judge:
    """Judges calls for one realm; safe to share between threads."""

    def __init__(self, verifier: Verifier, *, realm: str) -> None:
        self._verifier = verifier
        self._scopes = " ".join(sorted(verifier.scopes))
        if not (realm and _QUOTABLE.fullmatch(realm) and _QUOTABLE.fullmatch(self._scopes)):
            raise SettingsError("a realm must be named, and it and scopes have no quotation mark")
        self._realm = f'Bearer realm="{realm}"'

    def judge(self, authorization: Sequence[str], now: datetime) -> VerifiedClaims | Refused:
        """Return who calls, or what to answer; ``authorization`` has each such header's value."""
        if len(authorization) > 1:
            return self._refused(HTTPStatus.BAD_REQUEST, "invalid_request")
        scheme, _, rest = "".join(authorization).partition(" ")
        if scheme.lower() != _BEARER:
            return self._refused(HTTPStatus.UNAUTHORIZED)
        token = rest.strip(" ")
        if not _TOKEN.fullmatch(token):
            return self._refused(HTTPStatus.BAD_REQUEST, "invalid_request")
        try:
            return self._verifier.verify(token, now)
        except InvalidTokenError as error:
            _logger.warning("token refused: %s", error.code.value)
            return self._not_good(error)
        except KeySetUnavailableError as error:
            _logger.error("token not judged: %s", error)  # noqa: TRY400 - an issuer's, not a bug's
            headers = (("Retry-After", RETRY_AFTER), ("Content-Length", "0"))
            return Refused(status=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)

    def _not_good(self, error: InvalidTokenError) -> Refused:
        if not isinstance(error, InsufficientScopeError):
            return self._refused(HTTPStatus.UNAUTHORIZED, "invalid_token")
        scopes = self._scopes if error.code is Refusal.SCOPE else ""
        return self._refused(HTTPStatus.FORBIDDEN, "insufficient_scope", scopes)

    def _refused(self, status: HTTPStatus, error: str = "", scopes: str = "") -> Refused:
        challenge = self._realm
        challenge += f', error="{error}"' if error else ""
        challenge += f', scope="{scopes}"' if scopes else ""
        headers = (("WWW-Authenticate", challenge), ("Content-Length", "0"))
        return Refused(status=status, headers=headers)
