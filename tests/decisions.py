"""The cases of events/authorizer, and what each is decided as, whoever runs the authorizer.

The handler alone, the embedded stack and ``sam local`` are asked all of them, as events and, where
a request can be made of one, over HTTP.
"""

import http.client
import json
from typing import Any, Final
from urllib.parse import urlsplit

from tests.handlers import ROOT, event

VECTORS: Final = ROOT / "tests" / "vectors" / "authorizer"
EXPECTED: Final[dict[str, str]] = json.loads((VECTORS / "expected.json").read_text())
"""By case: ``allowed``, or the code under which it is refused."""
JWKS: Final[dict[str, Any]] = json.loads((VECTORS / "jwks.json").read_text())
ENVIRONMENT: Final = {
    "ISSUER": "https://issuer.example",
    "AUDIENCE": "api://uppercase",
    "REQUIRED_ROLES": "Uppercase.Call",
    "ALLOWED_ALGORITHMS": "RS256 ES256",
}
"""What the authorizer is told; JWKS_URI is where a test serves JWKS."""

_NO_REQUEST: Final = "wrong_shape"
REQUESTS: Final = sorted(EXPECTED.keys() - {_NO_REQUEST})


def is_allowed(case: str) -> bool:
    """Whether the authorizer lets it in."""
    return EXPECTED[case] == "allowed"


def status(case: str) -> int:
    """Return what the gateway answers: without a header nobody is asked."""
    if case == "no_header":
        return 401
    return 200 if is_allowed(case) else 403


def post(api: str, case: str) -> int:
    """Send the case as a request to the API, and return the status of the answer."""
    body = b'{"text": "hello world"}'
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=60)
    try:
        connection.putrequest("POST", "/api/uppercase")
        for name, value in event("authorizer", case)["headers"].items():
            if name.lower() == "authorization":
                connection.putheader(name, value)
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        with connection.getresponse() as response:
            response.read()
            return response.status
    finally:
        connection.close()
