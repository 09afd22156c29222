"""Rule 8 in IAM: what each function may do, over the transformed template."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

from machine_identity import testimony
from machine_identity.aws import kms_keys, parameter_store, private_keys, s3, secrets_manager
from machine_identity.aws.kms_keys import Owner
from machine_identity.client_registration.places import place
from machine_identity.policy import Policy
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH, object_key
from tests.template.test_functions import FUNCTIONS, MADE, of_type
from tests.template.test_parameters import environment

LOGS: Final = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""What every function may do."""
TAGS: Final = Owner(stack="stack", identity="default").tags()
KEYS: Final = {"Fn::Sub": "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*"}


def statements(function: str, effect: str) -> list[dict[str, Any]]:
    role = MADE[MADE[function]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    assert "ManagedPolicyArns" not in role
    (policy,) = role["Policies"]
    found = policy["PolicyDocument"]["Statement"]
    assert {each["Effect"] for each in found} <= {"Allow", "Deny"}
    return [each for each in found if each["Effect"] == effect]


def actions(statement: dict[str, Any]) -> set[str]:
    named = statement["Action"]
    return {named} if isinstance(named, str) else set(named)


def allowed(function: str) -> set[str]:
    return {action for each in statements(function, "Allow") for action in actions(each)}


def all_allowing(function: str, action: str) -> list[dict[str, Any]]:
    return [each for each in statements(function, "Allow") if action in actions(each)]


def allowing(function: str, action: str) -> dict[str, Any]:
    (found,) = all_allowing(function, action)
    return found


def resources(function: str, action: str) -> list[Any]:
    named = [each["Resource"] for each in all_allowing(function, action)]
    return [one for each in named for one in (each if isinstance(each, list) else [each])]


def objects(bucket: str, *keys: str) -> list[dict[str, str]]:
    return [{"Fn::Sub": f"${{{bucket}.Arn}}/{key}"} for key in keys]


def operations(module: Any) -> set[str]:
    """Return the AWS operations that a module calls: it names each to ``translated``."""
    text = Path(module.__file__).read_text()
    named = set(re.findall(r'translated\("([\w:]+)"\)', text))
    # IAM calls this operation otherwise.
    return {each.replace("s3:ListObjectVersions", "s3:ListBucketVersions") for each in named}


PUBLISHED: Final = objects(
    "PublishedBucket",
    object_key("default", JWKS_PATH),
    object_key("default", CONFIGURATION_PATH),
)


REGISTRATIONS: Final = (operations(parameter_store) | operations(secrets_manager)) - {
    "secretsmanager:CreateSecret"  # who registers makes it, and that is no function
}
ROOMS: Final = ("ssm:/machine-identity/", "secretsmanager:machine-identity/")
ELSEWHERE: Final = ("ssm:/machine-identities", "secretsmanager:a/machine-identity", "file:/tmp")
TESTIMONY: Final = objects("StateBucket", testimony.object_key("default"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_role_is_one_function_s_and_says_what_it_allows_word_by_word(name: str) -> None:
    roles = [MADE[each]["Properties"]["Role"]["Fn::GetAtt"][0] for each in FUNCTIONS]
    assert len(set(roles)) == len(FUNCTIONS)
    role = MADE[MADE[name]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert not [action for action in allowed(name) if "*" in action]
    group = MADE[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    assert resources(name, "logs:PutLogEvents") == [{"Fn::GetAtt": [group, "Arn"]}]


@pytest.mark.parametrize("name", ["RotationFunction", "TokenFunction", "JwksFunction"])
def test_a_function_serves_the_identity_that_its_role_names(name: str) -> None:
    identity = environment(name)["IDENTITY"]
    assert all(f".Arn}}/{identity}/" in str(each) for each in resources(name, "s3:GetObject"))
    assert TAGS[f"{kms_keys.TAG}identity"] == identity


def test_rule_8_the_rotator_does_what_its_code_does_and_no_more() -> None:
    assert allowed("RotationFunction") - LOGS == {
        *operations(kms_keys),
        *operations(s3),
        "kms:TagResource",  # CreateKey with tags
        "s3:ListBucket",  # to be told of an absent object
    }


def test_rule_8_the_rotator_neither_signs_nor_grants_nor_invokes_the_signer() -> None:
    denied = [each for each in statements("RotationFunction", "Deny") if "Condition" not in each]
    (never,) = denied
    assert never["Resource"] == "*"
    assert actions(never) == {
        "kms:Sign",
        "kms:PutKeyPolicy",
        "kms:CreateGrant",
        "lambda:InvokeFunction",
    }
    assert not actions(never) & allowed("RotationFunction")


def test_the_rotator_writes_the_keyring_and_the_two_documents() -> None:
    written = [*objects("StateBucket", "default/keyring.json"), *PUBLISHED]
    assert resources("RotationFunction", "s3:PutObject") == written
    assert resources("RotationFunction", "s3:GetObject") == [*written, *TESTIMONY]


def test_the_rotator_makes_keys_of_this_stack_only() -> None:
    condition = deepcopy(allowing("RotationFunction", "kms:CreateKey")["Condition"])
    specs = condition["StringEquals"].pop("kms:KeySpec")
    assert set(specs) == set(kms_keys.KEY_SPECS.values())
    stack, identity = (f"aws:RequestTag/{tag}" for tag in TAGS)
    assert condition["StringEquals"] == {
        stack: {"Ref": "AWS::StackName"},
        identity: "default",
        "kms:KeyUsage": "SIGN_VERIFY",
    }
    assert condition["Null"] == {f"aws:RequestTag/{kms_keys.TAG}intent": "false"}


def test_the_rotator_ends_and_marks_no_key_but_its_own() -> None:
    stack, identity = (f"aws:ResourceTag/{tag}" for tag in TAGS)
    of_this_stack = {stack: {"Ref": "AWS::StackName"}, identity: "default"}
    window = {"kms:ScheduleKeyDeletionPendingWindowInDays": Policy().deletion_window.days}
    bound = {"StringEquals": of_this_stack, "NumericGreaterThanEqualsIfExists": window}
    for action in ("kms:DescribeKey", "kms:DisableKey", "kms:ScheduleKeyDeletion"):
        statement = allowing("RotationFunction", action)
        assert statement["Condition"] == bound
        assert statement["Resource"] == KEYS
    marking = allowing("RotationFunction", "kms:TagResource")["Condition"]
    assert marking["ForAllValues:StringEquals"]["aws:TagKeys"] == [*TAGS, f"{kms_keys.TAG}intent"]
    denied = {each["Sid"]: each for each in statements("RotationFunction", "Deny")}
    assert actions(denied["NeverTagAKeyOfAnotherStack"]) == {"kms:TagResource"}
    assert denied["NeverTagAKeyOfAnotherStack"]["Condition"] == {
        "Null": {stack: "false"},
        "StringNotEquals": {stack: {"Ref": "AWS::StackName"}},
    }
    assert actions(denied["NeverTagAKeyWithAnAlias"]) == {"kms:TagResource"}
    assert denied["NeverTagAKeyWithAnAlias"]["Condition"] == {
        "Null": {"kms:ResourceAliases": "false"}
    }


def test_rule_8_the_signer_writes_what_it_saw_and_the_tokens_of_registrations_only() -> None:
    calls = operations(private_keys)
    assert calls == {"kms:Sign"}
    documents = {"s3:GetObject", "s3:PutObject", "s3:ListBucket"}
    assert allowed("TokenFunction") - LOGS == calls | documents | REGISTRATIONS
    read = objects("StateBucket", "default/keyring.json", "default/clients.json")
    assert resources("TokenFunction", "s3:GetObject") == [*read, *TESTIMONY]
    assert resources("TokenFunction", "s3:PutObject") == TESTIMONY
    assert resources("TokenFunction", "s3:ListBucket") == [{"Fn::GetAtt": ["StateBucket", "Arn"]}]


def test_rule_8_the_signer_keeps_a_registration_s_token_in_the_room_of_its_stack() -> None:
    for action in sorted(REGISTRATIONS):
        service, _, _ = action.partition(":")
        kind = {"ssm": "parameter/", "secretsmanager": "secret:"}[service]
        account = f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}"
        allowed_at = [{"Fn::Sub": f"{account}:{kind}machine-identity/${{AWS::StackName}}/*"}]
        assert resources("TokenFunction", action) == allowed_at
    stores = {f"{room}stack/x": True for room in ROOMS} | dict.fromkeys(ELSEWHERE, False)
    found = {each: place(each) for each in stores}
    assert {each: at and at.is_of_function for each, at in found.items()} == stores


def test_the_signer_signs_assertions_with_keys_of_this_stack_only() -> None:
    statement = allowing("TokenFunction", "kms:Sign")
    stack, identity = (f"aws:ResourceTag/{tag}" for tag in TAGS)
    known = [*private_keys._RSA, *private_keys._EC]  # noqa: SLF001 - the one list there is
    assert statement["Resource"] == KEYS
    assert statement["Condition"] == {
        "StringEquals": {
            stack: {"Ref": "AWS::StackName"},
            identity: "default",
            "kms:MessageType": "RAW",
            "kms:SigningAlgorithm": [entry[-1] for entry in known],
        }
    }


def test_rule_8_the_key_set_s_function_reads_the_two_documents() -> None:
    assert allowed("JwksFunction") - LOGS == {"s3:GetObject", "s3:ListBucket"}
    assert resources("JwksFunction", "s3:GetObject") == PUBLISHED
    listed = resources("JwksFunction", "s3:ListBucket")
    assert listed == [{"Fn::GetAtt": ["PublishedBucket", "Arn"]}]


@pytest.mark.parametrize("name", ["AuthorizerFunction", "UppercaseFunction"])
def test_who_judges_and_who_serves_has_no_right_in_aws(name: str) -> None:
    assert allowed(name) == LOGS


def test_the_signer_is_invoked_by_its_schedule_and_nobody_else_whom_the_template_names() -> None:
    granted = [
        each["Properties"]["FunctionName"]
        for each in of_type(MADE, "AWS::Lambda::Permission").values()
    ]
    assert "TokenFunction" not in str(granted)
    assert "RotationFunction" not in str(granted)
    schedules = {"RotationFunctionTickRole": "RotationFunction"}
    schedules["TokenFunctionCanaryRole"] = "TokenFunction"
    for role, function in schedules.items():
        policies = MADE[role]["Properties"]["Policies"]
        statements = [each for made in policies for each in made["PolicyDocument"]["Statement"]]
        assert {each["Action"]: each["Resource"] for each in statements} == {
            "lambda:InvokeFunction": {"Fn::GetAtt": [function, "Arn"]},
            "sqs:SendMessage": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
        }
    roles = of_type(MADE, "AWS::IAM::Role")
    assert len(roles) == len(FUNCTIONS) + len(schedules)
