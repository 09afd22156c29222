"""Whether an API's answer says that the token is no good, as against the caller.

RFC 6750 section 3.1 tells the two apart by 401 ``invalid_token`` and 403 ``insufficient_scope``.
But an HTTP API of AWS whose Lambda authorizer refuses a token answers 403 and says nothing, for an
expired one too. So every 401 counts, and every 403 that does not say ``insufficient_scope``, in
``WWW-Authenticate`` or in its body: a new token would have no more scope.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from machine_identity.client_credentials import AccessToken
from machine_identity.errors import TokenRequestError

_INSUFFICIENT_SCOPE: Final = "insufficient_scope"
_logger: Final = logging.getLogger(__name__)


def refuses_token(status: int, challenge: str, body: Callable[[], bytes]) -> bool:
    """Whether another token may be let in where this one was not; only a 403's body is read."""
    if status != HTTPStatus.FORBIDDEN:
        return status == HTTPStatus.UNAUTHORIZED
    said_so = _INSUFFICIENT_SCOPE in challenge.lower()
    return not said_so and _INSUFFICIENT_SCOPE.encode() not in body()


def bearer(token: AccessToken) -> str:
    """Return the value of ``Authorization`` (RFC 6750 section 2.1)."""
    return f"Bearer {token.value}"


def tell(error: TokenRequestError) -> None:
    """Say that the API's refusal stands because there is no other token."""
    _logger.warning("a token was refused, and there is no other: %s", error)
