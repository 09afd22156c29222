"""What ``sam build`` makes: the artefacts that would be deployed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sam.containers import ARCHITECTURE, ROOT

pytestmark = pytest.mark.sam

MOST_BYTES_OF_THE_LAYER = 30_000_000
"""Lambda takes 250 MB, but reads every one of them at a cold start. At first it was 20 MB."""
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


def names(folder: Path) -> set[str]:
    return {each.name.split(".")[0].split("-")[0] for each in folder.iterdir()}


def test_the_layer_holds_the_core_and_what_it_imports(built: Path) -> None:
    python = built / "MachineIdentityLayer" / "python"
    assert {"machine_identity", "jwt", "cryptography", "aws_lambda_powertools"} <= names(python)
    libraries = [each.name for each in python.rglob("*.so") if "linux" in each.name]
    assert libraries
    assert [each for each in libraries if MACHINES[ARCHITECTURE] not in each] == []


def test_nothing_holds_boto3_which_is_the_runtime_s_own(built: Path) -> None:
    everything = {each.name.split("-")[0] for each in built.rglob("*")}
    assert "machine_identity" in everything
    assert {"boto3", "botocore", "s3transfer", "moto"} & everything == set()


def test_nothing_of_this_machine_is_packed_with_our_own_code(built: Path) -> None:
    ours = built / "MachineIdentityLayer" / "python" / "machine_identity"
    kinds = {each.suffix for each in ours.rglob("*") if each.is_file()}
    assert kinds == {".py", ".typed", ".json", ".md"}  # the providers' table, and their steps


@pytest.mark.parametrize("name", ["jwks", "rotation", "token", "authorizer", "uppercase"])
def test_a_function_is_its_one_file(built: Path, name: str) -> None:
    folder = built / f"{name.capitalize()}Function"
    assert [each.name for each in folder.iterdir()] == ["app.py"]
    assert (folder / "app.py").read_bytes() == (ROOT / f"functions/{name}/app.py").read_bytes()


def test_the_layer_is_small(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = (each for each in (built / "MachineIdentityLayer").rglob("*") if each.is_file())
    size = sum(each.stat().st_size for each in files)
    with capsys.disabled():
        most = MOST_BYTES_OF_THE_LAYER / 1e6
        sys.stdout.write(f"\nthe layer: {size / 1e6:.1f} MB unpacked, at most {most:.0f}\n")
    assert size < MOST_BYTES_OF_THE_LAYER


def test_a_build_leaves_nothing_that_git_sees(built: Path) -> None:
    command = ("git", "check-ignore", str(built))
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0
