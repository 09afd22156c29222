"""pip-audit over what the layer is locked to, where its data can be had.

A network without the advisories is no finding, and no clean bill either: it is said, in the line
that otherwise has the count. ``python -m tests.audit.advisories PIP-AUDIT`` ends with that line.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.template.transformed import PATH

LOCK: Final = PATH.parent / "layers/machine_identity/requirements.txt"
SOURCES: Final = ("pypi", "osv")
"""Where pip-audit asks, the second when the first knows nothing."""
PATIENCE: Final = "5"
"""Seconds that a source is given for an answer."""


def ask(program: Path, service: str) -> dict[str, Any] | None:
    """Return pip-audit's report, or None when it has none."""
    options = f"--disable-pip --require-hashes --format json --timeout {PATIENCE}".split()
    command = [str(program), *options, "--vulnerability-service", service, "-r", str(LOCK)]
    done = subprocess.run(command, capture_output=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return report


def judged(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the packages that the source knew; it passes over the others."""
    return [each for each in report["dependencies"] if "skip_reason" not in each]


def told(reports: Mapping[str, Mapping[str, Any] | None]) -> tuple[list[str], str]:
    """Return the vulnerabilities, a line each, and the line that says what was looked at."""
    known = {name: report for name, report in reports.items() if report and judged(report)}
    if not known:
        asked = " and ".join(reports)
        return [], f"NOT CHECKED: asked {asked}, and neither has advisories on this network"
    name, report = next(iter(known.items()))
    packages = judged(report)
    found = [
        f"{each['name']} {each['version']}: {one['id']}, fixed in {one['fix_versions']}"
        for each in packages
        for one in each["vulns"]
    ]
    passed_over = len(report["dependencies"]) - len(packages)
    rest = f"; NOT CHECKED: {passed_over} that it does not know" if passed_over else ""
    return found, f"{len(packages)} packages, {len(found)} advisories ({name}){rest}"


def main(program: Path) -> int:
    """Ask one source after the other; return whether there is an advisory."""
    reports: dict[str, Mapping[str, Any] | None] = {}
    for service in SOURCES:
        reports[service] = report = ask(program, service)
        if report and judged(report):
            break
    found, line = told(reports)
    for each in found:
        sys.stdout.write(each + "\n")
    sys.stdout.write(line + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
