"""What the ``client`` commands are told, and where they keep the tokens of registrations.

What is a secret comes in a file or in a variable that an option names, since a command line is
everybody's to read.
"""

import os
from pathlib import Path

from machine_identity.client_registration.answers import is_token
from machine_identity.client_registration.metadata import handed_over
from machine_identity.errors import SettingsError
from machine_identity.registrar import Registrar
from machine_identity.registrar.stores import registrar_at
from machine_identity.settings.environment import checked_identity, checked_url


def checked_name(name: str) -> str:
    """Return the name of a client as ``clients.json`` may have it. Raises SettingsError."""
    return checked_identity("NAME", name)


def registrar(store: str, origin: str) -> Registrar:
    """Return who registers, with the store that the option names. Raises SettingsError."""
    named = checked_url("--management-origin", origin) if origin else ""
    return registrar_at(store, "--store", origin=named)


def endpoint(of: Registrar, *, given: str, authorization_server: str) -> str:
    """Return the registration endpoint, or ask the server's discovery document for it."""
    if authorization_server:
        checked_url("--authorization-server", authorization_server)
    if given:
        return checked_url("--registration-endpoint", given)
    if not authorization_server:
        raise SettingsError("--registration-endpoint or --authorization-server is required")
    return of.endpoint_of(authorization_server)


def token_in(variable: str, option: str) -> str:
    """Return the token in the variable that an option names; no option, no token."""
    if not variable:
        return ""
    token = os.environ.get(variable, "").strip()
    if not is_token(token):
        raise SettingsError(f"{option}: {variable} is not set to a token")
    return token


def key_set_in(path: Path | None) -> dict[str, object] | None:
    """Return the JWK Set in a file, fit to be handed over. Raises SettingsError."""
    return None if path is None else handed_over(_content(path))


def statement_in(path: Path | None) -> str:
    """Return the software statement in a file. Raises SettingsError."""
    if path is None:
        return ""
    try:
        return _content(path).decode("ascii").strip()
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not a software statement") from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
