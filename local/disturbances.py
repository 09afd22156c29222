"""What can go wrong at Graph though nobody did anything wrong, for the next call or calls.

Each disturbance is for one call, in the order in which they were ordered. Slowness of another
kind, that a write is not known at once, is the directory's.
"""

import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from flask import request

from local.graph_errors import GraphFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The call is refused before anything was done."""

    fault: GraphFault
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoseAnswer:
    """The call is carried out, and the caller is not told."""

    fault: GraphFault | None = None
    """What the caller is told instead; None cuts the connection."""


type Disturbance = Refuse | LoseAnswer


def cut() -> None:
    """Cut the connection of the request that is being answered."""
    cast("socket.socket", request.environ["werkzeug.socket"]).shutdown(socket.SHUT_RDWR)
