"""Access tokens for clients that prove themselves: ``TokenSource`` in ``source``.

How a token is asked for is in ``asking``; which one is handed out, and who asks, in ``source``.
"""

from machine_identity.token_source.asking import (
    COOLDOWN,
    METADATA_LIFETIME,
    MOST_KEPT,
    PATIENCE,
    REQUEST_TIMEOUT,
    Clock,
    Fallback,
    Signer,
)
from machine_identity.token_source.source import Ahead, TokenSource, in_thread

__all__ = [
    "COOLDOWN",
    "METADATA_LIFETIME",
    "MOST_KEPT",
    "PATIENCE",
    "REQUEST_TIMEOUT",
    "Ahead",
    "Clock",
    "Fallback",
    "Signer",
    "TokenSource",
    "in_thread",
]
