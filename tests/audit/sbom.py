"""The software bill of materials of the layer, CycloneDX 1.6: packages, hashes, licences.

It follows from the lock file and from what the installed packages say of themselves, so the same
lock gives the same text: no instant, no serial number. ``python -m tests.audit.sbom`` writes it;
with ``--check`` it compares instead and ends with its count.

The hashes are those of the files that the lock takes for a package, one of which is in a layer. A
file is named by its package URL and not by where it can be had. boto3 is the Lambda runtime's own
and so is not listed.
"""

import json
import re
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

from tests.template.transformed import PATH

ROOT: Final = PATH.parent
LOCK: Final = ROOT / "layers/machine_identity/requirements.txt"
WRITTEN: Final = ROOT / "layers/machine_identity.cdx.json"
_PIN: Final = re.compile(
    r"^([\w.-]+)==([^\s;\\]+)((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE
)
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")


class SbomError(Exception):
    """What is installed is not what is locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A package that the lock names."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def purl(self) -> str:
        """The package URL, by which it is known elsewhere."""
        return f"pkg:pypi/{self.name}@{self.version}"


def pins(lock: str) -> list[Pin]:
    """Return the packages of a lock file. Raises SbomError for a line that is none."""
    found = [
        Pin(name=match[1], version=match[2], hashes=tuple(_HASH.findall(match[3])))
        for match in _PIN.finditer(lock)
    ]
    lines = [line for line in lock.splitlines() if line and not line.lstrip().startswith("#")]
    if len(lines) != sum(1 + len(each.hashes) for each in found):
        raise SbomError("the lock file has a line that is not understood")
    return found


def bill(lock: str) -> dict[str, Any]:
    """Return the bill of materials of what a lock file pins. Raises SbomError."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = f"{project['name']}@{project['version']}"
    found = {each.name: each for each in pins(lock)}
    installed = {name: _installed(each) for name, each in found.items()}
    depended = {
        each.purl: [found[one].purl for one in _needs(installed[name].requires) if one in found]
        for name, each in found.items()
    }
    direct = [found[one].purl for one in _needs(project["dependencies"])]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": ours,
                "name": project["name"],
                "version": project["version"],
                "description": "The Lambda layer: the package and what it imports.",
            }
        },
        "components": [_component(each, installed[name]) for name, each in found.items()],
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(on)}
            for ref, on in ({ours: direct} | depended).items()
        ],
    }


def text(lock: Path = LOCK) -> str:
    """Return the bill of materials as it is committed."""
    return json.dumps(bill(lock.read_text()), indent=1) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check; return whether it is not as it must be."""
    made = text()
    if arguments != ["--check"]:
        WRITTEN.write_text(made)
        return 0
    if WRITTEN.read_text() != made:
        sys.stdout.write(f"{WRITTEN.name} does not follow from the lock: run 'make lock'\n")
        return 1
    components = json.loads(made)["components"]
    files = sum(len(each["externalReferences"][0]["hashes"]) for each in components)
    sys.stdout.write(f"{len(components)} packages with {files} hashes, as locked\n")
    return 0


def _installed(pin: Pin) -> Distribution:
    found = distribution(pin.name)
    if found.version != pin.version:
        raise SbomError(f"{pin.name} {found.version} is installed: run 'bin/setup dev' first")
    return found


def _needs(requirements: list[str] | None) -> list[str]:
    """Return the names of those that hold for CPython as it runs here, without extras."""
    parsed = [Requirement(each) for each in requirements or []]
    return [
        re.sub(r"[-_.]+", "-", each.name).lower()
        for each in parsed
        if each.marker is None or each.marker.evaluate({"extra": ""})
    ]


def _component(pin: Pin, installed: Distribution) -> dict[str, Any]:
    metadata = installed.metadata
    said = metadata.get("License-Expression") or metadata.get("License")
    return {
        "type": "library",
        "bom-ref": pin.purl,
        "name": pin.name,
        "version": pin.version,
        "licenses": [{"expression": said}],
        "purl": pin.purl,
        "externalReferences": [
            {
                "type": "distribution",
                "url": pin.purl,
                "comment": "Any of these files, by processor and system.",
                "hashes": [{"alg": "SHA-256", "content": each} for each in pin.hashes],
            }
        ],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
