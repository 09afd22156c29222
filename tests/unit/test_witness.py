"""What the token function tries, sees and writes down; rules 2, 8 and 9 from its side."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import jwt
import pytest

from machine_identity import jwk, publication
from machine_identity import testimony as testimonies
from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.canary import PUBLISHED_SET
from machine_identity.client_assertion import SigningError
from machine_identity.errors import ConflictError, InvalidClientError, TokenRequestError
from machine_identity.keyring import State
from machine_identity.policy import CanaryTimes
from machine_identity.providers import Client
from machine_identity.steps import Prolong, Promote
from machine_identity.testimony import Fallback, NewerTestimonyError, Testimony, Trial
from machine_identity.witness import Signer, Witness
from machine_identity.witness.service import ENOUGH, TOLD_AGAIN
from tests.kms import Kms
from tests.world import ISSUER, POLICY, SECOND, START, TICK, Provider, World, client

EVIDENCE = "default/evidence.json"
READY = START + timedelta(hours=1, minutes=6)
"""The publication interval after the first tick."""
MINUTE = timedelta(minutes=1)
SLOW = replace(POLICY, canary=CanaryTimes())
"""With the ten minutes between two successes that other worlds do without."""


@dataclass(slots=True)
class Asked:
    """A provider that notes by which key it is asked, and refuses some."""

    world: World
    refuses: dict[str, str] = field(default_factory=dict)
    takes: timedelta = timedelta()
    by: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, at: Client, signer: Signer) -> None:
        draft = at.draft("https://as.example/token")
        assertion = signer.sign(draft, now=self.world.now, jti="jti")
        kid = kid_of(assertion)
        self.by.append((at.name, kid))
        self.world.now += self.takes
        if kid in self.refuses:
            raise TokenRequestError(self.refuses[kid], "AADSTS: said in confidence")


def kid_of(assertion: str) -> str:
    return str(jwt.get_unverified_header(assertion)["kid"])


@pytest.fixture
def world() -> World:
    """A world after its first tick, at the instant when the standby key is ready."""
    world = World(policy=SLOW)
    world.rotation().tick()
    world.now = READY
    return world


@pytest.fixture
def asked(world: World) -> Asked:
    return Asked(world)


def trials(world: World) -> dict[str, Trial]:
    return {each.client: each for each in world.testimony().trials}


def put(world: World, body: bytes) -> None:
    world.state.documents[EVIDENCE] = Document(body=body, tag="by hand")


def edited(world: World, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the published keys by hand."""
    name = publication.object_key("default", publication.JWKS_PATH)
    standing = world.published.documents[name]
    members = json.loads(standing.body)
    change(members["keys"])
    body = json.dumps(members).encode()
    world.published.documents[name] = replace(standing, body=body, tag="by hand")


# Rule 2


def test_rule_2_nothing_is_tried_before_the_wait_is_over(world: World, asked: Asked) -> None:
    world.now = READY - SECOND
    sight = world.witness(asked).look([client("default")])
    assert (sight.tried, asked.by, sight.until) == ((), [], READY)
    assert sight.answer()["canary"] == "idle"
    assert sight.answer()["wait"]["until"] == READY.isoformat()


def test_rule_2_a_trial_is_a_pair_the_active_key_first_then_the_standby(
    world: World, asked: Asked
) -> None:
    sight = world.witness(asked).look([client("default"), client("billing")])
    active, standby = world.active().kid, world.standby().kid
    assert asked.by == [
        ("default", active),
        ("default", standby),
        ("billing", active),
        ("billing", standby),
    ]
    names = {PUBLISHED_SET: ""}
    names |= {name: client(name).registration for name in ("default", "billing")}
    expected = tuple(
        Trial(
            client=name,
            kid=standby,
            registration=registration,
            first_success_at=READY,
            last_success_at=READY,
        )
        for name, registration in names.items()
    )
    assert sight.tried == world.testimony().trials == expected
    assert sight.until == READY + 10 * MINUTE
    assert sight.answer()["trials"] == [
        {"client": name, "kid": standby, "outcome": "accepted"} for name in names
    ]


def test_rule_2_what_another_server_accepted_under_the_same_name_proves_nothing(
    world: World, asked: Asked
) -> None:
    world.witness(asked).look([client("default")])
    moved = replace(client("default"), authorization_server="https://other.example")
    world.now += 10 * MINUTE
    asked.by.clear()
    world.witness(asked).look([moved])
    assert [name for name, _ in asked.by] == ["default", "default"]
    trial = trials(world)["default"]
    assert (trial.registration, trial.first_success_at) == (moved.registration, world.now)
    assert moved.registration != client("default").registration


def test_rule_2_the_published_set_is_tried_without_any_client(world: World) -> None:
    assert [each.client for each in world.prove().tried] == [PUBLISHED_SET]
    assert trials(world)[PUBLISHED_SET].first_success_at == READY


def test_a_run_with_nothing_to_try_and_nothing_new_writes_nothing(world: World) -> None:
    world.prove()
    before = world.state.documents[EVIDENCE]
    world.now += MINUTE
    sight = world.prove()
    assert (sight.tried, sight.testimony.revision) == ((), 1)
    assert world.state.documents[EVIDENCE] == before
    assert "token.write" not in world.calls[-4:]


def test_rule_2_a_refusal_is_written_with_its_code_and_whether_both_were(
    world: World, asked: Asked
) -> None:
    active, standby = world.active().kid, world.standby().kid
    asked.refuses = {standby: "invalid_client"}
    sight = world.witness(asked).look([client("default")])
    expected = Trial(
        client="default",
        kid=standby,
        registration=client("default").registration,
        refused_at=READY,
        refusals=1,
        code="invalid_client",
    )
    assert trials(world)["default"] == expected
    assert sight.refused == 1
    assert sight.answer()["trials"][-1] == {
        "client": "default",
        "kid": standby,
        "outcome": "refused",
        "code": "invalid_client",
    }
    asked.refuses[active] = "server_error"
    world.now += 15 * MINUTE
    sight = world.witness(asked).look([client("default")])
    assert trials(world)["default"] == replace(
        expected, refused_at=world.now, refusals=2, active_refused=True
    )
    assert sight.answer()["trials"][-1]["outcome"] == "both_refused"
    assert b"confidence" not in world.state.documents[EVIDENCE].body


def test_rule_2_a_standby_key_that_is_accepted_is_proven_whatever_became_of_the_active(
    world: World, asked: Asked
) -> None:
    asked.refuses = {world.active().kid: "invalid_client"}
    world.witness(asked).look([client("default")])
    assert trials(world)["default"].last_success_at == READY


def test_rule_2_who_refuses_is_left_alone_for_a_while(world: World, asked: Asked) -> None:
    asked.refuses = {world.standby().kid: "invalid_client"}
    for minutes, count in ((0, 1), (14, 1), (15, 2), (44, 2), (45, 3)):
        world.now = READY + minutes * MINUTE
        world.witness(asked).look([client("default")])
        assert len(asked.by) == 2 * count


def test_rule_2_a_published_key_of_that_name_that_is_another_is_refused(world: World) -> None:
    standby = world.standby()
    strange = world.kms.keys[world.kms.create("ES256", "strange")].private.public_key()

    def swap(keys: list[dict[str, Any]]) -> None:
        (mine,) = (each for each in keys if each["kid"] == standby.kid)
        mine.update({**jwk.from_public_key(strange, "ES256"), "kid": standby.kid})

    edited(world, swap)
    world.prove()
    refused = trials(world)[PUBLISHED_SET]
    assert (refused.code, refused.active_refused) == ("signature", False)


def test_rule_2_a_published_set_without_the_key_refuses_it(world: World) -> None:
    standby = world.standby().kid
    edited(world, lambda keys: keys.__delitem__(slice(1, None)))
    world.prove()
    assert trials(world)[PUBLISHED_SET].code == "unknown_key"
    assert trials(world)[PUBLISHED_SET].kid == standby


def test_rule_2_a_published_set_that_cannot_be_seen_neither_proves_nor_refuses(
    world: World,
) -> None:
    world.url.failure = 503
    assert world.prove().tried == ()
    assert trials(world)[PUBLISHED_SET] == Trial(client=PUBLISHED_SET, kid=world.standby().kid)
    world.url.failure = None
    assert len(world.prove().tried) == 1


def test_rule_2_a_key_that_kms_does_not_sign_with_is_refused(world: World) -> None:
    world.meddled.add(world.standby().arn)
    world.kms.keys[world.standby().arn].enabled = False
    world.prove()
    refused = trials(world)[PUBLISHED_SET]
    assert (refused.code, refused.active_refused) == ("temporarily_unavailable", False)


def test_rule_2_a_key_of_a_kind_that_nobody_takes_is_refused(world: World) -> None:
    standby = world.standby()
    changed = replace(standby, jwk={**standby.jwk, "alg": "ES512"})
    world.replace_keyring(world.keyring().with_key(changed))
    world.prove()
    assert trials(world)[PUBLISHED_SET].code == "misconfigured"


def test_the_signature_that_is_thrown_away_is_an_assertion_that_nobody_takes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed: list[bytes] = []
    sign = Kms.sign

    def note(kms: Kms, **request: Any) -> dict[str, Any]:
        signed.append(request["Message"])
        return sign(kms, **request)

    monkeypatch.setattr(Kms, "sign", note)
    world.prove()
    assert len(signed) == 2
    for message in signed:
        header, claims = (json.loads(decoded(part)) for part in message.decode().split("."))
        assert header["typ"] == "canary+jwt"
        assert claims["aud"] == claims["iss"] == ISSUER
        assert claims["exp"] == claims["iat"]


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_slow_provider_leaves_the_others_to_the_next_run_where_they_come_first(
    world: World, asked: Asked
) -> None:
    asked.takes, asked.refuses = ENOUGH, {world.standby().kid: "temporarily_unavailable"}
    clients = [client("slow"), client("quick")]
    sight = world.witness(asked).look(clients)
    assert [each.client for each in sight.tried] == [PUBLISHED_SET, "slow"]
    assert trials(world)["quick"].refusals == 0
    assert sight.until == READY
    asked.takes, asked.by = timedelta(), []
    world.now += 30 * MINUTE
    world.witness(asked).look(clients)
    assert [name for name, _ in asked.by] == ["quick", "quick", "slow", "slow"]


def test_what_takes_exactly_long_enough_is_followed_by_another(world: World, asked: Asked) -> None:
    asked.takes = ENOUGH / 2
    sight = world.witness(asked).look([client("one"), client("two"), client("three")])
    assert [each.client for each in sight.tried] == [PUBLISHED_SET, "one", "two"]


# Whole lives


class Stale(Provider):
    """A provider that breaks its promise, and lacks a key until an instant."""

    def __init__(self, world: World, lacks: str, until: datetime) -> None:
        super().__init__(world, timedelta(minutes=59))
        self._lacks, self._until, self._instant = lacks, until, world.clock

    def accepts(self, token: str) -> bool:
        if kid_of(token) == self._lacks and self._instant() < self._until:
            return False
        return super().accepts(token)


def test_rule_2_a_rollover_waits_for_the_second_success(world: World) -> None:
    world.rotation().rotate(unsafe=False)
    world.prove()
    assert Promote not in [type(step) for step in world.rotation().tick().steps]
    world.now += 10 * MINUTE
    world.prove()
    assert Promote in [type(step) for step in world.rotation().tick().steps]


def test_rule_2_a_provider_that_keeps_an_old_set_for_too_long_only_delays_the_switch() -> None:
    world = World(policy=SLOW)
    world.rotation().tick()
    first, second = world.active().kid, world.standby().kid
    stale = Stale(world, lacks=second, until=START + 2 * POLICY.rotation_interval)
    for _ in range(3 * 12):
        world.live(timedelta(hours=1))
        assert stale.accepts(world.signed(POLICY.assertion_lifetime))
        if POLICY.rotation_interval < world.now - START < 2 * POLICY.rotation_interval:
            assert world.active().kid == first
            wait = world.rotation().tick().wait
            assert "the client 0 refuses the standby key and takes the active one" in wait.why
    assert world.active().kid == second


def test_rule_2_a_signer_that_tells_nothing_keeps_the_active_key_for_ever() -> None:
    world = World()
    world.rotation().tick()
    first = world.active().kid
    world.now += timedelta(days=400)
    run = world.rotation().tick()
    assert (run.steps, run.keyring.active == world.active()) == ((), True)
    assert world.active().kid == first
    assert run.wait.why == "the token function has told of no trial yet (rule 2)"


def test_rule_2_a_testimony_that_somebody_broke_switches_nothing(world: World) -> None:
    put(world, b"{")
    world.now = START + POLICY.rotation_interval
    assert "no trial yet" in world.rotation().tick().wait.why


# Rule 8


def test_rule_8_a_published_kid_that_the_keyring_lacks_is_a_stranger(world: World) -> None:
    def add(keys: list[dict[str, Any]]) -> None:
        keys.extend([{**keys[0], "kid": "z-strange"}, {**keys[0], "kid": "a-strange"}])

    edited(world, add)
    sight = world.prove()
    assert world.testimony().strangers == ("a-strange", "z-strange")
    assert sight.answer()["strangers"] == ["a-strange", "z-strange"]
    world.url.failure = 503
    assert world.prove().testimony.strangers == ("a-strange", "z-strange")
    world.url.failure = None
    edited(world, lambda keys: keys.__delitem__(slice(2, None)))
    assert world.prove().testimony.strangers == ()


def test_rule_8_a_key_that_was_published_a_moment_ago_is_no_stranger(world: World) -> None:
    witness = world.witness()
    witness.look([])
    world.rotation().rotate(unsafe=True)
    assert witness.look([]).testimony.strangers == ()


def test_rule_8_every_key_of_the_keyring_is_known_whatever_its_state(world: World) -> None:
    standby = world.standby()
    keyring = world.keyring()
    world.replace_keyring(keyring.with_key(replace(standby, state=State.REMOVED)))
    assert world.prove().testimony.strangers == ()


# Rule 9


@pytest.fixture
def rolled_over(world: World) -> World:
    """A world in which the first key was retired a moment ago."""
    world.rotation().rotate(unsafe=True)
    return world


def test_rule_9_a_fallback_is_written_down_with_both_keys(rolled_over: World) -> None:
    world = rolled_over
    world.now += MINUTE
    world.witness().tell_of_fallback()
    (retired,) = world.keyring().in_state(State.RETIRED)
    assert world.testimony().fallback == Fallback(
        kid=world.active().kid, previous=retired.kid, at=world.now
    )


def test_rule_9_once_a_minute_is_enough(rolled_over: World) -> None:
    world, witness = rolled_over, rolled_over.witness()
    told_at = []
    for later in (timedelta(), TOLD_AGAIN - SECOND, SECOND, -2 * SECOND):
        world.now += later
        witness.tell_of_fallback()
        fallback = world.testimony().fallback
        assert fallback is not None
        told_at.append(fallback.at - (START + (READY - START)))
    assert told_at == [timedelta(), timedelta(), TOLD_AGAIN, TOLD_AGAIN - 2 * SECOND]


def test_rule_9_without_a_previous_key_there_is_nothing_to_tell(world: World) -> None:
    world.witness().tell_of_fallback()
    assert EVIDENCE not in world.state.documents


def test_rule_9_the_next_tick_prolongs_and_switches_nothing_back(rolled_over: World) -> None:
    world = rolled_over
    active = world.active().kid
    (retired,) = world.keyring().in_state(State.RETIRED)
    assert retired.may_sign_until == READY + (READY - START)
    world.now += timedelta(hours=1)
    world.witness().tell_of_fallback()
    told_at = world.now
    world.now += TICK
    run = world.rotation().tick()
    prolonged = Prolong(kid=retired.kid, until=told_at + timedelta(days=1))
    assert run.steps == (prolonged,)
    assert world.keyring().key(retired.kid).may_sign_until == prolonged.until
    assert world.active().kid == active
    assert world.rotation().tick().steps == ()


# The document


def test_rule_6_what_another_wrote_meanwhile_is_kept(rolled_over: World) -> None:
    world = rolled_over
    world.tick()

    def meddle(moment: Literal["before", "after"], call: str) -> None:
        if (moment, call) == ("before", "token.write"):
            world.meddler = None
            world.prove()

    world.meddler = meddle
    world.witness().tell_of_fallback()
    told = world.testimony()
    assert told.fallback is not None
    assert told.trials == (Trial(client=PUBLISHED_SET, kid=world.standby().kid),)
    assert told.revision == 2


@pytest.mark.parametrize("first", ["refusal", "success"])
def test_rule_2_of_two_processes_at_once_a_refusal_is_not_hidden_by_an_older_success(
    world: World, asked: Asked, first: str
) -> None:
    refusing = Asked(world, refuses={world.standby().kid: "invalid_client"})
    outer, inner = (refusing, asked) if first == "success" else (asked, refusing)

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("before", "token.write"):
            world.meddler = None
            world.witness(inner).look([client("default")])

    world.meddler = meddle
    world.witness(outer).look([client("default")])
    assert trials(world)["default"].refused_at == READY


def test_rule_6_a_conflict_that_does_not_end_is_told(world: World) -> None:
    tags = iter(range(100))

    def meddle(moment: Literal["before", "after"], call: str) -> None:
        if (moment, call) == ("before", "token.write"):
            number = next(tags)
            body = testimonies.serialise(Testimony(revision=number))
            world.state.documents[EVIDENCE] = Document(body=body, tag=str(number))

    world.meddler = meddle
    with pytest.raises(ConflictError, match="others all the time"):
        world.prove()
    assert next(tags) == 3


def test_rule_6_a_broken_testimony_is_replaced_and_a_newer_one_is_not(world: World) -> None:
    put(world, b'{"version": 1')
    assert world.prove().testimony.revision == 1
    newer = b'{"version": 2}'
    put(world, newer)
    with pytest.raises(NewerTestimonyError):
        world.prove()
    assert world.state.documents[EVIDENCE].body == newer


def test_a_run_without_a_keyring_says_so(world: World) -> None:
    world.state.delete("default/keyring.json")
    with pytest.raises(SigningError, match="no keyring yet"):
        world.prove()


def test_a_store_that_does_not_answer_is_no_testimony(world: World) -> None:
    def meddle(moment: Literal["before", "after"], call: str) -> None:
        if (moment, call) == ("before", "token.write"):
            raise AwsError("s3:PutObject", "SlowDown")

    world.meddler = meddle
    with pytest.raises(AwsError, match="SlowDown"):
        world.prove()
    world.meddler = None
    assert len(world.prove().tried) == 1


def test_with_nothing_to_wait_for_the_next_run_looks_again(world: World) -> None:
    keyring = world.keyring()
    unseen = replace(world.standby(), first_seen_at=None)
    world.replace_keyring(keyring.with_key(unseen))
    sight = world.prove()
    assert (sight.tried, sight.until) == ((), READY)


def invalid_client(_: Client, __: Signer) -> None:
    raise InvalidClientError("invalid_client", "no")


def test_the_witness_knows_the_rhythm_of_its_policy(world: World) -> None:
    def until(times: CanaryTimes) -> datetime:
        world.policy = replace(POLICY, canary=times)
        witness: Witness = world.witness(invalid_client)
        return witness.look([client("default")]).until

    assert until(CanaryTimes(apart=SECOND, first_pause=MINUTE)) == READY + SECOND
    world.now = READY + SECOND
    assert until(CanaryTimes(apart=SECOND, first_pause=MINUTE)) == READY + MINUTE
