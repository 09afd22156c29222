"""The policies of the deployment, out of the transformed template, as AWS would be given them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from local.template import ACCOUNT, REGION
from tests.template.transformed import transformed

STACK: Final = "stack"
BUCKETS: Final = {"StateBucket": "state", "PublishedBucket": "published"}
"""The names that the worlds of tests/functions give them."""
ROLES: Final = {
    "rotation": "RotationRole",
    "token": "TokenRole",
    "jwks": "JwksRole",
    "authorizer": "AuthorizerRole",
    "uppercase": "UppercaseRole",
    "tick": "RotationFunctionTickRole",
    "canary": "TokenFunctionCanaryRole",
}
"""Who acts under which: the five functions, and what the scheduler calls two of them with."""
_PSEUDO: Final = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
}

type Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One document, and where it stands."""

    kind: str
    """``role``, ``trust`` or ``bucket``."""
    owner: str
    """Of ROLES, or of the buckets' names."""
    statements: tuple[Statement, ...]

    @property
    def document(self) -> dict[str, Any] | None:
        """The document as IAM takes it; there is none without a statement."""
        if not self.statements:
            return None
        return {"Version": "2012-10-17", "Statement": list(self.statements)}


def arn(logical: str) -> str:
    """Return what ``Fn::GetAtt … Arn`` gives, as CloudFormation would name things."""
    if logical in BUCKETS:
        return f"arn:aws:s3:::{BUCKETS[logical]}"
    if logical.endswith("LogGroup"):  # with the wildcard at its end, as AWS documents it
        return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{STACK}-{logical}:*"
    if logical == "DeadLetters":
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{STACK}-{logical}"
    if logical.endswith("Function"):
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK}-{logical}"
    if logical in ROLES.values():
        return f"arn:aws:iam::{ACCOUNT}:role/{STACK}-{logical}"
    raise LookupError(f"nothing is known of {logical}")


@cache
def policies() -> tuple[Policy, ...]:
    """Return every document of the deployment that grants or denies."""
    resources = transformed()["Resources"]
    of_iam = {each for each in resources if resources[each]["Type"].startswith("AWS::IAM::")}
    attached = {each for each in of_iam if {"Roles", "RoleName"} & _members(resources[each])}
    written = {each for each in of_iam if resources[each]["Type"] == "AWS::IAM::Role"}
    assert (written, attached) == (set(ROLES.values()), set())  # no right comes from elsewhere
    return tuple(_policies(resources))


def _members(resource: Mapping[str, Any]) -> set[str]:
    return set(resource["Properties"])


def _policies(resources: Mapping[str, Any]) -> Iterator[Policy]:
    for owner, logical in ROLES.items():
        properties = resources[logical]["Properties"]
        assert properties.keys() <= {"AssumeRolePolicyDocument", "Policies", "Tags"}
        inline = [each["PolicyDocument"]["Statement"] for each in properties["Policies"]]
        yield _policy("role", owner, {"Statement": [each for some in inline for each in some]})
        yield _policy("trust", owner, properties["AssumeRolePolicyDocument"])
    for resource in resources.values():
        if resource["Type"] == "AWS::S3::BucketPolicy":
            bucket = BUCKETS[resource["Properties"]["Bucket"]["Ref"]]
            yield _policy("bucket", bucket, resource["Properties"]["PolicyDocument"])


def _policy(kind: str, owner: str, document: Mapping[str, Any]) -> Policy:
    written = _resolved(document["Statement"])
    statements = written if isinstance(written, list) else [written]
    return Policy(kind=kind, owner=owner, statements=tuple(statements))


def _resolved(value: Any) -> Any:
    match value:
        case {"Ref": name}:
            return _PSEUDO[name]
        case {"Fn::GetAtt": [logical, "Arn"]}:
            return arn(logical)
        case {"Fn::Sub": str() as text}:
            return re.sub(r"\$\{([\w:.]+)\}", lambda found: _named(found[1]), text)
        case dict():
            unknown = [key for key in value if str(key).startswith("Fn::")]
            assert not unknown, unknown
            return {key: _resolved(each) for key, each in value.items()}
        case list():
            return [_resolved(each) for each in value]
        case _:
            return value


def _named(name: str) -> str:
    return _PSEUDO[name] if name in _PSEUDO else arn(name.removesuffix(".Arn"))
