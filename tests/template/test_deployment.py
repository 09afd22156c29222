"""The transformed template, deployed into moto, looked at, and deleted again.

moto knows ``DeletionPolicy: Retain`` only, and RetainExceptOnCreate is that once a stack is there.
Nothing runs, no IAM is asked, and moto takes what AWS would refuse: more than a quota, a value
that a service does not know. Of the layer it is seen that it is made; moto gives it to no function
and never deletes it.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3
import pytest
from moto import mock_aws

from tests.template import moto_types
from tests.template.test_functions import BUCKETS, FUNCTIONS, of_type
from tests.template.test_parameters import URL
from tests.template.transformed import REGION, transformed

MADE: Final = transformed()
OURS: Final[dict[str, Any]] = MADE["Resources"]
RETAINED: Final = [
    name for name, each in OURS.items() if "Retain" in each.get("DeletionPolicy", "")
]
NAMED: Final = {"one": {}, "other": {"PublicUrl": URL, "TokenIssuer": URL}}
"""The stacks, one beside the other, with the parameters of each."""


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload] # literals only


def resources(stack: str) -> dict[str, str]:
    """Return the physical IDs of what there is of a stack."""
    pages = client("cloudformation").get_paginator("list_stack_resources")
    listed = [
        each for page in pages.paginate(StackName=stack) for each in page["StackResourceSummaries"]
    ]
    assert {each["ResourceStatus"] for each in listed} == {"CREATE_COMPLETE"}
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed}


def outputs(stack: str) -> dict[str, str]:
    (found,) = client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    assert found["StackStatus"] == "CREATE_COMPLETE"
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


def deploy(stack: str, parameters: Mapping[str, str]) -> None:
    text = json.dumps(MADE).replace('"RetainExceptOnCreate"', '"Retain"')
    given = [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()]
    client("cloudformation").create_stack(
        StackName=stack, TemplateBody=text, Parameters=given, Capabilities=["CAPABILITY_IAM"]
    )


def artefact() -> bytes:
    with io.BytesIO() as made, zipfile.ZipFile(made, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): ...")
        archive.close()
        return made.getvalue()


@pytest.fixture(scope="module", autouse=True)
def deployed() -> Iterator[None]:
    """Both stacks, in an account that has nothing else but what packaging put there."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        at = {"LocationConstraint": REGION}
        client("s3").create_bucket(Bucket="artefacts", CreateBucketConfiguration=at)
        client("s3").put_object(Bucket="artefacts", Key="built.zip", Body=artefact())
        for stack, parameters in NAMED.items():
            deploy(stack, parameters)
        yield


def test_every_type_is_one_that_moto_or_its_stand_in_makes() -> None:
    assert of_type(OURS, "AWS::S3::Bucket").keys() == set(BUCKETS)
    standing_in = {each.cloudformation_type() for each in moto_types.MODELS}
    assert standing_in <= {each["Type"] for each in OURS.values()}


@pytest.mark.parametrize("stack", NAMED)
def test_all_that_the_template_names_is_there(stack: str) -> None:
    found = resources(stack)
    assert found.keys() == OURS.keys()
    nameless = {kind for name, kind in _types().items() if not found[name]}
    # moto gives these no name of their own.
    assert nameless <= {"AWS::Lambda::Permission", "AWS::Lambda::LayerVersion"}


def test_a_second_stack_shares_nothing_with_the_first() -> None:
    one, other = (
        {found[name] for name, kind in _types().items() if kind != "AWS::ApiGatewayV2::Stage"}
        for found in map(resources, NAMED)
    )
    assert (one & other) - {""} == set()


@pytest.mark.parametrize("stack", NAMED)
def test_the_outputs_name_what_is_there(stack: str) -> None:
    found, told = resources(stack), outputs(stack)
    assert told.keys() == MADE["Outputs"].keys()
    assert not [value for value in told.values() if "$" in value or "None" in value]
    api = f"https://{found['Api']}.execute-api.{REGION}.amazonaws.com"
    assert told["ApiUrl"] == api
    assert told["UppercaseUrl"] == f"{api}/api/uppercase"
    issuer = NAMED[stack].get("PublicUrl", api)
    assert told["IssuerUrl"] == issuer
    assert told["JwksUri"] == f"{issuer}/.well-known/jwks.json"
    for name in (*FUNCTIONS, *BUCKETS):
        assert told[f"{name}Name"] == found[name]
    for name in ("RotationFunction", "TokenFunction"):
        assert told[f"{name}Arn"].endswith(f":function:{found[name]}")


@pytest.mark.parametrize("stack", NAMED)
def test_a_function_is_told_of_the_stack_that_it_is_in(stack: str) -> None:
    found, told = resources(stack), outputs(stack)
    variables = {name: _function(found[name])["Environment"]["Variables"] for name in FUNCTIONS}
    rotation = variables["RotationFunction"]
    assert rotation["STACK_NAME"] == stack
    assert rotation["STATE_BUCKET"] == found["StateBucket"]
    assert rotation["PUBLISHED_BUCKET"] == found["PublishedBucket"]
    assert rotation["PUBLIC_URL"] == told["IssuerUrl"]
    assert variables["TokenFunction"]["STATE_BUCKET"] == found["StateBucket"]
    assert variables["JwksFunction"]["PUBLISHED_BUCKET"] == found["PublishedBucket"]
    assert variables["AuthorizerFunction"]["ISSUER"] == NAMED[stack].get("TokenIssuer", "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_its_role_and_its_log_group(name: str) -> None:
    found = resources("one")
    made = _function(found[name])
    declared = OURS[name]["Properties"]
    role = found[declared["Role"]["Fn::GetAtt"][0]]
    assert made["Role"].endswith(f":role/{role}")
    assert (made["Runtime"], made["Handler"]) == ("python3.13", "app.handler")
    assert made["Timeout"] == declared["Timeout"]
    group = found[declared["LoggingConfig"]["LogGroup"]["Ref"]]
    groups = client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [each["retentionInDays"] for each in groups] in ([30], [365])


@pytest.mark.parametrize("stack", NAMED)
def test_no_policy_has_a_name_left_to_be_filled_in(stack: str) -> None:
    found, iam = resources(stack), client("iam")
    for name in of_type(OURS, "AWS::IAM::Role"):
        for policy in iam.list_role_policies(RoleName=found[name])["PolicyNames"]:
            written = iam.get_role_policy(RoleName=found[name], PolicyName=policy)
            text = json.dumps(written["PolicyDocument"])
            assert "$" not in text
            assert "Fn::" not in text
            arns = re.findall(r'"(arn:[^"]*)"', text)
            assert all(
                re.match(rf"arn:aws:(s3::|[a-z]+:{REGION}:\d{{12}}):", each) for each in arns
            )


@pytest.mark.parametrize("bucket", BUCKETS)
def test_the_policy_of_a_bucket_is_about_that_bucket(bucket: str) -> None:
    name = resources("one")[bucket]
    policy = json.loads(client("s3").get_bucket_policy(Bucket=name)["Policy"])
    arn = f"arn:aws:s3:::{name}"
    for statement in policy["Statement"]:
        named = statement["Resource"]
        for each in [named] if isinstance(named, str) else named:
            assert each == arn or each.startswith(f"{arn}/")
    assert {each["Effect"] for each in policy["Statement"]} == {"Deny"}


def test_the_routes_of_the_api_call_the_functions_of_this_stack() -> None:
    found, gateway = resources("one"), client("apigatewayv2")
    integrations = {
        f"integrations/{each['IntegrationId']}": each["IntegrationUri"]
        for each in gateway.get_integrations(ApiId=found["Api"])["Items"]
    }
    called = {
        each["RouteKey"]: integrations[each["Target"]].split(":function:")[1].split("/")[0]
        for each in gateway.get_routes(ApiId=found["Api"])["Items"]
    }
    assert called == {
        "GET /.well-known/jwks.json": found["JwksFunction"],
        "GET /.well-known/openid-configuration": found["JwksFunction"],
        "POST /api/uppercase": found["UppercaseFunction"],
    }
    (stage,) = gateway.get_stages(ApiId=found["Api"])["Items"]
    assert (stage["StageName"], stage["AutoDeploy"]) == ("$default", True)


def test_the_schedules_call_the_functions_of_this_stack() -> None:
    found, scheduler = resources("one"), client("scheduler")
    for name, function in (("Tick", "RotationFunction"), ("Canary", "TokenFunction")):
        schedule = scheduler.get_schedule(Name=found[f"{function}{name}"])
        assert schedule["Target"]["Arn"].endswith(f":function:{found[function]}")
        assert schedule["Target"]["RoleArn"].endswith(f":role/{found[f'{function}{name}Role']}")
        assert schedule["ScheduleExpression"] == "rate(15 minutes)"
        config = client("lambda").get_function_event_invoke_config(FunctionName=found[function])
        assert config["MaximumEventAgeInSeconds"] == 600


def test_what_a_deleted_stack_leaves_behind_are_its_documents_and_its_history() -> None:
    deploy("deleted", {})
    found = resources("deleted")
    client("cloudformation").delete_stack(StackName="deleted")
    left = {kind: {name for name in names if "deleted" in name} for kind, names in _all().items()}
    assert len(left.pop("layers")) == 1
    kinds = {"buckets": "AWS::S3::Bucket", "log groups": "AWS::Logs::LogGroup"}
    assert left == {
        kind: {found[name] for name in RETAINED if OURS[name]["Type"] == kinds.get(kind)}
        for kind in left
    }
    assert all(left[kind] for kind in kinds)
    assert [each for each in _apis() if each["Name"] == "deleted"] == []


def _types() -> dict[str, str]:
    return {name: each["Type"] for name, each in OURS.items()}


def _function(name: str) -> dict[str, Any]:
    made: dict[str, Any] = client("lambda").get_function_configuration(FunctionName=name)
    return made


def _apis() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("apigatewayv2").get_apis()["Items"]
    return found


def _all() -> dict[str, set[str]]:
    """Return the names of what there is in the account, by kind."""
    return {
        "buckets": {each["Name"] for each in client("s3").list_buckets()["Buckets"]},
        "log groups": {
            each["logGroupName"] for each in client("logs").describe_log_groups()["logGroups"]
        },
        "functions": {
            each["FunctionName"] for each in client("lambda").list_functions()["Functions"]
        },
        "roles": {each["RoleName"] for each in client("iam").list_roles()["Roles"]},
        "layers": {each["LayerName"] for each in client("lambda").list_layers()["Layers"]},
        "schedules": {each["Name"] for each in client("scheduler").list_schedules()["Schedules"]},
    }
