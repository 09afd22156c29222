"""The bodies of Graph's calls, read as its documents have them: all that is required is there."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Request

from local import key_credentials
from local.graph_errors import GraphError, GraphFault
from local.key_credentials import KeyCredential


def members(request: Request) -> Mapping[str, Any]:
    """Return the members of the body. Raises GraphError."""
    try:
        given = json.loads(request.get_data())
    except (ValueError, RecursionError):
        given = None
    if not request.is_json or not isinstance(given, dict):
        raise GraphError(GraphFault.BODY)
    return given


def key_id(given: Mapping[str, Any]) -> str:
    """Return which credential is to be removed. Raises GraphError."""
    named = given.get("keyId")
    if not isinstance(named, str):
        raise GraphError(GraphFault.BODY)
    return named.lower()


def new_credential(given: Mapping[str, Any], *, key_id: str, now: datetime) -> KeyCredential:
    """Return the credential that is to be added, under the ID that it gets. Raises GraphError."""
    asked = given.get("keyCredential")
    if not isinstance(asked, dict) or "passwordCredential" not in given:
        raise GraphError(GraphFault.BODY)
    kind = asked.get("type"), asked.get("usage"), given["passwordCredential"]
    if kind != (key_credentials.TYPE, key_credentials.USAGE, None):
        raise GraphError(GraphFault.CREDENTIAL)
    der = _certificate(asked.get("key"))
    try:
        credential = key_credentials.from_der(
            der,
            key_id=key_id,
            starts_at=_instant(asked.get("startDateTime")),
            ends_at=_instant(asked.get("endDateTime")),
            display_name=_text(asked.get("displayName")),
        )
    except (TypeError, ValueError):
        raise GraphError(GraphFault.DATES) from None
    if now >= credential.ends_at:
        raise GraphError(GraphFault.DATES)
    return credential


def _certificate(key: object) -> bytes:
    if not isinstance(key, str):
        raise GraphError(GraphFault.CREDENTIAL)
    try:
        der = base64.b64decode(key, validate=True)
        key_credentials.from_der(der, key_id="")
    except (TypeError, ValueError):
        raise GraphError(GraphFault.CREDENTIAL) from None
    return der


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def _text(text: object) -> str | None:
    return text if isinstance(text, str) else None
