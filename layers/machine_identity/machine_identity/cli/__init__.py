"""The story on a laptop or a server: a key in a PEM file instead of KMS.

One module a command. A user's mistake gets one sentence and an exit code, never a traceback.
Neither a key nor a token is ever printed, and an assertion only where it was asked for, into a
pipe or a file.
"""

import click

from machine_identity.cli.assertion import assertion
from machine_identity.cli.call import call
from machine_identity.cli.client import client
from machine_identity.cli.export import export
from machine_identity.cli.jwks import jwks
from machine_identity.cli.outcome import EXIT_CODES
from machine_identity.cli.provider import provider
from machine_identity.cli.teardown import teardown


@click.group(epilog=EXIT_CODES)
def main() -> None:
    """Prove who this machine is with a JWT that it signs itself, and call an API."""


for command in (
    assertion,
    call,
    client,
    export,
    jwks,
    provider,
    teardown,
):
    main.add_command(command)
