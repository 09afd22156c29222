"""What an operator asks and is answered: every shape of an event, and what it tells."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from machine_identity import commands
from machine_identity.aws import AwsError
from machine_identity.commands import FURTHEST, LONGEST_REASON, command_counts, counts
from machine_identity.keyring import Surplus
from machine_identity.policy import Policy
from machine_identity.providers import PROVIDERS
from machine_identity.steps import AdoptKey, Failed, Intend, Publish, Rebuild, Step, Wait
from tests.handlers import event
from tests.world import ISSUER, POLICY, SECOND, START, TICK, World

AT = START.isoformat()
JWKS = "default/.well-known/jwks.json"
DAY = timedelta(days=1)
YEARLY = Policy(algorithm="ES256", rotation_interval=timedelta(days=365))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def born(world: World) -> World:
    """A world after its first tick."""
    world.tick()
    return world


IN_USE = {
    "issuer": ISSUER,
    "state": "in use",
    "next": "",
    "not_before": None,
    "held_by": "no other is asked for",
}


def ask(world: World, asked: object) -> dict[str, Any]:
    """Return the answer as it leaves the function: as JSON."""
    answer = commands.answer(world.rotation(), asked, lambda _: POLICY)
    read: dict[str, Any] = json.loads(json.dumps(answer))
    assert read == answer
    return read


def test_tick_answers_each_step_with_its_fields_and_what_is_waited_for(world: World) -> None:
    answer = ask(world, event("rotation", "tick"))
    keyring = world.keyring()
    kids = [key.kid for key in keyring.keys]
    assert answer == {
        "identity": "default",
        "revision": keyring.revision,
        "now": AT,
        "steps": [
            {"step": "Intend", "again": False},
            {"step": "CreateKey", "intent": "intent-0"},
            {"step": "Intend", "again": False},
            {"step": "CreateKey", "intent": "intent-1"},
            {"step": "Publish", "kids": kids, "revision": keyring.published_revision},
            {"step": "Promote", "kid": kids[0], "retires": None},
        ],
        "wait": {
            "until": (START + POLICY.rotation_interval).isoformat(),
            "why": "the active key signs until its rotation interval is over",
        },
    }


def test_status_tells_of_every_key_what_comes_next_when_and_what_holds_it(born: World) -> None:
    active, standby = born.active().kid, born.standby().kid
    answer = ask(born, event("rotation", "status"))
    not_before = (START + POLICY.rotation_interval).isoformat()
    row = {"since": AT, "not_before": not_before, "held_by": "rotation interval"}
    assert answer == {
        "identity": "default",
        "revision": born.keyring().revision,
        "now": AT,
        "issuers": [IN_USE],
        "seen": {"sha256": born.keyring().seen_digest, "since": AT},
        "keys": [
            {"kid": active, "state": "active", "next": "retired", **row},
            {"kid": standby, "state": "standby", "next": "active", **row},
        ],
    }


def test_status_before_the_first_tick_is_empty_and_does_nothing(world: World) -> None:
    answer = ask(world, {"command": "status"})
    head = {"identity": "default", "revision": 0, "now": AT}
    assert answer == {**head, "issuers": [IN_USE], "seen": None, "keys": []}
    assert world.calls == ["state.read", "state.read"]


def test_status_says_when_nobody_can_tell_the_time_of_a_step(world: World) -> None:
    world.url.failure = 503
    world.tick()
    assert [row["not_before"] for row in ask(world, {"command": "status"})["keys"]] == [None, None]


def test_rotate_asks_for_a_rollover(born: World) -> None:
    born.now += TICK
    answer = ask(born, event("rotation", "rotate"))
    assert (answer["steps"], born.keyring().rollover_requested_at) == ([], born.now)
    assert "rule 1" in answer["wait"]["why"]


def test_rotate_unsafe_must_be_said(born: World) -> None:
    born.is_unsafe = True
    born.now += TICK
    assert ask(born, {"command": "rotate", "unsafe": False})["steps"] == []
    second = born.standby().kid
    answer = ask(born, event("rotation", "rotate_unsafe"))
    assert answer["steps"][0]["step"] == "Promote"
    assert answer["steps"][0]["kid"] == second == born.active().kid


def test_plan_tells_the_next_rotation_interval_and_changes_nothing(born: World) -> None:
    before, second = born.keyring(), born.standby().kid
    answer = ask(born, event("rotation", "plan"))
    until = (START + POLICY.rotation_interval).isoformat()
    assert (answer["now"], answer["until"], answer["revision"]) == (AT, until, before.revision)
    assert [step["step"] for step in answer["steps"]] == [
        "Promote",
        "Intend",
        "CreateKey",
        "Publish",
    ]
    assert {step["at"] for step in answer["steps"]} == {until}
    assert answer["steps"][0]["kid"] == second
    assert [row["state"] for row in answer["keys"]] == ["retired", "active", "standby"]
    assert born.keyring() == before
    assert answer.keys() == {"identity", "revision", "now", "until", "steps", "keys"}


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-24T12:00:00Z", START),
        ("2026-11-24T14:30:00+01:00", START + timedelta(hours=1, minutes=30)),
        ((START + FURTHEST).isoformat(), START + FURTHEST),
    ],
)
def test_plan_at_is_an_instant_from_now_on(at: str, until: datetime) -> None:
    world = World(policy=YEARLY)
    assert ask(world, {"command": "plan", "at": at})["until"] == until.isoformat()


@pytest.mark.parametrize(
    "at",
    [
        (START - SECOND).isoformat(),
        (START + FURTHEST + SECOND).isoformat(),
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_plan_looks_neither_back_nor_beyond_what_it_can_tell(world: World, at: str) -> None:
    answer = ask(world, {"command": "plan", "at": at})
    assert answer == {
        "error": "invalid_request",
        "error_description": "at must lie ahead, by at most 1095 days",
    }


def test_the_furthest_plan_is_told_to_its_end_also_with_the_shortest_interval() -> None:
    hydra = PROVIDERS["hydra"]
    world = World(
        policy=Policy(
            algorithm="ES256",
            rotation_interval=timedelta(days=1),
            key_set_cache=hydra.key_set_cache,
            provider_leeway=hydra.leeway,
        )
    )
    answer = ask(world, {"command": "plan", "at": (START + FURTHEST).isoformat()})
    last = datetime.fromisoformat(answer["steps"][-1]["at"])
    assert last > START + FURTHEST - timedelta(days=1)
    assert len(json.dumps(answer)) < 6 * 1024 * 1024


def test_the_event_for_a_plan_at_a_date_is_answered() -> None:
    answer = ask(World(policy=YEARLY), event("rotation", "plan_at"))
    assert answer["until"] == "2029-06-01T00:00:00+00:00"
    assert [step["step"] for step in answer["steps"]].count("Promote") == 3


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            {},
            "whose command is one of tick, status, plan, explain, rotate, revoke, confirm",
        ),
        (None, "the event must be an object whose command is one of"),
        ([], "the event must be an object whose command is one of"),
        ("tick", "the event must be an object whose command is one of"),
        ({"command": ["tick"]}, "the event must be an object whose command is one of"),
        ({"command": "Tick"}, "the event must be an object whose command is one of"),
        ({"command": "revoke", "kid": "k"}, "the command revoke takes kid and reason"),
        ({"command": "revoke", "reason": "r"}, "the command revoke takes kid and reason"),
        ({"command": "confirm"}, "the command confirm takes kid"),
        ({"command": "explain", "kid": "k"}, "the command explain takes at, or less"),
        ({"command": "confirm", "kid": ""}, "kid must be the name of a key"),
        ({"command": "confirm", "kid": 1}, "kid must be the name of a key"),
        ({"command": "confirm", "kid": "k" * 65}, "kid must be the name of a key"),
        ({"command": "confirm", "kid": "arn:aws"}, "kid must be the name of a key"),
        ({"command": "revoke", "kid": "k", "reason": ""}, "reason must be a sentence"),
        ({"command": "revoke", "kid": "k", "reason": " "}, "reason must be a sentence"),
        ({"command": "revoke", "kid": "k", "reason": "a\nb"}, "reason must be a sentence"),
        ({"command": "revoke", "kid": "k", "reason": 1}, "reason must be a sentence"),
        (
            {"command": "revoke", "kid": "k", "reason": "r" * (LONGEST_REASON + 1)},
            "reason must have at most 200 characters",
        ),
        ({"command": "tick", "at": AT}, "beside its name, the command tick takes nothing"),
        ({"command": "status", "x": 1}, "beside its name, the command status takes nothing"),
        ({"command": "plan", "unsafe": True}, "the command plan takes at and settings, or less"),
        ({"command": "plan", "settings": "all"}, "settings must be an object"),
        ({"command": "plan", "settings": {}}, "settings must be an object"),
        ({"command": "plan", "settings": {"PublicUrl": None}}, "a string or a whole number"),
        ({"command": "confirm"}, "the command confirm takes kid, or issuer and maybe unsafe"),
        ({"command": "confirm", "kid": "a", "issuer": "b"}, "confirm takes kid, or issuer"),
        ({"command": "confirm", "kid": "a", "unsafe": True}, "confirm takes kid, or issuer"),
        ({"command": "confirm", "issuer": ""}, "issuer must be the URL that the settings ask for"),
        ({"command": "confirm", "issuer": 7}, "issuer must be the URL that the settings ask for"),
        ({"command": "rotate", "kid": "k"}, "the command rotate takes unsafe, or less"),
        ({"command": "rotate", "unsafe": "true"}, "unsafe must be true or false"),
        ({"command": "rotate", "unsafe": 1}, "unsafe must be true or false"),
        ({"command": "rotate", "unsafe": None}, "unsafe must be true or false"),
        ({"command": "plan", "at": None}, "at must be an instant in ISO 8601 with its offset"),
        ({"command": "plan", "at": 1}, "at must be an instant in ISO 8601 with its offset"),
        ({"command": "plan", "at": "soon"}, "at must be an instant in ISO 8601 with its offset"),
        (
            {"command": "plan", "at": "2027-01-01T00:00:00"},
            "at must be an instant in ISO 8601 with its offset",
        ),
    ],
)
def test_what_is_not_a_command_is_refused_in_one_sentence_before_anything_is_done(
    world: World, asked: object, sentence: str
) -> None:
    answer = ask(world, asked)
    assert (set(answer), answer["error"]) == ({"error", "error_description"}, "invalid_request")
    assert sentence in answer["error_description"]
    assert world.calls == []


@pytest.mark.parametrize("case", ["unknown_command", "wrong_shape"])
def test_the_events_that_are_no_commands_are_refused(world: World, case: str) -> None:
    assert ask(world, event("rotation", case))["error"] == "invalid_request"


def test_what_aws_refuses_is_told_by_operation_and_code(world: World) -> None:
    def fail(moment: str, call: str) -> None:
        if (moment, call) == ("before", "kms:CreateKey"):
            raise AwsError("kms:CreateKey", "ThrottlingException")

    world.meddler = fail
    assert ask(world, {"command": "tick"}) == {
        "error": "aws",
        "error_description": "kms:CreateKey failed: ThrottlingException",
    }


def test_the_loser_of_two_runs_is_told_so(world: World) -> None:
    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("before", "state.write"):
            world.meddler = None
            world.rotation().tick()

    world.meddler = meddle
    assert ask(world, {"command": "tick"}) == {
        "error": "conflict",
        "error_description": "default/keyring.json was written by somebody else at the same time",
    }


def test_a_keyring_that_must_not_be_acted_on_is_told(born: World) -> None:
    born.replace_keyring(replace(born.keyring(), identity="other"))
    answer = ask(born, {"command": "tick"})
    assert answer["error"] == "keyring"
    assert answer["error_description"].startswith(
        "the keyring is that of other, not that of default"
    )


def test_a_step_is_recorded_flat_with_its_name_lists_and_instants_in_utc() -> None:
    assert commands.record(Intend(again=True)) == {"step": "Intend", "again": True}
    assert commands.record(Publish(kids=("a", "b"), revision=7)) == {
        "step": "Publish",
        "kids": ["a", "b"],
        "revision": 7,
    }
    adopted = AdoptKey(intent="i", arn="arn:aws:kms:key")
    assert commands.record(adopted)["arn"] == "arn:aws:kms:key"
    wait = Wait(until=datetime.fromisoformat("2026-11-24T13:00:00+01:00"), why="so")
    assert commands.record(wait) == {"step": "Wait", "until": AT, "why": "so"}


def test_an_event_may_name_the_identity_and_must_not_name_another(born: World) -> None:
    asked = {"command": "status", "identity": "default"}
    assert ask(born, asked) == ask(born, {"command": "status"})
    told = ask(born, {**asked, "identity": "other"})
    assert told == {
        "error": "invalid_request",
        "error_description": "the keys that are rotated here are those of default",
    }


def test_status_and_explain_say_when_it_is_rule_2_that_holds_a_promotion(born: World) -> None:
    due = START + POLICY.rotation_interval
    for late, held in ((-SECOND, "rotation interval"), (0 * SECOND, "rule 2")):
        born.now = due + late
        rows = [*ask(born, {"command": "status"})["keys"]]
        assert all(row["held_by"].startswith(held) for row in rows)
    why = "the token function has told of no trial yet (rule 2)"
    assert {row["because"] for row in ask(born, {"command": "explain"})["keys"]} == {why}
    assert {row["not_before"] for row in rows} == {due.isoformat()}
    born.prove()
    assert {row["held_by"] for row in ask(born, {"command": "status"})["keys"]} == {
        "rotation interval"
    }


def test_a_command_that_was_carried_out_is_answered_so_whatever_else_fails(born: World) -> None:
    born.is_unsafe = True
    old, new = born.active().kid, born.standby().kid

    def meddle(moment: str, call: str) -> None:
        if (moment, call) == ("before", "kms:CreateKey"):
            raise AwsError(call, "ThrottlingException")

    born.now += TICK
    born.meddler = meddle
    told = ask(born, {"command": "rotate", "unsafe": True})
    assert told["steps"][0] == {"step": "Promote", "kid": new, "retires": old}
    assert told["notes"] == ["kms:CreateKey failed: ThrottlingException"]
    assert "error" not in told
    failed = Failed(
        of="CreateKey", about="intent-2", why="kms:CreateKey failed: ThrottlingException"
    )
    assert failed in [step for _, step in born.steps]


def test_confirm_answers_that_nothing_is_confirmed_while_clocks_are_apart(born: World) -> None:
    born.clock_error = timedelta(hours=1)
    assert ask(born, {"command": "confirm", "kid": "any"})["confirmed"] is None
    assert ask(born, {"command": "confirm", "issuer": "https://any"})["confirmed"] is None


# What is counted


def test_the_end_of_a_run_sums_up_how_the_keys_stand(born: World) -> None:
    ring = born.keyring()
    nothing = {
        "KeysLive": 2,
        "KeysUnknown": 0,
        "NobodySigns": 0,
        "StandbyMissing": 0,
        "PublishedSetStale": 0,
        "PromotionOverdue": 0,
    }
    wait = Wait(until=START, why="")
    assert counts(wait, ring, POLICY, START) == nothing
    alarming = replace(wait, alarms=("ClockApart", "KeysFail"))
    assert counts(alarming, ring, POLICY, START) == {"ClockApart": 1, "KeysFail": 1, **nothing}
    nobody = replace(ring, keys=ring.keys[1:], surplus=(Surplus(arn="arn", found_at=START),))
    late = START + POLICY.rotation_interval + POLICY.canary_deadline
    assert counts(wait, nobody, POLICY, late) == {
        "KeysLive": 1,
        "KeysUnknown": 1,
        "NobodySigns": 1,
        "StandbyMissing": 0,
        "PublishedSetStale": 0,
        "PromotionOverdue": 0,
    }
    alone = replace(ring, keys=ring.keys[:1])
    assert counts(wait, alone, POLICY, START)["StandbyMissing"] == 1
    assert counts(wait, ring, POLICY, late)["PromotionOverdue"] == 1
    assert counts(wait, ring, POLICY, late - SECOND)["PromotionOverdue"] == 0


@pytest.mark.parametrize(("late", "is_stale"), [(-SECOND, 0), (0 * SECOND, 1), (DAY, 1)])
def test_a_set_is_stale_that_shows_no_new_key_an_hour_after_it_was_made(
    born: World, late: timedelta, is_stale: int
) -> None:
    ring, wait = born.keyring(), Wait(until=START, why="")
    hidden = ring.with_key(replace(born.standby(), first_seen_at=None))
    at = born.standby().created_at + timedelta(hours=1) + late
    assert counts(wait, hidden, POLICY, at)["PublishedSetStale"] == is_stale
    assert counts(wait, ring, POLICY, at)["PublishedSetStale"] == 0


@pytest.mark.parametrize(
    ("step", "counted"),
    [
        (Intend(), {"StepsTaken": 1}),
        (Failed(of="Disable", about="kid", why=""), {"StepsFailed": 1}),
        (Rebuild(active=None, kids=(), why=""), {"StepsTaken": 1, "KeyringRebuilt": 1}),
        (Publish(kids=(), revision=1), {"StepsTaken": 1, "PublishedStrangers": 0}),
        (
            Publish(kids=(), revision=1, strangers=("a", "b")),
            {"StepsTaken": 1, "PublishedStrangers": 2},
        ),
    ],
)
def test_each_step_is_counted(born: World, step: Step, counted: dict[str, int]) -> None:
    assert counts(step, born.keyring(), POLICY, START) == counted


@pytest.mark.parametrize(
    ("code", "failed"),
    [(None, 0), ("invalid_request", 0), ("conflict", 0), ("aws", 1), ("keyring", 1)],
)
def test_a_lost_race_and_a_question_that_cannot_be_are_no_failures(
    code: str | None, failed: int
) -> None:
    answer = {} if code is None else {"error": code}
    assert command_counts(answer) == {"CommandsFailed": failed}


def test_rule_8_a_set_that_is_written_over_tells_of_the_strangers_in_it(born: World) -> None:
    standing = born.published.documents[JWKS]
    edited = json.loads(standing.body)
    edited["keys"].append({"kty": "RSA", "kid": "stranger"})
    body = json.dumps(edited).encode()
    born.published.documents[JWKS] = replace(standing, body=body, tag="by hand")
    told = ask(born, {"command": "tick"})
    assert told["steps"][0]["strangers"] == ["stranger"]
