import json
from pathlib import Path

import pytest

from bench import nodes, stage
from bench.nodes import Node
from rehearsal.node import NodeError
from tests.programs import program


def test_a_node_that_is_new_enough_is_found(bin_folder: Path) -> None:
    program(bin_folder, "npm", "")
    program(bin_folder, "node", "echo 20")

    assert nodes.find() == str(bin_folder / "node")


def test_an_older_one_is_refused_with_a_sentence(bin_folder: Path) -> None:
    program(bin_folder, "npm", "")
    program(bin_folder, "node", "echo 18")

    with pytest.raises(NodeError, match="Node 20 or newer is needed, and this is 18"):
        nodes.find()


@pytest.mark.parametrize("there", ["node", "npm"])
def test_one_without_the_other_is_none(bin_folder: Path, there: str) -> None:
    program(bin_folder, there, "echo 20")

    with pytest.raises(NodeError, match="no node, or no npm"):
        nodes.find()


@pytest.mark.usefixtures("bin_folder")
def test_without_node_the_bench_goes_on_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stage.node(tmp_path / "ca.pem") as node:
        assert node is None

    assert "without the verifiers of Node: there is no node" in capsys.readouterr().err


def test_a_process_is_asked_line_by_line_and_told_whom_to_trust(tmp_path: Path) -> None:
    program(
        tmp_path,
        "node",
        'read -r line; echo "{\\"asked\\": $line, \\"trusts\\": \\"$NODE_EXTRA_CA_CERTS\\"}"\n'
        'read -r line; echo "{\\"seconds\\": 0.25}"',
    )

    with Node(str(tmp_path / "node"), tmp_path / "ca.pem") as node:
        told = node.prepare({"algorithm": "RS256"})
        seconds = node.turn("jose")

    assert told["asked"] == {"prepare": {"algorithm": "RS256"}}
    assert told["trusts"] == str(tmp_path / "ca.pem")
    assert seconds == 0.25


def test_a_process_that_ended_is_an_error(tmp_path: Path) -> None:
    program(tmp_path, "node", "read -r line")

    with (
        Node(str(tmp_path / "node"), tmp_path / "ca.pem") as node,
        pytest.raises(NodeError, match="the Node side ended"),
    ):
        node.turn("jose")


def test_the_lock_file_names_no_host_and_every_version_is_exact() -> None:
    lock = json.loads((nodes.FOLDER / "package-lock.json").read_text())
    wanted = json.loads((nodes.FOLDER / "package.json").read_text())["dependencies"]

    assert not [name for name, each in lock["packages"].items() if "resolved" in each]
    assert all(each.get("integrity") for name, each in lock["packages"].items() if name)
    assert {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted} == wanted
