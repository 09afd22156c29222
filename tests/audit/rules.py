"""checkov over both forms of the template, and what may be excepted from its rules.

An exception stands at its resource, with its reason: ``Metadata.checkov.skip``. One without a
reason, and one that excepts nothing any more, fails as a finding does.
``python -m tests.audit.rules CHECKOV`` runs that program and ends with its count.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.template.transformed import PATH, source, transformed

REASON: Final = 15
"""The letters that a reason has at least."""
Exception_ = tuple[str, str]
"""A resource's name and a rule's."""


def exceptions(document: Mapping[str, Any]) -> dict[Exception_, str]:
    """Return the reason of each exception."""
    return {
        (name, each["id"]): each.get("comment", "")
        for name, resource in document["Resources"].items()
        for each in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    }


def faults(document: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    """Return what is wrong, a line each: findings, and exceptions that should not be."""
    excepted, results = exceptions(document), report["results"]
    used = {(_name(each), each["check_id"]) for each in results["skipped_checks"]}
    return [
        *(
            f"{each['check_id']} at {_name(each)}: {each['check_name']}"
            for each in results["failed_checks"]
        ),
        *(f"not read: {each}" for each in results["parsing_errors"]),
        *(
            f"{rule} at {name}: no reason is given"
            for (name, rule), reason in excepted.items()
            if len(reason) < REASON
        ),
        *(f"{rule} at {name}: nothing to except" for name, rule in excepted.keys() - used),
    ]


def run(program: Path, path: Path = PATH) -> dict[str, Any]:
    """Return checkov's report on both forms."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "transformed.json"
        made.write_text(json.dumps(transformed(path=path), indent=1))
        options = ["--skip-download", "--soft-fail", "--framework=cloudformation", "--output=json"]
        command = [str(program), *options, "--file", str(path), "--file", str(made)]
        # It is told of no account, so that it asks nobody for anything.
        environment = {**os.environ, "LOG_LEVEL": "ERROR", "ANSI_COLORS_DISABLED": "1"}
        done = subprocess.run(command, capture_output=True, check=False, env=environment)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        sys.stderr.write((done.stdout + done.stderr).decode())
        raise
    return report


def main(program: Path) -> int:
    """Print the faults and the count; return whether there are any."""
    document = source()
    report = run(program)
    found = faults(document, report)
    for line in sorted(found):
        sys.stdout.write(line + "\n")
    summary, excepted = report["summary"], exceptions(document)
    rules = len({rule for _, rule in excepted})
    sys.stdout.write(
        f"{summary['passed']} passed, {summary['failed']} failed over both forms; "
        f"{len(excepted)} exceptions from {rules} rules, each with its reason\n"
    )
    return int(bool(found) or not summary["passed"])


def _name(check: Mapping[str, Any]) -> str:
    return str(check["resource"]).rpartition(".")[2]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
