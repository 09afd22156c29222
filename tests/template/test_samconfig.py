"""samconfig.toml: sam passes over in silence what it does not know, so a slip would go unseen."""

import tomllib
from typing import Any, Final

import click
import pytest
from samcli.commands.build import command as build  # type: ignore[import-untyped]
from samcli.commands.deploy import command as deploy  # type: ignore[import-untyped]
from samcli.commands.local.start_api import cli as start_api  # type: ignore[import-untyped]
from samcli.commands.local.start_lambda import cli as start_lambda  # type: ignore[import-untyped]
from samcli.commands.validate import validate  # type: ignore[import-untyped]

from tests.template.test_functions import MADE, of_type
from tests.template.transformed import PATH

CONFIG: Final[dict[str, Any]] = tomllib.loads((PATH.parent / "samconfig.toml").read_text())
COMMANDS: Final[dict[str, click.Command]] = {
    "validate": validate.cli,
    "build": build.cli,
    "deploy": deploy.cli,
    "local_start_api": start_api.cli,
    "local_start_lambda": start_lambda.cli,
}


@pytest.mark.parametrize("section", CONFIG["default"])
def test_every_default_is_an_option_of_its_command(section: str) -> None:
    known = {option.name for option in COMMANDS[section].params}
    assert CONFIG["default"][section].keys() == {"parameters"}
    assert CONFIG["default"][section]["parameters"].keys() <= known


def test_a_deployment_may_make_roles_and_asks_before_it_does() -> None:
    defaults = CONFIG["default"]["deploy"]["parameters"]
    assert defaults["capabilities"] == "CAPABILITY_IAM"  # enough as long as no role has a name
    assert [n for n, r in of_type(MADE, "AWS::IAM::Role").items() if "RoleName" in str(r)] == []
    assert defaults["confirm_changeset"] is True


def test_the_template_is_linted_when_it_is_validated() -> None:
    assert CONFIG["default"]["validate"]["parameters"]["lint"] is True
