"""How keys are brought to a client's server, and the sentence for everything told wrongly."""

from typing import Any

import pytest

from machine_identity.errors import SettingsError
from machine_identity.providers import GRAPH, PROVIDERS, ByGraph
from machine_identity.settings.upload import upload

OBJECT_ID = "0f1d2c3b-00aB-4000-8000-000000000001"
ENTRA = PROVIDERS["entra-certificate"]


def fault(given: object, provider: str = "entra-certificate") -> str:
    with pytest.raises(SettingsError) as refused:
        upload(given, PROVIDERS[provider], "here")
    return str(refused.value)


def test_the_object_id_is_enough_and_is_written_in_small_letters() -> None:
    made = upload({"object_id": OBJECT_ID}, ENTRA, "here")
    assert made == ByGraph(object_id=OBJECT_ID.lower(), root=GRAPH)
    assert made.scope == "https://graph.microsoft.com/.default"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_national_cloud_has_another_graph_and_its_tokens_another_scope(slash: str) -> None:
    given = {"object_id": OBJECT_ID, "graph": f"https://graph.microsoft.us/v1.0{slash}"}
    made = upload(given, ENTRA, "here")
    assert isinstance(made, ByGraph)
    assert made.root == "https://graph.microsoft.us/v1.0"
    assert made.scope == "https://graph.microsoft.us/.default"


@pytest.mark.parametrize("given", [None, {}, [], "x", 7, {"object_id": 7}, {"graph": None}])
def test_it_is_an_object_of_strings(given: object) -> None:
    assert fault(given) == "here must be an object whose values are strings"


def test_an_unknown_member_is_named_in_one_printable_line() -> None:
    assert fault({"object": "x"}) == "here knows object_id, graph, registration, and not object"
    assert fault({"a\nb\x1b[31m": "x"}).isprintable()
    assert len(fault({"x" * 10_000: "x"})) < 1000


@pytest.mark.parametrize("provider", ["rfc10070", "auth0", "entra-federated"])
def test_there_is_none_for_a_provider_without_certificates(provider: str) -> None:
    said = fault({"object_id": OBJECT_ID}, provider)
    assert said == f"here: there is none for the provider {provider}"


@pytest.mark.parametrize(
    "object_id",
    [
        "",
        "7",
        OBJECT_ID[:-1],
        f"{OBJECT_ID}0",
        f"{OBJECT_ID}\n",
        f"../{OBJECT_ID}",
        "g" + OBJECT_ID[1:],
    ],
)
def test_an_object_id_is_a_guid_and_nothing_else(object_id: str) -> None:
    said = "here: object_id must be a GUID, that of the application object"
    assert fault({"object_id": object_id}) == said


def test_without_an_object_id_there_is_no_upload() -> None:
    assert "object_id must be a GUID" in fault({"graph": GRAPH})


@pytest.mark.parametrize(
    "graph", ["http://graph.example", "graph.example", "https://a@graph.example", "https://"]
)
def test_graph_is_reached_over_https(graph: str) -> None:
    given: dict[str, Any] = {"object_id": OBJECT_ID, "graph": graph}
    assert fault(given).startswith("here: graph must be")
