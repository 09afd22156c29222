"""``provider --stack``: the values of a deployment, as CloudFormation has them.

The stack is the repository's own template as far as it says these values: its parameters, its
conditions and the output, on moto, which knows neither SAM's transform nor HTTP APIs in a stack.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from moto import mock_aws
from moto.cloudformation.models import cloudformation_backends
from moto.core import set_initial_no_auth_action_count

from local.aws import NOBODY, REGION
from local.template import ACCOUNT, ROOT
from machine_identity.aws import stack as stacks
from machine_identity.publication import JWKS_PATH
from tests.provider_command import RSA, Command, deployed
from tests.template.transformed import source

TEMPLATE: Final = source()
ISSUER: Final = "https://id.example"
ENTRA: Final = {
    "PublicUrl": ISSUER,
    "Provider": "entra-federated",
    "AuthorizationServer": "https://login.example/tenant/v2.0",
    "ClientId": "client-1",
    "Scope": "api://orders/.default",
}
API: Final = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "api"}}
REDUCED: Final = {
    "Parameters": TEMPLATE["Parameters"],
    "Conditions": TEMPLATE["Conditions"],
    "Resources": {"Api": API},
    "Outputs": {"IssuerUrl": TEMPLATE["Outputs"]["IssuerUrl"]},
}
DOCUMENTS: Final = ("README.md", "docs/registration.md")
COMMANDS: Final = [
    command
    for document in DOCUMENTS
    for command in re.findall(
        r"^machine-identity provider (.*?) *(?:#.*)?$", (ROOT / document).read_text(), re.MULTILINE
    )
]


class Cloud:
    """Stacks in an account of moto's."""

    def __init__(self) -> None:
        self._client = boto3.client("cloudformation")

    def deploy(self, template: Any = REDUCED, *, name: str = "my-identity", **given: str) -> None:
        self._client.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": key, "ParameterValue": given[key]} for key in given],
        )

    def review(self) -> None:
        """Propose a stack that nobody deploys."""
        self._client.create_change_set(
            StackName="my-identity",
            ChangeSetName="first",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps(REDUCED),
        )

    def delete(self) -> None:
        self._client.delete_stack(StackName="my-identity")

    def turn(self, status: str) -> None:
        """Leave the stack in a state that moto's never get into."""
        (stack,) = cloudformation_backends[ACCOUNT][REGION].stacks.values()
        stack.status = status


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No region and no credentials, whatever this machine has."""
    for name in [each for each in os.environ if each.startswith(("AWS_", "MACHINE_IDENTITY_"))]:
        monkeypatch.delenv(name)
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture
def cloud(nobody: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:  # noqa: ARG001
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield Cloud()


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def values(command: Command, name: str, *words: str) -> dict[str, str]:
    code, out, _ = command(name, "--stack", "my-identity", "--json", *words)
    assert code == 0
    told: dict[str, str] = json.loads(out)["values"]
    return told


def refusal(command: Command, stack: str = "my-identity", *, code: int = 5) -> str:
    """Return the one sentence, which both ways of printing agree about."""
    ended, out, err = command("okta", "--stack", stack)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    ended, out, _ = command("okta", "--stack", stack, "--json")
    told = json.loads(out)
    assert (ended, err) == (code, f"Error: {told['error']}: {told['error_description']}\n")
    assert told["error"] == {5: "stack", 2: "settings"}[code]
    return str(told["error_description"])


# What is taken


def test_what_is_read_of_a_stack_is_in_the_template() -> None:
    assert stacks.ISSUER in TEMPLATE["Outputs"]
    assert set(stacks.PARAMETERS.values()) <= set(TEMPLATE["Parameters"])


def test_the_commands_have_the_deployment_s_values_without_typing_them(
    command: Command, cloud: Cloud
) -> None:
    cloud.deploy(**ENTRA)
    code, out, err = command("entra-federated", "--stack", "my-identity")
    assert (code, err) == (0, "")
    assert f'"issuer":"{ISSUER}","subject":"client-1"' in out
    told = values(command, "entra-federated")
    assert told["authorization_server"] == ENTRA["AuthorizationServer"]
    assert told["scope"] == ENTRA["Scope"]
    assert told["jwks_uri"] == ISSUER + JWKS_PATH
    assert told["algorithm"] == "RS256"


def test_without_a_url_of_one_s_own_the_issuer_is_the_api(command: Command, cloud: Cloud) -> None:
    cloud.deploy()
    told = values(command, "okta")
    assert told["issuer"].startswith("https://")
    assert told["issuer"].endswith(f".execute-api.{REGION}.amazonaws.com")


def test_what_is_given_wins_over_what_the_stack_says(
    command: Command, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.deploy(**ENTRA)
    monkeypatch.setenv("MACHINE_IDENTITY_SCOPE", "api://other/.default")
    words = ("--issuer", "https://new.example", "--client-id", "client-2", "--algorithm", "ES256")
    told = values(command, "entra-federated", *words)
    assert told["issuer"] == "https://new.example"
    assert (told["client_id"], told["subject"]) == ("client-2", "client-2")
    assert (told["scope"], told["algorithm"]) == ("api://other/.default", "ES256")
    assert told["authorization_server"] == ENTRA["AuthorizationServer"]


def test_the_client_at_another_provider_is_left_out_and_that_is_said(
    command: Command, cloud: Cloud
) -> None:
    cloud.deploy(**ENTRA, SigningAlgorithm="RS384")
    told = values(command, "okta")
    assert (told["issuer"], told["algorithm"]) == (ISSUER, "RS384")
    assert (told["client_id"], told["scope"]) == ("CLIENT_ID", "SCOPE")
    assert told["authorization_server"] == "AUTHORIZATION_SERVER"
    _, _, err = command("okta", "--stack", "my-identity")
    assert err == (
        "provider: the client of stack my-identity is entra-federated's, and left out\n"
    )


def test_a_first_deploy_without_a_client_leaves_nothing_out(
    command: Command, cloud: Cloud
) -> None:
    cloud.deploy(PublicUrl=ISSUER)
    code, out, err = command("entra-federated", "--stack", "my-identity")
    assert (code, err) == (0, "")
    assert f'"issuer":"{ISSUER}","subject":"CLIENT_ID"' in out
    assert "refuses" not in out


def test_an_algorithm_that_the_provider_does_not_take_is_told(
    command: Command, cloud: Cloud
) -> None:
    cloud.deploy(PublicUrl=ISSUER, SigningAlgorithm="ES256")
    _, out, _ = command("entra-federated", "--stack", "my-identity")
    assert "  refuses      ES256, which our keys sign: deploy with another SigningAlgorithm" in out


def test_a_check_needs_nothing_but_the_stack(command: Command, cloud: Cloud) -> None:
    with deployed() as us, deployed() as them:
        them.metadata |= {"token_endpoint": f"{them.issuer}/token"}
        cloud.deploy(PublicUrl=us.issuer, Provider="okta", AuthorizationServer=them.issuer)
        assert command.faults("okta", "--stack", "my-identity") == {}
        assert {path for path, _ in us.requests} >= {JWKS_PATH}
        assert them.requests
        asked = len(them.requests)
        assert command.faults("auth0", "--stack", "my-identity", "--kid", RSA["kid"]) == {}
        assert len(them.requests) == asked


@pytest.mark.parametrize("given", COMMANDS)
def test_every_command_that_a_document_gives_runs_as_it_stands(
    command: Command, cloud: Cloud, given: str
) -> None:
    with deployed() as us:
        cloud.deploy(PublicUrl=us.issuer)
        places = {"STACK": "my-identity", "ISSUER_URL": us.issuer}
        code, out, _ = command(*(places.get(word, word) for word in given.split()))
        assert code == 0
        fetches = "entra-certificate" not in given  # to which the issuer is nothing
        assert ("--check" in given) or not fetches or us.issuer in out


# What is not


def test_a_stack_that_is_not_there_is_named_with_the_region(
    command: Command, cloud: Cloud
) -> None:
    cloud.deploy(name="other")
    sentence = refusal(command)
    assert sentence.startswith(f"there is no stack my-identity in {REGION}: ")
    assert "AWS_DEFAULT_REGION" in sentence


def test_a_stack_that_was_deleted_is_not_there(command: Command, cloud: Cloud) -> None:
    cloud.deploy()
    cloud.delete()
    assert refusal(command).startswith("there is no stack my-identity")


@pytest.mark.parametrize("value", [None, ""])
def test_a_stack_of_another_template_is_told(
    command: Command, cloud: Cloud, value: str | None
) -> None:
    outputs = {"Other": {"Value": "a"}} if value is None else {"IssuerUrl": {"Value": value}}
    cloud.deploy({"Resources": {"Api": API}, "Outputs": outputs})
    assert refusal(command) == (
        "stack my-identity has no output IssuerUrl, so it is none of Machine Identity's template: "
        "name the one that is"
    )


def test_an_output_that_is_no_url_of_ours_is_told_by_its_name(
    command: Command, cloud: Cloud
) -> None:
    cloud.deploy({"Resources": {"Api": API}, "Outputs": {"IssuerUrl": {"Value": "http://a.b"}}})
    sentence = refusal(command, code=2)
    assert sentence.startswith("IssuerUrl of stack my-identity must be an https URL")


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        ("CREATE_IN_PROGRESS", "wait until that has ended"),
        ("UPDATE_IN_PROGRESS", "wait until that has ended"),
        ("ROLLBACK_IN_PROGRESS", "wait until that has ended"),
        ("CREATE_FAILED", "mend that and deploy it again"),
        ("UPDATE_FAILED", "mend that and deploy it again"),
        ("UPDATE_ROLLBACK_FAILED", "mend that and deploy it again"),
        ("ROLLBACK_COMPLETE", "delete it and deploy it anew"),
        ("ROLLBACK_FAILED", "delete it and deploy it anew"),
        ("DELETE_IN_PROGRESS", "deploy it anew once it is gone"),
        ("DELETE_FAILED", "deploy it anew once it is gone"),
        ("A_STATE_OF_TOMORROW", "mend that and deploy it again"),
    ],
)
def test_a_stack_that_is_not_as_it_was_deployed_is_told_with_what_to_do(
    command: Command, cloud: Cloud, status: str, mend: str
) -> None:
    cloud.deploy(**ENTRA)
    cloud.turn(status)
    sentence = refusal(command)
    assert sentence.startswith(f"stack my-identity is {status}: ")
    assert sentence.endswith(mend)


@pytest.mark.parametrize(
    "status",
    ["UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"],
)
def test_a_stack_that_was_changed_or_not_is_as_it_was_deployed(
    command: Command, cloud: Cloud, status: str
) -> None:
    cloud.deploy(**ENTRA)
    cloud.turn(status)
    assert values(command, "okta")["issuer"] == ISSUER


def test_a_stack_that_was_only_proposed_is_told(command: Command, cloud: Cloud) -> None:
    cloud.review()
    assert refusal(command) == (
        "stack my-identity is REVIEW_IN_PROGRESS: it was never deployed; execute its change set"
    )


@pytest.mark.parametrize("name", ["my identity", "-a", "a_b", "1", "a" * 129, "arn:aws:x"])
def test_what_is_no_stack_s_name_is_not_asked_for(command: Command, name: str) -> None:
    assert refusal(command, name, code=2).startswith("--stack must be a stack's name")


# Who asks


@pytest.mark.usefixtures("nobody")
def test_without_a_region_or_credentials_it_says_which_to_set(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(command) == "AWS is asked in no region: set AWS_DEFAULT_REGION to the stack's"
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert refusal(command) == (
        "cloudformation:DescribeStacks failed: NoCredentialsError: sign in to AWS, as for its own "
        "command line"
    )


def test_who_may_not_ask_is_told_which_right_it_takes(
    command: Command, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.deploy(**ENTRA)
    iam = boto3.client("iam")
    iam.create_user(UserName="poor")
    key = iam.create_access_key(UserName="poor")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    ask = set_initial_no_auth_action_count(0)(lambda: refusal(command))
    assert ask() == (
        "cloudformation:DescribeStacks failed: AccessDenied: you need the right to "
        "cloudformation:DescribeStacks on stack my-identity"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert ask().endswith(": sign in to AWS, as for its own command line")


@pytest.mark.usefixtures("nobody")
def test_where_aws_is_not_to_be_had_the_region_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    assert refusal(command) == (
        "cloudformation:DescribeStacks failed: EndpointConnectionError: ask again, and see that "
        f"{REGION} is the stack's region"
    )


def test_without_boto3_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['boto3'] = None\n"
        "from machine_identity.cli import main\n"
        "main(['provider', 'okta', '--stack', 'my-identity'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr == "Error: settings: --stack needs boto3: pip install '.[aws]'\n"
