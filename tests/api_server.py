"""An API on loopback that lets in the tokens it is told of, and remembers what it was sent."""

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.loopback import Loopback, Quiet

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it arrived."""

    method: str
    path: str
    authorization: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


UNAUTHORIZED = Reply(status=401, headers=(("WWW-Authenticate", 'Bearer error="invalid_token"'),))
FORBIDDEN = Reply(status=403, body=b'{"message":"Forbidden"}')
"""What an HTTP API of AWS answers when its Lambda authorizer refuses."""


class Api(Loopback):
    """``with Api() as api``: answers "hello" to whoever has one of ``api.good`` tokens."""

    def __init__(self) -> None:
        self.good: set[str] = set()
        self.refusal = UNAUTHORIZED
        self.redirect: Callable[[str], str | None] = lambda _: None
        """By path, where a call is sent on to."""
        self.calls: list[Call] = []
        self.connections: set[int] = set()
        """The ports that calls came from."""
        super().__init__(self._handler(), ThreadingHTTPServer)

    @property
    def tokens(self) -> list[str | None]:
        return [call.authorization for call in self.calls]

    def reply(self, call: Call) -> Reply:
        self.calls.append(call)
        elsewhere = self.redirect(call.path)
        if elsewhere is not None:
            return Reply(status=307, headers=(("Location", elsewhere),))
        if (call.authorization or "").removeprefix("Bearer ") in self.good:
            return Reply(body=b"hello " + call.body)
        return self.refusal

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 1

            def do_GET(self) -> None:
                call = Call(
                    method=self.command,
                    path=self.path,
                    authorization=self.headers["authorization"],
                    body=self._body(),
                )
                api.connections.add(self.client_address[1])
                reply = api.reply(call)
                self.send_response(reply.status)
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def do_POST(self) -> None:
                self.do_GET()

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length", 0)))
                pieces = []
                while size := int(self.rfile.readline(), 16):
                    pieces.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(pieces)

        return Handler
