"""The functions, the API and the buckets: as declared, and as the transform makes them."""

from datetime import timedelta
from fnmatch import fnmatch
from typing import Any, Final

import pytest

from local import template
from machine_identity import token_source
from machine_identity.policy import Policy
from machine_identity.settings.token import CANARY
from machine_identity.witness import service
from tests.template.test_parameters import CLIENT, URL, environment
from tests.template.transformed import PATH, source, transformed

SOURCE: Final[dict[str, Any]] = source()["Resources"]
MADE: Final[dict[str, Any]] = transformed()["Resources"]
FUNCTIONS: Final = (
    "RotationFunction",
    "TokenFunction",
    "JwksFunction",
    "AuthorizerFunction",
    "UppercaseFunction",
)
"""In the order of the story."""
BUCKETS: Final = ("StateBucket", "PublishedBucket")
AWS_AT_ITS_WORST: Final = 3 * timedelta(seconds=2 + 5)
"""Three attempts to connect and read, as aws.clients bounds them."""


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: each for name, each in resources.items() if each["Type"] == kind}


def timeout(function: str) -> timedelta:
    return timedelta(seconds=SOURCE[function]["Properties"]["Timeout"])


def test_the_five_functions_stand_in_the_order_of_the_story() -> None:
    functions = of_type(SOURCE, "AWS::Serverless::Function")
    assert tuple(functions) == FUNCTIONS
    folders = {each["Properties"]["CodeUri"] for each in functions.values()}
    on_disk = {f"functions/{each.parent.name}/" for each in PATH.parent.glob("functions/*/app.py")}
    assert folders == on_disk


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_the_layer_and_a_log_group_that_forgets(name: str) -> None:
    made = MADE[name]["Properties"]
    assert made["Handler"] == "app.handler"
    assert made["Runtime"] == "python3.13"
    assert made["Architectures"] == [{"Ref": "Architecture"}]
    (layer,) = of_type(MADE, "AWS::Lambda::LayerVersion")
    assert made["Layers"] == [{"Ref": layer}]
    assert made["TracingConfig"] == {"Mode": "Active"}
    logging = made["LoggingConfig"]
    assert logging["LogFormat"] == "JSON"
    assert logging["ApplicationLogLevel"] == {"Ref": "LogLevel"}
    assert MADE[logging["LogGroup"]["Ref"]]["Properties"]["RetentionInDays"] in {30, 365}


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        (
            "RotationFunction",
            (
                "IDENTITY STACK_NAME STATE_BUCKET PUBLISHED_BUCKET PUBLIC_URL PROVIDER"
                " SIGNING_ALGORITHM ROTATION_INTERVAL_DAYS POWERTOOLS_LOG_LEVEL RES_OPTIONS"
            ),
        ),
        (
            "TokenFunction",
            (
                "IDENTITY STACK_NAME STATE_BUCKET PROVIDER AUTHORIZATION_SERVER CLIENT_ID SCOPE "
                "POWERTOOLS_LOG_LEVEL RES_OPTIONS"
            ),
        ),
        ("JwksFunction", "IDENTITY PUBLISHED_BUCKET POWERTOOLS_LOG_LEVEL"),
        (
            "AuthorizerFunction",
            (
                "ISSUER JWKS_URI AUDIENCE REQUIRED_SCOPES REQUIRED_ROLES ALLOWED_CLIENTS"
                " STACK_NAME ALLOWED_ALGORITHMS DENIED_KEY_IDS DENIED_TOKEN_IDS RES_OPTIONS"
            ),
        ),
        ("UppercaseFunction", "POWERTOOLS_LOG_LEVEL"),
    ],
)
def test_a_function_is_told_what_it_needs_and_no_more(name: str, variables: str) -> None:
    assert set(environment(name)) == set(variables.split())


def test_the_issuer_is_the_public_url_or_else_the_api_s_own() -> None:
    assert environment("RotationFunction", PublicUrl=URL)["PUBLIC_URL"] == URL
    own = environment("RotationFunction")["PUBLIC_URL"]
    assert own == "https://Api.execute-api.eu-central-1.amazonaws.com"


def test_the_authorizer_trusts_the_token_issuer_or_else_the_authorization_server() -> None:
    assert environment("AuthorizerFunction")["ISSUER"] == ""
    assert environment("AuthorizerFunction", **CLIENT)["ISSUER"] == URL
    other = "https://sts.example/tenant/"
    whole = {**CLIENT, "TokenIssuer": other, "Audience": "api", "RequiredRoles": "role"}
    assert environment("AuthorizerFunction", **whole)["ISSUER"] == other


def test_rotation_is_cut_off_when_the_policy_says_that_its_writes_have_landed() -> None:
    assert timeout("RotationFunction") == Policy().run_bound


def test_the_token_function_outlasts_its_own_patience_and_that_with_aws() -> None:
    # The clients or the keyring are read, the rest is read within the patience; then KMS signs.
    assert timeout("TokenFunction") > token_source.PATIENCE + 2 * AWS_AT_ITS_WORST


def test_the_authorizer_ends_before_the_api_stops_waiting() -> None:
    assert timeout("AuthorizerFunction") < timedelta(seconds=10)


def test_the_tick_and_the_canary_come_as_often_as_the_policy_counts_on() -> None:
    tick, canary = template.load({}).schedules
    assert (tick.function, tick.event) == (
        "RotationFunction",
        {"command": "tick", "identity": "default"},
    )
    assert tick.every == Policy().tick_interval
    assert (canary.function, canary.event) == ("TokenFunction", {**CANARY, "identity": "default"})
    assert canary.every == Policy().canary.first_pause
    for made in of_type(MADE, "AWS::Scheduler::Schedule").values():
        assert "Name" not in made["Properties"]  # two stacks would collide
        retries = made["Properties"]["Target"]["RetryPolicy"]
        assert retries["MaximumEventAgeInSeconds"] < tick.every.total_seconds()
    configs = of_type(MADE, "AWS::Lambda::EventInvokeConfig").values()
    retried = {
        config["Properties"]["FunctionName"]["Ref"]: config["Properties"] for config in configs
    }
    assert retried.keys() == {"RotationFunction", "TokenFunction"}
    for properties in retried.values():
        assert properties["MaximumEventAgeInSeconds"] < tick.every.total_seconds()
    # Who refuses a trial is left alone: see canary.
    assert retried["TokenFunction"]["MaximumRetryAttempts"] == 0


def test_a_pair_of_trials_begun_last_ends_before_the_token_function_is_cut_off() -> None:
    last_pair = service.ENOUGH + 2 * token_source.PATIENCE
    assert timeout("TokenFunction") > last_pair + timedelta(seconds=10)


def test_every_route_but_the_two_documents_is_behind_the_authorizer() -> None:
    body = MADE["Api"]["Properties"]["Body"]
    routes = {
        (method, path): (route["x-amazon-apigateway-integration"], route.get("security"))
        for path, methods in body["paths"].items()
        for method, route in methods.items()
    }
    called = {at: integration["uri"]["Fn::Sub"] for at, (integration, _) in routes.items()}
    assert {at: uri.split("${")[3].split(".")[0] for at, uri in called.items()} == {
        ("get", "/.well-known/jwks.json"): "JwksFunction",
        ("get", "/.well-known/openid-configuration"): "JwksFunction",
        ("post", "/api/uppercase"): "UppercaseFunction",
    }
    assert {at: security for at, (_, security) in routes.items()} == {
        ("get", "/.well-known/jwks.json"): None,
        ("get", "/.well-known/openid-configuration"): None,
        ("post", "/api/uppercase"): [{"AccessToken": []}],
    }
    versions = {integration["payloadFormatVersion"] for integration, _ in routes.values()}
    assert versions == {"2.0"}


def test_no_decision_of_the_authorizer_is_kept_by_the_api() -> None:
    schemes = MADE["Api"]["Properties"]["Body"]["components"]["securitySchemes"]
    assert list(schemes) == ["AccessToken"]
    authorizer = schemes["AccessToken"]["x-amazon-apigateway-authorizer"]
    uri = authorizer.pop("authorizerUri")["Fn::Sub"][1]
    assert uri == {"__FunctionArn__": {"Fn::GetAtt": ["AuthorizerFunction", "Arn"]}}
    assert authorizer == {
        "type": "request",
        "authorizerPayloadFormatVersion": "2.0",
        "authorizerResultTtlInSeconds": 0,
        "enableSimpleResponses": True,
        "identitySource": ["$request.header.Authorization"],
    }


def test_the_api_is_at_the_root_of_its_host_and_logs_nothing_of_a_caller() -> None:
    (stage,) = of_type(MADE, "AWS::ApiGatewayV2::Stage").values()
    assert stage["Properties"]["StageName"] == "$default"
    logged = stage["Properties"]["AccessLogSettings"]["Format"]
    assert not [word for word in ("header", "sourceIp", "identity", "claims") if word in logged]


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_private_versioned_and_outlives_the_stack(name: str) -> None:
    bucket = MADE[name]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"
    properties = bucket["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    (encryption,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    # Nothing that is current expires, and no delete marker: they are the keyring's history.
    assert rule.keys() == {"Id", "Status", "NoncurrentVersionExpiration"}


def denials(bucket: str) -> dict[str, Any]:
    (policy,) = (
        each["Properties"]["PolicyDocument"]
        for each in of_type(MADE, "AWS::S3::BucketPolicy").values()
        if each["Properties"]["Bucket"] == {"Ref": bucket}
    )
    assert {each["Effect"] for each in policy["Statement"]} == {"Deny"}
    assert {each["Principal"] for each in policy["Statement"]} == {"*"}
    return {each["Sid"]: each for each in policy["Statement"]}


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_reached_by_tls_only(name: str) -> None:
    denial = denials(name)["TlsOnly"]
    assert denial["Action"] == "s3:*"
    assert denial["Resource"] == [
        {"Fn::GetAtt": [name, "Arn"]},
        {"Fn::Sub": f"${{{name}.Arn}}/*"},
    ]
    assert denial["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("name", "key", "is_guarded"),
    [
        ("StateBucket", "default/keyring.json", True),
        ("StateBucket", "default/evidence.json", True),
        ("StateBucket", "default/clients.json", False),  # an operator's, by `aws s3 cp`
        ("PublishedBucket", "default/.well-known/jwks.json", True),
        ("PublishedBucket", "default/.well-known/openid-configuration", True),
    ],
)
def test_rule_6_an_unconditional_write_is_denied_to_everybody(
    name: str, key: str, *, is_guarded: bool
) -> None:
    (denial,) = (each for sid, each in denials(name).items() if "CompareAndSwap" in sid)
    assert denial["Action"] == "s3:PutObject"
    assert denial["Condition"] == {"Null": {"s3:if-match": "true", "s3:if-none-match": "true"}}
    named = denial["Resource"] if isinstance(denial["Resource"], list) else [denial["Resource"]]
    patterns = [each["Fn::Sub"].replace(f"${{{name}.Arn}}", "") for each in named]
    assert any(fnmatch(f"/{key}", pattern) for pattern in patterns) is is_guarded


def test_no_function_deletes_the_keyring_or_a_version_of_it() -> None:
    """Its history tells that there was one (rule 6), whatever a role is made to allow."""
    denial = denials("StateBucket")["FunctionsDeleteNothing"]
    assert set(denial["Action"]) == {"s3:DeleteObject", "s3:DeleteObjectVersion"}
    pattern = denial["Resource"]["Fn::Sub"].replace("${StateBucket.Arn}", "")
    assert fnmatch("/default/keyring.json", pattern)
    named = denial["Condition"]["ArnEquals"]["aws:PrincipalArn"]
    assert denial["Condition"].keys() == {"ArnEquals"}
    assert named == [MADE[name]["Properties"]["Role"] for name in FUNCTIONS]


def test_the_layer_is_built_for_the_processor_and_without_boto3() -> None:
    layer = SOURCE["MachineIdentityLayer"]
    assert layer["Metadata"]["BuildMethod"] == "python3.13"
    assert layer["Metadata"]["BuildArchitecture"] == {"Ref": "Architecture"}
    assert layer["Properties"]["CompatibleArchitectures"] == [{"Ref": "Architecture"}]
    lines = (PATH.parent / layer["Properties"]["ContentUri"] / "requirements.txt").read_text()
    names = {line.split("==")[0] for line in lines.splitlines() if "==" in line}
    assert {"pyjwt", "cryptography", "aws-lambda-powertools"} <= names
    assert not {"boto3", "botocore", "s3transfer"} & names
