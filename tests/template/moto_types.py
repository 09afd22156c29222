"""Types of resources that moto serves and its CloudFormation does not know, made with its own API.

moto would pass them over with a warning. Each is made from its properties as botocore takes them,
so that one that is misspelt is refused. What moto passes over all the same: the authorizer in an
API's definition, a function's processor and layers, a bucket's settings but its encryption.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

import boto3
from moto.core.common_models import CloudFormationModel

from tests.template.transformed import REGION

Properties = dict[str, Any]
Made = Mapping[str, str]
"""What ``Ref`` (``""``) and ``Fn::GetAtt`` say of a resource."""


def _client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload] # literals only


def _like_an_api(properties: Properties) -> Properties:
    """Return the properties as boto3 spells those of API Gateway: the same but for tags."""
    return {name: value for name, value in properties.items() if name != "Tags"}


def _bucket_policy(_: str, properties: Properties) -> Made:
    document = json.dumps(properties["PolicyDocument"])
    _client("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=document)
    return {"": properties["Bucket"]}


def _invoke_config(_: str, properties: Properties) -> Made:
    _client("lambda").put_function_event_invoke_config(**properties)
    return {"": properties["FunctionName"]}


def _api(_: str, properties: Properties) -> Made:
    gateway, body = _client("apigatewayv2"), properties["Body"]
    made = gateway.create_api(Name=body["info"]["title"], ProtocolType="HTTP")
    gateway.reimport_api(ApiId=made["ApiId"], Body=json.dumps(body))
    return {"": made["ApiId"], "ApiId": made["ApiId"], "ApiEndpoint": made["ApiEndpoint"]}


def _stage(_: str, properties: Properties) -> Made:
    _client("apigatewayv2").create_stage(**_like_an_api(properties))
    return {"": properties["StageName"]}


def _schedule(name: str, properties: Properties) -> Made:
    made = _client("scheduler").create_schedule(**{"Name": name[:64], **properties})
    return {"": name[:64], "Arn": made["ScheduleArn"]}


def _alarm(name: str, properties: Properties) -> Made:
    _client("cloudwatch").put_metric_alarm(**{"AlarmName": name, **properties})
    return {"": name}


def _dashboard(_: str, properties: Properties) -> Made:
    _client("cloudwatch").put_dashboard(**properties)
    return {"": properties["DashboardName"]}


def _no_alarm(name: str, _: Properties) -> None:
    _client("cloudwatch").delete_alarms(AlarmNames=[name])


def _no_dashboard(name: str, _: Properties) -> None:
    _client("cloudwatch").delete_dashboards(DashboardNames=[name])


def _no_bucket_policy(_: str, properties: Properties) -> None:
    _client("s3").delete_bucket_policy(Bucket=properties["Bucket"])


def _no_api(name: str, _: Properties) -> None:
    _client("apigatewayv2").delete_api(ApiId=name)


def _with_its_owner(_: str, __: Properties) -> None:
    """Leave it: it goes with its API or function, which moto may delete first."""


def _no_schedule(name: str, _: Properties) -> None:
    _client("scheduler").delete_schedule(Name=name)


TYPES: Final = {
    "AWS::ApiGatewayV2::Api": (_api, _no_api),
    "AWS::ApiGatewayV2::Stage": (_stage, _with_its_owner),
    "AWS::CloudWatch::Alarm": (_alarm, _no_alarm),
    "AWS::CloudWatch::Dashboard": (_dashboard, _no_dashboard),
    "AWS::Lambda::EventInvokeConfig": (_invoke_config, _with_its_owner),
    "AWS::S3::BucketPolicy": (_bucket_policy, _no_bucket_policy),
    "AWS::Scheduler::Schedule": (_schedule, _no_schedule),
}


def _model(
    kind: str,
    create: Callable[[str, Properties], Made],
    delete: Callable[[str, Properties], None],
) -> type[CloudFormationModel]:
    """Return a class for moto, which looks for the direct heirs of CloudFormationModel."""

    class Model(CloudFormationModel):
        def __init__(self, made: Made, properties: Properties) -> None:
            self._made, self._properties = made, properties

        @property
        def physical_resource_id(self) -> str:
            return self._made[""]

        def get_cfn_attribute(self, name: str) -> str:
            return self._made[name]

        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @staticmethod
        def cloudformation_type() -> str:
            return kind

        @classmethod
        def has_cfn_attr(cls, _: str) -> bool:
            return True

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name: str, cloudformation_json: Any, *_: Any, **__: Any
        ) -> Self:
            properties = cloudformation_json["Properties"]
            return cls(create(resource_name, properties), properties)

        def delete(self, _account: str, _region: str) -> None:
            delete(self.physical_resource_id, self._properties)

    return Model


MODELS: Final = [_model(kind, *ways) for kind, ways in TYPES.items()]
"""Held here: moto looks for classes, and one that nobody holds would be gone."""
