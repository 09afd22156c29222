"""The lint of the template is itself a thing that must not fail to see."""

from pathlib import Path

import pytest

from tests.template.transformed import PATH, lint, transformed


def test_the_template_and_its_transformed_form_have_no_finding() -> None:
    assert lint() == 0


def test_a_circle_that_only_the_transformed_template_shows_is_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # A function that is an event source of the API must not know the API's URL.
    text = PATH.read_text()
    known = "PUBLISHED_BUCKET: !Ref PublishedBucket\n          POWERTOOLS"
    circular = text.replace(known, known.replace("PublishedBucket", "Api"))
    assert circular != text
    path = tmp_path / "template.yaml"
    path.write_text(circular)
    assert lint(path) != 0
    assert "E3004" in capfd.readouterr().out


def test_the_transform_looks_at_no_parameter_so_linting_it_once_is_enough() -> None:
    url = "https://identity.example"
    given = {"PublicUrl": url, "TokenIssuer": url, "Architecture": "x86_64", "Provider": "okta"}
    assert transformed(given) == transformed()
