"""``python -m rehearsal``: rotate in real time before parties that other people wrote."""

import json
import signal
import sys
from datetime import timedelta
from typing import Never

import click

from machine_identity import clock
from rehearsal import node, report
from rehearsal.processes import ProcessError
from rehearsal.report import Outcome
from rehearsal.stage import Stage


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON line.")
def main(*, as_json: bool) -> None:
    """Rotate in real time before real parties, and a naive rotation beside it; about 3 minutes."""
    signal.signal(signal.SIGTERM, _interrupt)
    began_at = clock.now()
    try:
        executable = node.find()
        node.install(_say)
        with Stage(executable, _say) as stage:
            outcome = stage.play()
    except (node.NodeError, ProcessError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(report.plain(outcome)) if as_json else _told(outcome))
    _say(f"it took {_whole_seconds(clock.now() - began_at)}")
    sys.exit(bool(outcome.complaints))


def _told(outcome: Outcome) -> str:
    complaints = [f"FAILED: {complaint}" for complaint in outcome.complaints]
    return "\n".join(["", report.table(outcome), "", *report.summary(outcome), *complaints])


def _say(line: str) -> None:
    click.echo(line, err=True)


def _whole_seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"


def _interrupt(*_: object) -> Never:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
