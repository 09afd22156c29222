"""``jwks``: what to register at an authorization server that is given a key set."""

import json
from pathlib import Path

import click

from machine_identity.cli import options
from machine_identity.cli.outcome import EXIT_CODES, one_sentence
from machine_identity.key_files import public_jwk


@click.command(epilog=EXIT_CODES)
@options.key
@options.algorithm
def jwks(key: Path, algorithm: str | None) -> None:
    """Print the JWK Set to register at an authorization server; it is public."""
    with one_sentence(as_json=False):
        click.echo(json.dumps({"keys": [public_jwk(key, algorithm)]}, indent=2))
