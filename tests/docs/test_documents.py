"""What the documents say is what the code does: their numbers, names and commands."""

import re
from pathlib import Path

import pytest
import yaml

from bench import cost, timings
from functions.uppercase.app import MAX_BODY_BYTES
from local.template import load
from machine_identity import jwk, providers

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
ROTATION = (ROOT / "docs" / "rotation.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_bill_in_the_readme_is_what_bench_cost_prints() -> None:
    assert cost.table() in README


def test_the_waits_in_the_documents_are_what_bench_timings_prints() -> None:
    assert timings.table() in ROTATION


def test_the_readme_names_every_provider_and_algorithm() -> None:
    for names in (providers.NAMES, jwk.ALGORITHMS):
        assert " ".join(f"`{name}`" for name in names) in README


def test_the_readme_names_every_parameter_and_no_other() -> None:
    class Loader(yaml.SafeLoader):
        """Reads past CloudFormation's short forms."""

    Loader.add_multi_constructor("!", lambda *_: None)
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader=Loader)  # noqa: S506
    table = README.split("| parameter | default |")[1].split("\n\n")[0]
    named = {
        name
        for row in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named == set(template["Parameters"])


def test_the_readme_says_how_large_a_body_may_be() -> None:
    assert f"at most {MAX_BODY_BYTES} bytes" in README


def test_the_functions_that_the_readme_invokes_are_there() -> None:
    invoked = set(re.findall(r"`(\w+Function)`", README))
    assert invoked <= {spec.name for spec in load({}).functions}
    assert invoked


def test_every_make_target_that_a_document_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(), re.MULTILINE)
    }
    assert named <= targets
    assert {"demo", "test", "serve"} <= named


def test_the_runbook_tells_what_to_do_about_every_metric_and_about_no_other() -> None:
    core = ROOT / "layers" / "machine_identity" / "machine_identity"
    token = (ROOT / "functions" / "token" / "app.py").read_text()
    decisions = "\n".join(each.read_text() for each in core.rglob("*.py"))
    counted = {
        *re.findall(r'count\("(\w+)"', token),
        *re.findall(r'alarms(?:=|\.append)\("(\w+)"', decisions),
        *re.findall(r'"([A-Z]\w+)":', (core / "commands" / "metrics.py").read_text()),
    }
    table = (ROOT / "docs" / "runbook.md").read_text().split("| metric |")[1].split("\n\n")[0]
    named = {
        name
        for row in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named == counted


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    path = r"`((?:docs|local|bench|tests|events|functions)/[\w./-]+)`"
    named = re.findall(path, document.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]
