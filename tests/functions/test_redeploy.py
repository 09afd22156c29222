"""A stack deleted and deployed again under its name: what becomes of its keys.

The rotation function under strict moto, as in test_rotation.py. CloudFormation gives a new stack
new buckets; the old ones stay, and an owner may bring back what was in them.
"""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.aws import Aws
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket
from machine_identity.cli import main
from tests.functions.test_rotation import DAY, FIRST_TICK, World
from tests.handlers import event

TICK = event("rotation", "tick")
KEYRING = "default/keyring.json"
DOCUMENTS = ("default/.well-known/jwks.json", "default/.well-known/openid-configuration")


class Deployments(World):
    """The world of one account, in which stacks come and go."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        super().__init__(monkeypatch)
        self._capsys = capsys
        self._count = 0

    def redeploy(self, stack: str = "stack", *, bring: tuple[str, ...] = ()) -> None:
        """Make what another deployment makes; ``bring`` is put into its buckets beforehand."""
        self._count += 1
        s3, state, published = client("s3"), f"state-{self._count}", f"published-{self._count}"
        where: Any = {"LocationConstraint": "eu-central-1"}
        old = {KEYRING: self.state}
        for name in (state, published):
            s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        for key in bring:
            document = old.get(key, self.published).read(key)
            assert document is not None
            to = Bucket(s3, state if key in old else published)
            control = document.cache_control
            to.write(key, document.body, expected=None, cache_control=control)
        self.state, self.published = Bucket(s3, state), Bucket(s3, published)
        self.url.serve(self.published)
        self.configure(STATE_BUCKET=state, PUBLISHED_BUCKET=published, STACK_NAME=stack)

    def teardown(self, stack: str = "stack", *words: str) -> dict[str, Any]:
        """Run the command for a stack that is gone."""
        with pytest.raises(SystemExit) as ended:
            main(["teardown", "--stack", stack, "--json", "--yes", *words])
        assert ended.value.code == 0
        told: dict[str, Any] = json.loads(self._capsys.readouterr().out.splitlines()[-1])
        return told

    def states(self) -> dict[str, str]:
        """Return the state of every key in the keyring, by ARN."""
        return {key["arn"]: key["state"] for key in self.recorded()}

    def kids(self) -> set[str]:
        return {key["kid"] for key in self.key_set()["keys"]}

    def in_kms(self) -> dict[str, str]:
        """Return the state of every key in the account, by ARN."""
        arns = [key["KeyArn"] for key in self.kms.list_keys()["Keys"]]
        told = [self.kms.describe_key(KeyId=arn)["KeyMetadata"] for arn in arns]
        return {key["Arn"]: key["KeyState"] for key in told}

    def steps_of(self, question: object) -> list[str]:
        steps = self.steps(question)
        self._capsys.readouterr()
        return steps


@pytest.fixture
def world(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Deployments]:
    made = Deployments(monkeypatch, capsys)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with Aws(now=lambda: made.time) as aws:
        made.open(aws)
        with made.url:
            assert made.steps_of(TICK) == FIRST_TICK
            made.now += DAY
            yield made


def test_with_its_documents_a_stack_goes_on_as_if_nothing_had_happened(world: Deployments) -> None:
    before, kids = world.states(), world.kids()
    world.redeploy(bring=(KEYRING, *DOCUMENTS))
    assert world.steps_of(TICK) == []
    assert (world.states(), world.kids()) == (before, kids)


def test_with_the_published_set_alone_the_keys_are_adopted_in_their_places(
    world: Deployments,
) -> None:
    before, kids = world.states(), world.kids()
    world.redeploy(bring=DOCUMENTS)
    assert world.steps_of(TICK)[0] == "Rebuild"
    assert (world.states(), world.kids()) == (before, kids)
    assert world.in_kms() == dict.fromkeys(before, "Enabled")


def test_with_new_buckets_the_keys_are_adopted_by_their_tags_and_published(
    world: Deployments,
) -> None:
    (oldest, second), kids = world.states(), world.kids()
    world.redeploy()
    assert world.steps_of(TICK) == ["Rebuild", "Intend", "CreateKey", "Publish"]
    assert world.kids() > kids
    states = world.states()
    assert (states.pop(oldest), states.pop(second)) == ("standby", "retired")
    assert list(states.values()) == ["standby"]  # for the day when the oldest signs
    assert set(world.in_kms().values()) == {"Enabled"}


def test_with_new_buckets_the_oldest_key_signs_when_rule_1_has_held(world: Deployments) -> None:
    oldest, _ = world.states()
    world.redeploy()
    world.steps_of(TICK)
    world.now += DAY
    assert "Promote" not in world.steps_of(TICK)
    world.now += DAY
    assert "Promote" in world.steps_of(TICK)
    assert world.states()[oldest] == "active"


def test_with_new_buckets_an_operator_need_not_wait(world: Deployments) -> None:
    oldest, _ = world.states()
    world.redeploy()
    world.steps_of(TICK)
    assert world.steps_of(event("rotation", "rotate_unsafe"))[0] == "Promote"
    assert world.states()[oldest] == "active"


def test_a_stack_of_another_name_makes_keys_of_its_own_and_touches_none(
    world: Deployments,
) -> None:
    theirs = world.states()
    world.redeploy("other")
    world.steps_of(TICK)
    world.now += 40 * DAY
    world.steps_of(TICK)
    assert not world.states().keys() & theirs.keys()
    assert {arn: world.in_kms()[arn] for arn in theirs} == dict.fromkeys(theirs, "Enabled")


def test_what_is_torn_down_is_not_adopted_and_this_is_no_first_deploy(world: Deployments) -> None:
    old = world.states()
    assert set(world.teardown()["ended"]) == set(old)
    world.redeploy()
    made = world.steps_of(TICK)
    assert ("CreateKey" in made, "Promote" in made) == (True, False)
    assert not world.states().keys() & old.keys()
    world.now += DAY
    world.steps_of(TICK)
    world.now += DAY
    assert "Promote" in world.steps_of(TICK)
    assert {world.in_kms()[arn] for arn in old} == {"PendingDeletion"}


def test_what_was_undone_is_adopted(world: Deployments) -> None:
    old, kids = world.states(), world.kids()
    world.teardown()
    for arn in old:
        world.kms.cancel_key_deletion(KeyId=arn)
        world.kms.enable_key(KeyId=arn)
    world.redeploy(bring=(KEYRING, *DOCUMENTS))
    assert world.steps_of(TICK) == []
    assert (world.states(), world.kids()) == (old, kids)


def test_documents_that_come_back_without_their_keys_are_no_end(world: Deployments) -> None:
    old = world.states()
    world.teardown()
    world.redeploy(bring=(KEYRING, *DOCUMENTS))
    for _ in range(2):
        world.steps_of(TICK)
        world.now += 2 * DAY
        world.prove()
    world.steps_of(TICK)
    active = [arn for arn, state in world.states().items() if state == "active"]
    assert active
    assert active[0] not in old


def test_the_teardown_of_one_stack_or_identity_leaves_another_s_keys_alone(
    world: Deployments,
) -> None:
    first = world.states()
    world.redeploy("other")
    world.steps_of(TICK)
    other = world.states()
    world.redeploy("stack")
    world.configure(IDENTITY="second")
    world.steps_of(TICK)
    second = [arn for arn in world.in_kms() if arn not in {*first, *other}]
    assert len(second) == 2
    assert set(world.teardown()["ended"]) == set(first)
    kms = world.in_kms()
    assert {kms[arn] for arn in (*other, *second)} == {"Enabled"}
    assert set(world.teardown("stack", "--identity", "second")["ended"]) == set(second)
    assert {world.in_kms()[arn] for arn in other} == {"Enabled"}
