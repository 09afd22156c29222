"""The signer as the hand that brings keys to servers, as the keyring orders: rules 5 and 8."""

from dataclasses import replace

import pytest

from machine_identity import testimony as testimonies
from machine_identity.aws import AwsError
from machine_identity.errors import UploadError
from machine_identity.providers import PROVIDERS, Client
from machine_identity.testimony import Trial, Upload
from machine_identity.uploads import SETTLES
from machine_identity.witness.hand import ENOUGH, Errand
from tests.certificates import DER, KID, PRIVATE
from tests.hands import CERTIFIED, CLIENT, HOUR, ONE, QUARTER, THERE, Holder, World, begun, record
from tests.keyrings import DAY, SECOND, START


@pytest.fixture
def world() -> World:
    return begun()


# What is made


@pytest.mark.parametrize(
    ("clients", "is_certified", "is_made"),
    [
        ((), False, False),
        ((), True, True),
        ((replace(CLIENT, upload=None),), False, True),
        ((replace(CLIENT, upload=None, provider=PROVIDERS["auth0"]),), False, False),
    ],
    ids=["nobody", "the provider", "a client", "a client by hand without"],
)
def test_rule_8_a_certificate_is_made_where_the_provider_or_a_client_wants_one(
    clients: tuple[Client, ...], *, is_certified: bool, is_made: bool
) -> None:
    world = World(ONE, clients=clients)
    assert world.work(is_certified=is_certified) == ([("certify", "")] if is_made else [])
    assert world.testimony().certificates == ((CERTIFIED,) if is_made else ())
    assert world.opened == []
    assert world.work(is_certified=is_certified) == []


def test_without_a_client_nothing_is_written() -> None:
    world = World(ONE, clients=())
    assert world.work() == []
    assert world.store.documents == {}


def test_a_key_that_does_not_sign_is_told_and_tried_again_by_the_next_run() -> None:
    world = World(ONE, private={})
    assert world.work() == [("certify", "not_signed"), ("add", "no_certificate")]
    assert (world.testimony().certificates, world.server.calls) == ((), [])
    world.private[KID] = PRIVATE
    world.now += QUARTER
    assert world.work() == [("certify", ""), ("add", ""), ("list", "")]


def test_a_failing_kms_is_told_as_that_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise AwsError("kms:Sign", "KMSInternalException")

    world = World(ONE, clients=(replace(CLIENT, upload=None),))
    monkeypatch.setattr(Holder, "signing_key", fails)
    assert world.work() == [("certify", "not_signed")]


# What is brought


def test_rule_8_a_key_is_brought_once_and_what_came_of_it_is_written_down(world: World) -> None:
    assert world.work() == [("add", ""), ("list", "")]
    assert world.upload() == record(
        asked_at=START,
        asked=1,
        added_at=START,
        key_id="id-1",
    )
    assert list(world.server.held.values()) == [DER]
    assert world.work() == []
    assert world.server.calls == [f"add {KID}", "list"]


def test_rule_5_that_a_server_is_asked_stands_there_before_it_is(world: World) -> None:
    found: list[Upload] = []
    world.server.meanwhile = lambda: found.append(world.upload())
    world.work()
    assert found == [record(asked_at=START, asked=1)]


@pytest.mark.parametrize("is_done", [True, False])
def test_rule_5_an_answer_that_was_lost_is_not_asked_for_again(
    world: World, *, is_done: bool
) -> None:
    world.server.errors, world.server.is_done = [UploadError("lost", is_lost=True)], is_done
    world.server.tells = False
    assert world.work() == [("add", "lost"), ("list", "not_told")]
    assert (world.upload().failed_at, world.upload().added_at) == (None, None)
    for _ in range(20):
        world.now += QUARTER
        assert world.work() == []


@pytest.mark.parametrize("is_done", [True, False])
def test_rule_5_a_listing_settles_it_as_soon_as_the_server_must_know(
    world: World, *, is_done: bool
) -> None:
    world.server.errors, world.server.is_done = [UploadError("lost", is_lost=True)], is_done
    world.server.is_behind = True
    assert world.work() == [("add", "lost"), ("list", "")]
    world.server.is_behind = False
    world.now += SETTLES - SECOND
    assert world.work() == []
    world.now += SECOND
    assert world.work() == ([("list", "")] if is_done else [("list", ""), ("add", "")])
    assert list(world.server.held.values()) == [DER]
    assert world.upload().key_id in world.server.held


def test_rule_5_what_was_refused_is_as_good_as_not_asked(world: World) -> None:
    world.server.errors = [UploadError("forbidden") for _ in range(9)]
    assert world.work() == [("add", "forbidden"), ("list", "")] or world.server.errors
    for _ in range(20):
        world.now += HOUR
        world.work()
    known = world.upload()
    assert (known.asked, known.failures, known.code) == (1, 0, "")
    assert list(world.server.held.values()) == [DER]


def test_rule_5_after_many_refusals_a_lost_answer_is_still_asked_for_again(world: World) -> None:
    world.server.tells = False
    world.server.errors = [*(UploadError("forbidden") for _ in range(9))]
    while world.server.errors:
        world.work()
        world.now += HOUR
    world.server.errors = [UploadError("lost", is_lost=True)]
    world.work()
    asked_at = world.upload().asked_at
    assert asked_at is not None
    refused = Trial(
        client="default",
        kid=KID,
        registration=THERE,
        refused_at=asked_at + SETTLES,
        refusals=1,
        code="invalid_client",
    )
    world.now = asked_at + SETTLES
    world.tell(trials=(refused,))
    assert world.work() == [("add", "")]


def test_who_cannot_be_opened_is_not_asked_and_that_is_written_down(world: World) -> None:
    world.closed = UploadError("invalid_client")
    assert world.work() == [("add", "invalid_client")]
    known = world.upload()
    assert (known.asked_at, known.failures, known.code) == (None, 1, "invalid_client")
    assert world.server.calls == []


def test_two_clients_at_one_application_have_each_key_brought_once(world: World) -> None:
    world.clients = (CLIENT, replace(CLIENT, name="billing", scope="bill"))
    assert world.work() == [("add", ""), ("list", "")]
    world.clients = world.clients[1:]
    assert world.work() == [("list", "")]
    assert list(world.server.held.values()) == [DER]


def test_two_clients_at_two_applications_have_it_brought_to_both(world: World) -> None:
    world.clients = (CLIENT, replace(CLIENT, name="billing", client_id="client-2"))
    assert world.work() == 2 * [("add", ""), ("list", "")]
    assert sorted(world.opened) == ["billing", "default"]


def test_a_client_whose_server_is_slow_keeps_no_other_waiting_for_ever(world: World) -> None:
    world.clients = tuple(replace(CLIENT, name=each, client_id=each) for each in "abc")
    world.closed, world.opening_takes = UploadError("server_error"), ENOUGH + SECOND
    for _ in range(3):
        world.work()
        world.now += QUARTER - world.opening_takes
    assert sorted(world.opened) == ["a", "b", "c"]


def test_rule_5_a_client_that_is_not_there_for_a_moment_finds_its_records_again(
    world: World,
) -> None:
    world.work()
    known = world.upload()
    world.clients = ()
    world.work()
    world.clients = (CLIENT,)
    assert world.work() == [("list", "")]
    assert world.upload() == known


# What is told


def test_an_errand_is_told_without_what_is_empty() -> None:
    assert Errand(client="", kid="k", did="certify").row() == {"kid": "k", "did": "certify"}
    whole = {"client": "c", "kid": "k", "did": "add", "code": "forbidden"}
    assert Errand(**whole).row() == whole


def test_a_server_that_does_not_tell_what_it_has_is_no_failure() -> None:
    for code, is_failed in (("", False), ("not_told", False), ("forbidden", True)):
        assert Errand(client="c", kid="", did="list", code=code).is_failed is is_failed


def test_when_there_is_more_to_do_is_known_after_a_run(world: World) -> None:
    hand = world.hand()
    assert hand.again_at is None
    hand.work(world.clients)
    assert hand.again_at == START + DAY


def test_what_is_written_can_be_read(world: World) -> None:
    world.work()
    body = world.store.documents["default/evidence.json"].body
    assert testimonies.parse(body) == world.testimony()
