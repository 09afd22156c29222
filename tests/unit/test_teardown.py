"""``teardown``: what a deleted stack leaves behind, over HTTP on moto made strict."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends

from local.aws import REGION, Aws
from local.template import ACCOUNT, ROOT
from machine_identity.aws.kms_keys import KEY_SPECS, KmsKeys, Owner
from machine_identity.cli import main
from machine_identity.cli.leavings import RETAINED
from tests.template.transformed import source

NOW: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
STACK: Final = "my-identity"
OURS: Final = Owner(stack=STACK, identity="default")
COMMAND: Final = str(Path(sys.executable).with_name("machine-identity"))
BODY: Final = b'{"__type": "AccessDeniedException", "message": "s3cr3t"}'
DENIED: Final = AWSResponse(
    "https://aws", 400, HTTPHeaders(), SimpleNamespace(stream=lambda: iter([BODY]))
)
TEMPLATE: Final = {"Resources": {"Api": {"Type": "AWS::S3::Bucket"}}}


class World:
    """An account with keys of several owners, and stacks that come and go."""

    def __init__(self, aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
        self.aws = aws
        self.kms = aws.client("kms")
        self._capsys = capsys

    def create(self, intent: str = "1", *, owner: Owner = OURS, algorithm: str = "ES256") -> str:
        tagging = self.aws.client("resourcegroupstaggingapi")
        return KmsKeys(self.kms, tagging, owner).create(algorithm, intent)

    def state(self, arn: str) -> str:
        return self.kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]

    def deploy(self, template: Any = TEMPLATE) -> None:
        body = json.dumps(template)
        boto3.client("cloudformation").create_stack(StackName=STACK, TemplateBody=body)

    def delete(self) -> None:
        boto3.client("cloudformation").delete_stack(StackName=STACK)

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["teardown", *words])
        printed = self._capsys.readouterr()
        assert ended.value.code == code, printed
        return printed.out, printed.err

    def told(self, *words: str, code: int = 0) -> dict[str, Any]:
        out, err = self.run("--stack", STACK, "--json", *words, code=code)
        assert err == ""
        answer: dict[str, Any] = json.loads(out)
        return answer

    def at_each(self, operation: str, do: Callable[[str], AWSResponse | None]) -> None:
        """Have something happen in the network before each such call."""
        boto3.setup_default_session()
        session: Any = boto3.DEFAULT_SESSION
        name = "resource-groups-tagging-api" if operation == "GetResources" else "kms"
        event = f"before-send.{name}.{operation}"
        session.events.register(event, lambda request, **_: do(request.body.decode()))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[World]:
    for name in [each for each in os.environ if each.startswith(("AWS_", "MACHINE_IDENTITY_"))]:
        monkeypatch.delenv(name)
    with Aws(now=lambda: NOW) as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        yield World(aws, capsys)


# What is listed


def test_without_yes_it_lists_the_keys_says_what_would_be_done_and_does_nothing(
    world: World,
) -> None:
    enabled, disabled, ending = (world.create(intent) for intent in ("1", "2", "3"))
    world.kms.disable_key(KeyId=disabled)
    world.kms.schedule_key_deletion(KeyId=ending, PendingWindowInDays=9)
    out, err = world.run("--stack", STACK)
    assert err == ""
    rows = dict(zip(*[iter(out.splitlines()[1:7])] * 2, strict=True))
    about = {arn.strip(): row.strip() for arn, row in rows.items()}
    assert re.match(r"enabled, created 20.* UTC, kid [\w-]{43}$", about[enabled])
    assert re.match(r"disabled, created 20.* UTC$", about[disabled])
    assert about[ending].startswith("pending deletion until 2026-12-03 12:00 UTC, created 20")
    assert "2 keys to be disabled, and deleted by KMS 30 days later:\n" in out
    assert f"  machine-identity teardown --stack {STACK} --yes\n" in out
    states = [world.state(arn) for arn in (enabled, disabled, ending)]
    assert states == ["Enabled", "Disabled", "PendingDeletion"]


def test_the_command_that_is_given_is_the_same_with_yes(world: World) -> None:
    world.create(owner=Owner(stack=STACK, identity="other"))
    words = ("--stack", STACK, "--identity", "other", "--window-days", "7")
    out, _ = world.run(*words)
    (line,) = re.findall(r"^  machine-identity teardown (.*)$", out, re.MULTILINE)
    out, _ = world.run(*line.split())
    assert "1 key ended; to undo it for one, until 2026-12-01 12:00 UTC:" in out


def test_a_stack_without_keys_is_told_and_is_no_error(world: World) -> None:
    for words in ((), ("--yes",)):
        out, err = world.run("--stack", STACK, *words)
        assert out.startswith(
            f"stack {STACK}, identity default, in {REGION}: there is no such stack\n"
            "no key carries its tags\n"
        )
        assert out.endswith("nothing to do: there is no key to end\n")
        assert err == ""
    assert world.told()["keys"] == []


def test_what_is_said_to_be_retained_is_what_the_template_retains(world: World) -> None:
    resources = source()["Resources"]
    kept = {name for name, each in resources.items() if "DeletionPolicy" in each}
    assert set(RETAINED) == kept
    out, _ = world.run("--stack", STACK)
    assert all(f"  {name} (" in out for name in kept)
    assert "none that AWS's index of tags shows" in out


def test_buckets_and_log_groups_that_are_left_are_named(world: World) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}
    world.deploy({"Resources": {"StateBucket": bucket}})
    world.delete()
    (name,) = (each["Name"] for each in boto3.client("s3").list_buckets()["Buckets"])
    where: Any = {"LocationConstraint": REGION}
    boto3.client("s3").create_bucket(Bucket="other", CreateBucketConfiguration=where)
    # CloudFormation's part, which moto's does not do.
    tags = [{"Key": "aws:cloudformation:stack-name", "Value": STACK}]
    arn = f"arn:aws:s3:::{name}"
    s3_backends[ACCOUNT]["aws"].tagger.tag_resource(arn, tags)
    assert world.told()["retained"] == [arn]
    out, _ = world.run("--stack", STACK)
    assert f"of this stack:\n  {arn}\n" in out


def test_who_cannot_ask_for_buckets_ends_keys_all_the_same(world: World) -> None:
    arn = world.create()
    world.at_each("GetResources", lambda asked: DENIED if '"s3"' in asked else None)
    out, _ = world.run("--stack", STACK, "--yes")
    assert "  nobody can say which: tag:GetResources failed: AccessDeniedException\n" in out
    assert world.state(arn) == "PendingDeletion"


def test_the_index_s_memory_of_a_key_that_kms_has_deleted_is_no_key(world: World) -> None:
    arn = world.create()
    backend = kms_backends[ACCOUNT][REGION]

    def deleted(_: str) -> None:
        backend.keys.pop(arn.rpartition("/")[2], None)

    world.at_each("DescribeKey", deleted)
    (key,) = world.told("--yes")["keys"]
    assert (key["arn"], key["state"], key["ours"]) == (arn, "Gone", False)


# What is ended


@pytest.mark.parametrize(("days", "date"), [("7", "2026-12-01"), ("30", "2026-12-24")])
def test_with_yes_every_key_is_disabled_and_its_deletion_scheduled(
    world: World, days: str, date: str
) -> None:
    first, second = world.create("1"), world.create("2", algorithm="PS256")
    world.kms.disable_key(KeyId=second)
    out, _ = world.run("--stack", STACK, "--yes", "--window-days", days)
    assert [world.state(arn) for arn in (first, second)] == ["PendingDeletion"] * 2
    assert out.count(f"pending deletion until {date} 12:00 UTC") == 2
    assert f"2 keys ended; to undo it for one, until {date} 12:00 UTC:\n" in out


def test_a_key_is_disabled_before_its_deletion_is_scheduled(world: World) -> None:
    arn = world.create()
    seen: list[str] = []
    world.at_each("ScheduleKeyDeletion", lambda _: seen.append(world.state(arn)))
    world.run("--stack", STACK, "--yes")
    assert seen == ["Disabled"]


def test_doing_it_again_changes_nothing(world: World) -> None:
    arn = world.create()
    first = world.told("--yes", "--window-days", "7")
    assert first["ended"] == [arn]
    again = world.told("--yes", "--window-days", "30")
    assert again["ended"] == []
    (before,), (after,) = first["keys"], again["keys"]
    assert after["deletion_at"] == before["deletion_at"] == "2026-12-01T12:00:00+00:00"


def test_it_is_undone_as_it_says(world: World) -> None:
    arn = world.create()
    out, _ = world.run("--stack", STACK, "--yes")
    commands = re.findall(r"^  aws kms ([a-z-]+) --key-id KEY_ARN$", out, re.MULTILINE)
    assert commands == ["cancel-key-deletion", "enable-key"]
    for command in commands:
        getattr(world.kms, command.replace("-", "_"))(KeyId=arn)
    assert world.state(arn) == "Enabled"


@pytest.mark.parametrize(
    "other",
    [Owner(stack="other", identity="default"), Owner(stack=STACK, identity="other")],
)
def test_the_keys_of_another_stack_or_identity_are_left_alone(world: World, other: Owner) -> None:
    ours, theirs = world.create(), world.create(owner=other)
    untagged = world.kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    told = world.told("--yes")
    assert told["ended"] == [each["arn"] for each in told["keys"]] == [ours]
    assert world.state(theirs) == world.state(untagged["KeyMetadata"]["Arn"]) == "Enabled"


@pytest.mark.parametrize(
    "kind",
    [
        {"KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT"},
        {"KeyUsage": "SIGN_VERIFY", "KeySpec": "RSA_4096"},
        {"KeyUsage": "SIGN_VERIFY", "KeySpec": "ECC_NIST_P256", "MultiRegion": True},
    ],
)
def test_a_key_that_got_our_tags_from_somebody_is_told_and_left_alone(
    world: World, kind: dict[str, Any]
) -> None:
    """Who may tag a key but not end it must not have an operator do that."""
    tags: Any = [{"TagKey": name, "TagValue": value} for name, value in OURS.tags().items()]
    arn = world.kms.create_key(Tags=tags, **kind)["KeyMetadata"]["Arn"]
    told = world.told("--yes")
    assert (told["ended"], [each["ours"] for each in told["keys"]]) == ([], [False])
    out, _ = world.run("--stack", STACK, "--yes")
    assert "not such as rotation makes, so it is left alone" in out
    assert world.state(arn) == "Enabled"


def test_every_key_that_rotation_can_make_counts_as_ours(world: World) -> None:
    made = {world.create(algorithm, algorithm=algorithm) for algorithm in KEY_SPECS}
    assert {*KEY_SPECS.values()} == {"RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384"}
    assert set(world.told("--yes")["ended"]) == made


# What is refused


def test_nothing_is_ended_while_the_stack_is_deployed(world: World) -> None:
    arn = world.create()
    world.deploy()
    sentence = (
        f"stack {STACK} is CREATE_COMPLETE, and may use its keys: "
        f"first sam delete --stack-name {STACK}"
    )
    out, err = world.run("--stack", STACK, "--yes", code=5)
    assert (out, err) == ("", f"Error: stack: {sentence}\n")
    assert world.told("--yes", code=5) == {"error": "stack", "error_description": sentence}
    out, err = world.run("--stack", STACK)
    assert (arn in out, f"nothing is done: {sentence}" in out, err) == (True, True, "")
    assert world.state(arn) == "Enabled"
    world.delete()
    assert world.told("--yes")["ended"] == [arn]


def test_a_stack_that_comes_back_meanwhile_keeps_its_keys(world: World) -> None:
    arn = world.create()

    def deployed(_: str) -> None:
        if not boto3.client("cloudformation").list_stacks()["StackSummaries"]:
            world.deploy()

    world.at_each("DescribeKey", deployed)
    _, err = world.run("--stack", STACK, "--yes", code=5)
    assert err.startswith(f"Error: stack: stack {STACK} is CREATE_COMPLETE")
    assert world.state(arn) == "Enabled"


@pytest.mark.parametrize("operation", ["DisableKey", "ScheduleKeyDeletion"])
def test_what_fails_at_one_key_does_not_keep_the_others_and_is_told(
    world: World, operation: str
) -> None:
    first, second = world.create("1"), world.create("2")
    world.at_each(operation, lambda asked: DENIED if first in asked else None)
    out, err = world.run("--stack", STACK, "--yes", code=5)
    fault = f"kms:{operation} failed: AccessDeniedException: you need the right to kms:{operation}"
    assert err == f"Error: key: AWS refused something of 1 key: {fault}\n"
    assert (f"\n    {fault}\n" in out, "s3cr3t" in out) == (True, False)
    left = {"DisableKey": "Enabled", "ScheduleKeyDeletion": "Disabled"}[operation]
    assert (world.state(first), world.state(second)) == (left, "PendingDeletion")
    told = world.told("--yes", code=5)
    assert (told["error"], told["ended"]) == ("key", [])
    faults = {each["arn"]: each.get("fault") for each in told["keys"]}
    assert faults == {first: fault, second: None}


@pytest.mark.parametrize(
    ("right", "says"),
    [
        ("tag:GetResources", "Error: stack: "),
        ("kms:DescribeKey", "Error: key: AWS refused something of 1 key: "),
    ],
)
def test_who_lacks_a_right_is_told_which(world: World, right: str, says: str) -> None:
    arn = world.create()
    world.at_each(right.partition(":")[2], lambda _: DENIED)
    _, err = world.run("--stack", STACK, "--yes", code=5)
    assert err == (f"{says}{right} failed: AccessDeniedException: you need the right to {right}\n")
    assert world.state(arn) == "Enabled"


def test_without_the_right_to_public_keys_the_names_are_left_out(world: World) -> None:
    arn = world.create()
    assert world.told()["keys"][0]["kid"]
    world.at_each("GetPublicKey", lambda _: DENIED)
    told = world.told("--yes")
    assert (told["ended"], told["keys"][0]["kid"]) == ([arn], None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--stack", "my identity"), "Error: settings: --stack must be a stack's name"),
        (("--stack", STACK, "--identity", "a/b"), "Error: settings: --identity must be at most"),
        (("--stack", STACK, "--window-days", "6"), "6 is not in the range 7<=x<=30"),
        (("--stack", STACK, "--window-days", "31"), "31 is not in the range 7<=x<=30"),
        ((), "Missing option '--stack'"),
    ],
)
def test_what_was_given_wrongly_is_told_before_aws_is_asked(
    world: World, words: tuple[str, ...], says: str
) -> None:
    _, err = world.run(*words, code=2)
    assert says in err


def test_without_boto3_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['boto3'] = None\n"
        "from machine_identity.cli import main\n"
        "main(['teardown', '--stack', 'my-identity'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr == "Error: settings: teardown needs boto3: pip install '.[aws]'\n"


# Who is asked


@pytest.mark.parametrize(
    ("typed", "state"), [(STACK, "PendingDeletion"), ("yes", "Enabled"), ("", "Enabled")]
)
def test_at_a_terminal_the_stack_s_name_is_typed_to_do_it(
    world: World, typed: str, state: str
) -> None:
    arn = world.create()
    ours, theirs = pty.openpty()
    with (
        os.fdopen(ours, "r+b", buffering=0) as terminal,
        subprocess.Popen(
            [COMMAND, "teardown", "--stack", STACK], stdin=theirs, stdout=theirs, stderr=theirs
        ) as ran,
    ):
        os.close(theirs)
        shown = b""
        while b"or nothing: " not in shown:
            shown += terminal.read(1000)
        terminal.write(typed.encode() + b"\n")
        assert ran.wait(30) == 0
    assert f"Type {STACK} to do it now, or nothing: ".encode() in shown
    assert world.state(arn) == state


def test_nobody_is_asked_where_there_is_no_terminal(world: World) -> None:
    arn = world.create()
    words = [COMMAND, "teardown", "--stack", STACK]
    ran = subprocess.run(words, input=f"{STACK}\n", capture_output=True, text=True, check=True)
    assert ("Type " in ran.stdout, "\x1b" in ran.stdout) == (False, False)
    assert world.state(arn) == "Enabled"


DOCUMENT: Final = (ROOT / "docs" / "teardown.md").read_text()


@pytest.mark.parametrize(
    "given", re.findall(r"^machine-identity teardown (.*?) *(?:#.*)?$", DOCUMENT, re.MULTILINE)
)
def test_every_command_that_the_document_gives_runs_as_it_stands(world: World, given: str) -> None:
    arn = world.create()
    world.run(*given.replace("STACK", STACK).split())
    assert world.state(arn) == ("PendingDeletion" if "--yes" in given else "Enabled")


def test_the_document_undoes_it_as_the_command_says(world: World) -> None:
    arn = world.create()
    out, _ = world.run("--stack", STACK, "--yes")
    commands = re.findall(r"^ *(aws kms .*)$", DOCUMENT, re.MULTILINE)
    assert commands == re.findall(r"^ *(aws kms .*)$", out, re.MULTILINE)
    assert world.state(arn) == "PendingDeletion"
