"""``teardown``: the keys that a deleted stack leaves behind, listed, and ended when that is said.

1. Nothing is ended but by ``--yes``, or by the stack's name typed at a terminal.
2. Nothing is ended while there is a stack of that name: its functions sign with the keys, and a
   deployment that is under way adopts them. There is no option that overrides this.
3. Keys alone are ended. Buckets and log groups are told of, and are their owner's to delete.

To be done again after a failure, or to see that nothing is left; that changes nothing else. boto3
is imported only when it is needed.
"""

import json
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from machine_identity.aws import AwsError, StackError
from machine_identity.cli import options
from machine_identity.cli.leavings import (
    UNDO,
    as_members,
    counted,
    day_and_time,
    kept_in_words,
    row,
)
from machine_identity.cli.outcome import EXIT_CODES, NO_KEY, one_sentence
from machine_identity.errors import SettingsError
from machine_identity.policy import KMS_DELETION_WINDOW
from machine_identity.settings.environment import checked_identity

if TYPE_CHECKING:
    from machine_identity.aws.left_keys import Leavings, LeftKey

_SHORTEST, _LONGEST = (each.days for each in KMS_DELETION_WINDOW)
_NEEDED: Final = "teardown needs boto3: pip install '.[aws]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The options, as they were given."""

    stack: str
    identity: str
    window_days: int
    yes: bool
    as_json: bool

    def command(self) -> str:
        """Return the command that does it."""
        words = ["machine-identity", "teardown", "--stack", self.stack, "--yes"]
        if self.identity != "default":
            words += ["--identity", self.identity]
        if self.window_days != _LONGEST:
            words += ["--window-days", str(self.window_days)]
        return shlex.join(words)

    def say(self, text: str) -> None:
        """Print for people, which with ``--json`` nobody is."""
        if not self.as_json:
            click.echo(text)


@click.command(epilog=EXIT_CODES)
@options.option("--stack", required=True, help="The name that it was deployed under.")
@options.option("--identity", default="default", help="Whose keys.")
@options.option(
    "--window-days",
    type=click.IntRange(_SHORTEST, _LONGEST),
    default=_LONGEST,
    help="How long KMS waits before it deletes a key, and it can be undone.",
)
@click.option("--yes", is_flag=True, help="Disable the keys and schedule their deletion.")
@options.as_json
def teardown(*, stack: str, identity: str, window_days: int, yes: bool, as_json: bool) -> None:
    """List the keys that a deleted stack leaves behind; with --yes schedule their deletion."""
    asked = _Asked(
        stack=stack, identity=identity, window_days=window_days, yes=yes, as_json=as_json
    )
    with one_sentence(as_json=as_json):
        checked_identity("--identity", identity)
        status = _status(stack)
        if yes and status is not None:
            raise _deployed(stack, status)
        _tear_down(asked, _leavings(stack, identity), status)


def _tear_down(asked: _Asked, left: "Leavings", status: str | None) -> None:
    """List, and end what is to be ended; what AWS refused of any key is told at the end."""
    standing = "there is no such stack" if status is None else f"the stack is {status}"
    whose = f"stack {asked.stack}, identity {asked.identity}, in {left.region}"
    asked.say(f"{whose}: {standing}")
    keys = _shown(asked, left.keys())
    kept = _kept(asked, left)
    to_end = [key for key in keys if key.is_left]
    is_meant = _is_meant(asked, to_end, status)
    ended = _ended(asked, left, to_end) if is_meant else []
    now = {key.arn: key for key in (*keys, *ended)}
    faulty = [key for key in now.values() if key.fault]
    error = f"AWS refused something of {counted(faulty)}: {faulty[0].fault}" if faulty else ""
    if asked.as_json:
        members = {"stack": asked.stack, "identity": asked.identity, "region": left.region}
        told = {"stack_status": status, "keys": [as_members(key) for key in now.values()]}
        done = {"ended": [key.arn for key in ended if not key.fault], "retained": kept}
        failed = {"error": "key", "error_description": error} if error else {}
        click.echo(json.dumps(members | told | done | failed))
    elif error:
        click.echo(f"Error: key: {error}", err=True)
    if error:
        raise click.exceptions.Exit(NO_KEY)


def _shown(asked: _Asked, keys: Iterable["LeftKey"]) -> list["LeftKey"]:
    """Print each key as soon as it is known, and return them all."""
    shown = []
    for key in keys:
        asked.say(row(key))
        shown.append(key)
    if not shown:
        asked.say("no key carries its tags")
    return shown


def _kept(asked: _Asked, left: "Leavings") -> list[str]:
    """Print what else stays, and return what of it the index of tags shows."""
    try:
        found, why = list(left.retained()), ""
    except AwsError as error:
        found, why = [], str(error)
    asked.say(kept_in_words(asked.stack, found, why))
    return found


def _is_meant(asked: _Asked, to_end: list["LeftKey"], status: str | None) -> bool:
    """Say what is to do, and return whether it is to be done now."""
    if not to_end:
        asked.say("nothing to do: there is no key to end")
        return False
    if status is not None:
        asked.say(f"nothing is done: {_deployed(asked.stack, status)}")
        return False
    if asked.yes:
        return True
    what = f"{counted(to_end)} to be disabled, and deleted by KMS {asked.window_days} days later"
    asked.say(f"{what}:\n  {asked.command()}")
    return _is_typed(asked)


def _is_typed(asked: _Asked) -> bool:
    """Ask at a terminal, and never elsewhere, for the stack's name."""
    if asked.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    text = f"Type {asked.stack} to do it now, or nothing"
    typed: str = click.prompt(text, default="", show_default=False)
    return typed.strip() == asked.stack


def _ended(asked: _Asked, left: "Leavings", keys: list["LeftKey"]) -> list["LeftKey"]:
    """End each key, whatever becomes of the others, unless the stack has come back meanwhile."""
    if (status := _status(asked.stack)) is not None:
        raise _deployed(asked.stack, status)
    window = timedelta(days=asked.window_days)
    ended = []
    asked.say(f"ending {counted(keys)}:")
    for key in keys:
        ended.append(left.end(key, window))
        asked.say(row(ended[-1]))
    good = [key for key in ended if not key.fault]
    if until := min((key.deletion_at for key in good if key.deletion_at), default=None):
        asked.say(f"{counted(good)} ended; to undo it for one, until {day_and_time(until)}:{UNDO}")
    return ended


def _deployed(stack: str, status: str) -> StackError:
    is_going = status == "DELETE_IN_PROGRESS"
    mend = "wait until it is gone" if is_going else f"first sam delete --stack-name {stack}"
    return StackError(f"stack {stack} is {status}, and may use its keys: {mend}")


def _status(stack: str) -> str | None:
    try:
        from machine_identity.aws import stack as stacks  # noqa: PLC0415 - see above
    except ModuleNotFoundError:
        raise SettingsError(_NEEDED) from None
    return stacks.status(stack)


def _leavings(stack: str, identity: str) -> "Leavings":
    from machine_identity.aws.left_keys import Leavings  # noqa: PLC0415 - see above

    return Leavings.of(stack, identity)
