"""The whole story over the embedded stack: real HTTP, a process a function, one movable clock."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from local import tokens
from local.client import Client
from local.registrations import app_for
from local.stack import CLIENT_ID, Stack
from machine_identity import jwk, providers, transport
from machine_identity.cli import main

if TYPE_CHECKING:
    from local.trace import Moment

HELLO = b'{"text": "hello world"}'
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


class World:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.moments: list[Moment] = []
        self.client = Client(lambda_url=stack.addresses["lambda"], api_url=stack.api_url)
        stack.watchers.add(self.moments.append)

    def token(self) -> str:
        return str(self.client.invoke("TokenFunction", {})["access_token"])

    def rotation(self, command: str, **members: object) -> Any:
        return self.client.invoke("RotationFunction", {"command": command, **members})

    def states(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        told = self.rotation("status")
        assert "keys" in told, told
        for key in told["keys"]:
            found.setdefault(key["state"], []).append(key["kid"])
        return found

    def published(self) -> list[str]:
        answer = transport.send(
            "GET", self.stack.addresses["jwks_uri"], headers={}, timeout=10 * SECOND
        )
        return [key["kid"] for key in json.loads(answer.body)["keys"]]

    def requests(self) -> list[Any]:
        return [each.details for each in self.moments if each.what == "token_request"]

    def assertion(self) -> str:
        """Return the assertion that the authorization server was shown last."""
        return str(self.requests()[-1]["asked"].assertion)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Give one stack to the tests that leave its keys as they are."""
    with Stack() as stack:
        yield World(stack)


@pytest.fixture
def own_world() -> Iterator[World]:
    """Give a stack to one test alone."""
    with Stack() as stack:
        yield World(stack)


def test_steps_0_to_13_end_in_hello_world(world: World) -> None:
    assert world.client.uppercase("hello world") == "HELLO WORLD"
    assert world.client.uppercase("straße") == "STRASSE"


def test_the_first_tick_made_one_active_and_one_standby_key_and_published_both(
    world: World,
) -> None:
    states = world.states()
    assert {state: len(kids) for state, kids in states.items()} == {"active": 1, "standby": 1}
    assert set(world.published()) == {*states["active"], *states["standby"]}


@pytest.mark.parametrize(
    ("token", "body", "status", "members"),
    [
        (None, HELLO, 401, {"message": "Unauthorized"}),
        ("x", HELLO, 403, {"message": "Forbidden"}),
        ("a.b.c", HELLO, 403, {"message": "Forbidden"}),
        ("own", b"hello", 400, None),
        ("own", b'{"text": 1}', 400, None),
        ("own", b"\xff", 400, None),
        ("own", HELLO, 200, {"result": "HELLO WORLD"}),
    ],
)
def test_each_request_gets_the_answer_that_it_deserves(
    world: World, token: str | None, body: bytes, status: int, members: object
) -> None:
    answer = world.client.call(body, world.token() if token == "own" else token)
    assert answer.status == status
    if members is None:
        assert answer.members.keys() == {"error", "message"}
    else:
        assert answer.members == members


def test_an_assertion_of_ours_is_no_access_token(world: World) -> None:
    world.token()
    world.client.invoke("TokenFunction", {"scope": "api://uppercase/.default"})
    assertion = world.assertion()
    assert world.client.call(HELLO, assertion).status == 403


def test_the_check_of_a_provider_finds_nothing_wrong_with_the_stack(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (standby,) = world.states()["standby"]
    with pytest.raises(SystemExit) as ended:
        main(
            [
                *("provider", "entra-federated", "--check", "--kid", standby),
                *("--issuer", world.stack.api_url),
                *("--authorization-server", world.stack.authorization_server.issuer),
            ]
        )
    lines = capsys.readouterr().out.splitlines()
    assert (ended.value.code, len(lines)) == (0, 16)
    assert all(line.startswith("✓ ") for line in lines)


def test_an_unknown_scope_is_refused_by_the_server_and_its_code_passed_on(world: World) -> None:
    answer = world.client.invoke("TokenFunction", {"scope": "api://another/.default"})
    assert answer.keys() == {"error", "error_description"}
    assert answer["error"].startswith("invalid_")


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_nothing_that_a_function_logs_holds_a_token_or_an_assertion(level: str) -> None:
    with Stack({"LogLevel": level}) as stack:
        world = World(stack)
        token = world.token()
        world.client.call(HELLO, token)
        world.client.call(HELLO, token + "x")
        world.client.call(b"{", token)
        logs = {path.stem: path.read_text() for path in stack.logs.iterdir()}
    assert logs.keys() == set(stack.functions)
    written = "".join(logs.values())
    assert written.count("\n") > 5
    secrets = [part for each in (token, world.assertion()) for part in each.split(".")]
    assert not [secret for secret in secrets if secret in written]
    assert "bearer" not in written.lower()
    assert "authorization:" not in written.lower()


def test_when_the_issuer_s_keys_are_not_to_be_had_nobody_is_let_in_and_nobody_is_refused() -> None:
    with Stack({"JwksUri": "http://127.0.0.1:9/keys"}) as stack:
        world = World(stack)
        answer = world.client.call(HELLO, world.token())
    assert (answer.status, answer.members) == (500, {"message": "Internal Server Error"})


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_the_story_runs_with_every_algorithm(algorithm: str) -> None:
    with Stack({"SigningAlgorithm": algorithm}) as stack:
        world = World(stack)
        assert world.client.uppercase("hello world") == "HELLO WORLD"
        assert tokens.header(world.assertion())["alg"] == algorithm


MACHINES: Final = [
    name
    for name in providers.NAMES
    if providers.PROVIDERS[name].grant is providers.Grant.CLIENT_CREDENTIALS
]


@pytest.mark.parametrize("provider", MACHINES)
def test_the_story_runs_with_every_provider_s_way(provider: str) -> None:
    algorithm = providers.PROVIDERS[provider].algorithms[0]
    with Stack({"Provider": provider, "SigningAlgorithm": algorithm}) as stack:
        world = World(stack)
        assert world.client.uppercase("hello world") == "HELLO WORLD"
        header, claims = tokens.header(world.assertion()), tokens.claims(world.assertion())
    entry = providers.PROVIDERS[provider]
    assert header["typ"] == entry.typ
    is_ours = entry.issuer is providers.AssertionIssuer.OURS
    assert (claims["iss"] == stack.api_url) is is_ours


def test_a_year_passes_in_seconds_and_the_keys_have_rotated_by_themselves(
    own_world: World,
) -> None:
    (first,) = own_world.states()["active"]
    seen = {first}
    for _ in range(12):
        own_world.stack.advance(31 * DAY)
        assert own_world.client.uppercase("hello world") == "HELLO WORLD"
        states = own_world.states()
        assert (len(states["active"]), len(states["standby"])) == (1, 1)
        seen.update(states["active"])
    assert len(seen) > 10
    assert first not in own_world.published()
    assert all(each["decision"].fault is None for each in own_world.requests())
    kms = own_world.stack.aws.client("kms")
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    assert sum(key["KeyState"] == "Enabled" for key in keys) in {2, 3}


def test_rule_1_a_standby_key_never_signs_one_hour_before_every_cache_must_know_it(
    own_world: World,
) -> None:
    (standby,) = own_world.states()["standby"]
    wait = own_world.rotation("rotate")["wait"]
    assert "rule 1" in wait["why"]
    own_world.stack.advance(own_world.stack.provider.key_set_cache - timedelta(hours=1))
    assert own_world.states()["standby"] == [standby]
    own_world.stack.advance(timedelta(hours=2))
    assert own_world.states()["active"] == [standby]
    assert own_world.client.uppercase("hello world") == "HELLO WORLD"
    assert own_world.requests()[-1]["decision"].kid == standby


def test_a_rotation_that_does_not_wait_is_refused_so_the_server_is_a_real_judge(
    own_world: World,
) -> None:
    own_world.token()
    # The standby key was public when the server read the set; the two after it are new.
    roll_over_in_haste(own_world, times=3)
    answer = own_world.client.invoke("TokenFunction", {})
    assert answer["error"] == "invalid_client"
    assert "AADSTS7000272" in answer["error_description"]
    refused = [each["decision"].kid for each in own_world.requests()[-2:]]
    assert refused == [own_world.states()["active"][0], own_world.states()["retired"][-1]]


def test_rule_9_when_the_new_key_is_refused_the_previous_one_brings_the_token(
    own_world: World,
) -> None:
    own_world.token()
    roll_over_in_haste(own_world, times=2)
    (active,), retired = own_world.states()["active"], own_world.states()["retired"]
    before = {key["kid"]: key["not_before"] for key in own_world.rotation("status")["keys"]}
    assert own_world.client.uppercase("hello world") == "HELLO WORLD"
    asked = [each["decision"] for each in own_world.requests()[-2:]]
    assert [(each.kid, each.fault is None) for each in asked] == [
        (active, False),
        (retired[-1], True),
    ]
    own_world.stack.advance(timedelta(minutes=16))
    after = {key["kid"]: key["not_before"] for key in own_world.rotation("status")["keys"]}
    assert after[retired[-1]] > before[retired[-1]]
    assert own_world.states()["active"] == [active]


def test_rule_2_a_server_that_does_not_take_the_next_key_keeps_the_present_one(
    own_world: World,
) -> None:
    (first,) = own_world.states()["active"]
    server, app = own_world.stack.authorization_server, own_world.stack.provider
    forgetful = app_for(app, client_id=CLIENT_ID, public_url=own_world.stack.api_url + "/nowhere")
    server.register(forgetful)
    own_world.stack.advance(32 * DAY)
    assert own_world.states()["active"] == [first]
    why = own_world.rotation("tick")["wait"]["why"]
    assert "the client default takes neither key: invalid_" in why
    assert "an operator may confirm (rule 2)" in why
    server.register(app_for(app, client_id=CLIENT_ID, public_url=own_world.stack.api_url))
    own_world.stack.advance(DAY)
    assert own_world.states()["active"] != [first]


def roll_over_in_haste(world: World, times: int) -> None:
    for _ in range(times):
        world.rotation("rotate", unsafe=True)
        world.stack.advance(timedelta(minutes=16))
    world.stack.advance(timedelta(hours=2))  # the token expires, the server's copy does not
