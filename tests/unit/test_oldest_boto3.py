"""boto3's floor in pyproject.toml: the oldest that can say If-Match when it writes to S3.

Checked once against the releases themselves: the PutObject of botocore 1.35.68 knows If-None-Match
only, that of 1.35.69 knows both, and boto3 requires the botocore of its own number. What can be
held without a network is held here: the floor is no lower than that, what is installed is no
older than the floor, and it does send the headers.
"""

import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from packaging.requirements import Requirement
from packaging.version import Version

from machine_identity.aws.s3 import Bucket

ROOT = Path(__file__).parents[2]
FIRST_WITH_IF_MATCH = Version("1.35.69")


def floor() -> Version:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = map(Requirement, project["optional-dependencies"]["aws"])
    (boto,) = (each for each in wanted if each.name == "boto3")
    (bound,) = (each for each in boto.specifier if each.operator == ">=")
    return Version(bound.version)


def test_the_floor_is_no_lower_than_the_first_release_that_knows_if_match() -> None:
    assert floor() >= FIRST_WITH_IF_MATCH


@pytest.mark.parametrize("package", ["boto3", "botocore"])
def test_what_is_installed_is_no_older_than_the_floor(package: str) -> None:
    assert Version(version(package)) >= floor()


@pytest.mark.parametrize(
    ("expected", "header", "value"),
    [('"tag"', "If-Match", '"tag"'), (None, "If-None-Match", "*")],
)
def test_rule_6_every_write_leaves_this_process_with_its_condition(
    expected: str | None, header: str, value: str
) -> None:
    sent: list[Any] = []
    headers: Any = {"ETag": '"new"'}

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, headers, _Nothing())

    config = Config(signature_version=UNSIGNED, region_name="eu-central-1")
    s3 = boto3.client("s3", config=config)
    s3.meta.events.register("before-send.s3.PutObject", cast("Any", answer))
    assert Bucket(s3, "state").write("keyring.json", b"{}", expected=expected) == '"new"'
    (request,) = sent
    assert request.headers[header] == value.encode()


class _Nothing:
    """The empty body of an answer, as botocore reads one."""

    def stream(self) -> list[bytes]:
        return []
