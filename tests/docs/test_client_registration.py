"""docs/client-registration.md does what it says: its commands run as they stand, in its order."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.cli import main
from machine_identity.client_credentials import Failure as Asking
from machine_identity.client_registration.answers import Failure
from machine_identity.providers import ByManagement
from machine_identity.settings.token import Clients, TokenSettings
from machine_identity.sites.management import ANOTHER_CLIENT, OUTDATED
from tests.keyrings import START
from tests.registration_endpoint import INITIAL, RegistrationEndpoint
from tests.unit.test_cli_client import RSA

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "client-registration.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
COMMANDS = [
    shlex.split(line)
    for _, block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("machine-identity ")
]
(ENTRY,) = [json.loads(block) for language, block in BLOCKS if language == "json"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistrationEndpoint]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("INITIAL_ACCESS_TOKEN", INITIAL)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [RSA]}))
    with mock_aws(), RegistrationEndpoint() as started:
        yield started


def run(words: list[str], server: RegistrationEndpoint) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word.replace("https://as.example", server.url) for word in words[1:]])
    assert ended.value.code == 0, words


def test_every_command_runs_and_the_registrations_stand_where_it_says(
    server: RegistrationEndpoint,
) -> None:
    assert [each[2] for each in COMMANDS] == ["register", "read", "update", "delete", "register"]
    for words in COMMANDS:
        run(words, server)
    for name in ("billing", "orders"):
        assert client("ssm").get_parameter(Name=f"/machine-identity/STACK/{name}")
    ((_, left),) = server.clients.items()
    assert left["jwks"] == {"keys": [RSA]}


def test_the_entry_is_a_client_whose_set_is_put_where_the_command_registered_it() -> None:
    store = COMMANDS[-1][COMMANDS[-1].index("--store") + 1]
    with mock_aws():
        client("s3").create_bucket(
            Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        bucket = Bucket(client("s3"), "state")
        bucket.write("default/clients.json", json.dumps(ENTRY).encode(), expected=None)
        settings = TokenSettings.from_environment({"STATE_BUCKET": "state"})
        clients = Clients(settings, bucket)
        (found,) = clients.usable(START)
    assert clients.faults == ()
    assert (found.name, found.upload) == (COMMANDS[-1][3], ByManagement(store=store))


def test_every_code_that_may_come_of_an_upload_is_told_of_and_no_other_of_ours() -> None:
    table = DOCUMENT.split("| code |")[1].split("\n\n")[0]
    named = {
        name
        for row in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    never = {Failure.ALREADY_REGISTERED}  # of registering, which the function does not do
    assert named == ({*Failure} - never) | {ANOTHER_CLIENT, OUTDATED, Asking.NOT_CONFIGURED}
