"""What is relied on in the evaluator: IAM's rules as AWS documents them, with known answers.

Of IAM's guide: "Policy evaluation logic", "IAM JSON policy elements: Condition operators",
"Creating a condition with multiple keys or values"; of KMS's: "Default key policy".
"""

from collections.abc import Mapping
from typing import Any

import pytest

from local.template import ACCOUNT
from tests.iam.judge import Judge, JudgeError, Question
from tests.iam.requests import Context, Request, arn

ROLE = f"arn:aws:iam::{ACCOUNT}:role/somebody"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
KEY = arn("kms", "key/1")
OBJECT = "arn:aws:s3:::bucket/default/keyring.json"
READ = "s3:GetObject"
TAG = "aws:ResourceTag/owner"
TAGS = "aws:TagKeys"


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    usual = {"Effect": "Allow", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [{**usual, **each} for each in statements]}


def given(to: str, *actions: str) -> dict[str, Any]:
    """Return what a resource says of itself."""
    return document({"Principal": {"AWS": to}, "Action": list(actions)})


def asked(
    action: str,
    resource: str,
    identity: dict[str, Any] | None,
    guard: dict[str, Any] | None = None,
    context: Context | None = None,
) -> Question:
    request = Request(action=action, resource=resource, context=context or {})
    return Question(principal=ROLE, request=request, identity=identity, guard=guard)


def test_nothing_is_allowed_that_no_statement_allows(judge: Judge) -> None:
    assert not judge.allows(asked(READ, OBJECT, document({"Action": "s3:PutObject"})))
    assert judge.allows(asked(READ, OBJECT, document({"Action": READ})))


def test_a_denial_outweighs_whatever_allows(judge: Judge) -> None:
    allow, deny = {"Action": "s3:*"}, {"Effect": "Deny", "Action": READ}
    assert not judge.allows(asked(READ, OBJECT, document(allow, deny)))
    assert not judge.allows(asked(READ, OBJECT, document(deny), given(ROLE, READ)))
    guard = document({"Effect": "Deny", "Action": "s3:*", "Principal": "*"})
    assert not judge.allows(asked(READ, OBJECT, document(allow), guard))


@pytest.mark.parametrize(
    ("resource", "is_met"),
    [
        (OBJECT, True),
        ("arn:aws:s3:::bucket/*", True),
        ("arn:aws:s3:::bucket/*/keyring.json", True),
        ("arn:aws:s3:::bucket/default/keyring.jso?", True),
        ("arn:aws:s3:::bucket", False),
        ("arn:aws:s3:::bucket/Default/*", False),
        ("arn:aws:s3:::*/keyring.json", True),
    ],
)
def test_a_wildcard_runs_over_slashes_and_case_counts(
    judge: Judge, resource: str, *, is_met: bool
) -> None:
    policy = document({"Action": READ, "Resource": resource})
    assert judge.allows(asked(READ, OBJECT, policy)) is is_met


def test_an_action_is_named_in_any_case_and_with_wildcards(judge: Judge) -> None:
    for action, is_met in (("S3:getobject", True), ("s3:Get*", True), ("s3:Put*", False)):
        assert judge.allows(asked(READ, OBJECT, document({"Action": action}))) is is_met


def test_not_action_is_everything_else(judge: Judge) -> None:
    policy = document({"NotAction": "s3:PutObject"})
    assert judge.allows(asked(READ, OBJECT, policy))
    assert not judge.allows(asked("s3:PutObject", OBJECT, policy))


CONDITIONS: tuple[tuple[str, str, Any, Context, bool], ...] = (
    ("StringEquals", TAG, "us", {TAG: "us"}, True),
    ("StringEquals", TAG, "us", {TAG: "Us"}, False),
    ("StringEquals", TAG, ["us", "them"], {TAG: "them"}, True),
    ("StringEquals", TAG, "us", {}, False),
    ("StringEqualsIfExists", TAG, "us", {}, True),
    ("StringEqualsIfExists", TAG, "us", {TAG: "them"}, False),
    ("StringNotEquals", TAG, "us", {TAG: "them"}, True),
    ("StringNotEquals", TAG, "us", {}, True),
    ("StringLike", TAG, "u*", {TAG: "us"}, True),
    ("Null", TAG, "true", {}, True),
    ("Null", TAG, "true", {TAG: "us"}, False),
    ("Null", TAG, "false", {TAG: "us"}, True),
    ("ForAllValues:StringEquals", TAGS, ["a", "b"], {TAGS: ("a",)}, True),
    ("ForAllValues:StringEquals", TAGS, ["a", "b"], {TAGS: ("a", "c")}, False),
    ("ForAllValues:StringEquals", TAGS, ["a", "b"], {}, True),
    ("ForAnyValue:StringEquals", TAGS, ["a", "b"], {TAGS: ("a", "c")}, True),
    ("ForAnyValue:StringEquals", TAGS, ["a", "b"], {}, False),
    ("Bool", "aws:SecureTransport", "false", {"aws:SecureTransport": "true"}, False),
    ("Bool", "aws:SecureTransport", "false", {"aws:SecureTransport": "false"}, True),
    ("BoolIfExists", "kms:MultiRegion", "false", {}, True),
    ("ArnLike", "aws:PrincipalArn", ROLE[:-3] + "*", {"aws:PrincipalArn": ROLE}, True),
)


@pytest.mark.parametrize(("operator", "key", "value", "context", "is_met"), CONDITIONS)
def test_a_condition_holds_as_documented(  # noqa: PLR0913 - a table
    judge: Judge, operator: str, key: str, value: object, context: Context, *, is_met: bool
) -> None:
    policy = document({"Action": "kms:TagResource", "Condition": {operator: {key: value}}})
    question = asked("kms:TagResource", KEY, policy, given(ROOT, "kms:*"), context)
    assert judge.allows(question) is is_met


def test_all_operators_and_all_keys_of_a_condition_must_hold(judge: Judge) -> None:
    both = {"StringEquals": {TAG: "us", "aws:ResourceTag/b": "1"}, "Null": {TAGS: "true"}}
    policy = document({"Action": "kms:TagResource", "Condition": both})
    whole: Context = {TAG: "us", "aws:ResourceTag/b": "1"}
    for context, is_met in ((whole, True), ({TAG: "us"}, False), ({**whole, TAGS: ("a",)}, False)):
        question = asked("kms:TagResource", KEY, policy, given(ROOT, "kms:*"), context)
        assert judge.allows(question) is is_met


@pytest.mark.parametrize(("days", "is_met"), [("6", False), ("7", True), ("10", True)])
def test_numbers_are_compared_as_numbers(judge: Judge, days: str, *, is_met: bool) -> None:
    window = "kms:ScheduleKeyDeletionPendingWindowInDays"
    bound = {"NumericGreaterThanEquals": {window: 7}}
    policy = document({"Action": "kms:ScheduleKeyDeletion", "Condition": bound})
    question = asked("kms:ScheduleKeyDeletion", KEY, policy, given(ROOT, "kms:*"), {window: days})
    assert judge.allows(question) is is_met


def test_a_variable_stands_for_what_the_request_says(judge: Judge) -> None:
    where = "arn:aws:s3:::bucket/${aws:PrincipalTag/identity}/*"
    policy = document({"Action": READ, "Resource": where})
    for identity, is_met in (("default", True), ("other", False)):
        context = {"aws:PrincipalTag/identity": identity}
        assert judge.allows(asked(READ, OBJECT, policy, context=context)) is is_met


def test_kms_takes_a_role_s_policy_only_where_the_key_s_leaves_it_to_iam(judge: Judge) -> None:
    policy = document({"Action": "kms:Sign"})
    assert judge.allows(asked("kms:Sign", KEY, policy, given(ROOT, "kms:*")))
    assert not judge.allows(asked("kms:Sign", KEY, policy, given(ROOT, "kms:DescribeKey")))
    assert not judge.allows(asked("kms:Sign", KEY, None, given(ROOT, "kms:*")))


def test_a_key_s_policy_alone_lets_a_role_sign_unless_its_own_denies(judge: Judge) -> None:
    assert judge.allows(asked("kms:Sign", KEY, None, given(ROLE, "kms:Sign")))
    denial = document({"Effect": "Deny", "Action": "kms:Sign"})
    assert not judge.allows(asked("kms:Sign", KEY, denial, given(ROLE, "kms:Sign")))


def test_another_account_s_thing_needs_the_word_of_both(judge: Judge) -> None:
    stranger = arn("kms", "key/1", account="999999999999")
    policy, lets = document({"Action": "kms:Sign"}), given(ROLE, "kms:Sign")
    assert judge.allows(asked("kms:Sign", stranger, policy, lets))
    assert not judge.allows(asked("kms:Sign", stranger, policy))
    assert not judge.allows(asked("kms:Sign", stranger, None, lets))


def test_what_aws_does_not_know_is_no_answer(judge: Judge) -> None:
    policy = document({"Action": "*"})
    with pytest.raises(JudgeError, match=r"invalid\.action"):
        judge.allows(asked("kms:Frobnicate", KEY, policy))
    with pytest.raises(JudgeError, match="kms:KeySpecc"):
        judge.allows(asked("kms:Sign", KEY, policy, context={"kms:KeySpecc": "RSA_2048"}))
    with pytest.raises(JudgeError, match="resource"):
        judge.allows(asked("s3:GetObject", KEY, policy))
