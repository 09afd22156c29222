"""An API on loopback that lets in the tokens it is told of, and remembers what it was sent."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

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


class Api:
    """``with Api() as api``: answers "hello" to whoever has one of ``api.good`` tokens."""

    def __init__(self) -> None:
        self.good: set[str] = set()
        self.refusal = UNAUTHORIZED
        self.redirect: Callable[[str], str | None] = lambda _: None
        """By path, where a call is sent on to."""
        self.calls: list[Call] = []
        self.connections: set[int] = set()
        """The ports that calls came from."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

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

        class Handler(BaseHTTPRequestHandler):
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

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler
