"""The commands of ``python -m local``.

``demo`` tells the story, ``serve`` keeps the stack up, ``life`` draws how its keys live.
"""

import io
import json
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click

from local.aws import NOBODY
from local.demo import Demo, UnexpectedError
from local.life.lane import HOUR
from local.life.picture import draw
from local.life.run import live
from local.narrator import Narrator
from local.rotation_demo import RotationError
from local.stack import NOT_OURS, Stack
from local.template import TemplateError
from local.usage import usage
from machine_identity.errors import SettingsError

_STARTING = """\
Starting an emulated AWS (moto), an authorization server, and the five functions of template.yaml,
each in a process of its own, on loopback …"""

_parameter = click.option(
    "--parameter",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of template.yaml, e.g. SigningAlgorithm=ES256. May be repeated.",
)


@click.group()
def main() -> None:
    """Run Machine Identity on this machine: no AWS account, no Docker, loopback only."""
    # What a person has set up for AWS, or as a proxy, is for another world than this one.
    for name in tuple(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(NOBODY)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without Unicode is one to print to
            stream.reconfigure(errors="replace")


@main.command()
@_parameter
def demo(pairs: tuple[str, ...]) -> None:
    """Tell the story, steps 0 to 13, and rotate the key while a client keeps calling."""
    say = Narrator(sys.stdout)
    with _stack(pairs) as stack:
        try:
            Demo(stack, say).run()
        except (UnexpectedError, RotationError) as error:
            say.bad(f"expected: {error}")
            for line in stack.warnings():
                say.note(line)
            raise click.exceptions.Exit(1) from None


@main.command()
@_parameter
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A private key of yours (PEM): registers a client for `machine-identity call`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as one JSON line.")
def serve(*, pairs: tuple[str, ...], as_json: bool, key: Path | None) -> None:
    """Keep the stack up until Ctrl-C, and say what to try."""
    with suppress(KeyboardInterrupt), _stack(pairs, key) as stack:
        click.echo(json.dumps(stack.addresses) if as_json else usage(stack))
        sys.stdout.flush()
        threading.Event().wait()


@main.command()
@_parameter
@click.option(
    "--days",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="How long to live.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record, and draw nothing.")
def life(*, pairs: tuple[str, ...], days: int, as_json: bool) -> None:
    """Let days pass, and print a picture (SVG) of what became of the keys."""
    hours = range(days * 24)
    with _stack(pairs) as stack, click.progressbar(hours, label="Living", file=sys.stderr) as bar:
        record = live(stack, len(hours) * HOUR, tell=lambda passed: bar.update(passed // HOUR))
    click.echo(record.to_json() + "\n" if as_json else draw(record), nl=False)


def _stack(pairs: tuple[str, ...], key: Path | None = None) -> Stack:
    click.echo(_STARTING, err=True)
    try:
        return Stack(_parameters(pairs), client_key=key)
    except (TemplateError, SettingsError) as error:
        raise click.UsageError(str(error)) from None


def _parameters(pairs: tuple[str, ...]) -> Mapping[str, str]:
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--parameter {pair} must be NAME=VALUE")
        if name in NOT_OURS:
            raise click.UsageError(f"{name} is chosen by the stack itself")
        parameters[name] = value
    return parameters
