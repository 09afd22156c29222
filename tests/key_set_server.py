"""An issuer's key set and discovery document on loopback, well-behaved until told otherwise."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import Loopback, Quiet

DISCOVERY = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back; ``delay`` is in seconds, ``dawdle`` too: between headers and body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0
    dawdle: float = 0


class KeySetServer(Loopback):
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
        super().__init__(self._handler())

    @property
    def issuer(self) -> str:
        return self.url

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

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = server.answer_to(self.path, self.headers.get("if-none-match", ""))
                time.sleep(answer.delay)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                time.sleep(answer.dawdle)
                self.wfile.write(answer.body)

        return Handler
