"""Reads template.yaml as far as the stack needs it: functions, routes, schedules, buckets.

Parameters take their defaults or what they are given, conditions are evaluated, and the intrinsic
functions that the template uses are resolved; one that this file does not know stops the stack
with its name, so that a new one is never passed over in silence.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parent.parent
REGION: Final = "eu-central-1"
ACCOUNT: Final = "123456789012"
STACK_NAME: Final = "embedded"

_PSEUDO: Final = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK_NAME,
    "AWS::URLSuffix": "amazonaws.com",
}
_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")


class TemplateError(Exception):
    """The template, or a parameter given for it, cannot be taken as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """An event that EventBridge Scheduler would deliver."""

    function: str
    every: timedelta
    event: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizer:
    """A Lambda authorizer of the HTTP API."""

    function: str
    headers: tuple[str, ...]
    """The identity sources, in lower case: without one of them nobody is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of the HTTP API."""

    method: str
    path: str
    function: str
    authorizer: Authorizer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """What Lambda is told about a function."""

    name: str
    """The logical ID."""
    folder: Path
    handler: str
    environment: Mapping[str, str]
    timeout: timedelta
    log_level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The deployment, resolved."""

    functions: tuple[FunctionSpec, ...]
    routes: tuple[Route, ...]
    schedules: tuple[Schedule, ...]
    buckets: tuple[str, ...]


def load(parameters: Mapping[str, str], path: Path = ROOT / "template.yaml") -> Template:
    """Read the template with ``parameters`` over its defaults. Raises TemplateError."""
    document = yaml.load(path.read_text(), Loader=_Loader)  # nosec B506 # noqa: S506 - safe
    resolver = _Resolver(document, parameters)
    resolver.check(document.get("Rules", {}))
    resources = {
        name: resource
        for name, resource in document["Resources"].items()
        if resolver.holds(resource.get("Condition"))
    }
    defaults = resolver.resolve(document.get("Globals", {}).get("Function", {}))
    functions = {
        name: resolver.resolve(resource["Properties"])
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    apis = [
        resolver.resolve(resource.get("Properties", {}))
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::HttpApi"
    ]
    authorizers = _authorizers(apis)
    return Template(
        functions=tuple(_function(each, functions[each], defaults, path) for each in functions),
        routes=tuple(
            _route(name, event["Properties"], authorizers)
            for name, event in _events(functions, "HttpApi")
        ),
        schedules=tuple(
            _schedule(name, event["Properties"])
            for name, event in _events(functions, "ScheduleV2")
        ),
        buckets=tuple(
            _physical(name)
            for name, resource in resources.items()
            if resource["Type"] == "AWS::S3::Bucket"
        ),
    )


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Ref X`` is ``{"Ref": "X"}``."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> object:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type] # the third kind
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".")
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tagged)


class _Resolver:
    """Evaluates the intrinsic functions of one template."""

    def __init__(self, document: Mapping[str, Any], given: Mapping[str, str]) -> None:
        declared = document.get("Parameters", {})
        for name, value in given.items():
            _check(name, value, declared)
        self._parameters = {
            name: given.get(name, str(parameter.get("Default", "")))
            for name, parameter in declared.items()
        }
        self._conditions = document.get("Conditions", {})
        self._resources = document["Resources"]

    def check(self, rules: Mapping[str, Any]) -> None:
        """Hold the parameters against the template's rules, as CloudFormation does at first."""
        for rule in rules.values():
            if not self.holds(rule.get("RuleCondition")):
                continue
            for assertion in rule["Assertions"]:
                if not self.holds(assertion["Assert"]):
                    raise TemplateError(assertion["AssertDescription"])

    def holds(self, condition: object) -> bool:  # noqa: PLR0911 - one a form
        """Whether a condition, by name or as an expression, is true; none always is."""
        match condition:
            case None:
                return True
            case str():
                return self.holds(self._conditions[condition])
            case {"Condition": name}:
                return self.holds(name)
            case {"Fn::Equals": [one, other]}:
                return bool(self.resolve(one) == self.resolve(other))
            case {"Fn::Contains": [[*values], value]}:
                return self.resolve(value) in values
            case {"Fn::Not": [inner]}:
                return not self.holds(inner)
            case {"Fn::And": [*inner]}:
                return all(self.holds(each) for each in inner)
            case {"Fn::Or": [*inner]}:
                return any(self.holds(each) for each in inner)
            case _:
                raise TemplateError(f"the condition {condition} is not understood")

    def resolve(self, value: Any) -> Any:  # noqa: ANN401, PLR0911 - any JSON; one a form
        """Return the value without intrinsic functions; ``AWS::NoValue`` leaves its place."""
        match value:
            case {"Ref": name}:
                return self._named(name)
            case {"Fn::Sub": str() as text}:
                return self._substituted(text, {})
            case {"Fn::Sub": [text, names]}:
                return self._substituted(text, self.resolve(names))
            case {"Fn::If": [condition, then, otherwise]}:
                return self.resolve(then if self.holds(condition) else otherwise)
            case {"Fn::GetAtt": [name, attribute]}:
                return self._named(f"{name}.{attribute}")
            case {"Fn::Join": [separator, parts]}:
                return separator.join(self.resolve(parts))
            case dict():
                unknown = [key for key in value if str(key).startswith("Fn::")]
                if unknown:
                    raise TemplateError(f"{unknown[0]} is not understood")
                resolved = {key: self.resolve(each) for key, each in value.items()}
                return {key: each for key, each in resolved.items() if each is not None}
            case list():
                return [each for each in map(self.resolve, value) if each is not None]
            case _:
                return value

    def _named(self, name: str) -> str | None:
        if name == "AWS::NoValue":
            return None
        if name in self._parameters:
            return self._parameters[name]
        if name in _PSEUDO:
            return _PSEUDO[name]
        resource, _, attribute = name.partition(".")
        if resource not in self._resources or attribute not in {"", "Arn"}:
            raise TemplateError(f"nothing is known of {name}")
        if self._resources[resource]["Type"] == "AWS::S3::Bucket":
            return f"arn:aws:s3:::{_physical(resource)}" if attribute else _physical(resource)
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{resource}" if attribute else resource

    def _substituted(self, text: str, names: Mapping[str, str]) -> str:
        def one(found: re.Match[str]) -> str:
            return names[found[1]] if found[1] in names else str(self._named(found[1]))

        return re.sub(r"\$\{([\w:.]+)\}", one, text)


def _check(name: str, value: str, declared: Mapping[str, Any]) -> None:
    if name not in declared:
        raise TemplateError(f"{name} is no parameter; there are {', '.join(declared)}")
    allowed = [str(each) for each in declared[name].get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise TemplateError(f"{name} must be one of {', '.join(allowed)}")


def _physical(name: str) -> str:
    """Return a bucket's name, such as CloudFormation makes one."""
    return f"{STACK_NAME}-{name.lower()}"


def _events(functions: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    return [
        (name, event)
        for name, properties in functions.items()
        for event in properties.get("Events", {}).values()
        if event["Type"] == kind
    ]


def _function(
    name: str, properties: Mapping[str, Any], defaults: Mapping[str, Any], path: Path
) -> FunctionSpec:
    variables = {
        **defaults.get("Environment", {}).get("Variables", {}),
        **properties.get("Environment", {}).get("Variables", {}),
    }
    merged = {**defaults, **properties}
    logging = {**defaults.get("LoggingConfig", {}), **properties.get("LoggingConfig", {})}
    return FunctionSpec(
        name=name,
        folder=path.parent / merged["CodeUri"],
        handler=merged["Handler"],
        environment={variable: str(value) for variable, value in variables.items()},
        timeout=timedelta(seconds=int(merged["Timeout"])),
        log_level=logging.get("ApplicationLogLevel", "INFO"),
    )


def _authorizers(apis: list[Any]) -> dict[str, Authorizer]:
    found = {}
    for api in apis:
        for name, authorizer in api.get("Auth", {}).get("Authorizers", {}).items():
            identity = authorizer["Identity"]
            if int(identity.get("ReauthorizeEvery", -1)) != 0:
                raise TemplateError(f"{name}: only ReauthorizeEvery 0 is understood")
            headers = tuple(each.lower() for each in identity["Headers"])
            function = _function_of(authorizer["FunctionArn"])
            found[name] = Authorizer(function=function, headers=headers)
    return found


def _function_of(arn: str) -> str:
    """Return the logical ID behind an ARN that this resolver made, with an alias or without."""
    return arn.split(":")[6]


def _route(name: str, event: Mapping[str, Any], authorizers: Mapping[str, Authorizer]) -> Route:
    wanted = event.get("Auth", {}).get("Authorizer", "NONE")
    if wanted != "NONE" and wanted not in authorizers:
        raise TemplateError(f"{event['Path']} names an authorizer that the API does not have")
    return Route(
        method=event["Method"].upper(),
        path=event["Path"],
        function=name,
        authorizer=authorizers.get(wanted),
    )


def _schedule(name: str, event: Mapping[str, Any]) -> Schedule:
    expression = event["ScheduleExpression"]
    found = _RATE.fullmatch(expression)
    if not found:
        raise TemplateError(f"the schedule {expression} is not understood; rate(…) is")
    every = timedelta(**{f"{found[2]}s": int(found[1])})
    return Schedule(function=name, every=every, event=json.loads(event.get("Input", "{}")))
