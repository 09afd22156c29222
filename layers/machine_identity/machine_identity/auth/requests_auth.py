"""An ``auth`` for requests: ``requests.get(url, auth=BearerAuth(tokens))``, or on a session.

1. The token goes over https only, and plain HTTP to loopback (RFC 6750 section 5.3).
2. When the API refuses it, another is got and the call is made once more, if its body can be sent
   again: bytes, text, JSON, a form, or an open file, which is wound back. A generator is not; the
   answer is then returned as it came. So it is when there is no other token.
3. requests takes the token off a call that a redirect leads to another host, and what that one
   answers is no reason to get another token.
"""

from functools import partial
from typing import Any

import requests
from requests.auth import AuthBase
from requests.exceptions import UnrewindableBodyError
from requests.utils import rewind_body

from machine_identity import transport
from machine_identity.auth.refusals import bearer, refuses_token, tell
from machine_identity.client import Tokens
from machine_identity.client_credentials import AccessToken
from machine_identity.errors import TokenRequestError


class BearerAuth(AuthBase):
    """Puts the access token of one registration on calls."""

    def __init__(self, tokens: Tokens) -> None:
        """Take the tokens; they may be shared."""
        self._tokens = tokens

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put a token on the call. Raises TokenRequestError."""
        transport.check(str(request.url))
        token = self._tokens.get()
        request.headers["Authorization"] = bearer(token)
        hook = partial(self._answered, token)
        request.register_hook("response", hook)  # type: ignore[no-untyped-call]
        return request

    def _answered(
        self,
        token: AccessToken,
        response: requests.Response,
        **sending: Any,  # noqa: ANN401
    ) -> requests.Response:
        """Return the answer, or that to the same call with another token."""
        if response.request.headers.get("Authorization") != bearer(token):
            return response
        challenge = response.headers.get("WWW-Authenticate", "")
        if not refuses_token(response.status_code, challenge, lambda: response.content):
            return response
        again = response.request.copy()
        if not _is_wound_back(again):
            return response
        other = self._other(token)
        if other is None:
            return response
        again.headers["Authorization"] = bearer(other)
        _ = response.content  # to the end, or the connection cannot be used again
        response.close()
        answer: requests.Response = response.connection.send(again, **sending)
        answer.history.append(response)
        answer.request = again
        return answer

    def _other(self, refused: AccessToken) -> AccessToken | None:
        try:
            return self._tokens.instead_of(refused)
        except TokenRequestError as error:
            tell(error)
            return None


def _is_wound_back(request: requests.PreparedRequest) -> bool:
    """Whether the body can be sent again; a file is set to where it began."""
    if request.body is None or isinstance(request.body, bytes | str):
        return True
    try:
        rewind_body(request)
    except UnrewindableBodyError:
        return False
    return True
