import json
import os
from pathlib import Path

import pytest

from rehearsal import node
from tests.programs import program


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "package-lock.json").write_text("{}")
    return folder


@pytest.mark.parametrize("version", ["v18.0.0", "v20.20.2", "v100.1.0"])
def test_a_node_that_is_new_enough_is_found(bin_folder: Path, version: str) -> None:
    program(bin_folder, "node", f"echo {version}")

    assert node.find() == str(bin_folder / "node")


@pytest.mark.parametrize("printed", ["v16.20.0", "v9.9.9", "something else", ""])
def test_an_older_one_is_refused_with_a_sentence(bin_folder: Path, printed: str) -> None:
    program(bin_folder, "node", f"echo {printed}")

    with pytest.raises(node.NodeError, match="needs Node 18 or newer"):
        node.find()


@pytest.mark.usefixtures("bin_folder")
def test_without_node_the_sentence_says_what_for() -> None:
    with pytest.raises(node.NodeError, match=r"Node 18 or newer, .* no node on the PATH"):
        node.find()


def test_what_is_installed_is_not_installed_again(bin_folder: Path, packages: Path) -> None:
    program(bin_folder, "npm", "exit 1")
    installed = packages / "node_modules" / ".package-lock.json"
    installed.parent.mkdir()
    installed.touch()
    os.utime(packages / "package-lock.json", (1, 1))
    said: list[str] = []

    node.install(said.append, packages)

    assert said == []


def test_what_is_missing_is_installed_as_the_lock_file_says_and_then_no_more(
    bin_folder: Path, packages: Path
) -> None:
    made = f"{packages}/node_modules"
    program(bin_folder, "npm", f'echo "$1" >> {packages}/asked && : > {made}/.package-lock.json')
    (packages / "node_modules").mkdir()
    said: list[str] = []

    node.install(said.append, packages)
    node.install(said.append, packages)

    assert (packages / "asked").read_text() == "ci\n"
    assert len(said) == 1


def test_a_lock_file_that_changed_is_installed_anew_and_then_no_more(
    bin_folder: Path, packages: Path
) -> None:
    program(bin_folder, "npm", f"echo again >> {packages}/asked")
    installed = packages / "node_modules" / ".package-lock.json"
    installed.parent.mkdir()
    installed.touch()
    os.utime(installed, (1, 1))

    node.install(lambda _: None, packages)
    node.install(lambda _: None, packages)

    assert (packages / "asked").read_text() == "again\n"


def test_an_installation_that_fails_says_what_npm_says(bin_folder: Path, packages: Path) -> None:
    program(bin_folder, "npm", "echo no network >&2; exit 1")

    with pytest.raises(node.NodeError, match="npm ci failed: no network"):
        node.install(lambda _: None, packages)


def test_the_lock_file_names_no_host_and_every_version_is_exact() -> None:
    lock = json.loads((node.FOLDER / "package-lock.json").read_text())
    wanted = json.loads((node.FOLDER / "package.json").read_text())["dependencies"]

    assert not [name for name, each in lock["packages"].items() if "resolved" in each]
    assert all(each.get("integrity") for name, each in lock["packages"].items() if name)
    assert {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted} == wanted
