"""What the jwks function is told, and the sentence for what it is told wrongly."""

import pytest

from machine_identity.errors import SettingsError
from machine_identity.settings.jwks import JwksSettings


def test_nothing_but_the_published_bucket_is_needed() -> None:
    settings = JwksSettings.from_environment({"PUBLISHED_BUCKET": "published"})
    assert (settings.identity, settings.published_bucket) == ("default", "published")


def test_the_identity_is_what_the_environment_says() -> None:
    variables = {"PUBLISHED_BUCKET": "published", "IDENTITY": "north"}
    assert JwksSettings.from_environment(variables).identity == "north"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "PUBLISHED_BUCKET is not set, and it is required"),
        ({"PUBLISHED_BUCKET": " "}, "PUBLISHED_BUCKET is not set, and it is required"),
        ({"PUBLISHED_BUCKET": "published", "IDENTITY": "../other"}, "IDENTITY must be at most 64"),
    ],
)
def test_a_wrong_variable_is_named_with_its_rule(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"^{sentence}"):
        JwksSettings.from_environment(variables)
