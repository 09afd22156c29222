"""Documents in S3: compare-and-swap on moto, and on a wire that loses answers."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from moto import mock_aws

from machine_identity.aws import AwsError
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket, Document
from machine_identity.errors import ConflictError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "default/keyring.json"
CACHE_CONTROL = "public, max-age=300"


type Refusal = tuple[int, str]
"""Status and code."""


class World:
    """A bucket whose wire can be meddled with, and its owner's second client."""

    def __init__(self) -> None:
        self.s3: S3Client = client("s3")
        self.s3.create_bucket(
            Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        self.s3.put_bucket_versioning(
            Bucket="state", VersioningConfiguration={"Status": "Enabled"}
        )
        self.bucket = Bucket(self.s3, "state")
        other: S3Client = client("s3")
        self.other = Bucket(other, "state")
        self.sent = 0

    def refuse(self, operation: str, answers: Callable[[], Refusal | None]) -> None:
        """Let S3 refuse what is asked, unseen by moto, or let it through for None."""

        def before_call(**_: object) -> tuple[AWSResponse, dict[str, Any]] | None:
            self.sent += 1
            refusal = answers()
            if refusal is None:
                return None
            status, code = refusal
            error = {"Error": {"Code": code, "Message": "secret"}}
            return AWSResponse("https://s3", status, HTTPHeaders(), None), error

        self._first(f"before-call.s3.{operation}", before_call)

    def meddle(self, operation: str, meddler: Callable[[Any], AWSResponse | None]) -> None:
        """Let ``meddler`` raise on the wire, or change the answer to what moto did."""

        def before_send(request: Any, **_: object) -> AWSResponse | None:
            self.sent += 1
            return meddler(request)

        self._first(f"before-send.s3.{operation}", before_send)

    def _first(self, event: str, handler: Callable[..., Any]) -> None:
        self.s3.meta.events.register_first(event, handler)

    def stands(self) -> bytes | None:
        document = self.other.read(KEY)
        return None if document is None else document.body


class _Raw:
    """The stream that botocore reads an answer's body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, *_: object) -> bytes:
        body, self._body = self._body, b""
        return body


UNDECIDED: Refusal = (409, "ConditionalRequestConflict")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    with mock_aws():
        yield World()


# Reading


def test_what_was_written_is_read_with_its_tag_and_its_cache_control(world: World) -> None:
    tag = world.bucket.write(KEY, b"{}", expected=None, cache_control=CACHE_CONTROL)
    assert world.bucket.read(KEY) == Document(body=b"{}", tag=tag, cache_control=CACHE_CONTROL)


def test_a_document_says_nothing_of_caches_unless_it_was_told_to(world: World) -> None:
    world.bucket.write(KEY, b"{}", expected=None)
    document = world.bucket.read(KEY)
    assert document is not None
    assert document.cache_control is None


def test_it_is_stored_as_json(world: World) -> None:
    world.bucket.write(KEY, b"{}", expected=None)
    assert world.s3.head_object(Bucket="state", Key=KEY)["ContentType"] == "application/json"


def test_an_absent_object_is_none_and_an_absent_bucket_is_an_error(world: World) -> None:
    assert world.bucket.read(KEY) is None
    with pytest.raises(AwsError, match="s3:GetObject failed: NoSuchBucket"):
        Bucket(world.s3, "nowhere").read(KEY)


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (503, "SlowDown")])
def test_a_read_that_is_refused_is_an_error_and_not_an_absence(
    world: World, status: int, code: str
) -> None:
    world.bucket.write(KEY, b"{}", expected=None)
    world.refuse("GetObject", lambda: (status, code))
    with pytest.raises(AwsError) as failed:
        world.bucket.read(KEY)
    assert str(failed.value) == f"s3:GetObject failed: {code}"


def test_a_body_that_breaks_off_is_an_error_and_not_half_a_document(world: World) -> None:
    headers = HTTPHeaders()
    headers["content-length"] = "100"
    world.meddle("GetObject", lambda _: AWSResponse("https://s3", 200, headers, _Raw(b"{}")))
    with pytest.raises(AwsError, match="s3:GetObject failed: IncompleteReadError"):
        world.bucket.read(KEY)


def test_no_repr_shows_a_document() -> None:
    assert "secret" not in repr(Document(body=b"secret", tag='"tag"'))


# History


def test_an_object_has_a_history_from_its_first_version_on_and_for_ever(world: World) -> None:
    assert not world.bucket.has_history(KEY)
    world.bucket.write(KEY, b"{}", expected=None)
    assert world.bucket.has_history(KEY)
    world.s3.delete_object(Bucket="state", Key=KEY)
    assert world.bucket.read(KEY) is None
    assert world.bucket.has_history(KEY)


def test_a_delete_marker_alone_is_a_history(world: World) -> None:
    version = world.s3.put_object(Bucket="state", Key=KEY, Body=b"{}")["VersionId"]
    world.s3.delete_object(Bucket="state", Key=KEY)
    world.s3.delete_object(Bucket="state", Key=KEY, VersionId=version)
    assert world.bucket.has_history(KEY)


def test_another_object_s_history_is_not_ours_however_like_its_name(world: World) -> None:
    for name in ("default/keyring.json.bak", "default/keyring.jso", "a", "z"):
        world.bucket.write(name, b"{}", expected=None)
    world.s3.delete_object(Bucket="state", Key="default/keyring.json.bak")
    assert not world.bucket.has_history(KEY)


def test_a_history_that_cannot_be_read_is_an_error(world: World) -> None:
    with pytest.raises(AwsError, match="s3:ListObjectVersions failed: NoSuchBucket"):
        Bucket(world.s3, "nowhere").has_history(KEY)


# Compare-and-swap


def test_rule_6_each_write_names_the_version_that_it_replaces(world: World) -> None:
    first = world.bucket.write(KEY, b"1", expected=None)
    second = world.bucket.write(KEY, b"2", expected=first)
    assert first != second
    assert world.stands() == b"2"


@pytest.mark.parametrize("expected", [None, '"00000000000000000000000000000000"'])
def test_rule_6_a_write_that_names_another_version_is_lost_and_overwrites_nothing(
    world: World, expected: str | None
) -> None:
    world.other.write(KEY, b"theirs", expected=None)
    with pytest.raises(ConflictError, match=f"^{KEY} was written by somebody else"):
        world.bucket.write(KEY, b"ours", expected=expected)
    assert world.stands() == b"theirs"


def test_rule_6_of_two_writers_with_one_version_the_second_is_lost(world: World) -> None:
    tag = world.bucket.write(KEY, b"1", expected=None)
    world.other.write(KEY, b"theirs", expected=tag)
    with pytest.raises(ConflictError):
        world.bucket.write(KEY, b"ours", expected=tag)
    assert world.stands() == b"theirs"


def test_rule_6_what_was_deleted_under_our_hands_is_a_conflict_and_is_not_made_again(
    world: World,
) -> None:
    tag = world.bucket.write(KEY, b"1", expected=None)
    world.s3.delete_object(Bucket="state", Key=KEY)
    with pytest.raises(ConflictError):
        world.bucket.write(KEY, b"ours", expected=tag)
    assert world.stands() is None


def test_a_conflict_does_not_show_what_was_to_be_written(world: World) -> None:
    world.other.write(KEY, b"theirs", expected=None)
    with pytest.raises(ConflictError) as lost:
        world.bucket.write(KEY, b"ours", expected=None)
    assert "theirs" not in str(lost.value)
    assert "ours" not in str(lost.value)


# Answers that are lost on the way


def losing(world: World, *, expected: str | None) -> Callable[[Any], None]:
    """Carry the first write out and lose its answer: botocore sends it again, and S3 says 412."""

    def meddler(request: Any) -> None:
        if world.sent == 1:
            assert request.headers.get("If-Match" if expected else "If-None-Match")
            world.other.write(KEY, b"ours", expected=expected, cache_control=CACHE_CONTROL)
            raise ConnectionClosedError(endpoint_url="https://s3")

    return meddler


@pytest.mark.parametrize("is_first", [True, False])
def test_rule_5_a_lost_answer_to_one_s_own_write_is_no_conflict(
    world: World, *, is_first: bool
) -> None:
    expected = None if is_first else world.other.write(KEY, b"before", expected=None)
    world.meddle("PutObject", losing(world, expected=expected))
    tag = world.bucket.write(KEY, b"ours", expected=expected, cache_control=CACHE_CONTROL)
    document = world.other.read(KEY)
    assert document == Document(body=b"ours", tag=tag, cache_control=CACHE_CONTROL)
    assert world.sent == 2


@pytest.mark.parametrize("cache_control", [None, "public, max-age=60"])
def test_rule_5_the_same_body_with_another_cache_control_is_not_one_s_own_write(
    world: World, cache_control: str | None
) -> None:
    world.meddle("PutObject", losing(world, expected=None))
    with pytest.raises(ConflictError):
        world.bucket.write(KEY, b"ours", expected=None, cache_control=cache_control)


def test_a_write_without_any_answer_is_an_error_and_no_conflict(world: World) -> None:
    def meddler(_: object) -> None:
        raise ConnectionClosedError(endpoint_url="https://s3")

    world.meddle("PutObject", meddler)
    with pytest.raises(AwsError, match="s3:PutObject failed: ConnectionClosedError"):
        world.bucket.write(KEY, b"ours", expected=None)


def test_a_lost_write_whose_outcome_cannot_be_read_is_an_error_and_no_conflict(
    world: World,
) -> None:
    world.other.write(KEY, b"theirs", expected=None)
    world.refuse("GetObject", lambda: (403, "AccessDenied"))
    with pytest.raises(AwsError, match="s3:GetObject failed: AccessDenied"):
        world.bucket.write(KEY, b"ours", expected=None)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidRequest")]
)
def test_a_write_that_is_refused_is_an_error_and_is_not_tried_again(
    world: World, status: int, code: str
) -> None:
    world.refuse("PutObject", lambda: (status, code))
    with pytest.raises(AwsError) as failed:
        world.bucket.write(KEY, b"ours", expected=None)
    assert (str(failed.value), world.sent) == (f"s3:PutObject failed: {code}", 1)


# 409: another conditional write is under way


@pytest.mark.parametrize("times", [1, 2])
def test_an_undecided_write_is_tried_again(world: World, times: int) -> None:
    world.refuse("PutObject", lambda: UNDECIDED if world.sent <= times else None)
    world.bucket.write(KEY, b"ours", expected=None)
    assert (world.stands(), world.sent) == (b"ours", times + 1)


def test_a_write_that_stays_undecided_is_a_conflict_and_is_not_tried_for_ever(
    world: World,
) -> None:
    world.refuse("PutObject", lambda: UNDECIDED)
    with pytest.raises(ConflictError):
        world.bucket.write(KEY, b"ours", expected=None)
    assert (world.stands(), world.sent) == (None, 3)


def test_an_undecided_write_that_the_other_one_won_is_a_conflict(world: World) -> None:
    def answers() -> Refusal | None:
        if world.sent > 1:
            return None
        world.other.write(KEY, b"theirs", expected=None)
        return UNDECIDED

    world.refuse("PutObject", answers)
    with pytest.raises(ConflictError):
        world.bucket.write(KEY, b"ours", expected=None)
    assert (world.stands(), world.sent) == (b"theirs", 2)
