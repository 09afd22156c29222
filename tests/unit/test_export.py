"""``export``: what a server is given to register, from a file, from KMS, from a deployment."""

import base64
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import boto3
import jwt
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
    load_pem_public_key,
)

from local.aws import REGION, Aws
from machine_identity import certificate, clock, jwk, providers, publication
from machine_identity import keyring as keyrings
from machine_identity import testimony as testimonies
from machine_identity.aws.kms_keys import KmsKeys, Owner
from machine_identity.aws.s3 import Bucket
from machine_identity.aws.signer import KeyringSigner
from machine_identity.cli import main
from machine_identity.cli.export import FORMATS
from machine_identity.cli.exported import ANOTHER, THE_SAME
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Key, Keyring
from machine_identity.testimony import Certified, Testimony
from machine_identity.witness.hand import Hand
from tests.keyrings import active, removed, retired, ring, standby

NOW = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P384 = ec.generate_private_key(ec.SECP384R1())
UNTIL = datetime(2027, 3, 1, 6, 7, 8, tzinfo=UTC)
OF_THE_DEPLOYMENT = ("--format", "x509", "--state-bucket", "state")
INTENTS = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    exit_code: int
    stdout: bytes
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def thumbprint(self) -> str:
        found = re.search(r"^export: x5t#S256 (.*)$", self.stderr, re.MULTILINE)
        assert found is not None
        return found[1]


class World:
    """An account of AWS, a folder, and the command line with both at hand."""

    def __init__(self, aws: Aws, folder: Path, capsys: pytest.CaptureFixture[bytes]) -> None:
        self.kms = aws.client("kms")
        self._s3 = aws.client("s3")
        self._capsys = capsys
        owner = Owner(stack="stack", identity="default")
        self._keys = KmsKeys(self.kms, aws.client("resourcegroupstaggingapi"), owner)
        self.folder = folder
        self._s3.create_bucket(
            Bucket="state", CreateBucketConfiguration={"LocationConstraint": REGION}
        )

    def export(self, *words: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            main(["export", *words])
        printed = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        assert b"PRIVATE" not in printed.out
        return Result(exit_code=ended.value.code, stdout=printed.out, stderr=printed.err.decode())

    def create(self, algorithm: str) -> tuple[str, PublicJwk]:
        arn = self._keys.create(algorithm, str(next(INTENTS)))
        return arn, self._keys.public_key(arn, algorithm)

    def held(self, key: Key, algorithm: str = "ES256") -> Key:
        """Return the key as one that is in KMS."""
        arn, public = self.create(algorithm)
        return replace(key, arn=arn, jwk=public)

    def keep(self, keyring: Keyring) -> Keyring:
        self.put(f"{keyring.identity}/keyring.json", keyrings.serialise(keyring))
        return keyring

    def put(self, name: str, body: bytes) -> None:
        self._s3.put_object(Bucket="state", Key=name, Body=body)

    def ordered(self, algorithm: str = "RS256") -> tuple[Key, Key]:
        """Return the active and the standby key of a deployment that orders certificates."""
        order: dict[str, Any] = {
            "certificate_from": NOW - timedelta(days=3),
            "certificate_until": UNTIL,
        }
        signing, next_one = (
            self.held(key, algorithm) for key in (active(**order), standby(**order))
        )
        self.keep(ring(signing, next_one))
        return signing, next_one

    def certify(self) -> dict[str, bytes]:
        """Have the token function make the certificates; return the DER of each, by kid."""
        store = Bucket(self._s3, "state")
        keys = KeyringSigner(bucket=store, kms=self.kms, identity="default")
        hand = Hand(
            identity="default", keys=keys, store=store, clock=clock, open_server=nobody_s_server
        )
        hand.work([], is_certified=True)
        document = store.read(testimonies.object_key("default"))
        assert document is not None
        made = testimonies.parse(document.body).certificates
        return {each.kid: base64.b64decode(each.der) for each in made}

    def deployment(self) -> tuple[Keyring, Key, Key, Key]:
        """Return a keyring with a key in every state, and its standby, active and retired keys."""
        next_one, signing, before = map(self.held, (standby(), active(), retired()))
        return (
            self.keep(ring(before, signing, next_one, self.held(removed()))),
            next_one,
            signing,
            before,
        )

    def file(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
        path = self.folder / "private_key.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(path)


@pytest.fixture
def world(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Iterator[World]:
    with Aws() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        monkeypatch.setattr(clock, "now", lambda: NOW)
        yield World(aws, tmp_path, capsysbinary)


def nobody_s_server(*_: object) -> Any:
    raise AssertionError


def der_of(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode())


# Shapes


@pytest.mark.parametrize("algorithm", jwk.ALGORITHMS)
def test_every_shape_of_a_kms_key_holds_that_key(world: World, algorithm: str) -> None:
    arn, public = world.create(algorithm)
    key = load_der_public_key(world.kms.get_public_key(KeyId=arn)["PublicKey"])
    words = ("--kms-key", arn, "--algorithm", algorithm)
    assert load_pem_public_key(world.export("--format", "pem", *words).stdout) == key
    assert world.export("--format", "jwk", *words).json == public
    assert world.export("--format", "jwks", *words).json == {"keys": [public]}
    made = world.export("--format", "x509", *words)
    read = certificate.parse(der_of(made.stdout))
    assert (read.public_key, read.thumbprint) == (key, made.thumbprint)


@pytest.mark.parametrize(
    ("key", "algorithm", "words"),
    [(RSA, "RS256", ()), (RSA, "PS256", ("--algorithm", "PS256")), (P384, "ES384", ())],
)
def test_every_shape_of_a_key_in_a_file_holds_that_key(
    world: World,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    algorithm: str,
    words: tuple[str, ...],
) -> None:
    words = ("--key", world.file(key), *words)
    public = jwk.from_public_key(key.public_key(), algorithm)
    assert load_pem_public_key(world.export(*words).stdout) == key.public_key()
    assert world.export("--format", "jwk", *words).json == public
    assert world.export("--format", "jwks", *words).json == {"keys": [public]}
    made = world.export("--format", "x509", *words)
    assert certificate.parse(der_of(made.stdout)).public_key == key.public_key()
    assert "the key in " in made.stderr


def test_the_thumbprint_is_the_hash_of_the_certificate_that_was_written(world: World) -> None:
    made = world.export("--format", "x509", "--key", world.file(RSA))
    ran = subprocess.run(
        ["openssl", "x509", "-outform", "DER"], input=made.stdout, capture_output=True, check=True
    )
    digest = hashlib.sha256(ran.stdout).digest()
    assert base64.urlsafe_b64decode(made.thumbprint + "=") == digest


@pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
def test_a_certificate_of_an_rsa_key_made_again_is_the_same_one(
    world: World, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    arn, _ = world.create(algorithm)
    words = ("--format", "x509", "--kms-key", arn, "--algorithm", algorithm)
    first = world.export(*words)
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(days=20))
    assert world.export(*words).stdout != first.stdout
    again = world.export(*words, "--not-before", "2026-11-25")
    assert (again.stdout, again.thumbprint) == (first.stdout, first.thumbprint)


@pytest.mark.parametrize(
    ("now", "words", "begin", "end"),
    [
        ("2026-11-25T00:59:59Z", "", "2026-11-24T00:00:00Z", "2027-11-24T00:00:00Z"),
        ("2026-11-25T01:00:00Z", "", "2026-11-25T00:00:00Z", "2027-11-25T00:00:00Z"),
        ("2026-11-25T23:59:59Z", "--days=1", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
        (
            "2026-11-25T12:00:00Z",
            "--days=731 --not-before=2030-01-01",
            "2030-01-01T00:00:00Z",
            "2032-01-02T00:00:00Z",
        ),
    ],
)
def test_a_certificate_is_valid_from_the_day_that_it_was_an_hour_ago(  # noqa: PLR0913, PLR0917
    world: World, monkeypatch: pytest.MonkeyPatch, now: str, words: str, begin: str, end: str
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime.fromisoformat(now))
    made = world.export("--format", "x509", "--key", world.file(RSA), *words.split())
    read = certificate.parse(der_of(made.stdout))
    assert read.not_before == datetime.fromisoformat(begin)
    assert read.not_after == datetime.fromisoformat(end)
    assert f"not_before {read.not_before.isoformat()}" in made.stderr
    assert f"not_after {read.not_after.isoformat()}" in made.stderr


def test_a_certificate_bears_the_name_of_the_identity(world: World) -> None:
    made = world.export("--format", "x509", "--key", world.file(RSA), "--identity", "billing")
    (name,) = x509.load_der_x509_certificate(der_of(made.stdout)).subject
    assert str(name.value).startswith("billing ")


def test_der_is_the_same_certificate_as_octets(world: World) -> None:
    words = ("--format", "x509", "--key", world.file(RSA))
    pem, der = world.export(*words), world.export(*words, "--der")
    assert der.stdout == der_of(pem.stdout)
    assert der.stderr == pem.stderr


def test_with_json_a_program_can_read_all_of_it(world: World) -> None:
    words = ("--format", "x509", "--key", world.file(RSA))
    public = jwk.from_public_key(RSA.public_key(), "RS256")
    made, told = world.export(*words), world.export(*words, "--json")
    assert told.stderr == ""
    assert told.json == {
        "format": "x509",
        "key": f"the key in {world.folder / 'private_key.pem'}",
        "kids": [public["kid"]],
        "x5t#S256": made.thumbprint,
        "not_before": "2026-11-25T00:00:00+00:00",
        "not_after": "2027-11-25T00:00:00+00:00",
        "content": made.stdout.decode(),
    }
    octets = world.export(*words, "--json", "--der").json["content"]
    assert base64.b64decode(octets) == der_of(made.stdout)


# A deployment's keys


def test_of_a_deployment_the_standby_key_is_written_and_named(world: World) -> None:
    keyring, next_one, *_ = world.deployment()
    made = world.export("--format", "jwk", "--state-bucket", "state")
    assert made.json == next_one.jwk
    assert made.stderr == f"export: the standby key {next_one.kid} of {keyring.identity}\n"


def test_without_a_standby_key_it_is_the_active_one(world: World) -> None:
    only = world.held(active())
    world.keep(ring(only))
    made = world.export("--format", "jwk", "--state-bucket", "state")
    assert (made.json, made.stderr) == (
        only.jwk,
        f"export: the active key {only.kid} of default\n",
    )


@pytest.mark.parametrize("which", [1, 2, 3])
@pytest.mark.parametrize("shape", ["pem", "jwk", "jwks", "x509"])
def test_any_published_key_can_be_asked_for_by_name(world: World, which: int, shape: str) -> None:
    wanted = cast("Key", world.deployment()[which])
    made = world.export("--format", shape, "--state-bucket", "state", "--kid", wanted.kid)
    public = jwt.PyJWK(dict(wanted.jwk)).key
    assert made.exit_code == 0
    assert f"the {wanted.state} key {wanted.kid} of default" in made.stderr
    match shape:
        case "pem":
            assert load_pem_public_key(made.stdout) == public
        case "jwk":
            assert made.json == wanted.jwk
        case "jwks":
            assert made.json == {"keys": [wanted.jwk]}
        case _:
            assert certificate.parse(der_of(made.stdout)).public_key == public


def test_a_set_is_the_whole_set_as_it_is_published(world: World) -> None:
    """Who replaces a registered set by one without the active key shuts the machine out."""
    keyring, next_one, signing, before = world.deployment()
    made = world.export("--format", "jwks", "--state-bucket", "state", "--json").json
    document = json.loads(publication.documents(keyring, timedelta()).jwks)
    assert json.loads(made["content"]) == {"keys": document["keys"]}
    assert made["kids"] == [before.kid, signing.kid, next_one.kid]


@pytest.mark.parametrize("shape", ["jwk", "jwks"])
def test_rule_8_no_private_member_gets_out_whatever_the_keyring_holds(
    world: World, shape: str
) -> None:
    key = world.held(standby())
    leaky = cast("PublicJwk", {**key.jwk, "d": "c2VjcmV0"})
    world.keep(ring(replace(key, jwk=leaky)))
    made = world.export("--format", shape, "--state-bucket", "state").json
    assert made in (key.jwk, {"keys": [key.jwk]})


def test_the_active_one_is_known_by_that_word(world: World) -> None:
    _, _, signing, _ = world.deployment()
    made = world.export("--format", "jwk", "--state-bucket", "state", "--kid", "active")
    assert (made.json, "the active key" in made.stderr) == (signing.jwk, True)
    world.keep(ring(world.held(standby())))
    refused = world.export("--state-bucket", "state", "--kid", "active")
    assert refused.exit_code == 2
    assert "no published key of default is called active" in refused.stderr


# The certificate that the token function made


@pytest.mark.parametrize("algorithm", ["PS256", "ES256"])
def test_it_is_the_one_that_assertions_name_and_kms_is_not_asked(
    world: World, algorithm: str
) -> None:
    keys = world.ordered(algorithm)
    made = world.certify()
    for key, words in zip(keys, (("--kid", "active"), ()), strict=True):
        world.kms.disable_key(KeyId=key.arn)
        der = made[key.kid]
        told = world.export(*OF_THE_DEPLOYMENT, *words)
        assert (told.exit_code, der_of(told.stdout)) == (0, der)
        assert told.stderr.splitlines() == [
            f"export: the {key.state} key {key.kid} of default",
            f"export: x5t#S256 {certificate.thumbprint(der)}",
            "export: not_before 2026-11-22T12:30:00+00:00",
            "export: not_after 2027-03-01T06:07:08+00:00",
        ]
        members = world.export(*OF_THE_DEPLOYMENT, *words, "--json", "--der").json
        assert base64.b64decode(members["content"]) == der
        assert members["x5t#S256"] == certificate.thumbprint(der)
        assert "note" not in members


def test_of_an_rsa_key_what_is_exported_before_is_what_the_token_function_makes(
    world: World,
) -> None:
    signing, _ = world.ordered("PS256")
    before = world.export(*OF_THE_DEPLOYMENT, "--kid", "active")
    told = world.export(*OF_THE_DEPLOYMENT, "--kid", "active", "--json").json
    assert before.stderr.splitlines()[-1] == f"export: {THE_SAME}"
    assert (told["note"], told["content"]) == (THE_SAME, before.stdout.decode())
    assert world.certify()[signing.kid] == der_of(before.stdout)


def test_of_a_key_on_a_curve_it_is_another_which_is_told(world: World) -> None:
    signing, _ = world.ordered("ES256")
    before = world.export(*OF_THE_DEPLOYMENT, "--kid", "active")
    assert before.stderr.splitlines()[-1] == f"export: {ANOTHER}"
    assert certificate.parse(der_of(before.stdout)).not_after == UNTIL
    assert world.certify()[signing.kid] != der_of(before.stdout)


@pytest.mark.parametrize("words", [("--days", "365"), ("--not-before", "2026-11-25")])
def test_who_asks_for_dates_has_a_certificate_by_them(
    world: World, words: tuple[str, ...]
) -> None:
    world.ordered()
    world.certify()
    made = world.export(*OF_THE_DEPLOYMENT, *words)
    read = certificate.parse(der_of(made.stdout))
    assert (read.not_before, read.not_after) == (
        datetime(2026, 11, 25, tzinfo=UTC),
        datetime(2027, 11, 25, tzinfo=UTC),
    )


@pytest.mark.parametrize("wrong", ["of another key", "with other dates", "in pieces"])
def test_one_that_is_not_exactly_as_ordered_is_never_exported(world: World, wrong: str) -> None:
    signing, next_one = world.ordered()
    ordered = world.certify()[signing.kid]
    dated = world.export(*OF_THE_DEPLOYMENT, "--kid", "active", "--days", "9")
    others = {
        "of another key": world.certify()[next_one.kid],
        "with other dates": der_of(dated.stdout),
        "in pieces": ordered[:-1],
    }
    forged = Certified(kid=signing.kid, der=base64.b64encode(others[wrong]).decode())
    body = testimonies.serialise(Testimony(certificates=(forged,)))
    world.put(testimonies.object_key("default"), body)
    made = world.export(*OF_THE_DEPLOYMENT, "--kid", "active")
    assert der_of(made.stdout) == ordered
    assert THE_SAME in made.stderr


def test_evidence_that_cannot_be_read_is_told_and_no_other_certificate_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ordered()
    world.put(testimonies.object_key("default"), b"{")
    refused = world.export(*OF_THE_DEPLOYMENT)
    assert (refused.exit_code, refused.stdout) == (5, b"")
    assert refused.stderr == "Error: key: the testimony cannot be read: JSONDecodeError\n"
    session = boto3.Session()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)

    def deny(params: dict[str, Any], **_: object) -> Any:
        """Answer as S3 does to who has no right to it; moto knows none on objects."""
        if params["url_path"].endswith("evidence.json"):
            answer = {"Error": {"Code": "AccessDenied", "Message": "no"}}
            return AWSResponse("https://s3", 403, HTTPHeaders(), None), answer
        return None

    session.events.register("before-call.s3.GetObject", deny)
    refused = world.export(*OF_THE_DEPLOYMENT)
    assert (refused.exit_code, refused.stdout) == (5, b"")
    assert refused.stderr == (
        "Error: key: the token function's evidence says which certificate it made, and "
        "s3:GetObject failed: AccessDenied\n"
    )
    assert world.export("--format", "pem", "--state-bucket", "state").exit_code == 0


HOWTO = Path(providers.__file__).with_name("howto") / "entra-certificate.md"
TO_TYPE = re.findall(r"`machine-identity export (.*?)`", HOWTO.read_text())


@pytest.mark.parametrize("command", TO_TYPE)
def test_every_command_of_the_way_to_entra_exports_what_assertions_name(
    world: World, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(world.folder)
    keys = {key.state: key for key in world.ordered()}
    made = world.certify()
    words = command.replace("STATE_BUCKET", "state").split()
    told = world.export(*words)
    assert told.exit_code == 0
    key = keys[keyrings.State.ACTIVE if "active" in words else keyrings.State.STANDBY]
    if "--json" in words:
        assert base64.b64decode(told.json["content"]) == made[key.kid]
    else:
        assert der_of((world.folder / "certificate.pem").read_bytes()) == made[key.kid]


def test_only_a_certificate_asks_kms(world: World) -> None:
    _, next_one, *_ = world.deployment()
    world.kms.disable_key(KeyId=next_one.arn)
    for shape in ("pem", "jwk", "jwks"):
        assert world.export("--format", shape, "--state-bucket", "state").exit_code == 0
    refused = world.export("--format", "x509", "--state-bucket", "state")
    assert refused.exit_code == 5
    assert refused.stderr == (
        "Error: key: the key signs its own certificate, and kms:Sign failed: DisabledException\n"
    )


def test_who_may_not_sign_is_told_which_right_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto knows no rights on keys, so the answer that AWS documents is put in its mouth."""
    _, next_one, *_ = world.deployment()
    session = boto3.Session()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    answer = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}

    def deny(**_: object) -> Any:
        return AWSResponse("https://kms", 400, HTTPHeaders(), None), answer

    session.events.register("before-call.kms.Sign", deny)
    refused = world.export("--format", "x509", "--state-bucket", "state")
    assert refused.exit_code == 5
    assert refused.stderr == (
        "Error: key: the key signs its own certificate, and kms:Sign failed: "
        f"AccessDeniedException; you need the right to kms:Sign with {next_one.arn}\n"
    )
    assert world.export("--format", "pem", "--state-bucket", "state").exit_code == 0


DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "registration.md"
COMMANDS = re.findall(
    r"^machine-identity export (.*?) *(?:[#|].*)?$", DOCUMENT.read_text(), re.MULTILINE
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_the_document_gives_runs_as_it_stands(
    world: World, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(world.folder)
    world.file(RSA)
    world.deployment()
    here = command.replace("arn:aws:kms:…:key/…", world.create("RS256")[0])
    here = here.replace("STATE_BUCKET", "state")
    assert world.export(*here.split()).exit_code == 0


def test_the_document_gives_commands_for_every_shape() -> None:
    assert {command.split("--format ")[1].split()[0] for command in COMMANDS} == set(FORMATS)


# Files


def test_a_file_is_written_and_nothing_is_printed(world: World) -> None:
    path = world.folder / "certificate.pem"
    words = ("--format", "x509", "--key", world.file(RSA))
    made, printed = world.export(*words, "--output", str(path)), world.export(*words)
    assert (made.stdout, path.read_bytes(), made.stderr) == (b"", printed.stdout, printed.stderr)
    told = world.export(*words, "--output", str(path), "--force", "--json").json
    assert (told["output"], "content" in told) == (str(path), False)


def test_a_file_is_replaced_by_force_only(world: World) -> None:
    path = world.folder / "jwk.json"
    path.write_text("somebody's")
    words = ("--format", "jwk", "--key", world.file(RSA), "--output", str(path))
    refused = world.export(*words)
    assert (refused.exit_code, path.read_text()) == (2, "somebody's")
    assert refused.stderr == f"Error: settings: {path} is there already; --force replaces it\n"
    assert world.export(*words, "--force").exit_code == 0
    assert json.loads(path.read_bytes()) == jwk.from_public_key(RSA.public_key(), "RS256")
    assert sorted(each.name for each in world.folder.iterdir()) == ["jwk.json", "private_key.pem"]


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_what_is_no_file_is_never_replaced(world: World, more: tuple[str, ...]) -> None:
    pipe = world.folder / "pipe"
    os.mkfifo(pipe)
    for path, sentence in (
        (pipe, f"{pipe} is there, and is no file"),
        (world.folder, f"{world.folder} is there, and is no file"),
        (world.folder / "no" / "x.pem", "cannot be written: No such file or directory"),
    ):
        refused = world.export("--key", world.file(RSA), "--output", str(path), *more)
        assert refused.exit_code == 2
        assert sentence in refused.stderr
    assert pipe.is_fifo()


def test_octets_do_not_go_to_a_terminal(world: World) -> None:
    terminal, side = os.openpty()
    program = "from machine_identity.cli import main; main()"
    words = ("export", "--format", "x509", "--der", "--key", world.file(RSA))
    ran = subprocess.run(
        [sys.executable, "-c", program, *words], stdout=side, stderr=subprocess.PIPE, check=False
    )
    os.close(terminal)
    os.close(side)
    assert ran.returncode == 2
    assert b"--der writes octets, and this is a terminal" in ran.stderr


def test_a_key_in_a_file_needs_no_boto3(world: World) -> None:
    program = """
import sys
from machine_identity.cli import main
from machine_identity.cli.export import FORMATS
try:
    main()
finally:
    assert 'boto3' not in sys.modules
"""
    words = ("export", "--format", "x509", "--key", world.file(RSA))
    ran = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(b"-----BEGIN CERTIFICATE-----")


# Mistakes


def arn_of(name: str, region: str = REGION) -> str:
    return f"arn:aws:kms:{region}:123456789012:{name}"


EXACTLY_ONE = "exactly one of --key, --kms-key and --state-bucket names the key"
UNKNOWN = arn_of("key/00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), EXACTLY_ONE),
        (("--kms-key", UNKNOWN, "--state-bucket", "state"), EXACTLY_ONE),
        (("--kms-key", UNKNOWN, "--kid", "x"), "--kid chooses among the keys of --state-bucket"),
        (
            ("--state-bucket", "state", "--algorithm", "RS256"),
            "--algorithm is the keyring's to say with --state-bucket",
        ),
        (("--kms-key", UNKNOWN, "--der"), "--der is for --format x509"),
        (("--kms-key", UNKNOWN, "--identity", "a/b"), "--identity must be at most 64 letters"),
        (("--kms-key", "alias/mine"), "a KMS key is named by its ARN"),
        (("--kms-key", arn_of("alias/mine")), "a KMS key is named by its ARN"),
        (
            ("--kms-key", arn_of("key/x", "us-east-1")),
            f"the key is in us-east-1, and AWS is asked in {REGION}",
        ),
    ],
)
def test_a_wrong_option_is_named_with_its_rule(
    world: World, words: tuple[str, ...], sentence: str
) -> None:
    refused = world.export(*words)
    assert (refused.exit_code, refused.stdout) == (2, b"")
    assert refused.stderr.startswith(f"Error: settings: {sentence}")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("spec", "usage", "sentence"),
    [
        ("RSA_2048", "ENCRYPT_DECRYPT", "a ENCRYPT_DECRYPT key of kind RSA_2048 signs no"),
        ("ECC_SECG_P256K1", "SIGN_VERIFY", "of kind ECC_SECG_P256K1 signs no assertion"),
        ("ECC_NIST_P521", "SIGN_VERIFY", "of kind ECC_NIST_P521 signs no assertion"),
    ],
)
def test_a_kms_key_that_is_for_something_else_is_refused(
    world: World, spec: Any, usage: Any, sentence: str
) -> None:
    made = world.kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"]
    refused = world.export("--kms-key", made)
    assert refused.exit_code == 2
    assert sentence in refused.stderr


def test_a_kms_key_that_cannot_sign_with_the_algorithm_is_refused(world: World) -> None:
    refused = world.export("--kms-key", world.create("ES256")[0], "--algorithm", "RS256")
    assert refused.exit_code == 2
    assert "cannot sign with RS256" in refused.stderr


@pytest.mark.parametrize("which", ["removed", "unknown"])
def test_a_key_that_is_not_published_is_not_to_be_registered(world: World, which: str) -> None:
    keyring, *_ = world.deployment()
    kid = keyring.keys[-1].kid if which == "removed" else "unknown"
    refused = world.export("--state-bucket", "state", "--kid", kid)
    assert refused.exit_code == 2
    assert f"no published key of default is called {kid}" in refused.stderr


def test_a_key_or_a_keyring_that_aws_does_not_give_has_an_exit_code_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, sentence in (
        (("--kms-key", UNKNOWN), "kms:GetPublicKey failed: NotFoundException"),
        (("--state-bucket", "state"), "there is no keyring yet"),
        (("--state-bucket", "other"), "s3:GetObject failed: NoSuchBucket"),
    ):
        refused = world.export(*words)
        assert refused.exit_code == 5
        assert sentence in refused.stderr
        assert refused.stderr.count("\n") == 1
    for shape in ("pem", "jwks"):
        world.keep(ring())
        refused = world.export("--state-bucket", "state", "--format", shape, "--json")
        assert refused.exit_code == 5
        assert refused.json == {
            "error": "key",
            "error_description": "the keyring of default has no key yet",
        }
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for words in (("--kms-key", UNKNOWN), ("--state-bucket", "state")):
        refused = world.export(*words)
        assert refused.exit_code == 5
        assert "failed: NoRegionError" in refused.stderr


def test_the_help_names_what_it_writes_and_every_exit_code(world: World) -> None:
    text = world.export("--help").stdout.decode()
    for word in ("[pem|jwk|jwks|x509]", "MACHINE_IDENTITY_KMS_KEY", "  5  AWS gave no key"):
        assert word in text
