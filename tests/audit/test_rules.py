"""What may be excepted from checkov's rules, and how that is told."""

from typing import Any, Final

from tests.audit.rules import exceptions, faults
from tests.template.transformed import source

RULE: Final = "CKV_AWS_18"
REASON: Final = "Every write is a version."


def document(*skipped: dict[str, str]) -> dict[str, Any]:
    return {"Resources": {"Bucket": {"Metadata": {"checkov": {"skip": list(skipped)}}}}}


def check(resource: str = "AWS::S3::Bucket.Bucket") -> dict[str, str]:
    return {"check_id": RULE, "check_name": "Ensure logging", "resource": resource}


def report(**results: list[Any]) -> dict[str, Any]:
    whole: dict[str, list[Any]] = {"failed_checks": [], "skipped_checks": [], "parsing_errors": []}
    return {"results": whole | results}


def test_an_exception_with_a_reason_is_no_fault() -> None:
    excepted = document({"id": RULE, "comment": REASON})
    assert faults(excepted, report(skipped_checks=[check()])) == []


def test_a_finding_is_a_fault() -> None:
    assert faults(document(), report(failed_checks=[check()])) == [
        "CKV_AWS_18 at Bucket: Ensure logging"
    ]


def test_a_form_that_checkov_could_not_read_is_a_fault() -> None:
    assert faults(document(), report(parsing_errors=["template.yaml"])) == [
        "not read: template.yaml"
    ]


def test_an_exception_without_a_reason_is_a_fault() -> None:
    (fault,) = faults(document({"id": RULE}), report(skipped_checks=[check()]))
    assert "no reason" in fault


def test_an_exception_that_excepts_nothing_is_a_fault() -> None:
    excepted = document({"id": RULE, "comment": REASON})
    (fault,) = faults(excepted, report(skipped_checks=[check("AWS::S3::Bucket.Other")]))
    assert "nothing to except" in fault


def test_the_template_excepts_these_rules_and_no_others() -> None:
    rules = {rule for _, rule in exceptions(source())}
    # docs/decisions/0015 says why of each.
    assert rules == {
        "CKV_AWS_18",
        "CKV_AWS_26",
        "CKV_AWS_27",
        "CKV_AWS_115",
        "CKV_AWS_116",
        "CKV_AWS_117",
        "CKV_AWS_158",
        "CKV_AWS_173",
    }
