"""The roles of the transformed template in moto's IAM, as far as moto can judge by them.

It can for S3: action and ARN. Of KMS and tags it knows no resource and no condition, so there
every role may do everything; ``tests/iam`` has the documents judged for all services.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import boto3

from local.aws import Aws
from local.template import REGION
from tests.template.transformed import transformed

_UNJUDGED: Final = {"Effect": "Allow", "Action": ["kms:*", "tag:*"], "Resource": "*"}
_ANYBODY: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"},
    }
)


def of(function: str, buckets: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the statements on S3 of that function's role; ``buckets`` are by logical ID."""
    made = transformed()["Resources"]
    role = made[made[function]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    (policy,) = role["Policies"]
    written = policy["PolicyDocument"]["Statement"]
    return [_resolved(each, buckets) for each in written if "s3:" in json.dumps(each["Action"])]


def assumed(aws: Aws, name: str, statements: list[dict[str, Any]]) -> Mapping[str, str]:
    """Make a role with these statements, and return the environment of whoever has assumed it."""
    session = boto3.Session("local", "local", region_name=REGION)
    iam = session.client("iam", endpoint_url=aws.url)
    sts = session.client("sts", endpoint_url=aws.url)
    document = {"Version": "2012-10-17", "Statement": [*statements, _UNJUDGED]}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_ANYBODY)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="it", PolicyDocument=json.dumps(document))
    given = sts.assume_role(RoleArn=arn, RoleSessionName="interop")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def _resolved(value: Any, buckets: Mapping[str, str]) -> Any:
    match value:
        case {"Fn::GetAtt": [bucket, "Arn"]}:
            return f"arn:aws:s3:::{buckets[bucket]}"
        case {"Fn::Sub": text}:
            return re.sub(
                r"\$\{(\w+)\.Arn\}", lambda found: f"arn:aws:s3:::{buckets[found[1]]}", text
            )
        case dict():
            return {name: _resolved(each, buckets) for name, each in value.items()}
        case list():
            return [_resolved(each, buckets) for each in value]
        case _:
            return value
