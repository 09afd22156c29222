"""boto3's clients against real HTTP: where they go, how often, how long, and what they raise."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ReadTimeoutError

from machine_identity.aws import AwsError
from machine_identity.aws.clients import client, translated
from machine_identity.errors import MachineIdentityError


class Aws:
    """An endpoint that answers everything with one status, and counts."""

    def __init__(self) -> None:
        self.status = 500
        self.requests = 0
        self.gone = threading.Event()
        """Until it is set, a status of 0 is silence."""
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.daemon_threads = False
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        aws = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                aws.requests += 1
                if aws.status == 0:
                    aws.gone.wait()
                    return
                self.send_response(aws.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    made = Aws()
    made.thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.http.server_port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    yield made
    made.gone.set()
    made.http.shutdown()
    made.thread.join()
    made.http.server_close()


def read(s3: Any) -> None:
    with translated("s3:GetObject"):
        s3.get_object(Bucket="state", Key="key")


@pytest.mark.parametrize(("attempts", "requests"), [(None, 3), (1, 1), (2, 2)])
def test_a_server_that_fails_is_asked_as_often_as_was_said_the_first_time_included(
    aws: Aws, attempts: int | None, requests: int
) -> None:
    with pytest.raises(AwsError):
        read(client("s3") if attempts is None else client("s3", attempts=attempts))
    assert aws.requests == requests


def test_what_must_not_be_sent_twice_unseen_is_sent_once(aws: Aws) -> None:
    with pytest.raises(AwsError), translated("kms:CreateKey"):
        client("kms", attempts=1).create_key()
    assert aws.requests == 1


def test_every_service_goes_where_the_environment_says(aws: Aws) -> None:
    with pytest.raises(AwsError), translated("kms:ListKeys"):
        client("kms", attempts=1).list_keys()
    with pytest.raises(AwsError), translated("tag:GetResources"):
        client("resourcegroupstaggingapi", attempts=1).get_resources()
    read_once = client("s3", attempts=1)
    with pytest.raises(AwsError):
        read(read_once)
    assert aws.requests == 3
    assert read_once.meta.region_name == "eu-central-1"


def test_a_server_that_is_silent_is_not_waited_for_longer_than_five_seconds(aws: Aws) -> None:
    aws.status = 0
    begun_at = time.monotonic()
    with pytest.raises(AwsError, match="s3:GetObject failed: ReadTimeoutError"):
        read(client("s3", attempts=1))
    assert 4.9 < time.monotonic() - begun_at < 8


def test_a_caller_that_cannot_wait_so_long_says_so(aws: Aws) -> None:
    aws.status = 0
    begun_at = time.monotonic()
    with pytest.raises(AwsError, match="s3:GetObject failed: ReadTimeoutError"):
        read(client("s3", attempts=2, patience=timedelta(seconds=0.5)))
    assert 1 < time.monotonic() - begun_at < 4
    assert aws.requests == 2


def test_a_server_that_is_gone_is_an_error_of_the_connection(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws.requests == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(AwsError, match="s3:GetObject failed: EndpointConnectionError"):
        read(client("s3"))


def test_a_connection_is_not_waited_for_longer_than_two_seconds(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws.requests == 0
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:  # nobody accepts: once the queue is full, a connection hangs
            each.setblocking(False)  # noqa: FBT003 - its only argument
            each.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        begun_at = time.monotonic()
        with pytest.raises(AwsError, match="s3:GetObject failed: ConnectTimeoutError"):
            read(client("s3", attempts=1))
        assert 1.9 < time.monotonic() - begun_at < 4
        for each in waiting:
            each.close()


# Translation


def refused(response: Any) -> AwsError:
    with pytest.raises(AwsError) as failed, translated("kms:Sign"):
        raise ClientError(response, "Sign")
    return failed.value


def test_an_error_of_aws_bears_the_operation_and_aws_s_own_code() -> None:
    error = refused({"Error": {"Code": "AccessDenied", "Message": "secret: arn of a key"}})
    assert (error.operation, error.code) == ("kms:Sign", "AccessDenied")
    assert str(error) == "kms:Sign failed: AccessDenied"
    assert isinstance(error, MachineIdentityError)


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"Error": {"Message": "secret"}}])
def test_an_error_without_a_code_is_unknown(response: dict[str, Any]) -> None:
    assert str(refused(response)) == "kms:Sign failed: Unknown"


@pytest.mark.parametrize(
    "error", [NoCredentialsError(), ReadTimeoutError(endpoint_url="https://secret")]
)
def test_an_error_of_botocore_s_own_is_named_by_its_kind(error: Exception) -> None:
    with pytest.raises(AwsError) as failed, translated("kms:Sign"):
        raise error
    assert str(failed.value) == f"kms:Sign failed: {type(error).__name__}"
    assert failed.value.__cause__ is error


def test_what_is_no_error_of_aws_is_left_as_it_is() -> None:
    with pytest.raises(KeyError), translated("kms:Sign"):
        raise KeyError("ours")
    with translated("kms:Sign"):
        pass
