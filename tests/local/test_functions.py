"""A function's process: what it is given, what comes back, and how its death is told."""

import json
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from local.clock import MovableClock
from local.functions import FunctionError
from machine_identity import clock
from tests.local.functions import ECHO, function

SECOND = timedelta(seconds=1)


def test_the_answer_is_the_handler_s_whatever_json_it_is(tmp_path: Path) -> None:
    with function(tmp_path, ECHO) as echo:
        for event in ({"text": "ß\n\u2028"}, [1, None], "x", 7, None, {"long": "x" * 200_000}):
            assert echo.invoke(event) == event


def test_it_lives_in_one_process_of_its_own_from_call_to_call(tmp_path: Path) -> None:
    source = "import os\ncalls = []\ndef handler(event, context):\n"
    source += "    calls.append(event)\n    return [os.getpid(), len(calls)]\n"
    with function(tmp_path, source) as counting:
        (one, first), (other, second) = counting.invoke(1), counting.invoke(2)
    assert (one == other, first, second) == (True, 1, 2)


def test_it_sees_its_own_environment_and_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_PARENT", "x")
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    with function(tmp_path, source, STATE_BUCKET="state") as telling:
        variables = telling.invoke({})
    assert variables["STATE_BUCKET"] == "state"
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "EchoFunction"
    assert "SECRET_OF_THE_PARENT" not in variables


def test_its_clock_is_the_stack_s_also_where_app_py_took_it_at_import(tmp_path: Path) -> None:
    source = "from machine_identity import clock\nnow = clock.now\n"
    source += "def handler(event, context):\n    return now().isoformat()\n"
    moved = MovableClock()
    with function(tmp_path, source, clock=moved) as telling:
        for month in range(3):
            moved.move_to(clock.now() + month * timedelta(days=30))
            told = datetime.fromisoformat(telling.invoke({}))
            assert -SECOND < told - moved.now() <= timedelta()


def test_what_it_prints_is_no_answer_and_goes_to_its_log(tmp_path: Path) -> None:
    source = "import logging\ndef handler(event, context):\n    print('{\"result\": 1}')\n"
    source += "    logging.warning('said %s', 1, extra={'code': 'expired'})\n    return 2\n"
    with function(tmp_path, source) as printing:
        assert printing.invoke({}) == 2
    printed, logged = (tmp_path / "EchoFunction.log").read_text().splitlines()
    assert printed == '{"result": 1}'
    record = json.loads(logged)
    assert (record["message"], record["level"], record["code"]) == ("said 1", "WARNING", "expired")
    assert len(record["requestId"]) == 36


def test_an_exception_is_told_by_type_and_message_and_the_process_lives_on(
    tmp_path: Path,
) -> None:
    source = "def handler(event, context):\n    return 1 // event\n"
    with function(tmp_path, source) as dividing:
        with pytest.raises(FunctionError) as failed:
            dividing.invoke(0)
        assert dividing.invoke(1) == 1
    assert (failed.value.kind, failed.value.message) == (
        "ZeroDivisionError",
        "integer division or modulo by zero",
    )
    assert "ZeroDivisionError" in (tmp_path / "EchoFunction.log").read_text()


def test_a_start_that_fails_is_told_at_each_invocation_and_tried_again(tmp_path: Path) -> None:
    source = "import pathlib\nif not pathlib.Path(__file__).with_name('ready').exists():\n"
    source += "    raise ValueError('ISSUER is not set')\n" + ECHO
    with function(tmp_path, source) as starting:
        for _ in range(2):
            with pytest.raises(FunctionError, match="ISSUER is not set"):
                starting.invoke({})
        (tmp_path / "EchoFunction" / "ready").touch()
        assert starting.invoke({}) == {}


def test_a_process_that_dies_is_an_error_and_the_next_invocation_gets_a_new_one(
    tmp_path: Path,
) -> None:
    source = "import os\ndef handler(event, context):\n    return event or os._exit(1)\n"
    with function(tmp_path, source) as dying:
        for _ in range(2):
            with pytest.raises(FunctionError, match="ended"):
                dying.invoke(0)
            assert dying.invoke(1) == 1


def test_one_that_takes_too_long_is_ended_and_does_not_answer_the_next_question(
    tmp_path: Path,
) -> None:
    source = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return event\n"
    with function(tmp_path, source, timeout=2 * SECOND) as sleeping:
        with pytest.raises(FunctionError, match=r"Task timed out after 2\.00 seconds"):
            sleeping.invoke(60)
        assert sleeping.invoke(0.1) == 0.1


def test_it_is_told_how_long_it_may_take(tmp_path: Path) -> None:
    source = "def handler(event, context):\n    return context.get_remaining_time_in_millis()\n"
    with function(tmp_path, source) as telling:
        assert 8000 < telling.invoke({}) <= 10000


def test_two_at_once_are_answered_one_after_the_other_each_with_its_own(tmp_path: Path) -> None:
    answers: dict[int, object] = {}
    source = "import time\ndef handler(event, context):\n    time.sleep(0.05)\n    return event\n"
    with function(tmp_path, source) as slow:
        threads = [
            threading.Thread(target=lambda n=n: answers.update({n: slow.invoke(n)}))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: n for n in range(8)}


def test_closing_ends_an_invocation_under_way_and_starts_no_other_process(
    tmp_path: Path,
) -> None:
    source = "import time\ndef handler(event, context):\n    time.sleep(60)\n"
    failed: list[FunctionError] = []
    with function(tmp_path, source, timeout=60 * SECOND) as sleeping:

        def invoke() -> None:
            with pytest.raises(FunctionError) as error:
                sleeping.invoke({})
            failed.append(error.value)

        thread = threading.Thread(target=invoke)
        thread.start()
        time.sleep(0.5)
        sleeping.close()
        thread.join(timeout=5)
        assert "ended" in failed[0].message
        with pytest.raises(FunctionError, match="being ended"):
            sleeping.invoke({})


@pytest.mark.parametrize(("level", "printed"), [("INFO", 1), ("DEBUG", 2)])
def test_the_log_level_is_every_library_s_as_lambda_has_it(
    tmp_path: Path, level: str, printed: int
) -> None:
    source = "import logging\ndef handler(event, context):\n"
    source += "    for level in (10, 20):\n        logging.getLogger('x').log(level, 'said')\n"
    with function(tmp_path, source, log_level=level) as logging:
        logging.invoke({})
    assert (tmp_path / "EchoFunction.log").read_text().count("said") == printed


def test_an_event_larger_than_lambda_takes_is_refused(tmp_path: Path) -> None:
    with (
        function(tmp_path, ECHO) as echo,
        pytest.raises(FunctionError, match="RequestTooLargeException"),
    ):
        echo.invoke("x" * 7_000_000)
