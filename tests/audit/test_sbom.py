"""The bill of materials: every package that is locked, and nothing that changes by itself."""

import json
import re
from typing import Any, Final

import pytest

from tests.audit.sbom import LOCK, WRITTEN, SbomError, bill, pins, text

BILL: Final[dict[str, Any]] = json.loads(WRITTEN.read_text())


def test_the_committed_one_follows_from_the_lock() -> None:
    assert WRITTEN.read_text() == text(), "run 'make lock'"


def test_every_package_of_the_layer_is_in_it_with_version_and_hashes() -> None:
    # Read otherwise than the bill reads it.
    locked = re.split(r"(?m)^(?=\S+==)", LOCK.read_text())[1:]
    assert {(each["name"], each["version"]): hashes(each) for each in BILL["components"]} == {
        tuple(each.split(" ")[0].split("==")): set(re.findall(r"[0-9a-f]{64}", each))
        for each in locked
    }


def hashes(component: dict[str, Any]) -> set[str]:
    (reference,) = component["externalReferences"]
    assert {each["alg"] for each in reference["hashes"]} == {"SHA-256"}
    return {each["content"] for each in reference["hashes"]}


def test_every_package_says_its_licence_and_is_needed_by_another_or_by_us() -> None:
    assert [
        each["name"] for each in BILL["components"] if not each["licenses"][0]["expression"]
    ] == []
    needed = {ref for each in BILL["dependencies"] for ref in each["dependsOn"]}
    assert needed == {each["bom-ref"] for each in BILL["components"]}


def test_it_has_neither_an_instant_nor_a_number_of_its_own_nor_a_host() -> None:
    assert BILL["metadata"].keys() == {"component"}
    assert "serialNumber" not in BILL
    hosts = set(re.findall(r"https?://([^/\"]+)", WRITTEN.read_text()))
    assert hosts == {"cyclonedx.org"}  # its schema's name


def test_what_is_installed_but_not_locked_is_refused() -> None:
    lock = re.sub(r"(?m)^pyjwt==\S+", "pyjwt==1.0", LOCK.read_text())
    with pytest.raises(SbomError, match="bin/setup dev"):
        bill(lock)


@pytest.mark.parametrize("line", ["pyjwt==2.0", "pyjwt @ file:///tmp/x", "-e ."])
def test_a_line_of_the_lock_that_has_no_hash_is_refused(line: str) -> None:
    with pytest.raises(SbomError):
        pins(f"{LOCK.read_text()}{line}\n")
