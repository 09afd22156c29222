"""What the embedded stack reads out of a template, and what it refuses to guess."""

from datetime import timedelta
from pathlib import Path

import pytest

from local.template import Template, TemplateError, load

TEMPLATE = """
Parameters:
  Size: {Type: String, Default: small, AllowedValues: [small, large]}
  Url: {Type: String, Default: ''}
Conditions:
  IsLarge: !Equals [!Ref Size, large]
  HasUrl: !Not [!Equals [!Ref Url, '']]
  Both: !And [!Condition IsLarge, !Condition HasUrl]
  Either: !Or [!Condition IsLarge, !Condition HasUrl]
Rules:
  LargeNeedsUrl:
    RuleCondition: !Equals [!Ref Size, large]
    Assertions:
      - {Assert: !Not [!Equals [!Ref Url, '']], AssertDescription: A large one needs a URL.}
  Sizes:
    Assertions:
      - {Assert: !Contains [[small, large], !Ref Size], AssertDescription: Never seen.}
      - {Assert: !Not [!Contains [[x], !Ref Url]], AssertDescription: No URL is x.}
Globals:
  Function:
    Timeout: 5
    LoggingConfig: {ApplicationLogLevel: WARN}
    Environment: {Variables: {STAGE: !Ref AWS::StackName}}
Resources:
  Bucket: {Type: AWS::S3::Bucket}
  Spare: {Type: AWS::S3::Bucket, Condition: IsLarge}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Guard:
            FunctionArn: !Sub '${GuardFunction.Arn}:live'
            Identity: {Headers: [Authorization], ReauthorizeEvery: 0}
  GuardFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/guard/, Handler: app.handler, Timeout: 9}
  MainFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/main/
      LoggingConfig: {ApplicationLogLevel: INFO}
      Handler: app.handler
      Environment:
        Variables:
          BUCKET: !Ref Bucket
          URL: !If [HasUrl, !Ref Url, !Sub 'https://${Api}.example/${AWS::Region}']
          BOTH: !If [Both, 'yes', 'no']
          EITHER: !If [Either, 'yes', !Ref AWS::NoValue]
          JOINED: !Join ['-', [!Ref Size, !GetAtt Bucket.Arn]]
          NAMED: !Sub ['${What}:${Size}', {What: x}]
      Events:
        Open: {Type: HttpApi, Properties: {Method: get, Path: /open, ApiId: !Ref Api}}
        Shut:
          Type: HttpApi
          Properties: {Method: post, Path: /shut, ApiId: !Ref Api, Auth: {Authorizer: Guard}}
        Tick:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(15 minutes), Input: '{"command": "tick"}'}
"""


def loaded(folder: Path, text: str = TEMPLATE, **parameters: str) -> Template:
    path = folder / "template.yaml"
    path.write_text(text)
    return load(parameters, path)


def environment(template: Template) -> dict[str, str]:
    return dict(
        next(each for each in template.functions if each.name == "MainFunction").environment
    )


def test_defaults_and_globals_count_where_nothing_else_is_said(tmp_path: Path) -> None:
    template = loaded(tmp_path)
    assert environment(template) == {
        "STAGE": "embedded",
        "BUCKET": "embedded-bucket",
        "URL": "https://Api.example/eu-central-1",
        "BOTH": "no",
        "JOINED": "small-arn:aws:s3:::embedded-bucket",
        "NAMED": "x:small",
    }
    assert template.buckets == ("embedded-bucket",)
    guard, main = template.functions
    assert (guard.timeout, main.timeout) == (timedelta(seconds=9), timedelta(seconds=5))
    assert (guard.log_level, main.log_level) == ("WARN", "INFO")
    assert guard.folder == tmp_path / "functions" / "guard"


def test_parameters_decide_conditions(tmp_path: Path) -> None:
    template = loaded(tmp_path, Size="large", Url="http://127.0.0.1:1")
    variables = environment(template)
    assert (variables["URL"], variables["BOTH"], variables["EITHER"]) == (
        "http://127.0.0.1:1",
        "yes",
        "yes",
    )
    assert template.buckets == ("embedded-bucket", "embedded-spare")


def test_routes_know_their_authorizer_and_open_ones_have_none(tmp_path: Path) -> None:
    one, other = loaded(tmp_path).routes
    assert (one.method, one.path, one.function, one.authorizer) == (
        "GET",
        "/open",
        "MainFunction",
        None,
    )
    assert (other.method, other.path) == ("POST", "/shut")
    assert other.authorizer is not None
    assert (other.authorizer.function, other.authorizer.headers) == (
        "GuardFunction",
        ("authorization",),
    )


def test_schedules_have_their_rate_and_their_event(tmp_path: Path) -> None:
    (schedule,) = loaded(tmp_path).schedules
    assert schedule.every == timedelta(minutes=15)
    assert (schedule.function, schedule.event) == ("MainFunction", {"command": "tick"})


@pytest.mark.parametrize(
    ("find", "put", "sentence"),
    [
        ("rate(15 minutes)", "cron(0 12 * * * *)", r"the schedule cron\(0"),
        ("ReauthorizeEvery: 0", "ReauthorizeEvery: 300", "only ReauthorizeEvery 0"),
        (", ReauthorizeEvery: 0", "", "only ReauthorizeEvery 0"),
        ("{Authorizer: Guard}", "{Authorizer: Gard}", "names an authorizer that the API does not"),
        ("!Join ['-', [", "!Select [0, [", "Fn::Select is not understood"),
        (
            "!GetAtt Bucket.Arn",
            "!GetAtt Bucket.DomainName",
            "nothing is known of Bucket.DomainName",
        ),
        ("!Ref Bucket", "!Ref Buckt", "nothing is known of Buckt"),
        ("!Equals [!Ref Size, large]", "!Xor [[large], x]", "condition .* is not understood"),
    ],
)
def test_what_is_not_understood_stops_the_stack_by_name(
    tmp_path: Path, find: str, put: str, sentence: str
) -> None:
    assert find in TEMPLATE
    with pytest.raises(TemplateError, match=sentence):
        loaded(tmp_path, TEMPLATE.replace(find, put))


def test_a_parameter_is_one_of_the_template_s_with_a_value_that_it_allows(
    tmp_path: Path,
) -> None:
    with pytest.raises(TemplateError, match="Siz is no parameter; there are Size, Url"):
        loaded(tmp_path, Siz="large")
    with pytest.raises(TemplateError, match="Size must be one of small, large"):
        loaded(tmp_path, Size="huge")


def test_the_template_s_rules_are_held_against_the_parameters_as_on_a_deployment(
    tmp_path: Path,
) -> None:
    with pytest.raises(TemplateError, match="A large one needs a URL"):
        loaded(tmp_path, Size="large")
    with pytest.raises(TemplateError, match="No URL is x"):
        loaded(tmp_path, Url="x")
