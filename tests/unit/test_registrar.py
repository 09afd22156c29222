"""The registrar before a real server on loopback that rotates, loses, drops, replaces and echoes.

Tokens are kept in real files. Who dies, dies between any two calls to the store and the server.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from machine_identity import clock, transport
from machine_identity.aws import AwsError
from machine_identity.client_registration.answers import RegistrationError
from machine_identity.client_registration.metadata import Metadata
from machine_identity.client_registration.record import (
    Kept,
    Registered,
    Registering,
    State,
    StoreError,
    Vacant,
    read,
    written,
)
from machine_identity.errors import ConflictError, SettingsError
from machine_identity.http1 import Response
from machine_identity.registrar import Registrar
from machine_identity.secret_files import SecretFiles
from tests.registration_endpoint import INITIAL, SECRET, Asked, RegistrationEndpoint
from tests.socket_server import SocketServer
from tests.token_endpoint import Answer

URI = "https://us.example/jwks.json"
NEW_URI = "https://us.example/new/jwks.json"
ASKED = Metadata(client_name="billing", jwks_uri=URI, algorithm="RS256", scope="read write")
KEYS = {
    "keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "kid": "1",
        }
    ]
}
BOTH = frozenset({"GET", "PUT"})


class Died(BaseException):
    """The process is gone."""


class World:
    """A server, a folder, and a process that makes calls to both and may die or be failed."""

    def __init__(self, server: RegistrationEndpoint, folder: Path) -> None:
        self.server = server
        self.files = SecretFiles(folder)
        self.calls = 0
        self.dies: tuple[int, str] = (-1, "before")
        self.fails: Callable[[str], Exception | None] = lambda _: None
        """What the store raises at a read or write, if anything."""
        self.slept: list[float] = []
        self.origin = ""

    # What the process has to do with the outside

    def read(self, name: str) -> Kept | None:
        return self._call("read", lambda: self.files.read(name))

    def write(self, name: str, body: str, *, expected: str | None) -> str:
        return self._call("write", lambda: self.files.write(name, body, expected=expected))

    def send(self, method: str, url: str, **more: Any) -> Response:
        return self._call("send", lambda: transport.send(method, url, **more))

    def _call[T](self, kind: str, call: Callable[[], T]) -> T:
        self.calls += 1
        number, moment = self.dies
        if self.calls == number and moment == "before":
            raise Died
        failure = None if kind == "send" else self.fails(kind)
        if failure is not None:
            raise failure
        result = call()
        if self.calls == number:
            raise Died
        return result

    # A process, and what there is

    @property
    def registrar(self) -> Registrar:
        self.calls = 0
        return Registrar(
            transport=self.send,
            store=self,
            clock=clock,
            sleep=self.slept.append,
            origin=self.origin,
        )

    def register(self, asked: Metadata = ASKED, **more: Any) -> str:
        options = {"endpoint": self.server.endpoint, "initial_access_token": INITIAL, **more}
        return self.registrar.register("billing", asked, **options).client.client_id

    @property
    def state(self) -> State:
        kept = self.files.read("billing")
        return Vacant() if kept is None else read(kept.body)[0]

    @property
    def tokens(self) -> tuple[str, ...]:
        assert isinstance(self.state, Registered)
        return self.state.tokens

    def put(self, state: State) -> None:
        kept = self.files.read("billing")
        tag = None if kept is None else kept.tag
        self.files.write("billing", written(state, revision=1000), expected=tag)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with RegistrationEndpoint() as server:
        yield World(server, tmp_path / "store")


def failing(world: World, code: str, act: Callable[[], object]) -> str:
    """Return the error's text, in which no secret ever is."""
    with pytest.raises(RegistrationError) as failed:
        act()
    assert failed.value.code == code, str(failed.value)
    assert not any(secret in str(failed.value) for secret in world.server.secrets)
    return str(failed.value)


# As it should go


@pytest.mark.parametrize("rotates", [frozenset(), frozenset({"PUT"}), BOTH])
def test_a_client_is_registered_read_changed_and_deleted(
    world: World, rotates: frozenset[str]
) -> None:
    world.server.rotates = rotates
    client_id = world.register()
    assert world.server.clients[client_id].items() >= ASKED.members.items()
    assert world.registrar.read("billing").client.members["jwks_uri"] == URI
    outcome = world.registrar.update("billing", Metadata(jwks_uri=NEW_URI))
    assert (outcome.changed, outcome.client.client_id) == ((), client_id)
    assert world.server.clients[client_id]["jwks_uri"] == NEW_URI
    assert world.server.clients[client_id]["scope"] == "read write"
    assert world.server.tokens[client_id] == {world.tokens[0]}
    assert world.registrar.delete("billing") == client_id
    assert (world.server.clients, world.state) == ({}, Vacant())
    assert world.server.methods() == ["POST", "GET", "GET", "PUT", "DELETE"]


def test_the_initial_token_goes_to_the_endpoint_alone_and_the_registration_s_to_its_own_uri(
    world: World,
) -> None:
    world.register()
    world.registrar.read("billing")
    first, second = world.server.requests
    assert (first.path, first.authorization) == ("/register", f"Bearer {INITIAL}")
    assert second.authorization == f"Bearer {world.tokens[0]}"


def test_without_an_initial_token_there_is_no_header(world: World) -> None:
    world.server.initial = None
    world.register(initial_access_token="")
    assert world.server.requests[0].authorization == ""


def test_a_name_that_was_deleted_can_be_registered_again(world: World) -> None:
    first = world.register()
    world.registrar.delete("billing")
    assert world.register() != first


def test_neither_secret_nor_forbidden_member_is_sent_back_and_all_else_is(world: World) -> None:
    world.server.replaces = {"contacts": ["ops@example"], "tos_uri": None}
    world.register()
    world.registrar.update("billing", Metadata(jwks=KEYS))
    sent = world.server.requests[-1].members
    assert sent["contacts"] == ["ops@example"]
    assert sent["jwks"] == KEYS
    assert "jwks_uri" not in sent
    forbidden = {"client_secret", "client_secret_expires_at", "client_id_issued_at"}
    assert not forbidden & sent.keys()


def test_the_endpoint_is_what_the_pinned_issuer_says(world: World) -> None:
    assert world.registrar.endpoint_of(world.server.url) == world.server.endpoint
    for metadata, sentence in (
        ({"issuer": "https://them.example"}, "names another issuer"),
        ({"registration_endpoint": "http://as.example/"}, "no https registration_endpoint"),
        ({"registration_endpoint": None}, "no https registration_endpoint"),
    ):
        world.server.metadata = metadata
        text = failing(
            world, "invalid_metadata", lambda: world.registrar.endpoint_of(world.server.url)
        )
        assert sentence in text


@pytest.mark.parametrize("asked", [Metadata(), replace(ASKED, jwks_uri=""), Metadata(jwks=KEYS)])
def test_nothing_is_registered_without_name_and_keys(world: World, asked: Metadata) -> None:
    with pytest.raises(SettingsError, match="needs a client_name and a jwks_uri or jwks"):
        world.register(asked)
    assert world.server.requests == []


# One name, one client


def test_a_name_that_is_taken_is_not_registered_again_whoever_insists(world: World) -> None:
    client_id = world.register()
    for again in (False, True):
        text = failing(world, "already_registered", lambda: world.register(again=again))  # noqa: B023
        assert client_id in text
    assert len(world.server.clients) == 1


@pytest.mark.parametrize("operation", ["read", "delete"])
def test_what_is_not_registered_is_told_and_nobody_is_asked(world: World, operation: str) -> None:
    failing(world, "not_registered", lambda: getattr(world.registrar, operation)("billing"))
    assert world.server.requests == []


def test_a_registration_without_an_answer_is_not_repeated_until_somebody_says_so(
    world: World,
) -> None:
    world.server.lose("POST")
    text = failing(world, "no_answer", world.register)
    assert "there may be a client named billing now that nobody manages" in text
    assert isinstance(world.state, Registering)
    world.server.behave()
    text = failing(world, "interrupted", world.register)
    assert world.server.endpoint in text
    failing(world, "interrupted", lambda: world.registrar.read("billing"))
    assert len(world.server.clients) == 1
    world.register(again=True)
    assert len(world.server.clients) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=500, body="oops"),
        Answer(status=502),
        Answer(status=201, body="<html>"),
        Answer(status=201, body={"client_id": 7}),
        Answer(status=201, body="x" * 300_000),
        Answer(status=307, headers={"location": "https://them.example/"}),
        Answer(status=0),
    ],
)
def test_what_leaves_open_whether_there_is_a_client_stays_open(
    world: World, answer: Answer
) -> None:
    world.server.before = lambda _: answer
    with pytest.raises(RegistrationError, match="there may be a client named billing"):
        world.register()
    assert isinstance(world.state, Registering)
    assert len(world.server.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_client_metadata"),
        (400, "unapproved_software_statement"),
        (401, "invalid_token"),
        (403, "insufficient_scope"),
        (503, "temporarily_unavailable"),
    ],
)
def test_a_refusal_leaves_the_name_free(world: World, status: int, code: str) -> None:
    world.server.before = lambda _: Answer(status=status, body={"error": code})
    failing(world, code, world.register)
    assert world.state == Vacant()
    world.server.behave()
    world.register()


def test_two_at_once_meet_at_the_store_and_one_client_is_made(world: World) -> None:
    def meanwhile(asked: Asked) -> Answer | None:
        if asked.method == "POST" and len(world.server.requests) == 1:
            failing(world, "interrupted", world.register)
        return None

    world.server.before = meanwhile
    world.register()
    assert len(world.server.clients) == 1


def test_and_who_wrote_second_has_a_conflict_and_sends_nothing(world: World) -> None:
    def raced(kind: str) -> Exception | None:
        return ConflictError("raced") if kind == "write" else None

    world.fails = raced
    failing(world, "conflict", world.register)
    assert world.server.requests == []


# What the server made of it


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("token_endpoint_auth_method", "client_secret_basic"),
        ("token_endpoint_auth_signing_alg", "ES256"),
        ("jwks_uri", "https://them.example/keys"),
        ("scope", "read"),
        ("scope", None),
    ],
)
def test_a_client_that_we_cannot_be_is_an_error_and_is_kept_all_the_same(
    world: World, member: str, value: str | None
) -> None:
    world.server.replaces = {member: value}
    text = failing(world, "replaced", world.register)
    assert f"{member} is {json.dumps(value) if value is None else value}" in text
    [client_id] = world.server.clients
    assert client_id in text
    assert world.registrar.delete("billing") == client_id


def test_an_update_that_the_server_does_not_follow_is_an_error_too(world: World) -> None:
    world.server.rotates = BOTH
    client_id = world.register()
    world.server.replaces = {"jwks_uri": URI}
    update = Metadata(jwks_uri=NEW_URI)
    failing(world, "replaced", lambda: world.registrar.update("billing", update))
    assert world.server.tokens[client_id] == {world.tokens[0]}


def test_a_member_that_the_server_drops_is_told(world: World) -> None:
    world.server.replaces = {"software_id": None}
    asked = replace(ASKED, software_id="s1")
    outcome = world.registrar.register(
        "billing", asked, endpoint=world.server.endpoint, initial_access_token=INITIAL
    )
    assert [(each.name, each.registered) for each in outcome.changed] == [("software_id", None)]


def test_an_error_that_echoes_tokens_and_statements_is_not_told(world: World) -> None:
    statement = "eyJhbGciOiJSUzI1NiJ9.eyJzb2Z0d2FyZSI6IngifQ." + "c2lnbmF0dXJl" * 9

    def echo(asked: Asked) -> Answer:
        said = f"{asked.authorization} {asked.members.get('software_statement')}"
        return Answer(status=400, body={"error": "x", "error_description": said})

    world.server.before = echo
    text = failing(
        world, "x", lambda: world.register(replace(ASKED, software_statement=statement))
    )
    assert statement[-20:] not in text
    world.server.behave()
    world.register()
    world.server.before = echo
    acts: list[Callable[[], object]] = [
        lambda: world.registrar.read("billing"),
        lambda: world.registrar.delete("billing"),
    ]
    for act in acts:
        failing(world, "x", act)


def test_a_value_that_echoes_the_token_is_not_told_when_it_matters(world: World) -> None:
    def echoing(_: Asked, answer: Answer) -> Answer:
        assert isinstance(answer.body, dict)
        token = answer.body["registration_access_token"]
        return replace(answer, body={**answer.body, "jwks_uri": f"https://us.example/{token}"})

    world.server.instead = echoing
    assert "jwks_uri is …" in failing(world, "replaced", world.register)


# Where the token goes


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_token_does_not_go_to_a_stranger_s_url(world: World, method: str) -> None:
    with RegistrationEndpoint() as stranger:

        def elsewhere(asked: Asked, answer: Answer) -> Answer:
            if asked.method != method:
                return answer
            assert isinstance(answer.body, dict)
            uri = f"{stranger.endpoint}/client-1"
            return replace(answer, body={**answer.body, "registration_client_uri": uri})

        world.server.instead = elsewhere
        world.register()
        if method == "GET":
            world.registrar.read("billing")
        acts: list[Callable[[], object]] = [
            lambda: world.registrar.read("billing"),
            lambda: world.registrar.update("billing", Metadata(scope="read")),
            lambda: world.registrar.delete("billing"),
        ]
        for act in acts:
            failing(world, "foreign_uri", act)
        assert stranger.requests == []
        world.origin = stranger.url
        failing(world, "invalid_token", lambda: world.registrar.read("billing"))
        assert len(stranger.requests) == 1


@pytest.mark.parametrize("member", ["registration_client_uri", "registration_access_token"])
def test_a_server_without_rfc_7592_registers_and_manages_nothing(
    world: World, member: str
) -> None:
    world.server.answers = {member: None}
    client_id = world.register()
    failing(world, "not_manageable", lambda: world.registrar.read("billing"))
    failing(world, "not_manageable", lambda: world.registrar.delete("billing"))
    assert world.server.methods() == ["POST"]
    assert world.registrar.forget("billing") == client_id


def test_a_read_whose_answer_brings_no_token_keeps_the_one_there_is(world: World) -> None:
    world.register()
    before = world.tokens
    world.server.answers = {"registration_access_token": None, "registration_client_uri": None}
    world.registrar.read("billing")
    assert world.tokens == before


# Tokens that change


@pytest.mark.parametrize("answers", [{}, {"registration_access_token": None}])
def test_the_token_before_is_tried_once_when_the_newest_is_refused(
    world: World, answers: dict[str, Any]
) -> None:
    world.server.rotates = frozenset({"PUT"})
    client_id = world.register()
    world.registrar.update("billing", Metadata(scope="read"))
    newest, before = world.tokens
    world.server.tokens[client_id] = {before}
    world.server.answers = answers
    world.server.requests.clear()
    world.registrar.read("billing")
    used = [each.authorization.removeprefix("Bearer ") for each in world.server.requests]
    assert used == [newest, before]
    assert world.tokens == (before, newest)


def test_a_refusal_of_both_is_told_once_and_changes_nothing_that_is_kept(world: World) -> None:
    world.server.rotates = frozenset({"PUT"})
    client_id = world.register()
    world.registrar.update("billing", Metadata(scope="read"))
    kept = world.state
    world.server.tokens[client_id] = set()
    world.server.requests.clear()
    acts: list[Callable[[], object]] = [
        lambda: world.registrar.read("billing"),
        lambda: world.registrar.delete("billing"),
    ]
    for act in acts:
        text = failing(world, "invalid_token", act)
        assert "had no answer" not in text
        assert world.state == kept
    assert world.server.methods() == ["GET", "GET", "DELETE", "DELETE"]


@pytest.mark.parametrize(("lost", "what"), [("PUT", "update"), ("GET", "read")])
def test_a_new_token_whose_answer_is_lost_is_told_with_the_hour_and_an_operator_helps(
    world: World, lost: str, what: str
) -> None:
    client_id = world.register()
    world.server.rotates = frozenset({lost})
    world.server.lose(lost)
    update = Metadata(jwks_uri=NEW_URI)
    failing(world, "no_answer", lambda: world.registrar.update("billing", update))
    world.server.behave()
    for _ in range(2):  # also when it was looked at in between
        text = failing(world, "invalid_token", lambda: world.registrar.read("billing"))
        assert f"the {what} of 20" in text
        assert "goes on working" in text
    assert len(world.server.clients) == 1
    adopted = world.registrar.adopt(
        "billing",
        endpoint=world.server.endpoint,
        uri=f"{world.server.endpoint}/{client_id}",
        client_id=client_id,
        token=world.server.issue(client_id),
    )
    assert adopted.client.client_id == client_id
    world.registrar.update("billing", update)
    assert world.server.clients[client_id]["jwks_uri"] == NEW_URI


def test_an_update_whose_answer_is_lost_is_simply_made_again_where_tokens_stay(
    world: World,
) -> None:
    client_id = world.register()
    world.server.lose("PUT")
    update = Metadata(jwks_uri=NEW_URI)
    failing(world, "no_answer", lambda: world.registrar.update("billing", update))
    world.server.behave()
    world.registrar.update("billing", update)
    assert world.server.clients[client_id]["jwks_uri"] == NEW_URI
    assert isinstance(world.state, Registered)
    assert (world.state.unanswered, world.state.unanswered_at) == ("", None)


@pytest.mark.parametrize("failure", [AwsError("ssm:PutParameter", "Throttled"), StoreError("x")])
def test_a_store_that_fails_for_a_moment_loses_no_token(world: World, failure: Exception) -> None:
    world.server.rotates = frozenset({"PUT"})
    client_id = world.register()
    world.fails = lambda kind: failure if kind == "write" and world.calls in {8, 10} else None
    world.registrar.update("billing", Metadata(scope="read"))
    assert world.slept == [1.0, 3.0]
    assert world.server.tokens[client_id] == {world.tokens[0]}


def test_a_store_that_takes_no_writes_stops_all_before_the_server_changes_anything(
    world: World,
) -> None:
    world.server.rotates = BOTH
    world.register()
    world.server.requests.clear()
    world.fails = lambda kind: StoreError("the disk is full") if kind == "write" else None
    acts: list[Callable[[], object]] = [
        lambda: world.registrar.read("billing"),
        lambda: world.registrar.update("billing", Metadata(scope="read")),
        lambda: world.registrar.delete("billing"),
    ]
    for act in acts:
        assert "the disk is full" in failing(world, "store", act)
    assert world.server.requests == []


@pytest.mark.parametrize("deletes", [True, False])
def test_a_new_client_whose_token_cannot_be_kept_is_deleted_again(
    world: World, *, deletes: bool
) -> None:
    world.fails = lambda kind: (
        StoreError("the disk is full") if kind == "write" and world.server.clients else None
    )
    if not deletes:
        world.server.before = lambda asked: (
            Answer(status=503) if asked.method == "DELETE" else None
        )
    text = failing(world, "not_kept", world.register)
    assert "client-1" in text
    assert ("was deleted again" in text) is deletes
    assert ("nobody can manage it" in text) is not deletes
    assert len(world.server.clients) == (0 if deletes else 1)


def test_of_two_who_manage_at_once_nobody_s_token_is_lost(world: World) -> None:
    client_id = world.register()
    world.server.rotates = BOTH
    other: list[str] = []

    def meanwhile(asked: Asked, answer: Answer) -> Answer:
        if asked.method == "GET" and not other:
            other.append("at work")
            world.registrar.read("billing")  # by the token that was just ended: none is taken
        return answer

    def politely(asked: Asked, answer: Answer) -> Answer:
        try:
            return meanwhile(asked, answer)
        except RegistrationError as error:
            other.append(error.code)
            return answer

    world.server.instead = politely
    world.registrar.read("billing")
    assert other == ["at work", "invalid_token"]
    assert world.server.tokens[client_id] == {world.tokens[0]}


def test_what_another_kept_meanwhile_is_kept_behind_our_own(world: World) -> None:
    world.register()
    world.server.rotates = frozenset({"GET"})
    assert isinstance(world.state, Registered)
    theirs = replace(world.state, tokens=("theirs",))

    def meanwhile(_: Asked, answer: Answer) -> Answer:
        world.put(theirs)
        return answer

    world.server.instead = meanwhile
    world.registrar.read("billing")
    assert world.tokens == (world.server.issued[-1], "theirs")


def test_another_client_s_record_is_never_written_over(world: World) -> None:
    world.register()
    assert isinstance(world.state, Registered)
    theirs = replace(world.state, client_id="another")

    def meanwhile(_: Asked, answer: Answer) -> Answer:
        world.put(theirs)
        return answer

    world.server.instead = meanwhile
    failing(world, "not_kept", lambda: world.registrar.read("billing"))
    assert world.state == theirs


# Deletion


def test_a_deletion_whose_answer_is_lost_is_done_when_the_token_is_refused(world: World) -> None:
    client_id = world.register()
    world.server.lose("DELETE")
    failing(world, "no_answer", lambda: world.registrar.delete("billing"))
    world.server.behave()
    failing(world, "invalid_token", lambda: world.registrar.read("billing"))
    assert world.registrar.delete("billing") == client_id
    assert world.state == Vacant()


def test_a_deletion_after_a_lost_token_is_not_taken_for_done(world: World) -> None:
    client_id = world.register()
    world.server.rotates = frozenset({"GET"})
    world.server.lose("GET")
    failing(world, "no_answer", lambda: world.registrar.read("billing"))
    world.server.before = lambda _: Answer(status=0)
    failing(world, "no_answer", lambda: world.registrar.delete("billing"))
    world.server.behave()
    text = failing(world, "invalid_token", lambda: world.registrar.delete("billing"))
    assert "the read of 20" in text
    assert isinstance(world.state, Registered)
    assert list(world.server.clients) == [client_id]


def test_a_deletion_that_is_refused_did_not_happen(world: World) -> None:
    world.register()
    kept = world.state
    for status, code in ((403, "refused"), (405, "refused"), (503, "temporarily_unavailable")):
        world.server.before = lambda _, status=status: Answer(status=status)  # type: ignore[misc]
        failing(world, code, lambda: world.registrar.delete("billing"))
        assert world.state == kept
    world.server.behave()
    world.registrar.delete("billing")


def test_forgetting_asks_nobody(world: World) -> None:
    client_id = world.register()
    world.server.requests.clear()
    assert world.registrar.forget("billing") == client_id
    assert world.registrar.forget("billing") == ""
    assert (world.state, world.server.requests) == (Vacant(), [])


# Adoption


def test_an_orphan_is_adopted_in_place_of_the_registration_that_made_it(world: World) -> None:
    world.server.lose("POST")
    failing(world, "no_answer", world.register)
    world.server.behave()
    [client_id] = world.server.clients
    world.registrar.adopt(
        "billing",
        endpoint=world.server.endpoint,
        uri=f"{world.server.endpoint}/{client_id}",
        client_id=client_id,
        token=world.server.issue(client_id),
    )
    assert world.registrar.delete("billing") == client_id


def test_a_token_that_is_not_taken_is_not_adopted_and_what_was_there_stays(world: World) -> None:
    client_id = world.register()
    before = world.state
    uri = f"{world.server.endpoint}/{client_id}"
    others: list[tuple[str, str, str]] = [
        ("already_registered", "another", uri),
        ("foreign_uri", client_id, "https://them.example/"),
    ]
    for code, named, where in others:
        failing(
            world,
            code,
            lambda named=named, where=where: world.registrar.adopt(  # type: ignore[misc]
                "billing",
                endpoint=world.server.endpoint,
                uri=where,
                client_id=named,
                token="t" * 20,
            ),
        )
    assert world.state == before
    world.server.tokens[client_id] = set()
    failing(
        world,
        "invalid_token",
        lambda: world.registrar.adopt(
            "billing",
            endpoint=world.server.endpoint,
            uri=uri,
            client_id=client_id,
            token="t" * 20,
        ),
    )
    assert world.state == before


# Answers that are none


def test_a_server_that_drips_or_says_too_much_ends_in_an_error(world: World) -> None:
    world.register()
    for answer in (
        Answer(body="x" * 300_000),
        Answer(status=302, headers={"location": world.server.endpoint}),
        Answer(status=0),
    ):
        world.server.before = lambda _, answer=answer: answer  # type: ignore[misc]
        failing(world, "no_answer", lambda: world.registrar.read("billing"))
    for body in ("[]", "{", {"client_id": "another"}, {}):
        world.server.before = lambda _, body=body: Answer(body=body)  # type: ignore[misc]
        failing(world, "invalid_response", lambda: world.registrar.read("billing"))
    world.server.behave()
    world.registrar.read("billing")


def test_a_server_that_nobody_reaches_is_no_answer(world: World) -> None:
    with SocketServer(lambda _: None) as gone:
        port = gone.port
    endpoint = f"http://127.0.0.1:{port}/register"
    failing(world, "no_answer", lambda: world.register(endpoint=endpoint))


# Death between any two calls

POINTS = [(number, moment) for number in range(1, 14) for moment in ("before", "after")]


@pytest.mark.parametrize("point", POINTS, ids=lambda each: f"{each[1]}-{each[0]}")
def test_a_registration_that_dies_anywhere_makes_one_client_or_says_that_there_may_be_one(
    world: World, point: tuple[int, str]
) -> None:
    world.dies = point
    try:
        world.register()
    except Died:
        world.dies = (-1, "before")
        match world.state:
            case Vacant():
                world.register()
            case Registering():
                failing(world, "interrupted", world.register)
            case Registered():
                failing(world, "already_registered", world.register)
                world.registrar.read("billing")
    assert len(world.server.clients) <= 1


@pytest.mark.parametrize("rotates", [frozenset(), frozenset({"PUT"}), BOTH], ids=len)
@pytest.mark.parametrize("point", POINTS, ids=lambda each: f"{each[1]}-{each[0]}")
def test_an_update_that_dies_anywhere_is_made_again_or_its_lost_token_is_told(
    world: World, point: tuple[int, str], rotates: frozenset[str]
) -> None:
    client_id = world.register()
    world.server.rotates = rotates
    world.dies = point
    update = Metadata(jwks_uri=NEW_URI)
    try:
        world.registrar.update("billing", update)
    except Died:
        world.dies = (-1, "before")
        good = world.server.tokens[client_id] <= set(world.tokens)
        if good:
            world.registrar.update("billing", update)
        else:  # it died with the only answer that had the new token
            assert rotates
            text = failing(
                world, "invalid_token", lambda: world.registrar.update("billing", update)
            )
            assert "had no answer" in text
            return
    assert world.server.clients[client_id]["jwks_uri"] == NEW_URI
    assert world.server.tokens[client_id] == {world.tokens[0]}


@pytest.mark.parametrize("point", POINTS, ids=lambda each: f"{each[1]}-{each[0]}")
def test_a_deletion_that_dies_anywhere_is_done_by_the_next(
    world: World, point: tuple[int, str]
) -> None:
    world.register()
    world.dies = point
    try:
        world.registrar.delete("billing")
    except Died:
        world.dies = (-1, "before")
        if world.state == Vacant():
            failing(world, "not_registered", lambda: world.registrar.delete("billing"))
        else:
            world.registrar.delete("billing")
    assert (world.server.clients, world.state) == ({}, Vacant())


def test_no_repr_of_an_outcome_shows_a_secret(world: World) -> None:
    world.register()
    shown = repr(world.registrar.read("billing")) + repr(world.state)
    assert not any(secret in shown for secret in (*world.server.secrets, SECRET))
