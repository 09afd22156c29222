"""What a deployment says of itself: the outputs and the parameters of its CloudFormation stack.

1. It takes ``cloudformation:DescribeStacks`` on that stack, asked once, and nothing else.
2. The values count only while they are those of what is deployed: not before the stack is whole,
   not while it changes, and not after a change that neither succeeded nor was undone.

It looks at no resource, so a change by hand behind the stack's back is not seen.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from machine_identity.aws import AwsError, StackError
from machine_identity.aws.clients import client, translated
from machine_identity.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

ISSUER: Final = "IssuerUrl"
"""The output; the fields' names are those of the template, which a test holds."""
PARAMETERS: Final = {
    "provider": "Provider",
    "authorization_server": "AuthorizationServer",
    "client_id": "ClientId",
    "scope": "Scope",
    "algorithm": "SigningAlgorithm",
}

_OPERATION: Final = "cloudformation:DescribeStacks"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")
_DEPLOYED: Final = frozenset(
    {
        "CREATE_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }
)
_CREDENTIALS: Final = re.compile("Credential|Token|Profile|Signature|UnrecognizedClient")
"""In the codes of AWS, and the names of boto3's errors, that are about who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A deployment's values; a parameter that was left empty is empty."""

    issuer: str
    provider: str
    authorization_server: str
    client_id: str
    scope: str
    algorithm: str


class NoStackError(StackError):
    """There is no stack of that name in the region that was asked."""


def status(name: str) -> str | None:
    """Return the state of a stack in CloudFormation's word, or None if there is none.

    Raises SettingsError, and StackError if nobody can say.
    """
    try:
        return _described(name)["StackStatus"]
    except NoStackError:
        return None


def read(name: str) -> Stack:
    """Return the values of the stack of that name. Raises SettingsError or StackError."""
    found = _described(name)
    if found["StackStatus"] not in _DEPLOYED:
        raise StackError(f"stack {name} is {found['StackStatus']}: {_mend(found['StackStatus'])}")
    outputs = {
        each.get("OutputKey"): each.get("OutputValue", "") for each in found.get("Outputs", [])
    }
    if not outputs.get(ISSUER):
        raise StackError(
            f"stack {name} has no output {ISSUER}, so it is none of Machine Identity's template: "
            "name the one that is"
        )
    told = {
        each.get("ParameterKey"): each.get("ParameterValue", "")
        for each in found.get("Parameters", [])
    }
    values = {field: told.get(parameter, "") for field, parameter in PARAMETERS.items()}
    return Stack(issuer=outputs[ISSUER], **values)


def _described(name: str) -> "StackTypeDef":
    if not _NAME.fullmatch(name):
        raise SettingsError(
            "--stack must be a stack's name: a letter, and at most 127 letters, digits and '-'"
        )
    region = ""
    try:
        with translated(_OPERATION):
            cloudformation = client("cloudformation")
            region = cloudformation.meta.region_name
            return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except AwsError as error:
        # Of a name that can be one, CloudFormation says nothing else with this code.
        kind = NoStackError if error.code == "ValidationError" else StackError
        raise kind(_sentence(name, region, error)) from error


def _sentence(name: str, region: str, error: AwsError) -> str:
    """Return what went wrong and what to do about it."""
    if error.code == "ValidationError":
        return (
            f"there is no stack {name} in {region}: give the name that it was deployed under, and "
            "its region in AWS_DEFAULT_REGION"
        )
    if error.code == "NoRegionError":
        return "AWS is asked in no region: set AWS_DEFAULT_REGION to the stack's"
    if error.code.startswith("AccessDenied"):
        return f"{error}: you need the right to {_OPERATION} on stack {name}"
    if _CREDENTIALS.search(error.code):
        return f"{error}: sign in to AWS, as for its own command line"
    return f"{error}: ask again, and see that {region} is the stack's region"


def _mend(status: str) -> str:
    if status == "REVIEW_IN_PROGRESS":
        return "it was never deployed; execute its change set"
    if status.startswith("DELETE_"):
        return "it is on its way out; name another, or deploy it anew once it is gone"
    if status.endswith("_IN_PROGRESS"):
        return "wait until that has ended"
    if status.startswith("ROLLBACK_"):
        return "it never came to be; its events say why, delete it and deploy it anew"
    return "its events say what failed; mend that and deploy it again"
