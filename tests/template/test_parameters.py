"""The parameters: what a person may choose, and that no choice that deploys is an unsafe one."""

import re
from itertools import product
from typing import Any, Final

import pytest

from local import template
from machine_identity import jwk, providers
from machine_identity.errors import MachineIdentityError
from machine_identity.settings.rotation import RotationSettings
from machine_identity.settings.token import TokenSettings
from tests.template.transformed import source

DOCUMENT: Final = source()
PARAMETERS: Final[dict[str, Any]] = DOCUMENT["Parameters"]
DAYS: Final = (7, 14, 30, 60, 90, 180, 365)
CHOSEN: Final = ("PROVIDER", "SIGNING_ALGORITHM", "ROTATION_INTERVAL_DAYS")
URL: Final = "https://login.example/tenant/v2.0"
CLIENT: Final = {"AuthorizationServer": URL, "ClientId": "client-1", "Scope": "api/.default"}


def refusals(**given: str) -> list[str]:
    """Return what CloudFormation would say of these parameters: the rules that they break."""
    values = {name: str(each["Default"]) for name, each in PARAMETERS.items()} | given
    assert values.keys() == PARAMETERS.keys()
    return [
        assertion["AssertDescription"]
        for rule in DOCUMENT["Rules"].values()
        if _holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not _holds(assertion["Assert"], values)
    ]


def environment(function: str, **given: str) -> dict[str, str]:
    """Return the variables that a function is started with."""
    functions = {each.name: each for each in template.load(given).functions}
    return dict(functions[function].environment)


def _holds(expression: Any, values: dict[str, str]) -> bool:
    match expression:
        case {"Fn::Equals": [one, other]}:
            return _value(one, values) == _value(other, values)
        case {"Fn::Contains": [allowed, one]}:
            return _value(one, values) in allowed
        case {"Fn::Not": [inner]}:
            return not _holds(inner, values)
        case {"Fn::And": inner}:
            assert 2 <= len(inner) <= 10
            return all(_holds(each, values) for each in inner)
        case _:
            raise AssertionError(f"CloudFormation's rules do not know {expression}")


def _value(one: Any, values: dict[str, str]) -> str:
    return values[one["Ref"]] if isinstance(one, dict) else str(one)


def test_the_lists_of_the_template_are_those_of_the_code() -> None:
    assert tuple(PARAMETERS["Provider"]["AllowedValues"]) == providers.NAMES
    assert PARAMETERS["Provider"]["Default"] == providers.DEFAULT
    assert tuple(PARAMETERS["SigningAlgorithm"]["AllowedValues"]) == jwk.ALGORITHMS
    assert tuple(PARAMETERS["RotationIntervalDays"]["AllowedValues"]) == DAYS


def test_every_parameter_is_described_and_asked_for_in_one_group() -> None:
    groups = DOCUMENT["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    asked = [name for group in groups for name in group["Parameters"]]
    assert len(asked) == 15
    assert sorted(asked) == sorted(PARAMETERS)
    assert asked == list(PARAMETERS)
    assert [name for name, each in PARAMETERS.items() if len(each["Description"]) < 20] == []
    assert all(
        ("AllowedPattern" in each and "ConstraintDescription" in each) or "AllowedValues" in each
        for each in PARAMETERS.values()
    )


def test_rotation_is_told_what_was_chosen() -> None:
    given = {"Provider": "hydra", "SigningAlgorithm": "ES256", "RotationIntervalDays": "7"}
    variables = environment("RotationFunction", **given)
    assert [variables[name] for name in CHOSEN] == list(given.values())


def test_rule_7_every_combination_that_deploys_is_one_that_rotation_runs_with() -> None:
    deployed, variables = 0, environment("RotationFunction")
    for provider, algorithm, days in product(providers.NAMES, jwk.ALGORITHMS, DAYS):
        given = {
            "Provider": provider,
            "SigningAlgorithm": algorithm,
            "RotationIntervalDays": str(days),
        }
        chosen = dict(zip(CHOSEN, (provider, algorithm, str(days)), strict=True))
        try:
            RotationSettings.from_environment({**variables, **chosen})
        except MachineIdentityError:
            assert refusals(**given), given
        else:
            assert not refusals(**given), given
            deployed += 1
    # 18 providers x 6 algorithms, less the 43 that one of them does not take, x 7 intervals.
    assert deployed == (18 * 6 - 43) * 7


def test_a_first_deploy_needs_no_value() -> None:
    assert refusals() == []
    settings = TokenSettings.from_environment(environment("TokenFunction"))
    assert settings.default is None


def test_a_client_that_is_given_whole_is_the_default_client() -> None:
    assert refusals(**CLIENT, Provider="okta") == []
    variables = environment("TokenFunction", **CLIENT, Provider="okta")
    default = TokenSettings.from_environment(variables).default
    assert default is not None
    assert default.provider.name == "okta"
    assert (default.authorization_server, default.client_id, default.scope) == (
        URL,
        "client-1",
        "api/.default",
    )


@pytest.mark.parametrize("missing", CLIENT)
def test_half_a_client_does_not_deploy(missing: str) -> None:
    given = {name: value for name, value in CLIENT.items() if name != missing}
    assert refusals(**given) == [
        "AuthorizationServer, ClientId and Scope are set together or not at all."
    ]


FLOWS: Final = [
    name
    for name in providers.NAMES
    if providers.PROVIDERS[name].grant is not providers.Grant.CLIENT_CREDENTIALS
]


@pytest.mark.parametrize("name", FLOWS)
def test_where_there_is_no_token_for_a_machine_no_client_deploys(name: str) -> None:
    algorithm = providers.PROVIDERS[name].algorithms[0]
    assert refusals(Provider=name, SigningAlgorithm=algorithm) == []
    (refusal,) = refusals(**CLIENT, Provider=name, SigningAlgorithm=algorithm)
    assert "there is no ClientId" in refusal


@pytest.mark.parametrize("demand", ["RequiredScopes", "RequiredRoles", "AllowedClients"])
def test_one_demand_beside_issuer_and_audience_makes_an_authorizer(demand: str) -> None:
    assert refusals(TokenIssuer=URL, Audience="api://1", **{demand: "one"}) == []
    assert refusals(**CLIENT, Audience="api://1", **{demand: "one"}) == []


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"Audience": "api://1", "RequiredRoles": "one"}, "TokenIssuer"),
        ({"TokenIssuer": URL, "RequiredRoles": "one"}, "Audience"),
        ({"TokenIssuer": URL, "Audience": "api://1"}, "RequiredScopes, RequiredRoles or"),
        ({"TokenIssuer": URL, "JwksUri": URL, "Audience": "api://1"}, "RequiredScopes"),
    ],
)
def test_half_an_authorizer_does_not_deploy(given: dict[str, str], needed: str) -> None:
    (refusal,) = refusals(**given)
    assert needed in refusal


@pytest.mark.parametrize("name", ["JwksUri", "RequiredScopes", "RequiredRoles", "AllowedClients"])
def test_no_parameter_of_the_authorizer_is_passed_over_in_silence(name: str) -> None:
    assert refusals(**{name: URL})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "PublicUrl",
            ["", "https://id.example", "https://id.example:8443/a/b"],
            ["http://id.example", "https://id.example/", "https://id.example?x", "https://u@x"],
        ),
        (
            "AuthorizationServer",
            ["", URL, "https://tenant.auth0.example/"],
            ["http://login.example", "https://a b", "https://a#f", "login.example"],
        ),
        ("TokenIssuer", ["", URL, f"{URL} {URL}"], [f"{URL}  {URL}", f"{URL},{URL}x y"]),
        ("JwksUri", ["", URL, f"{URL} {URL}?p=1"], [f"{URL} ", "http://keys.example"]),
        ("ClientId", ["", "a", "a b", "x" * 600], [" a", "a ", "ä", "x" * 601]),
        ("Scope", ["", "a", "a b"], [" ", "a  b", 'a"', "a\\"]),
        ("Audience", ["", "api://1", "api://1 guid"], [" a", "a  b", "a "]),
        ("RequiredScopes", ["", "a b"], [" "]),
        ("RequiredRoles", ["", "a b"], [" "]),
        ("AllowedClients", ["", "a b"], [" "]),
    ],
)
def test_a_pattern_takes_what_the_function_takes(
    name: str, good: list[str], bad: list[str]
) -> None:
    pattern = re.compile(PARAMETERS[name]["AllowedPattern"])
    assert [each for each in good if not pattern.fullmatch(each)] == []
    assert [each for each in bad if pattern.fullmatch(each)] == []
