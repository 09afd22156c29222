"""``"upload": {"registration": …}`` in ``clients.json``, and the sentence for every wrong one."""

import pytest

from machine_identity.client_registration.places import Kind, place
from machine_identity.errors import SettingsError
from machine_identity.providers import PROVIDERS, ByGraph, ByManagement, Client, Registration
from machine_identity.settings.upload import upload

STORE = "ssm:/machine-identity/default"
GUID = "6f0d3f0a-0f3b-4a39-9a3c-5d7f5b1f7c21"
MUST = "registration must be ssm:/machine-identity/STACK or secretsmanager:machine-identity/STACK"
TAKES = [name for name, each in PROVIDERS.items() if Registration.JWKS in each.registration]


def fault(given: object, provider: str = "rfc10070") -> str:
    with pytest.raises(SettingsError) as refused:
        upload(given, PROVIDERS[provider], "upload")
    return str(refused.value)


@pytest.mark.parametrize(
    "store",
    [
        STORE,
        "ssm:/machine-identity",
        "ssm:/machine-identity/",
        "secretsmanager:machine-identity",
        "secretsmanager:machine-identity/a/b",
    ],
)
def test_a_store_that_the_function_s_role_reaches_is_taken_as_it_is_written(store: str) -> None:
    assert upload({"registration": store}, PROVIDERS["rfc7523"], "") == ByManagement(store=store)


@pytest.mark.parametrize("name", TAKES)
def test_every_provider_that_takes_a_key_set_may_have_one(name: str) -> None:
    assert upload({"registration": STORE}, PROVIDERS[name], "") == ByManagement(store=STORE)


@pytest.mark.parametrize(
    "store",
    [
        "",
        "ssm",
        "ssm:",
        "ssm:machine-identity/x",
        "ssm:/machine-identity//x",
        "ssm:/machine-identities/x",
        "ssm:/x/machine-identity",
        "ssm:/machine-identity/*",
        "SSM:/machine-identity",
        "secretsmanager:/machine-identity",
        "secretsmanager:machine-identity-of-others",
        "secretsmanager:machine-identity/*",
        "file:/machine-identity",
        "file:machine-identity",
        "s3:machine-identity",
        f"{STORE}\n",
    ],
)
def test_rule_8_a_store_anywhere_else_is_one_sentence(store: str) -> None:
    assert fault({"registration": store}) == f"upload: {MUST}"


@pytest.mark.parametrize(
    ("given", "provider", "sentence"),
    [
        (
            {"registration": STORE},
            "entra-federated",
            (
                "upload: registration is for a server that is given a key set, and the provider "
                "entra-federated takes none"
            ),
        ),
        (
            {"registration": STORE, "object_id": GUID},
            "rfc10070",
            "upload: registration stands alone, without object_id and graph",
        ),
        (
            {"registration": STORE, "store": STORE},
            "rfc10070",
            "upload knows object_id, graph, registration, and not store",
        ),
        ({"registration": 7}, "rfc10070", "upload must be an object whose values are strings"),
        (STORE, "rfc10070", "upload must be an object whose values are strings"),
        ({}, "rfc10070", "upload must be an object whose values are strings"),
    ],
)
def test_everything_else_that_is_wrong_is_one_sentence(
    given: object, provider: str, sentence: str
) -> None:
    assert fault(given, provider) == sentence


def test_another_store_another_server_and_another_way_are_another_registration() -> None:
    ways = [
        None,
        ByManagement(store=STORE),
        ByManagement(store=f"{STORE}/x"),
        ByGraph(object_id=GUID),
    ]
    clients = [
        Client(
            name="billing",
            provider=PROVIDERS["rfc10070"],
            authorization_server="https://as.example",
            client_id="client-1",
            scope="read",
            upload=way,
        )
        for way in ways
    ]
    assert len({each.registration for each in clients}) == len(ways)


def test_a_place_is_read_as_the_command_line_and_the_function_write_it() -> None:
    found = place("file:~/registrations")
    assert found is not None
    assert (found.kind, found.path, found.is_of_function) == (
        Kind.FILES,
        "~/registrations",
        False,
    )
    assert place("registrations") is place("file:") is None
