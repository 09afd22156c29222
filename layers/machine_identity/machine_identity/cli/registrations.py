"""What the ``client`` commands are told, and where they keep the tokens of registrations.

boto3 is imported only when a store of AWS's is named: a laptop needs none. What is a secret comes
in a file or in a variable that an option names, since a command line is everybody's to read.
"""

import os
import re
import time
from pathlib import Path
from typing import Final

from machine_identity import clock, transport
from machine_identity.aws import AwsError
from machine_identity.client_registration.answers import is_token
from machine_identity.client_registration.metadata import handed_over
from machine_identity.errors import SettingsError
from machine_identity.registrar import Registrar, Store
from machine_identity.secret_files import SecretFiles
from machine_identity.settings.environment import checked_url

STORES: Final = "ssm:/PATH, secretsmanager:PREFIX or file:FOLDER"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATH: Final = re.compile(r"(/[A-Za-z0-9._-]+){1,14}/?")
"""Of a parameter: fifteen levels at most, the name among them."""
_PREFIX: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,400}")


def checked_name(name: str) -> str:
    """Return the name of a client as ``clients.json`` may have it. Raises SettingsError."""
    if not _NAME.fullmatch(name):
        raise SettingsError("NAME must be at most 64 letters, digits, '.', '_' and '-'")
    return name


def registrar(store: str, origin: str) -> Registrar:
    """Return who registers, with the store that the option names. Raises SettingsError."""
    return Registrar(
        transport=transport.send,
        store=_store(store),
        clock=clock,
        sleep=time.sleep,
        origin=checked_url("--management-origin", origin) if origin else "",
    )


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


def _store(option: str) -> Store:
    kind, _, place = option.partition(":")
    if kind == "file" and place:
        return SecretFiles(Path(place).expanduser())
    if kind == "ssm" and _PATH.fullmatch(place):
        return _of_aws(kind, place)
    if kind == "secretsmanager" and _PREFIX.fullmatch(place):
        return _of_aws(kind, place)
    raise SettingsError(f"--store must be {STORES}")


def _of_aws(kind: str, place: str) -> Store:
    try:
        from machine_identity.aws.clients import client, translated  # noqa: PLC0415 - see above
        from machine_identity.aws.parameter_store import ParameterStore  # noqa: PLC0415
        from machine_identity.aws.secrets_manager import SecretsManager  # noqa: PLC0415
    except ModuleNotFoundError:
        raise SettingsError(f"--store {kind}: needs boto3: pip install '.[aws]'") from None
    try:
        with translated(kind):
            if kind == "ssm":
                return ParameterStore(client("ssm"), place)
            return SecretsManager(client("secretsmanager"), place, unique=clock.unique)
    except AwsError as error:
        raise SettingsError(f"--store {kind}: boto3 is not set up: {error.code}") from error
