"""The Node side: whether there is one, and the packages that its lock file names.

``bench`` and ``interop`` have their packages by the same ``install``.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "node"
LEAST: Final = 18
_VERSION: Final = re.compile(r"v(\d+)\.")


class NodeError(Exception):
    """Node, or what is to run on it, cannot be had here."""


def find(least: int = LEAST) -> str:
    """Return where Node is. Raises NodeError if there is none, or one older than ``least``."""
    node = _program("node", least)
    printed = _run(node, "--version").stdout
    found = _VERSION.match(printed)
    if found is None or int(found[1]) < least:
        raise NodeError(f"this needs Node {least} or newer, and {node} is {printed!r}")
    return node


def install(say: Callable[[str], None], folder: Path = FOLDER) -> None:
    """Have the packages of the lock file in ``folder``. Raises NodeError."""
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    say(f"npm ci: the packages of the {folder.parent.name}, once")
    done = _run(_program("npm"), "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)
    if done.returncode:
        raise NodeError(f"npm ci failed: {done.stderr.strip()}")
    installed.touch()


def version_of(package: str, folder: Path = FOLDER) -> str:
    """Return the version of a package that is installed in ``folder``."""
    about = json.loads((folder / "node_modules" / package / "package.json").read_text())
    return str(about["version"])


def _program(name: str, least: int = LEAST) -> str:
    found = shutil.which(name)
    if found is None:
        raise NodeError(
            f"this needs Node {least} or newer, and there is no {name} on the PATH: an "
            "authorization server and some of the verifiers are npm packages"
        )
    return found


def _run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
