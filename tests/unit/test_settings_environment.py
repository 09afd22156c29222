"""Environment variables: what is taken, what is refused, and that the sentence says why."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from machine_identity.errors import SettingsError
from machine_identity.settings.environment import Environment, checked_url


def read(**variables: str) -> Environment:
    return Environment(variables)


def fault(ask: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as refused:
        ask()
    return str(refused.value)


# Text


@pytest.mark.parametrize("value", ["", " ", "\t\n"])
def test_an_empty_variable_counts_as_absent(value: str) -> None:
    environment = read(NAME=value)
    assert environment.text("NAME", "other") == "other"
    assert fault(lambda: environment.text("NAME")) == "NAME is not set, and it is required"


def test_what_is_absent_is_required_unless_there_is_a_default() -> None:
    assert read().text("NAME", "other") == "other"
    assert read().text("NAME", "") == ""
    assert fault(lambda: read().text("NAME")) == "NAME is not set, and it is required"


def test_a_value_is_taken_without_the_space_round_it() -> None:
    assert read(NAME=" a b ").text("NAME", "other") == "a b"


def test_a_list_is_separated_by_any_space_and_empty_when_absent() -> None:
    assert read(NAME="  a \t b\nc ").words("NAME") == ("a", "b", "c")
    assert read(NAME="").words("NAME") == read().words("NAME") == ()
    assert read().words("NAME", "RS256 PS256") == ("RS256", "PS256")


# Identity


@pytest.mark.parametrize("value", ["north", "a", "0", "A.b_c-d", "x" * 64])
def test_an_identity_is_a_name_that_can_be_a_folder(value: str) -> None:
    assert read(IDENTITY=value).identity() == value


def test_the_identity_is_default_by_default() -> None:
    assert read().identity() == read(IDENTITY="").identity() == "default"


@pytest.mark.parametrize("value", ["a/b", "..", ".a", "-a", "a b", "x" * 65, "é", "a\nb"])
def test_an_identity_that_leads_elsewhere_is_refused(value: str) -> None:
    sentence = "IDENTITY must be at most 64 letters, digits, '.', '_' and '-'"
    assert fault(lambda: read(IDENTITY=value).identity()) == sentence


# Choices and flags


def test_a_choice_is_one_of_those_allowed_to_the_letter() -> None:
    allowed = ("RS256", "ES256")
    assert read(NAME="ES256").choice("NAME", allowed) == "ES256"
    assert read().choice("NAME", allowed, "RS256") == "RS256"
    for value in ("es256", "RS256 ES256", "HS256"):
        sentence = fault(partial(read(NAME=value).choice, "NAME", allowed))
        assert sentence == "NAME must be one of RS256, ES256"
    assert fault(lambda: read().choice("NAME", allowed)) == "NAME is not set, and it is required"


def test_a_flag_is_true_only_if_it_says_so() -> None:
    assert read(NAME="true").flag("NAME") is True
    for environment in (read(NAME="false"), read(NAME=""), read()):
        assert environment.flag("NAME") is False
    for value in ("True", "1", "yes", "on"):
        sentence = fault(partial(read(NAME=value).flag, "NAME"))
        assert sentence == "NAME must be one of true, false"


# Numbers


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("300", 300), ("007", 7), (" 60 ", 60)])
def test_a_number_may_be_anything_between_its_bounds_and_the_bounds(
    value: str, number: int
) -> None:
    assert read(NAME=value).number("NAME", 5, least=0, most=300) == number
    assert read(NAME=value).seconds("NAME", 5, least=0, most=300) == timedelta(seconds=number)


def test_a_number_has_its_default_when_it_is_absent() -> None:
    assert read().number("NAME", 5, least=0, most=300) == 5
    assert read(NAME="").seconds("NAME", 5, least=0, most=300) == timedelta(seconds=5)


@pytest.mark.parametrize(
    "value",
    [
        "59",
        "301",
        "-60",
        "+60",
        "60.0",
        "6e1",
        "1_00",
        "0x3c",
        "60s",
        "²",
        "٦٠",
        "inf",
        "9" * 5000,
    ],
)
def test_a_number_out_of_bounds_or_written_otherwise_is_refused(value: str) -> None:
    environment = read(NAME=value)
    sentence = "NAME must be a whole number from 60 to 300"
    assert fault(lambda: environment.number("NAME", 60, least=60, most=300)) == sentence
    assert fault(lambda: environment.seconds("NAME", 60, least=60, most=300)) == sentence


def test_a_default_that_is_out_of_bounds_is_not_let_through() -> None:
    assert "from 60 to 300" in fault(lambda: read().number("NAME", 5, least=60, most=300))


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "https://identity.example",
        "https://identity.example/",
        "https://identity.example:8443/a/b.c~d-e_f",
        "HTTPS://Identity.Example/A",
        "https://[2001:db8::1]/a",
        "http://127.0.0.1:8080/a",
        "http://localhost",
        "http://[::1]:8080",
    ],
)
def test_a_url_is_taken_as_it_was_written(url: str) -> None:
    assert read(NAME=url).url("NAME") == checked_url("NAME", url) == url


def test_a_url_may_have_a_default_and_the_default_is_checked_too() -> None:
    assert read().url("NAME", "https://identity.example") == "https://identity.example"
    assert "https" in fault(lambda: read().url("NAME", "http://identity.example"))
    assert fault(lambda: read().url("NAME")) == "NAME is not set, and it is required"


@pytest.mark.parametrize(
    "url",
    [
        "http://identity.example",
        "http://localhost.identity.example",
        "http://127.0.0.1.identity.example",
        "http://127.0.0.2",
        "ftp://identity.example",
        "//identity.example",
        "identity.example",
        "https://",
        "https:///a",
        "https://:443/a",
        "https://identity.example?a=b",
        "https://identity.example/?",
        "https://identity.example/#",
        "https://identity.example/#a",
        "https://user@identity.example",
        "https://user:password@identity.example",
        "https://@identity.example",
        "https://good.example\\@identity.example",
        "https://identity.example\\a",
        "https://identity .example",
        "https://identity.example/a b",
        "https://identity.\nexample",
        "https://identity.example/a\tb",
        "https://identity.example/\x7f",
        "https://idéntity.example",
        "http://localhost\\.identity.example",
    ],
)
def test_any_other_url_is_refused_with_the_rule_and_without_what_it_says(url: str) -> None:
    sentence = fault(lambda: checked_url("NAME", url))
    assert sentence == "NAME must be an https URL without query, fragment or user"


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://identity.example:port", "https://identity.example:65536"]
)
def test_what_is_no_url_is_said_to_be_none(url: str) -> None:
    assert fault(lambda: checked_url("NAME", url)) == "NAME is not a URL"
