"""Our record of the keys: what it is in ``record``, how it is written down in ``document``."""

from machine_identity.keyring.document import parse, serialise
from machine_identity.keyring.record import (
    VERSION,
    Incoming,
    Intent,
    Key,
    Keyring,
    KeyringError,
    LostKeyringError,
    Outgoing,
    State,
    Surplus,
)

__all__ = [
    "VERSION",
    "Incoming",
    "Intent",
    "Key",
    "Keyring",
    "KeyringError",
    "LostKeyringError",
    "Outgoing",
    "State",
    "Surplus",
    "parse",
    "serialise",
]
