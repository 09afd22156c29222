"""The doors for programs: the clock's, and Lambda's as boto3 itself knocks at it."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from werkzeug.wrappers import Request

from local.clock import MovableClock
from local.control import MOST_SECONDS, ClockControl, LambdaControl
from local.loopback import LoopbackServer
from machine_identity import transport
from tests.local.functions import function

SECOND = timedelta(seconds=1)
DIVIDING = "def handler(event, context):\n    return {'half': 10 // event['by']}\n"


def ask(method: str, url: str, body: object = None) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = transport.send(
        method, url, headers={}, body=content if method == "POST" else None, timeout=10 * SECOND
    )
    return answer.status, json.loads(answer.body)


class TestClock:
    @pytest.fixture
    def clock(self) -> MovableClock:
        return MovableClock()

    @pytest.fixture
    def url(self, clock: MovableClock) -> Iterator[str]:
        def advance(by: timedelta) -> datetime:
            clock.move_to(clock.now() + by)
            return clock.now()

        control = ClockControl(clock=clock, advance=advance)
        with LoopbackServer(Request.application(control), now=clock.now) as server:
            yield server.url + "/clock"

    @pytest.mark.parametrize("seconds", [0, 1, 0.5, 86400, MOST_SECONDS])
    def test_it_moves_by_as_much_as_was_asked(
        self, clock: MovableClock, url: str, seconds: float
    ) -> None:
        start = clock.now()
        status, answer = ask("POST", url, {"advance_seconds": seconds})
        moved = datetime.fromisoformat(answer["now"]) - start
        assert (status, answer.keys()) == (200, {"now"})
        assert timedelta(seconds=seconds) <= moved < timedelta(seconds=seconds) + 2 * SECOND

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            [],
            {},
            {"advance_seconds": -1},
            {"advance_seconds": MOST_SECONDS + 1},
            {"advance_seconds": "60"},
            {"advance_seconds": True},
            b'{"advance_seconds": NaN}',
            b"[" * 100_000,
            b'{"advance_seconds": Infinity}',
        ],
    )
    def test_a_wrong_question_moves_nothing_and_is_told_the_rule(
        self, clock: MovableClock, url: str, body: object
    ) -> None:
        status, answer = ask("POST", url, body)
        assert (status, answer["error"]) == (400, "invalid_request")
        assert "advance_seconds must be a number from 0 to" in answer["error_description"]
        assert clock.offset == timedelta()

    def test_to_ask_for_the_time_moves_nothing(self, clock: MovableClock, url: str) -> None:
        status, answer = ask("GET", url)
        assert status == 200
        assert abs(datetime.fromisoformat(answer["now"]) - clock.now()) < SECOND

    def test_there_is_nothing_else(self, url: str) -> None:
        assert ask("GET", url + "s")[0] == 404


class TestLambda:
    @pytest.fixture
    def client(self, tmp_path: Path) -> Iterator[Any]:
        clock = MovableClock()
        with function(tmp_path, DIVIDING, name="DividingFunction") as dividing:
            control = LambdaControl(functions={"DividingFunction": dividing}, clock=clock)
            server = LoopbackServer(Request.application(control), now=clock.now)
            with server:
                yield self.boto3_client(server.url)

    def boto3_client(self, url: str) -> Any:
        return boto3.client(
            "lambda",
            endpoint_url=url,
            region_name="eu-central-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    @pytest.mark.parametrize(
        "name",
        [
            "DividingFunction",
            "arn:aws:lambda:eu-central-1:123456789012:function:DividingFunction",
            "arn:aws:lambda:eu-central-1:123456789012:function:DividingFunction:live",
        ],
    )
    def test_boto3_invokes_a_function_by_its_logical_id_or_arn(
        self, client: Any, name: str
    ) -> None:
        answer = client.invoke(FunctionName=name, Payload=b'{"by": 2}')
        assert (answer["StatusCode"], json.load(answer["Payload"])) == (200, {"half": 5})
        assert "FunctionError" not in answer

    def test_an_error_of_the_function_is_told_as_lambda_tells_it(self, client: Any) -> None:
        answer = client.invoke(FunctionName="DividingFunction", Payload=b'{"by": 0}')
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        assert json.load(answer["Payload"])["errorType"] == "ZeroDivisionError"

    def test_without_a_payload_the_event_is_an_empty_object(self, client: Any) -> None:
        answer = client.invoke(FunctionName="DividingFunction")
        assert json.load(answer["Payload"])["errorType"] == "KeyError"

    @pytest.mark.parametrize(("kind", "status"), [("Event", 202), ("DryRun", 204)])
    def test_an_invocation_that_wants_no_answer_gets_none(
        self, client: Any, kind: str, status: int
    ) -> None:
        answer = client.invoke(
            FunctionName="DividingFunction", InvocationType=kind, Payload=b'{"by": 0}'
        )
        assert (answer["StatusCode"], answer["Payload"].read()) == (status, b"")

    def test_an_unknown_function_is_not_found_and_the_known_ones_are_named(
        self, client: Any
    ) -> None:
        with pytest.raises(ClientError, match="there are DividingFunction") as refused:
            client.invoke(FunctionName="Nobody")
        assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"

    def test_a_payload_that_is_no_json_is_refused(self, client: Any) -> None:
        with pytest.raises(ClientError, match="InvalidRequestContent"):
            client.invoke(FunctionName="DividingFunction", Payload=b"{")

    def test_another_operation_is_not_there(self, client: Any) -> None:
        with pytest.raises(ClientError):
            client.list_functions()
