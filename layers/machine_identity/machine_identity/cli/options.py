"""The options that several commands share, each settable by a variable as well."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from machine_identity import jwk, providers


def option(name: str, **details: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - click's own
    """Return an option that ``MACHINE_IDENTITY_…`` sets as well, and that says so."""
    variable = "MACHINE_IDENTITY_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, envvar=variable, show_envvar=True, show_default=True, **details)


key = option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key, a PEM file (RSA, P-256 or P-384), not encrypted.",
)
algorithm = option(
    "--algorithm",
    type=click.Choice(jwk.ALGORITHMS),
    help="What the key signs with.  [default: RS256, or the curve's own]",
)
provider = option(
    "--provider",
    type=click.Choice(providers.NAMES),
    default=providers.DEFAULT,
    help="What kind of authorization server it is.",
)
issuer = option(
    "--issuer", default="", help="The URL under which the public key is published, if it is asked."
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, errors too."
)
