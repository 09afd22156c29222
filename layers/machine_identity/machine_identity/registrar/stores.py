"""The registrar over a store that is named as an operator writes it, for commands and functions.

boto3 is imported, and a client of its made, only when a store of AWS's is named: a laptop needs
none, and a function that manages no registration pays nothing for it.
"""

import time
from pathlib import Path

from machine_identity import clock, transport
from machine_identity.aws import AwsError
from machine_identity.client_registration.places import FORMS, Kind, Place, place
from machine_identity.errors import SettingsError
from machine_identity.registrar.entry import Store
from machine_identity.registrar.service import Registrar


def registrar_at(store: str, label: str, *, origin: str = "") -> Registrar:
    """Return who manages the registrations of that store; ``label`` is what its author calls it.

    ``origin`` is another that tokens may go to (see ``answers.check_uri``). Raises SettingsError.
    """
    found = place(store)
    if found is None:
        raise SettingsError(f"{label} must be {FORMS}")
    return Registrar(
        transport=transport.send,
        store=_opened(found, f"{label} {found.kind}"),
        clock=clock,
        sleep=time.sleep,
        origin=origin,
    )


def _opened(at: Place, label: str) -> Store:
    if at.kind is Kind.FILES:
        from machine_identity.secret_files import SecretFiles  # noqa: PLC0415 - see above

        return SecretFiles(Path(at.path).expanduser())
    try:
        from machine_identity.aws.clients import client, translated  # noqa: PLC0415
        from machine_identity.aws.parameter_store import ParameterStore  # noqa: PLC0415
        from machine_identity.aws.secrets_manager import SecretsManager  # noqa: PLC0415
    except ModuleNotFoundError:
        raise SettingsError(f"{label}: needs boto3: pip install '.[aws]'") from None
    try:
        with translated(at.kind):
            if at.kind is Kind.PARAMETERS:
                return ParameterStore(client("ssm"), at.path)
            return SecretsManager(client("secretsmanager"), at.path, unique=clock.unique)
    except AwsError as error:
        raise SettingsError(f"{label}: boto3 is not set up: {error.code}") from error
