"""An issuer's key set and discovery document on loopback, well-behaved until told otherwise."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back; ``delay`` is in seconds."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for every answer, so that none spills into a next test

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that did not wait for its answer."""


class KeySetServer:
    """``with KeySetServer(jwks) as server``; the set is at ``server.jwks_uri``."""

    def __init__(self, jwks: object) -> None:
        self.jwks = jwks
        self.metadata: dict[str, Any] = {}
        """Overrides members of the discovery document."""
        self.headers: dict[str, str] = {}
        """Sent with the key set; an ``etag`` among them is honoured."""
        self.answer: Answer | None = None
        """Sent instead of the key set."""
        self.discovery_answer: Answer | None = None
        self.requests: list[tuple[str, str]] = []
        """Path and If-None-Match of all that was asked."""
        self._http = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def jwks_uri(self) -> str:
        return f"{self.issuer}/keys"

    @property
    def fetches(self) -> int:
        """How often the key set was asked for."""
        return sum(path == "/keys" for path, _ in self.requests)

    @property
    def discoveries(self) -> int:
        return len(self.requests) - self.fetches

    def answer_to(self, path: str, if_none_match: str) -> Answer:
        self.requests.append((path, if_none_match))
        if path == DISCOVERY:
            standard = {"issuer": self.issuer, "jwks_uri": self.jwks_uri}
            document = json.dumps({**standard, **self.metadata}).encode()
            headers = {"content-type": "application/json"}
            return self.discovery_answer or Answer(body=document, headers=headers)
        if self.answer is not None:
            return self.answer
        if if_none_match and if_none_match == self.headers.get("etag"):
            return Answer(status=304, headers=self.headers)
        return Answer(body=json.dumps(self.jwks).encode(), headers=self.headers)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = server.answer_to(self.path, self.headers.get("if-none-match", ""))
                time.sleep(answer.delay)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Print nothing: the tests look at all that is printed."""

        return Handler
