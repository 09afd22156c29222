"""template.yaml as a reader sees it, and as CloudFormation gets it after the SAM transform.

Some faults show in the transformed template only (a circle through the API, say), so both are
linted: ``python -m tests.template.transformed`` does so and exits with cfn-lint's own status.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast
from unittest.mock import patch

from samtranslator.translator.transform import transform  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

PATH: Final = Path(__file__).parent.parent.parent / "template.yaml"
REGION: Final = "eu-central-1"
_ARTEFACT: Final = "s3://artefacts/built.zip"
"""What packaging puts in the place of a folder."""


class _NoManagedPolicies:
    """The roles are written out, so that AWS's managed policies need not be known."""

    def load(self) -> dict[str, str]:
        return {}


def source(path: Path = PATH) -> dict[str, Any]:
    """Return the template with its intrinsic functions in their long form."""
    return cast("dict[str, Any]", yaml_parse(path.read_text()))


def transformed(parameters: Mapping[str, str] | None = None, path: Path = PATH) -> dict[str, Any]:
    """Return what the SAM transform makes of the template under ``parameters``."""
    document = source(path)
    for resource in document["Resources"].values():
        for name in {"CodeUri", "ContentUri"} & resource["Properties"].keys():
            resource["Properties"][name] = _ARTEFACT
    logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it tells of its own metrics
    # The translator asks in which partition it is.
    with patch.dict(os.environ, {"AWS_DEFAULT_REGION": REGION}):
        made = transform(document, dict(parameters or {}), _NoManagedPolicies())
    return cast("dict[str, Any]", json.loads(json.dumps(made)))


def lint(path: Path = PATH) -> int:
    """Lint the template and what the transform makes of it; return cfn-lint's status."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "transformed.json"
        made.write_text(json.dumps(transformed(path=path), indent=1))
        return run_lint([path, made])


def run_lint(paths: Sequence[Path], *, ignored: Sequence[str] = ()) -> int:
    """Lint templates, but for the rules ``ignored``; return cfn-lint's status."""
    linter = str(Path(sys.executable).with_name("cfn-lint"))
    passed_over = ["--ignore-checks", *ignored] if ignored else []
    files = [str(each) for each in paths]
    command = [linter, "--regions", REGION, *passed_over, "--", *files]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(lint())
