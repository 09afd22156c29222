"""Schedules on the stack's clock: all that falls due, in its order, and nothing twice."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from local.clock import MovableClock
from local.schedules import Schedules
from local.template import Schedule
from tests.local.functions import function

QUARTER = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
# Notes each invocation with its time; answers what the file "answer" holds.
NOTING = """
import json, pathlib
from machine_identity import clock
folder = pathlib.Path(__file__).parent
def handler(event, context):
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps([clock.now().isoformat(), event]) + "\\n")
    answer = folder / "answer"
    return json.loads(answer.read_text()) if answer.exists() else None
"""


class World:
    def __init__(self, folder: Path, schedules: Schedules, clock: MovableClock) -> None:
        self.folder = folder / "NotingFunction"
        self.schedules = schedules
        self.clock = clock
        self.start = clock.now()

    def calls(self) -> list[tuple[timedelta, object]]:
        """Return when it was invoked, counted from the start in whole seconds, and with what."""
        lines = (self.folder / "calls").read_text().splitlines()
        read = [json.loads(line) for line in lines]
        return [(_whole(datetime.fromisoformat(at) - self.start), event) for at, event in read]


def _whole(duration: timedelta) -> timedelta:
    return timedelta(seconds=round(duration.total_seconds()))


@contextmanager
def world(
    folder: Path, *schedules: tuple[timedelta, str], source: str = NOTING
) -> Iterator[World]:
    clock = MovableClock()
    with function(folder, source, name="NotingFunction", clock=clock) as noting:
        known = tuple(
            Schedule(function="NotingFunction", every=every, event=event)
            for every, event in schedules
        )
        yield World(folder, Schedules(known, {"NotingFunction": noting}, clock), clock)


def test_it_starts_at_once_and_then_runs_at_every_due_instant(tmp_path: Path) -> None:
    with world(tmp_path, (QUARTER, "tick")) as at:
        at.schedules.advance(timedelta())
        at.schedules.advance(QUARTER - 2 * SECOND)
        assert at.calls() == [(timedelta(), "tick")]
        now = at.schedules.advance(3 * QUARTER)
        assert [each for each, _ in at.calls()] == [n * QUARTER for n in range(4)]
        assert _whole(now - at.start) == 4 * QUARTER - 2 * SECOND


def test_two_schedules_run_in_the_order_of_their_instants_and_then_of_the_template(
    tmp_path: Path,
) -> None:
    with world(tmp_path, (QUARTER, "tick"), (2 * QUARTER, "canary")) as at:
        at.schedules.advance(2 * QUARTER + SECOND)
        assert at.calls() == [
            (timedelta(), "tick"),
            (timedelta(), "canary"),
            (QUARTER, "tick"),
            (2 * QUARTER, "tick"),
            (2 * QUARTER, "canary"),
        ]


def test_what_can_find_nothing_new_is_left_out_up_to_the_first_instant_that_can(
    tmp_path: Path,
) -> None:
    with world(tmp_path, (QUARTER, "tick")) as at:
        until = at.start + timedelta(days=29, minutes=20)
        answer = json.dumps({"wait": {"until": until.isoformat(), "why": "x"}})
        (at.folder / "answer").write_text(answer)
        at.schedules.advance(timedelta(days=29, minutes=29))
        assert [each for each, _ in at.calls()] == [timedelta()]
        at.schedules.advance(timedelta(minutes=1, seconds=1))
        assert [each for each, _ in at.calls()] == [timedelta(), timedelta(days=29, minutes=30)]


def test_a_next_move_asks_anew_since_somebody_may_have_had_a_word(tmp_path: Path) -> None:
    with world(tmp_path, (QUARTER, "tick")) as at:
        until = at.start + timedelta(days=29)
        (at.folder / "answer").write_text(json.dumps({"wait": {"until": until.isoformat()}}))
        at.schedules.advance(timedelta())
        at.schedules.advance(timedelta(days=1))
        at.schedules.advance(timedelta(days=1))
        one_day = timedelta(days=1)
        assert [each for each, _ in at.calls()] == [
            timedelta(),
            QUARTER,
            one_day + QUARTER,
        ]


# Answers what the file named like its event holds, a line an invocation, the last for ever.
SAYING = """
import json, pathlib
from machine_identity import clock
folder = pathlib.Path(__file__).parent
def handler(event, context):
    with (folder / "calls").open("a") as calls:
        calls.write(json.dumps([clock.now().isoformat(), event]) + "\\n")
    answers = (folder / event).read_text().splitlines()
    (folder / event).write_text("\\n".join(answers[1:] or answers))
    return json.loads(answers[0])
"""


def test_what_one_function_changes_ends_the_other_s_idleness(tmp_path: Path) -> None:
    schedules = ((QUARTER, "tick"), (QUARTER, "canary"))
    with world(tmp_path, *schedules, source=SAYING) as at:
        for name, revisions in (("tick", [1, 1]), ("canary", [1, 2, 2])):
            waits = [timedelta(days=29), timedelta(days=29)]
            if name == "canary":
                waits = [timedelta(days=1) - SECOND, timedelta(days=29), timedelta(days=29)]
            answers = [
                {"revision": revision, "wait": {"until": (at.start + wait).isoformat()}}
                for revision, wait in zip(revisions, waits, strict=True)
            ]
            (at.folder / name).write_text("\n".join(json.dumps(each) for each in answers))
        at.schedules.advance(timedelta(days=28))
        one_day = timedelta(days=1)
        assert at.calls() == [
            (timedelta(), "tick"),
            (timedelta(), "canary"),
            # The first word of each is news to the other.
            (QUARTER, "tick"),
            (one_day, "canary"),
            (one_day + QUARTER, "tick"),
        ]


def test_a_function_that_fails_or_waits_for_the_past_is_run_again_when_due(
    tmp_path: Path,
) -> None:
    with world(tmp_path, (QUARTER, "tick")) as at:
        (at.folder / "answer").write_text("no JSON")
        at.schedules.advance(QUARTER + SECOND)
        past = {"wait": {"until": at.start.isoformat()}}
        (at.folder / "answer").write_text(json.dumps(past))
        at.schedules.advance(2 * QUARTER)
        assert [each for each, _ in at.calls()] == [n * QUARTER for n in range(4)]


def test_it_runs_in_the_background_when_nobody_moves_the_clock(tmp_path: Path) -> None:
    with world(tmp_path, (2 * SECOND, "tick")) as at:
        at.schedules.start()
        try:
            while len(at.calls()) < 2:
                pass
        finally:
            at.schedules.close()
        assert at.calls()[1][0] >= 2 * SECOND
