"""The threat model names a test for every rule of RFC 8725, and each of them is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MODEL = (ROOT / "docs" / "threat-model.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
SECTIONS = [f"2.{number}" for number in range(1, 10)] + [f"3.{number}" for number in range(1, 13)]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = MODEL.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST.findall(MODEL))))
def test_a_test_that_the_threat_model_names_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert name.startswith("test_")
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_every_section_of_rfc_8725_has_a_row_with_a_test() -> None:
    table = rows("RFC 8725, rule by rule")
    assert [row[0] for row in table] == SECTIONS
    assert all(TEST.search(row[-1]) for row in table)


@pytest.mark.parametrize(
    "heading", ["Who wants it, and what holds them off", "Stricter than that"]
)
def test_every_other_claim_has_a_test_too(heading: str) -> None:
    table = rows(heading)
    assert len(table) > 5
    assert all(TEST.search(row[-1]) for row in table)


def test_what_looks_like_a_test_s_name_is_read_as_one() -> None:
    assert len(TEST.findall(MODEL)) == MODEL.count("::")
