"""The pairs of conditions: all are shown, and what hides behind one is found."""

from pathlib import Path
from typing import Any, Final

import pytest

from tests.audit.variants import decide, decisions, holds, main, pairs_of, variant
from tests.template.transformed import PATH, source

IS_SET: Final = {"Fn::Not": [{"Fn::Equals": [{"Ref": "Url"}, ""]}]}
DOCUMENT: Final[dict[str, Any]] = {
    "Parameters": {
        "Url": {"Default": ""},
        "Kind": {"Default": "api", "AllowedValues": ["api", "cdn"]},
        "Size": {"Default": 0},
    },
    "Conditions": {
        "HasUrl": IS_SET,
        "IsCdn": {"Fn::Equals": [{"Ref": "Kind"}, "cdn"]},
        "HasBoth": {"Fn::And": [{"Condition": "HasUrl"}, {"Condition": "IsCdn"}]},
        "HasEither": {"Fn::Or": [{"Condition": "HasUrl"}, {"Condition": "IsCdn"}]},
        "IsBig": {"Fn::Equals": ["9", {"Ref": "Size"}]},
    },
}


def test_every_pair_that_can_be_is_shown_and_none_that_cannot() -> None:
    chosen = decisions(DOCUMENT)
    for way in chosen:
        assert way["HasBoth"] == (way["HasUrl"] and way["IsCdn"])
        assert way["HasEither"] == (way["HasUrl"] or way["IsCdn"])
    # Ten pairs of two that may each be so or so, less the five combinations that exclude each
    # other: both without either, both without the URL, both without the CDN, and the two with
    # one of them and not either.
    assert pairs_of(chosen) == 10 * 4 - 5
    assert len(chosen) < 2**3


def test_the_template_s_own_conditions_stand_in_every_pair_of_ways() -> None:
    document = source()
    count = len(document["Conditions"])
    assert pairs_of(decisions(document)) >= count * (count - 1)


def test_a_template_without_conditions_is_one_variant() -> None:
    assert decisions({}) == [{}]


def test_what_a_condition_takes_away_is_gone() -> None:
    value = {
        "Kept": {"Condition": "Yes", "Of": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}},
        "Gone": {"Condition": "No"},
        "List": [{"Fn::If": ["Yes", {"Fn::If": ["No", 1, 2]}, 3]}, {"Ref": "AWS::NoValue"}],
    }
    made = {"Kept": {"Condition": "Yes"}, "List": [2]}
    assert decide(value, {"Yes": True, "No": False}) == made


def test_the_statement_of_a_policy_keeps_its_condition() -> None:
    statement = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    assert decide(statement, {"Bool": False}) == statement


def test_the_rules_of_the_template_are_no_part_of_what_is_decided() -> None:
    document = {"Rules": {"One": {"RuleCondition": IS_SET}}, **DOCUMENT}
    made = variant(document, decisions(document)[0])
    assert made["Rules"] == document["Rules"]
    assert made["Conditions"] == document["Conditions"]


@pytest.mark.parametrize("expression", [{"Fn::Contains": [[], ""]}, "x"])
def test_a_form_that_is_not_known_is_not_passed_over(expression: object) -> None:
    with pytest.raises(LookupError):
        holds(expression, {}, {})


def test_a_name_that_is_there_under_a_condition_only_is_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = PATH.read_text()
    group = "  UppercaseLogGroup:\n"
    path = tmp_path / "template.yaml"
    path.write_text(text.replace(group, f"{group}    Condition: HasPublicUrl\n"))
    assert main(path) != 0
    assert "UppercaseLogGroup" in capfd.readouterr().out
