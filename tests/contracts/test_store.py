"""What rotation relies on in a store: one suite, on the simulated one and on S3."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from local.aws import REGION, Aws
from machine_identity.aws.s3 import Bucket
from machine_identity.errors import ConflictError
from machine_identity.rotation import Store
from tests import outside

KEY = "default/keyring.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A store, and how an operator deletes a document of it by hand."""

    store: Store
    delete: Callable[[str], object]


@pytest.fixture(params=["simulated", "s3"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    if request.param == "simulated":
        simulated = outside.Store("state", lambda _moment, _call: None)
        yield Case(store=simulated, delete=simulated.delete)
        return
    with Aws() as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket="state", VersioningConfiguration={"Status": "Enabled"})
        yield Case(
            store=Bucket(s3, "state"), delete=lambda key: s3.delete_object(Bucket="state", Key=key)
        )


def test_what_was_never_written_is_not_there_and_has_no_history(case: Case) -> None:
    assert case.store.read(KEY) is None
    assert not case.store.has_history(KEY)


def test_what_is_written_is_read_with_its_tag_and_its_caching(case: Case) -> None:
    tag = case.store.write(KEY, b"{}", expected=None, cache_control="public, max-age=300")
    document = case.store.read(KEY)
    assert document is not None
    assert (document.body, document.tag) == (b"{}", tag)
    assert document.cache_control == "public, max-age=300"
    case.store.write("other", b"{}", expected=None)
    other = case.store.read("other")
    assert other is not None
    assert other.cache_control is None


def test_a_first_write_does_not_replace_what_another_wrote_first(case: Case) -> None:
    case.store.write(KEY, b"1", expected=None)
    with pytest.raises(ConflictError):
        case.store.write(KEY, b"2", expected=None)
    document = case.store.read(KEY)
    assert document is not None
    assert document.body == b"1"


def test_of_two_writes_over_the_same_version_the_second_loses(case: Case) -> None:
    tag = case.store.write(KEY, b"1", expected=None)
    case.store.write(KEY, b"2", expected=tag)
    with pytest.raises(ConflictError):
        case.store.write(KEY, b"3", expected=tag)
    document = case.store.read(KEY)
    assert document is not None
    assert document.body == b"2"


def test_a_write_over_a_version_that_was_deleted_loses(case: Case) -> None:
    tag = case.store.write(KEY, b"1", expected=None)
    case.delete(KEY)
    with pytest.raises(ConflictError):
        case.store.write(KEY, b"2", expected=tag)
    assert case.store.read(KEY) is None


def test_rule_5_a_write_that_finds_itself_written_already_has_won(case: Case) -> None:
    first = case.store.write(KEY, b"1", expected=None, cache_control="max-age=300")
    second = case.store.write(KEY, b"1", expected=None, cache_control="max-age=300")
    assert first == second


def test_the_same_body_with_another_caching_is_not_the_same_write(case: Case) -> None:
    case.store.write(KEY, b"1", expected=None, cache_control="max-age=300")
    with pytest.raises(ConflictError):
        case.store.write(KEY, b"1", expected=None, cache_control="max-age=60")


def test_rule_6_a_tag_recurs_with_the_content(case: Case) -> None:
    first = case.store.write(KEY, b"1", expected=None)
    second = case.store.write(KEY, b"2", expected=first)
    assert second != first
    assert case.store.write(KEY, b"1", expected=second) == first


def test_a_deleted_document_leaves_its_history_and_only_its_own(case: Case) -> None:
    case.store.write(KEY, b"1", expected=None)
    case.delete(KEY)
    assert case.store.read(KEY) is None
    assert case.store.has_history(KEY)
    assert not case.store.has_history("default/keyring")
