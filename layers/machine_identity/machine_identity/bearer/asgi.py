"""The guard of an ASGI application: Starlette, FastAPI, Quart, Litestar, Django.

A judgement may ask the issuer for its keys, so it is made in a thread, and the loop goes on.
"""

from asyncio import to_thread
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from machine_identity import clock
from machine_identity.access_token import VerifiedClaims
from machine_identity.bearer.judgement import CLAIMS, Judge, Refused
from machine_identity.verifier import Verifier

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Guarded:
    """The application behind the guard; who calls is ``scope["machine_identity.claims"]``.

    A WebSocket that is refused is closed before it opens, which servers answer with 403. The
    messages of ``lifespan`` come from the server itself and go through; what else there may be
    one day does not.
    """

    def __init__(
        self, application: Application, verifier: Verifier, *, realm: str = "api"
    ) -> None:
        self._application = application
        self._judge = Judge(verifier, realm=realm)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let the call through, or answer it."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        given = [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name.lower() == b"authorization"
        ]
        judged = await to_thread(self._judged, given)
        if not isinstance(judged, Refused):
            await self._application({**scope, CLAIMS: judged}, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _answer(judged, send)

    def _judged(self, given: list[str]) -> VerifiedClaims | Refused:
        return self._judge.judge(given, clock.now())  # when its turn has come


async def _answer(refused: Refused, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in refused.headers]
    await send({"type": "http.response.start", "status": refused.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
