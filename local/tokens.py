"""A JWT as a person reads it. Nothing is verified: this is for the eyes, never for a decision."""

import base64
import json
from typing import Any


def header(token: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the header of a JWT; an empty object if it is none."""
    return _segment(token, 0)


def claims(token: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the claims of a JWT; an empty object if it is none."""
    return _segment(token, 1)


def with_claims(token: str, changed: object) -> str:
    """Return the token with other claims under its old signature: a forgery."""
    first, _, last = token.split(".")
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    return f"{first}.{forged}.{last}"


def _segment(token: str, index: int) -> Any:  # noqa: ANN401 - any JSON
    try:
        segment = token.split(".")[index]
        return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (IndexError, ValueError):
        return {}
