"""Whether a file is CycloneDX 1.6: ``python -m tests.audit.schema FILE``, in .venv-audit."""

import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion  # type: ignore[import-not-found, unused-ignore]
from cyclonedx.validation.json import (  # type: ignore[import-not-found, unused-ignore]
    JsonStrictValidator,
)


def main(path: Path) -> int:
    """Say what is wrong with the file; return whether anything is."""
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text())
    if fault:
        sys.stdout.write(f"{path}: {fault}\n")
    return int(bool(fault))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
