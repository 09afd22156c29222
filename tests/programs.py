"""Programs that a test puts on the PATH."""

from pathlib import Path


def program(folder: Path, name: str, script: str) -> None:
    """Write a shell script that is run by its name."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
