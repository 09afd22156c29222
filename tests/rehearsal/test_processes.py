import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rehearsal import processes
from rehearsal.processes import Process, ProcessError, Questions

BACKWARDS = """
import json, sys
first = json.loads(sys.stdin.readline())
second = json.loads(sys.stdin.readline())
for each in (second, first):
    print(json.dumps({"id": each["id"], "said": each["text"].upper()}), flush=True)
sys.stdin.read()
"""
SILENT = "import sys; sys.stdin.read()"
STUBBORN = """
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
print("{}", flush=True)
time.sleep(600)
"""
LEAVING = "import sys; sys.stdin.readline(); sys.exit('no reason')"


@contextmanager
def running(script: str, log: Path) -> Iterator[Questions]:
    questions = Questions([sys.executable, "-c", script], log)
    with questions.process:
        yield questions


def test_answers_that_come_in_another_order_reach_who_asked(tmp_path: Path) -> None:
    said: dict[str, str] = {}

    with running(BACKWARDS, tmp_path / "log") as questions:

        def ask(text: str) -> None:
            said[text] = questions.ask({"text": text})["said"]

        threads = [threading.Thread(target=ask, args=(text,)) for text in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert said == {"one": "ONE", "two": "TWO"}


def test_a_process_that_says_nothing_has_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "ANSWER_SECONDS", 0.2)

    with (
        running(SILENT, tmp_path / "log") as questions,
        pytest.raises(ProcessError, match="no answer within"),
    ):
        questions.ask({})


def test_a_process_that_has_ended_has_not_judged(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(LEAVING, log) as questions:
        for _ in range(2):  # while it still reads, and when it does not any more
            with pytest.raises(ProcessError, match="has ended"):
                questions.ask({})

    assert "no reason" in log.read_text()


def test_a_process_that_does_not_end_by_itself_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_END_SECONDS", 0.2)

    told, pid = threading.Event(), tmp_path / "pid"
    command = [sys.executable, "-c", STUBBORN, str(pid)]
    with Process(command, tmp_path / "log", lambda _: told.set()):
        assert told.wait(10)

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
