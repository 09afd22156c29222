"""A network without advisories is told of, and is neither a finding nor a clean bill."""

from typing import Any, Final

from tests.audit.advisories import told

CLEAN: Final = {"name": "pyjwt", "version": "2.0", "vulns": []}
FAULTY: Final = {
    "name": "cffi",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}],
}
UNKNOWN: Final = {"name": "jmespath", "skip_reason": "not found"}


def report(*dependencies: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(dependencies), "fixes": []}


def test_a_source_that_was_not_reached_or_knows_nothing_is_said() -> None:
    found, line = told({"pypi": report(UNKNOWN), "osv": None})
    assert found == []
    assert line.startswith("NOT CHECKED: asked pypi and osv")


def test_what_a_source_does_not_know_is_said_beside_what_it_does() -> None:
    found, line = told({"pypi": report(CLEAN, UNKNOWN)})
    assert found == []
    assert line == "1 packages, 0 advisories (pypi); NOT CHECKED: 1 that it does not know"


def test_an_advisory_is_found_by_the_second_source_too() -> None:
    found, line = told({"pypi": None, "osv": report(CLEAN, FAULTY)})
    assert found == ["cffi 1.0: PYSEC-1, fixed in ['1.1']"]
    assert line == "2 packages, 1 advisories (osv)"
