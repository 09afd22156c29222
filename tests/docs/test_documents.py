"""What the documents say is what the code does: their numbers, names and commands."""

import http.client
import re
import socket
import subprocess
import sys
import time
from collections import UserDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from bench import cost, timings
from functions.uppercase.app import MAX_BODY_BYTES
from local.template import load
from machine_identity import jwk, jws, providers
from machine_identity.channels import uploaded
from machine_identity.errors import Refusal
from machine_identity.settings.authorizer import AuthorizerSettings
from tests.key_set_server import KeySetServer

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
ROTATION = (ROOT / "docs" / "rotation.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_bill_in_the_readme_is_what_bench_cost_prints() -> None:
    assert cost.table() in README


def test_the_waits_in_the_documents_are_what_bench_timings_prints() -> None:
    assert timings.table() in ROTATION


def test_the_readme_names_every_provider_and_algorithm() -> None:
    for names in (providers.NAMES, jwk.ALGORITHMS):
        assert " ".join(f"`{name}`" for name in names) in README


def test_the_readme_names_every_parameter_and_no_other() -> None:
    class Loader(yaml.SafeLoader):
        """Reads past CloudFormation's short forms."""

    Loader.add_multi_constructor("!", lambda *_: None)
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader=Loader)  # noqa: S506
    table = README.split("| parameter | default |")[1].split("\n\n")[0]
    named = {
        name
        for row in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named == set(template["Parameters"])


def test_the_readme_says_how_large_a_body_may_be() -> None:
    assert f"at most {MAX_BODY_BYTES} bytes" in README


def test_the_functions_that_the_readme_invokes_are_there() -> None:
    invoked = set(re.findall(r"`(\w+Function)`", README))
    assert invoked <= {spec.name for spec in load({}).functions}
    assert invoked


def test_every_make_target_that_a_document_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(), re.MULTILINE)
    }
    assert named <= targets
    assert {"demo", "test", "serve"} <= named


def test_the_runbook_tells_what_to_do_about_every_metric_and_about_no_other() -> None:
    core = ROOT / "layers" / "machine_identity" / "machine_identity"
    handlers = "\n".join(
        (ROOT / "functions" / name / "app.py").read_text() for name in ("token", "authorizer")
    )
    decisions = "\n".join(each.read_text() for each in core.rglob("*.py"))
    counted = {
        *re.findall(r'count\("(\w+)"', handlers),
        *re.findall(r'alarms(?:=|\.append)\("(\w+)"', decisions),
        *re.findall(r'"([A-Z]\w+)":', (core / "commands" / "metrics.py").read_text()),
        uploaded.WANTED,
        uploaded.LAPSING,
    }
    table = (ROOT / "docs" / "runbook.md").read_text().split("| metric |")[1].split("\n\n")[0]
    named = {
        name
        for row in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    of_aws = {"Errors", "ApproximateNumberOfMessagesVisible"}
    assert named == counted | of_aws


def test_the_runbook_tells_what_every_reason_for_a_refusal_means_and_of_no_other() -> None:
    table = (ROOT / "docs" / "runbook.md").read_text().split("| reason |")[1].split("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(Refusal)


def test_every_variable_that_the_authorizer_reads_is_told_of_with_its_default() -> None:
    table = (ROOT / "docs" / "authorizer.md").read_text().split("| variable |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")] for row in table.splitlines()[2:]]
    told = {name.strip("`"): default.strip("`") for _, name, default, *_ in rows}
    read = Asked({"ISSUER": "https://a.example", "AUDIENCE": "b", "ALLOW_ANY_CLIENT": "true"})
    settings = AuthorizerSettings.from_environment(read)
    assert told.keys() == read.asked
    # What is told as the default, set, changes nothing.
    defaults = {name: each for name, each in told.items() if each[0].isdigit() or "JWT" in each}
    assert len(defaults) == 6
    again = {**read, **defaults, "ALLOWED_ALGORITHMS": told["ALLOWED_ALGORITHMS"]}
    assert AuthorizerSettings.from_environment(again) == settings
    assert " ".join(jws.ALGORITHMS) in table


class Asked(UserDict[str, str]):
    """Variables that remember which of them were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


EXAMPLES = [
    (document, example)
    for document in DOCUMENTS
    for example in re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)
    if "machine_identity.bearer" in example
]


@pytest.mark.parametrize(("document", "example"), EXAMPLES, ids=lambda each: Path(each).name[:20])
def test_the_example_of_a_guarded_service_runs_as_it_stands(document: Path, example: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    published = jwk.from_public_key(key.public_key(), "RS256")
    with KeySetServer({"keys": [published]}) as issuer, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        # All that is changed is who is trusted, and the port.
        places = {'"https://issuer.example"': repr(issuer.issuer), "8000": str(port)}
        for written, here in places.items():
            assert example.count(written) == 1, document
            example = example.replace(written, here)
        claims = {"iss": issuer.issuer, "aud": "api://orders", "exp": 4_000_000_000}
        granted = {**claims, "client_id": "client-1", "scope": "read"}
        good, poor = (
            jwt.encode(each, key, "RS256", headers={"kid": published["kid"]})
            for each in (granted, {**granted, "scope": "write"})
        )
        with subprocess.Popen([sys.executable, "-c", example], stderr=subprocess.DEVNULL) as ran:
            try:
                assert answered(port, {"Authorization": f"Bearer {good}"}) == (200, "client-1")
                assert answered(port, {"Authorization": f"Bearer {poor}"})[0] == 403
                assert answered(port, {})[0] == 401
            finally:
                ran.terminate()


def answered(port: int, headers: dict[str, str]) -> tuple[int, str]:
    """Ask a service that may still be starting."""
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=9)
        try:
            connection.request("GET", "/", headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except ConnectionRefusedError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("the service did not start")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    path = r"`((?:docs|local|bench|tests|events|functions)/[\w./-]+)`"
    named = re.findall(path, document.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]
