"""What is kept of a registration from one command to the next, as the document that a store has.

Each request is recorded before it is sent and again when its answer is in hand, so that a process
that dies in between leaves a word of what it was about:

- ``Registering``: a client was asked for. If that is all there is, there may be one that nobody
  manages, since a registration cannot be repeated without making another (RFC 7591 has no
  idempotency key).
- ``Registered``: the client, and its token beside the one before it. ``unanswered`` says what was
  asked and not answered: at Curity and oidc-provider the token may have changed with it.
- ``Vacant``: nothing is registered, or no more. The document stays: a secret of Secrets Manager
  that is deleted keeps its name for days.

The document is a secret. It stays below 4 kB, which is a standard parameter's limit, as long as a
token has no more than 1.5 kB; the metadata is the server's to keep and is read there.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from machine_identity.errors import MachineIdentityError

SCHEMA: Final = 1
MOST_TOKENS: Final = 2
"""The newest, and the one before it."""


class StoreError(MachineIdentityError):
    """A store that is not AWS's did not do what it was asked; no message shows a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A document as a store has it, and the version tag by which the next write names it."""

    body: str = field(repr=False)
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacant:
    """There is no client of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registering:
    """A client was asked for at ``since``, and nobody wrote down what came of it."""

    endpoint: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """There is a client of that name."""

    endpoint: str
    """Where it was registered."""
    client_id: str
    uri: str = field(default="", repr=False)
    tokens: tuple[str, ...] = field(default=(), repr=False)
    """The newest first."""
    unanswered: str = ""
    """``read``, ``update`` or ``delete``, while its answer is not in hand."""
    unanswered_at: datetime | None = None


type State = Vacant | Registering | Registered


def with_token(tokens: tuple[str, ...], *newest: str) -> tuple[str, ...]:
    """Return the tokens to keep, those first that were seen last; empty ones count as none."""
    return tuple(dict.fromkeys(each for each in (*newest, *tokens) if each))[:MOST_TOKENS]


def written(state: State, *, revision: int) -> str:
    """Return the document; the revision tells two equal states apart, as a tag may not."""
    document: dict[str, Any] = {"version": SCHEMA, "revision": revision}
    match state:
        case Vacant():
            document |= {"state": "vacant"}
        case Registering():
            document |= {
                "state": "registering",
                "registration_endpoint": state.endpoint,
                "since": state.since.isoformat(),
            }
        case Registered():
            at = state.unanswered_at
            document |= {
                "state": "registered",
                "registration_endpoint": state.endpoint,
                "client_id": state.client_id,
                "registration_client_uri": state.uri,
                "registration_access_tokens": list(state.tokens),
                "unanswered": state.unanswered,
                "unanswered_at": at.isoformat() if at else "",
            }
    return json.dumps(document)


def read(document: str) -> tuple[State, int]:
    """Return the state in a document, and its revision. Raises StoreError."""
    try:
        members = json.loads(document)
        version = members["version"]
        if type(version) is int and version > SCHEMA:
            raise StoreError("the record was written by a newer version of this program")
        return _state(members), int(members["revision"])
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise StoreError("what is kept under that name is no record of a registration") from None


def _state(members: dict[str, Any]) -> State:
    match members["state"]:
        case "vacant":
            return Vacant()
        case "registering":
            since = datetime.fromisoformat(members["since"]).astimezone(UTC)
            return Registering(endpoint=members["registration_endpoint"], since=since)
        case "registered":
            at = members["unanswered_at"]
            return Registered(
                endpoint=members["registration_endpoint"],
                client_id=members["client_id"],
                uri=members["registration_client_uri"],
                tokens=tuple(str(each) for each in members["registration_access_tokens"]),
                unanswered=members["unanswered"],
                unanswered_at=datetime.fromisoformat(at).astimezone(UTC) if at else None,
            )
        case _:
            raise ValueError
