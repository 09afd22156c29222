"""A server of RFC 7591 and RFC 7592 on loopback, well-behaved until told otherwise.

It keeps its clients, holds a token for each, and does what it is asked before an answer is lost or
changed: what it did is in ``clients``, whatever the other side has heard of it.
"""

import json
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.loopback import Loopback, Quiet
from tests.token_endpoint import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

INITIAL = "initial-access-token-of-an-operator"
SECRET = "client-secret-that-nobody-asked-for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    authorization: str
    members: dict[str, Any] = field(default_factory=dict)


class RegistrationEndpoint(Loopback):
    """``with RegistrationEndpoint() as server``; register at ``server.endpoint``."""

    def __init__(self) -> None:
        self.clients: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, set[str]] = {}
        """The tokens that are good for a client."""
        self.requests: list[Asked] = []
        self.initial: str | None = INITIAL
        self.rotates: frozenset[str] = frozenset()
        """The methods whose answer brings a new token and ends the one before."""
        self.replaces: dict[str, Any] = {}
        """What is registered whatever was asked; None leaves a member out."""
        self.answers: dict[str, Any] = {}
        """Members put into an answer about a client; None takes one out."""
        self.instead: Callable[[Asked, Answer], Answer] = lambda _asked, answer: answer
        """What is answered, when all is done."""
        self.before: Callable[[Asked], Answer | None] = lambda _asked: None
        """What is answered without anything being done."""
        self.metadata: dict[str, Any] = {}
        self.issued: list[str] = []
        self._numbers = count(1)
        super().__init__(self._handler())

    @property
    def endpoint(self) -> str:
        return f"{self.url}/register"

    @property
    def secrets(self) -> list[str]:
        """All that must never be printed."""
        return [*self.issued, INITIAL, SECRET]

    def methods(self) -> list[str]:
        return [each.method for each in self.requests]

    def issue(self, client_id: str) -> str:
        token = f"registration-access-token-number-{next(self._numbers)}"
        self.issued.append(token)
        self.tokens[client_id] = {token}
        return token

    def lose(self, method: str) -> None:
        """Do what is asked by ``method`` from now on and close the connection."""
        self.instead = lambda asked, answer: Answer(status=0) if asked.method == method else answer

    def behave(self) -> None:
        self.instead = lambda _asked, answer: answer
        self.before = lambda _asked: None

    def answer_to(self, asked: Asked) -> Answer:
        self.requests.append(asked)
        early = self.before(asked)
        return early if early is not None else self.instead(asked, self._done(asked))

    def _done(self, asked: Asked) -> Answer:
        if asked.method == "GET" and asked.path == "/.well-known/openid-configuration":
            standard = {"issuer": self.url, "registration_endpoint": self.endpoint}
            return Answer(body={**standard, **self.metadata})
        if asked.method == "POST":
            return self._registered(asked)
        client_id = asked.path.rpartition("/")[2]
        bearer = asked.authorization.removeprefix("Bearer ")
        if bearer not in self.tokens.get(client_id, set()):
            return Answer(status=401, body={"error": "invalid_token"})
        if asked.method == "DELETE":
            del self.clients[client_id], self.tokens[client_id]
            return Answer(status=204, body="")
        if asked.method == "PUT":
            forbidden = {"registration_access_token", "registration_client_uri"}
            if asked.members.get("client_id") != client_id or forbidden & asked.members.keys():
                return Answer(status=400, body={"error": "invalid_client_metadata"})
            self.clients[client_id] = self._kept(asked.members, client_id)
        token = self.issue(client_id) if asked.method in self.rotates else bearer
        return self._about(client_id, token, 200)

    def _registered(self, asked: Asked) -> Answer:
        if self.initial is not None and asked.authorization != f"Bearer {self.initial}":
            return Answer(status=401, body={"error": "invalid_token"})
        client_id = f"client-{next(self._numbers)}"
        self.clients[client_id] = self._kept(asked.members, client_id)
        return self._about(client_id, self.issue(client_id), 201)

    def _kept(self, members: dict[str, Any], client_id: str) -> dict[str, Any]:
        kept = {**members, "client_id": client_id, **self.replaces}
        return {name: value for name, value in kept.items() if value is not None}

    def _about(self, client_id: str, token: str, status: int) -> Answer:
        about = {
            "client_id_issued_at": 1_800_000_000,
            **self.clients[client_id],
            "client_secret": SECRET,
            "client_secret_expires_at": 0,
            "registration_access_token": token,
            "registration_client_uri": f"{self.endpoint}/{client_id}",
            **self.answers,
        }
        body = {name: value for name, value in about.items() if value is not None}
        return Answer(status=status, body=body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                members = json.loads(self.rfile.read(length)) if length else {}
                answer = server.answer_to(
                    Asked(
                        method=self.command,
                        path=self.path,
                        authorization=self.headers.get("authorization", ""),
                        members=members,
                    )
                )
                if answer.status == 0:
                    return
                text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - http.server's names

        return Handler


def with_members(answer: Answer, **members: Any) -> Answer:
    """Return the answer with other members in its body."""
    assert isinstance(answer.body, dict)
    return replace(answer, body={**answer.body, **members})
