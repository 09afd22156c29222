"""``provider``: the steps with our values in them, and every fault by its name and its mending."""

import json
import re
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from machine_identity import jwk, providers
from machine_identity.publication import JWKS_PATH
from tests.key_set_server import Answer, KeySetServer
from tests.provider_command import EC, RSA, WHOLE, Command, deployed


@pytest.fixture
def us() -> Iterator[KeySetServer]:
    with deployed() as server:
        yield server


@pytest.fixture
def them() -> Iterator[KeySetServer]:
    with KeySetServer({"keys": []}) as server:
        server.metadata = {**WHOLE, "token_endpoint": f"{server.issuer}/token"}
        yield server


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


# What to type


@pytest.mark.parametrize("name", providers.PROVIDERS)
def test_every_provider_has_its_steps_with_our_values_and_says_how_it_knows(
    command: Command, name: str
) -> None:
    code, out, _ = command(
        *(name, "--issuer", "https://id.example", "--client-id", "client-1"),
        *("--authorization-server", "https://as.example"),
    )
    entry = providers.PROVIDERS[name]
    assert code == 0
    assert out.startswith(entry.title + "\n")
    assert "Source:" in out
    assert "${" not in out
    assert all(each.says in out for each in entry.sources)
    assert entry.cannot in out


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("entra-federated", ['"issuer":"https://id.example"', '"subject":"machine-7"']),
        ("keycloak", ['"jwks.url":"https://id.example/.well-known/jwks.json"']),
        ("okta", ['"jwks_uri":"https://id.example/.well-known/jwks.json"']),
        ("aws-sts", ["--url https://id.example --client-id-list sts.amazonaws.com"]),
        ("google", ["--issuer-uri=https://id.example"]),
    ],
)
def test_a_step_can_be_typed_as_it_stands(command: Command, name: str, needed: list[str]) -> None:
    values = ("--issuer", "https://id.example", "--client-id", "c", "--subject", "machine-7")
    _, out, _ = command(name, *values)
    assert [each for each in needed if each not in out] == []
    _, out, _ = command(name, *values, "--json")
    assert json.loads(out)["values"]["issuer"] == "https://id.example"
    assert all(each in json.loads(out)["steps"] for each in needed)


def test_without_values_their_places_are_words_in_capitals(command: Command) -> None:
    _, out, _ = command("entra-federated")
    assert '"issuer":"ISSUER_URL","subject":"CLIENT_ID"' in out


def test_an_unknown_provider_and_a_bad_url_are_one_sentence(command: Command) -> None:
    code, _, err = command("nobody")
    assert (code, "'nobody' is not one of" in err) == (2, True)
    code, _, err = command("okta", "--issuer", "http://id.example")
    assert (code, err) == (
        2,
        "Error: settings: --issuer must be an https URL without query, fragment or user\n",
    )
    code, _, err = command("okta", "--check")
    assert (code, "--check needs --issuer or --stack" in err) == (2, True)


# What is wrong


def test_where_nothing_is_wrong_everything_is_ticked(
    command: Command, us: KeySetServer, them: KeySetServer
) -> None:
    words = ("--issuer", us.issuer, "--authorization-server", them.issuer, "--kid", RSA["kid"])
    code, out, _ = command("okta", *words, "--check")
    assert code == 0
    assert all(line.startswith("✓ ") for line in out.splitlines())
    assert len(out.splitlines()) == 17
    assert command.faults("okta", *words) == {}


def test_a_slash_too_many_is_called_one(command: Command, us: KeySetServer) -> None:
    (fault, mend) = command.faults("okta", "--issuer", us.issuer + "/")[
        "our discovery document names our issuer"
    ]
    assert fault.endswith("they differ in the slash at the end")
    assert us.issuer in mend


def test_another_issuer_and_another_key_set_are_called_so(
    command: Command, us: KeySetServer
) -> None:
    us.metadata |= {"issuer": "https://other.example", "jwks_uri": "https://other.example/keys"}
    wrong = command.faults("okta", "--issuer", us.issuer)
    assert wrong.keys() == {
        "our discovery document names our issuer",
        "our discovery document leads to our key set",
    }
    assert all("https://other.example" in fault for fault, _ in wrong.values())


@pytest.mark.parametrize("member", list(WHOLE)[:3])
def test_a_member_that_strict_readers_demand_is_missed(
    command: Command, us: KeySetServer, member: str
) -> None:
    us.metadata |= {member: None}
    ((fault, _),) = command.faults("okta", "--issuer", us.issuer).values()
    assert fault == f"it does not say {member}, which strict readers demand"


def test_a_key_that_is_missing_is_named_beside_those_that_are_there(
    command: Command, us: KeySetServer
) -> None:
    us.jwks = {"keys": [EC, RSA]}
    ((fault, mend),) = command.faults("okta", "--issuer", us.issuer, "--kid", "absent").values()
    assert fault.startswith("absent is not among ")
    assert RSA["kid"] in fault
    assert "status" in mend


def test_a_set_without_a_key_for_the_provider_s_algorithms_says_which_it_takes(
    command: Command, us: KeySetServer
) -> None:
    us.jwks = {"keys": [EC]}
    ((fault, mend),) = command.faults("entra-federated", "--issuer", us.issuer).values()
    assert fault == "none of its 1 usable keys signs RS256"
    assert mend.endswith("takes: RS256.")


def test_more_keys_than_the_provider_takes_are_counted(command: Command, us: KeySetServer) -> None:
    # Auth0 takes two.
    us.jwks = {"keys": [RSA, EC]}
    assert command.faults("auth0", "--issuer", us.issuer) == {}
    third = jwk.from_public_key(ec.generate_private_key(ec.SECP256R1()).public_key(), "ES256")
    us.jwks = {"keys": [RSA, EC, third]}
    ((fault, _),) = command.faults("auth0", "--issuer", us.issuer).values()
    assert fault == "it has 3 keys, and auth0 takes 2"


def test_a_wrong_content_type_is_told(command: Command, us: KeySetServer) -> None:
    us.headers = {"content-type": "text/html; charset=utf-8"}
    ((fault, mend),) = command.faults("okta", "--issuer", us.issuer).values()
    assert fault == "its Content-Type is text/html; charset=utf-8, and strict readers want JSON"
    assert mend == "Have whatever serves it say application/json."


@pytest.mark.parametrize("told", ["application/jwk-set+json", "Application/JSON; charset=utf-8"])
def test_a_content_type_of_json_is_any_of_its_names(
    command: Command, us: KeySetServer, told: str
) -> None:
    us.headers = {"content-type": told}
    assert command.faults("okta", "--issuer", us.issuer) == {}


def test_a_first_byte_that_comes_too_late_is_told_with_the_provider_s_patience(
    command: Command, us: KeySetServer
) -> None:
    us.answer = Answer(body=json.dumps(us.jwks).encode(), headers=us.headers, delay=1.6)
    ((fault, mend),) = command.faults("okta", "--issuer", us.issuer).values()
    assert fault.startswith("its first byte came after 1.")
    assert fault.endswith("okta may wait no longer than 1.50 s")
    assert "CDN" in mend


def test_a_body_that_dawdles_behind_its_headers_is_not_called_late_to_its_first_byte(
    command: Command, us: KeySetServer
) -> None:
    us.answer = Answer(body=json.dumps(us.jwks).encode(), headers=us.headers, dawdle=1.6)
    code, out, _ = command("okta", "--issuer", us.issuer, "--check")
    found = re.search(r"✓ our key set .+ \(first byte after (.+) s, all of it after (.+) s\)", out)
    assert code == 0
    assert found is not None
    assert float(found[1]) < 1.5
    assert float(found[2]) >= 1.6


@pytest.mark.parametrize(
    ("status", "mend"),
    [(404, "IssuerUrl"), (503, "tick"), (500, "tick"), (403, "IssuerUrl")],
)
def test_a_status_is_told_with_what_to_do_about_it(
    command: Command, us: KeySetServer, status: int, mend: str
) -> None:
    us.answer = Answer(status=status)
    ((fault, mended),) = command.faults("okta", "--issuer", us.issuer).values()
    assert us.issuer + JWKS_PATH in fault
    assert mend in mended


def test_a_redirect_is_not_followed_and_told(command: Command, us: KeySetServer) -> None:
    us.answer = Answer(status=302, headers={"location": us.issuer + "/elsewhere"})
    ((fault, mend),) = command.faults("okta", "--issuer", us.issuer).values()
    assert "redirect" in fault
    assert "providers follow none" in mend


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"<html>", b"[" * 100_000])
def test_what_is_no_document_is_told(command: Command, us: KeySetServer, body: bytes) -> None:
    us.answer = Answer(body=body, headers={"content-type": "application/json"})
    wrong = command.faults("okta", "--issuer", us.issuer)
    assert wrong["our key set can be read"][0] == "it is not a JSON object"


def test_a_set_that_is_none_is_told(command: Command, us: KeySetServer) -> None:
    us.jwks = {"keys": "none"}
    ((fault, _),) = command.faults("okta", "--issuer", us.issuer).values()
    assert fault == "the answer is not a JWK Set"


def test_a_server_that_is_not_there_is_told_and_nothing_else_of_it(command: Command) -> None:
    with KeySetServer({}) as gone:
        issuer = gone.issuer
    wrong = command.faults("okta", "--issuer", issuer, "--authorization-server", issuer)
    assert [*wrong] == [
        "our discovery document is there",
        "our key set is there",
        "the server's discovery document is there",
    ]
    assert all("no answer from 127.0.0.1" in fault for fault, _ in wrong.values())


def test_what_the_server_says_of_itself_is_compared_with_what_we_do(
    command: Command, us: KeySetServer, them: KeySetServer
) -> None:
    words = ("okta", "--issuer", us.issuer, "--authorization-server", them.issuer)
    them.metadata |= {
        "issuer": "https://other.example",
        "token_endpoint": "https://other.example/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "token_endpoint_auth_signing_alg_values_supported": ["PS512"],
    }
    wrong = command.faults(*words)
    assert [*wrong] == [
        "the server's discovery document names the server",
        "the server's discovery document has a token endpoint",
        "the server takes private_key_jwt",
        "the server takes an algorithm of ours",
    ]
    assert wrong["the server takes private_key_jwt"][0] == "it takes client_secret_basic"
    them.metadata |= {"issuer": them.issuer, "token_endpoint": None}
    assert (
        "there is no token_endpoint"
        in command.faults(*words)["the server's discovery document has a token endpoint"][0]
    )
