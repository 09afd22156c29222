"""An authorization server and an API on loopback, as small as a test can trust them to be right.

It verifies every assertion with joserfc (the code under test signs with PyJWT), refuses what RFC
7523 refuses, and remembers what it was sent. Answers can be scripted before it judges anything.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.loopback import Loopback, Quiet

if TYPE_CHECKING:
    from datetime import datetime

    from machine_identity.jwk import PublicJwk

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ACCESS_TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjbGllbnQtMSJ9." + "secret-signature" * 5
DISCOVERY = "/.well-known/openid-configuration"
HTML = "<html>\nsign in</html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is sent back; ``delay`` is in seconds, a status of 0 closes the connection instead."""

    status: int = 200
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0


class TokenEndpoint(Loopback):
    """``with TokenEndpoint([…]) as server``; then ask it at ``server.url``."""

    def __init__(self, keys: "list[PublicJwk]") -> None:
        self.keys = keys
        self.client_id = self.issuer = self.subject = "client-1"
        self.typ = "client-authentication+jwt"
        self.echo: Callable[[str], str] = str
        """How a refused assertion stands in the description: whole, or in pieces."""
        self.audience = ""
        """What ``aud`` must be; nothing is the issuer identifier."""
        self.now: datetime | None = None
        """The server's clock; None does not look at times."""
        self.scripted: deque[Answer] = deque()
        """Answers of the token endpoint, given before it judges."""
        self.metadata_scripted: deque[Answer] = deque()
        self.metadata: dict[str, Any] = {}
        """Overrides members of the discovery document."""
        self.grants: dict[str, Any] = {}
        """Overrides members of the token answer."""
        self.forms: list[dict[str, str]] = []
        self.claims: list[dict[str, Any]] = []
        self.discoveries = 0
        self.calls: list[dict[str, Any]] = []
        self.call_answer: Answer | None = None
        self._used: set[str] = set()
        super().__init__(self._handler())

    @property
    def secrets(self) -> list[str]:
        """All that must never be printed: segments of assertions and of the access token."""
        sent = [each["client_assertion"] for each in self.forms if "client_assertion" in each]
        return [part for token in (*sent, ACCESS_TOKEN) for part in token.split(".")]

    def discovery(self) -> Answer:
        self.discoveries += 1
        if self.metadata_scripted:
            return self.metadata_scripted.popleft()
        standard = {"issuer": self.url, "token_endpoint": f"{self.url}/token"}
        return Answer(body={**standard, **self.metadata})

    def token(self, form: dict[str, str]) -> Answer:
        self.forms.append(form)
        if self.scripted:
            return self.scripted.popleft()
        fault = self._fault(form)
        if fault:
            body = {"error": "invalid_client", "error_description": fault}
            return Answer(status=401, body=body)
        if "unknown" in form.get("scope", "").split():
            return Answer(status=400, body={"error": "invalid_scope"})
        granted = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 3600}
        return Answer(body={**granted, "scope": form.get("scope", ""), **self.grants})

    def uppercase(self, headers: Mapping[str, str], body: bytes) -> Answer:
        self.calls.append(json.loads(body))
        if self.call_answer is not None:
            return self.call_answer
        if headers["authorization"] != f"Bearer {ACCESS_TOKEN}":
            return Answer(status=403, body={"message": "Forbidden"})
        return Answer(body={"result": json.loads(body)["text"].upper()})

    def _fault(self, form: dict[str, str]) -> str | None:
        """Return why the client is not accepted, or None; first RFC 7521, then RFC 7523."""
        if (form.get("grant_type"), form.get("client_id"), form.get("client_assertion_type")) != (
            "client_credentials",
            self.client_id,
            ASSERTION_TYPE,
        ):
            return "not a request of RFC 7523"
        published: Any = {"keys": self.keys}
        try:
            token = jwt.decode(
                form["client_assertion"],
                KeySet.import_key_set(published),
                algorithms=[key["alg"] for key in self.keys],
            )
        except (JoseError, ValueError) as error:
            echo = self.echo(form["client_assertion"])
            return f"signature: {type(error).__name__} of {echo}"
        expected = {"iss": self.issuer, "sub": self.subject, "aud": self.audience or self.url}
        if not expected.items() <= token.claims.items() or token.header["typ"] != self.typ:
            return "the claims are not those that are expected"
        if token.claims["jti"] in self._used:
            return "replayed"
        self._used.add(token.claims["jti"])
        self.claims.append(token.claims)
        if self.now is not None:
            at = self.now.timestamp()
            if not token.claims["iat"] <= at < token.claims["exp"]:
                return "expired, or not yet valid"
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.path in {f"{each}{DISCOVERY}" for each in ("", "/tenant")}
                self._answer(server.discovery() if known else Answer(status=404))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/api/uppercase":
                    names = {name.lower(): value for name, value in self.headers.items()}
                    self._answer(server.uppercase(names, body))
                else:
                    form = {name: each[0] for name, each in parse_qs(body.decode()).items()}
                    self._answer(server.token(form))

            def _answer(self, answer: Answer) -> None:
                time.sleep(answer.delay)
                if answer.status == 0:
                    return
                text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

        return Handler
