"""An ``auth`` for httpx, both kinds of client: ``httpx.Client(auth=BearerAuth(tokens))``.

1. The token goes over https only, and plain HTTP to loopback (RFC 6750 section 5.3).
2. When the API refuses it, another is got and the call is made once more, if its body can be sent
   again: one that was given as bytes, text, JSON or a form. A stream is not; the answer is then
   returned as it came. So it is when there is no other token.
3. httpx takes the token off a call that a redirect leads to another origin, and what that one
   answers is no reason to get another token.
"""

from collections.abc import AsyncGenerator, Generator

import httpx

from machine_identity import transport
from machine_identity.auth.refusals import bearer, refuses_token, tell
from machine_identity.client import Tokens
from machine_identity.client_credentials import AccessToken
from machine_identity.errors import TokenRequestError


class BearerAuth(httpx.Auth):
    """Puts the access token of one registration on calls."""

    def __init__(self, tokens: Tokens) -> None:
        """Take the tokens; they may be shared."""
        self._tokens = tokens

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Call with a token, and once more with another. Raises TokenRequestError."""
        transport.check(str(request.url))
        token = self._tokens.get()
        response = yield _with(request, token)
        if not _may_be_of_the_token(request, response):
            return
        if refuses_token(response.status_code, _challenge(response), response.read):
            try:
                other = self._tokens.instead_of(token)
            except TokenRequestError as error:
                tell(error)
                return
            if other is not None:
                yield _with(request, other)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same, and let the loop go on meanwhile."""
        transport.check(str(request.url))
        token = await self._tokens.get_async()
        response = yield _with(request, token)
        if not _may_be_of_the_token(request, response):
            return
        body = await response.aread() if response.status_code == httpx.codes.FORBIDDEN else b""
        if refuses_token(response.status_code, _challenge(response), lambda: body):
            try:
                other = await self._tokens.instead_of_async(token)
            except TokenRequestError as error:
                tell(error)
                return
            if other is not None:
                yield _with(request, other)


def _with(request: httpx.Request, token: AccessToken) -> httpx.Request:
    request.headers["Authorization"] = bearer(token)
    return request


def _may_be_of_the_token(request: httpx.Request, response: httpx.Response) -> bool:
    """Whether the token was on the call that was answered, and that call can be made again."""
    sent = response.request.headers.get("Authorization")
    return sent == request.headers["Authorization"] and isinstance(
        request.stream, httpx.ByteStream
    )


def _challenge(response: httpx.Response) -> str:
    return str(response.headers.get("WWW-Authenticate", ""))
