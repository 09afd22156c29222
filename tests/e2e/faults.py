"""Faults that somebody must hear of, as they are driven into the embedded stack, one by one."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from local.registrations import app_for
from local.stack import CLIENT_ID, Stack
from machine_identity.providers import PROVIDERS
from tests.e2e.test_story import HELLO, World

QUARTER: Final = timedelta(minutes=15)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
KEYRING: Final = "default/keyring.json"
JWKS: Final = "default/.well-known/jwks.json"


class Faulty(World):
    """A stack in which things go wrong, and what its functions have counted."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.s3, self.kms = stack.aws.client("s3"), stack.aws.client("kms")

    def counted(self, name: str, service: str, **also: str) -> float:
        """Return the sum of a count under the dimensions that the alarms go by."""
        log = self.stack.logs / f"{service.capitalize()}Function.log"
        found = 0.0
        for line in log.read_text().splitlines() if log.exists() else ():
            members = json.loads(line) if line.startswith('{"_aws"') or '"_aws"' in line else {}
            if name not in members or any(members.get(key) != each for key, each in also.items()):
                continue
            sets = members["_aws"]["CloudWatchMetrics"][0]["Dimensions"]
            assert any("stack" in each and "service" in each for each in sets)
            value = members[name]
            found += sum(value) if isinstance(value, list) else value
        return found

    def bucket(self, part: str) -> str:
        names = [each["Name"] for each in self.s3.list_buckets()["Buckets"]]
        return next(each for each in names if part in each)

    def read(self, part: str, key: str) -> Any:
        return json.loads(self.s3.get_object(Bucket=self.bucket(part), Key=key)["Body"].read())

    def write(self, part: str, key: str, members: object) -> None:
        body = json.dumps(members).encode()
        self.s3.put_object(Bucket=self.bucket(part), Key=key, Body=body)

    def arn(self, state: str) -> str:
        keys = self.read("state", KEYRING)["keys"]
        return str(next(each["arn"] for each in keys if each["state"] == state))

    def tick(self) -> None:
        self.rotation("tick")

    def canary(self) -> None:
        self.client.invoke("TokenFunction", {"command": "canary"})


def refuse_a_scope(world: Faulty) -> None:
    world.client.invoke("TokenFunction", {"scope": "api://another/.default"})


def send_no_token(world: Faulty) -> None:
    world.client.call(HELLO, "a.b.c")


def forge_a_signature(world: Faulty) -> None:
    head, claims, signature = world.token().split(".")
    forged = base64.urlsafe_b64encode(bytes(256)).rstrip(b"=").decode()
    assert len(forged) == len(signature)
    world.client.call(HELLO, f"{head}.{claims}.{forged}")


def publish_a_stranger(world: Faulty) -> None:
    document = world.read("published", JWKS)
    stranger = {**document["keys"][0], "kid": "stranger"}
    world.write("published", JWKS, {**document, "keys": [*document["keys"], stranger]})


def show_a_stranger(world: Faulty) -> None:
    publish_a_stranger(world)
    world.canary()


def let_rotation_find_a_stranger(world: Faulty) -> None:
    publish_a_stranger(world)
    world.tick()


def make_a_key_behind_its_back(world: Faulty) -> None:
    tags = world.kms.list_resource_tags(KeyId=world.arn("active"))["Tags"]
    other = [each for each in tags if each["TagKey"] != "machine-identity:intent"]
    other.append({"TagKey": "machine-identity:intent", "TagValue": "nobody-s"})
    world.kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048", Tags=other)
    world.stack.advance(DAY + QUARTER)
    world.tick()


def have_the_new_key_unknown_at_the_server(world: Faulty) -> None:
    world.token()  # now the server keeps the set for a day
    for _ in range(2):
        world.rotation("rotate", unsafe=True)
        world.stack.advance(2 * QUARTER)
    world.stack.advance(2 * HOUR)
    world.token()


def disable_the_active_key(world: Faulty) -> None:
    world.kms.disable_key(KeyId=world.arn("active"))
    world.tick()


def deny_that_a_key_is_disabled(world: Faulty) -> None:
    world.stack.advance(QUARTER)  # a new key's denial is taken for one that will pass
    world.stack.aws.denied = frozenset({"DisableKey"})
    (active,) = world.states()["active"]
    world.rotation("revoke", kid=active, reason="it was stolen")
    world.tick()


def lose_the_keyring(world: Faulty) -> None:
    world.s3.delete_object(Bucket=world.bucket("state"), Key=KEYRING)
    world.tick()


def lose_the_keyring_and_all_keys(world: Faulty) -> None:
    for each in world.read("state", KEYRING)["keys"]:
        if each["deletion_at"] is None:
            world.kms.disable_key(KeyId=each["arn"])
    world.s3.delete_object(Bucket=world.bucket("published"), Key=JWKS)
    lose_the_keyring(world)


def write_by_newer_code(world: Faulty) -> None:
    keyring = world.read("state", KEYRING)
    keys = [each for each in keyring["keys"] if each["state"] != "standby"]
    world.write("state", KEYRING, {**keyring, "version": 99, "keys": keys})
    world.tick()


def give_it_another_s_keyring(world: Faulty) -> None:
    keyring = world.read("state", KEYRING)
    world.write("state", KEYRING, {**keyring, "identity": "another"})
    world.tick()


def write_evidence_by_newer_code(world: Faulty) -> None:
    world.write("state", "default/evidence.json", {"version": 99})
    world.canary()


def go_dark(world: Faulty) -> None:
    world.stack.go_dark()
    world.tick()


def let_a_new_key_go_unseen(world: Faulty) -> None:
    world.kms.disable_key(KeyId=world.arn("standby"))
    world.tick()
    world.stack.advance(HOUR + QUARTER)
    world.tick()


def register_other_keys(world: Faulty) -> None:
    """Have the authorization server trust somebody else's keys, so that it refuses all of ours."""
    app = app_for(PROVIDERS["rfc10070"], client_id=CLIENT_ID, public_url="http://127.0.0.1:9")
    world.stack.authorization_server.register(app)
    world.stack.advance(DAY + HOUR)


def let_the_promotion_be_overdue(world: Faulty) -> None:
    world.rotation("rotate")
    world.stack.advance(DAY + QUARTER)
    world.tick()


def ask_while_the_keys_are_not_to_be_had(world: Faulty) -> None:
    world.client.call(HELLO, world.token())


def take_the_upload_away(world: Faulty) -> None:
    world.write("state", "default/clients.json", {})
    world.rotation("rotate")
    world.stack.advance(30 * HOUR)


def unregister_all_certificates(world: Faulty) -> None:
    assert world.stack.administrator is not None
    directory, app = (
        world.stack.authorization_server.graph.directory,
        world.stack.administrator.app,
    )
    for each in directory.keys(app, world.stack.clock.now()):
        directory.remove(app, each.key_id, world.stack.clock.now())
    world.stack.advance(25 * HOUR)


type Fault = tuple[str, str, Callable[[Faulty], None]]

IN_ONE: Final[tuple[tuple[dict[str, str], tuple[Fault, ...]], ...]] = (
    (
        {},
        (
            ("TokensRefused", "token", refuse_a_scope),
            ("Refused", "authorizer", send_no_token),
            ("PublishedStrangers", "token", show_a_stranger),
            ("PublishedStrangers", "rotation", let_rotation_find_a_stranger),
            ("KeysUnknown", "rotation", make_a_key_behind_its_back),
            ("CanaryFailed", "token", write_evidence_by_newer_code),
        ),
    ),
    (
        {},
        (
            ("KeyringRebuilt", "rotation", lose_the_keyring),
            ("ActiveKeyFails", "rotation", disable_the_active_key),
            ("NobodySigns", "rotation", lose_the_keyring_and_all_keys),
            ("StandbyMissing", "rotation", write_by_newer_code),
            ("CommandsFailed", "rotation", give_it_another_s_keyring),
        ),
    ),
    ({}, (("StepsFailed", "rotation", deny_that_a_key_is_disabled),)),
    ({}, (("FallbackUsed", "token", have_the_new_key_unknown_at_the_server),)),
    (
        {},
        (
            ("PublishedSetUnseen", "rotation", go_dark),
            ("PublishedSetStale", "rotation", let_a_new_key_go_unseen),
        ),
    ),
    (
        {},
        (
            ("CanaryRefused", "token", register_other_keys),
            ("PromotionOverdue", "rotation", let_the_promotion_be_overdue),
        ),
    ),
    (
        {"JwksUri": "http://127.0.0.1:9/keys"},
        (("NotJudged", "authorizer", ask_while_the_keys_are_not_to_be_had),),
    ),
    (
        {"Provider": "entra-certificate"},
        (
            ("UploadsFailed", "token", unregister_all_certificates),
            ("UploadWanted", "rotation", take_the_upload_away),
        ),
    ),
)
"""Stacks by their parameters, and what happens in each, one after the other."""
FAULTS: Final = frozenset((name, service) for _, each in IN_ONE for name, service, _ in each)
