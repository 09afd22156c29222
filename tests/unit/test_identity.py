"""The front door: each way to name a key gets a token from a server that verifies it."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from local.aws import Aws
from machine_identity import clock, jwk, keyring
from machine_identity.aws.key_signer import KmsKeySigner
from machine_identity.aws.s3 import Bucket
from machine_identity.aws.signer import SIGNER_BOUND
from machine_identity.aws.web_identity import WebIdentitySigner
from machine_identity.client import Identity, Tokens
from machine_identity.client_assertion import Draft, SigningError
from machine_identity.errors import InvalidClientError, SettingsError, TokenRequestError
from machine_identity.keyring import Key, Keyring, State
from tests.sts_server import ISSUER, ROLE, StsServer
from tests.token_endpoint import ACCESS_TOKEN, Answer, TokenEndpoint

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
US = "https://us.example"
WORD = "correct-horse-battery"


@pytest.fixture
def server() -> Iterator[TokenEndpoint]:
    with TokenEndpoint([jwk.from_public_key(RSA.public_key(), "RS256")]) as server:
        yield server


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with Aws() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        yield aws


def tokens(identity: Identity, server: TokenEndpoint, **more: str) -> Tokens:
    return identity.tokens(
        authorization_server=server.url, client_id="client-1", scope="read", **more
    )


def federated(identity: Identity, server: TokenEndpoint, subject: str = "") -> Tokens:
    server.typ, server.audience = "JWT", "api://AzureADTokenExchange"
    return tokens(identity, server, provider="entra-federated", subject=subject)


def pem(path: Path) -> Path:
    path.write_bytes(RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


# Files and variables


def test_a_pem_file_gets_a_token(server: TokenEndpoint, tmp_path: Path) -> None:
    identity = Identity.from_pem(str(pem(tmp_path / "key.pem")))
    assert tokens(identity, server).get().value == ACCESS_TOKEN
    assert server.forms[0]["scope"] == "read"


def test_a_pkcs12_file_gets_a_token_its_passphrase_in_a_variable_or_said(
    server: TokenEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.p12"
    encryption = BestAvailableEncryption(WORD.encode())
    path.write_bytes(serialize_key_and_certificates(b"", RSA, None, None, encryption))
    monkeypatch.setenv("P12_WORD", WORD)
    for identity in (
        Identity.from_pkcs12(path, passphrase_variable="P12_WORD"),
        Identity.from_pkcs12(path, passphrase=lambda: WORD),
    ):
        assert tokens(identity, server).get().value == ACCESS_TOKEN
    with pytest.raises(SettingsError, match="two ways of one"):
        Identity.from_pkcs12(path, passphrase=lambda: WORD, passphrase_variable="P12_WORD")


def test_a_variable_gets_a_token(
    server: TokenEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNING_KEY", pem(tmp_path / "key.pem").read_text())
    assert tokens(Identity.from_variable("SIGNING_KEY"), server).get().value == ACCESS_TOKEN


def test_for_a_provider_that_trusts_an_issuer_it_is_told_ours(
    server: TokenEndpoint, tmp_path: Path
) -> None:
    server.issuer, server.subject = US, "machine-7"
    identity = Identity.from_pem(pem(tmp_path / "key.pem"), issuer=US)
    assert federated(identity, server, "machine-7").get().value == ACCESS_TOKEN


def test_without_an_issuer_such_a_provider_is_told_in_a_sentence(
    server: TokenEndpoint, tmp_path: Path
) -> None:
    with pytest.raises(TokenRequestError) as refused:
        federated(Identity.from_pem(pem(tmp_path / "key.pem")), server).get()
    assert str(refused.value) == (
        "misconfigured: the assertion must name our issuer, and none is configured"
    )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"provider": "entra"}, "provider must be one of rfc10070, "),
        ({"authorization_server": "http://as.example"}, "authorization_server must be an https"),
        ({"client_id": ""}, "client_id must be 1 to 600 printable"),
        ({"scope": "a  b"}, "scope must be words separated by single spaces"),
    ],
)
def test_a_registration_that_cannot_be_is_told_by_the_name_of_its_argument(
    tmp_path: Path, wrong: dict[str, str], sentence: str
) -> None:
    given = {"authorization_server": "https://as.example", "client_id": "client-1", **wrong}
    with pytest.raises(SettingsError) as refused:
        Identity.from_pem(pem(tmp_path / "key.pem")).tokens(**given)
    assert str(refused.value).startswith(sentence)


def test_an_issuer_that_is_no_https_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^issuer must be an https URL"):
        Identity.from_pem(pem(tmp_path / "key.pem"), issuer="http://us.example")


def test_a_thread_renews_the_token_before_anybody_waits_for_it(
    server: TokenEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tokens(Identity.from_pem(pem(tmp_path / "key.pem")), server)
    old = held.get()
    monkeypatch.setattr(clock, "now", lambda: old.issued_at + timedelta(minutes=48))
    server.scripted.append(Answer(body={"access_token": "new", "token_type": "Bearer"}))
    assert held.get() is old
    for each in threading.enumerate():
        if each.name == "machine-identity":
            each.join()
    assert held.get().value == "new"


# One KMS key


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [("RSA_2048", "RS256"), ("ECC_NIST_P256", "ES256"), ("ECC_NIST_P384", "ES384")],
)
def test_one_kms_key_gets_a_token_and_shows_its_public_half_once(
    server: TokenEndpoint, aws: Aws, spec: str, algorithm: str
) -> None:
    kms = aws.client("kms")
    arn = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec=spec)["KeyMetadata"]["Arn"]  # type: ignore[arg-type]
    server.keys[:] = [jwk.from_der(kms.get_public_key(KeyId=arn)["PublicKey"], algorithm)]
    asked: list[str] = []
    kms.meta.events.register("before-send.kms.*", lambda event_name, **_: asked.append(event_name))
    identity = Identity(KmsKeySigner(kms, arn))
    assert tokens(identity, server).get().value == ACCESS_TOKEN
    assert tokens(identity, server, provider="oidc-provider")
    identity.signer.sign(DRAFT, now=START, jti="jti-2")
    assert asked == [
        "before-send.kms.GetPublicKey",
        "before-send.kms.Sign",
        "before-send.kms.Sign",
    ]


DRAFT = Draft(
    issuer="client-1",
    subject="client-1",
    audience="https://as.example",
    typ="JWT",
    algorithms=jwk.ALGORITHMS,
    lifetime=timedelta(seconds=300),
)


def test_by_its_arn_alone(server: TokenEndpoint, aws: Aws) -> None:
    kms = aws.client("kms")
    arn = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
    server.keys[:] = [jwk.from_der(kms.get_public_key(KeyId=arn)["PublicKey"], "PS256")]
    server.issuer = US
    identity = Identity.from_kms(arn, algorithm="PS256", issuer=US)
    server.typ = "JWT"
    signed = identity.signer.sign(
        Draft(
            issuer=None,
            subject="s",
            audience="a",
            typ="JWT",
            algorithms=("PS256",),
            lifetime=timedelta(seconds=60),
        ),
        now=START,
        jti="j",
    )
    header = jwt.get_unverified_header(signed)
    assert header == {"alg": "PS256", "kid": server.keys[0]["kid"], "typ": "JWT"}


def test_a_kms_key_that_is_disabled_is_temporarily_unavailable(
    server: TokenEndpoint, aws: Aws
) -> None:
    kms = aws.client("kms")
    arn = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=arn)
    with pytest.raises(TokenRequestError) as refused:
        tokens(Identity.from_kms(arn), server).get()
    assert str(refused.value) == (
        "temporarily_unavailable: kms:GetPublicKey failed: DisabledException"
    )


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("name", ["alias/orders", "1234", "arn:aws:kms:eu-central-1:1:alias/a"])
def test_a_kms_key_is_named_by_its_arn_and_never_by_an_alias(name: str) -> None:
    with pytest.raises(SettingsError, match=r"^a KMS key is named by its ARN"):
        Identity.from_kms(name)


# The deployment's keyring


class Deployment:
    """A keyring in S3 whose keys are in KMS."""

    def __init__(self, aws: Aws) -> None:
        self.s3 = aws.client("s3")
        self.s3.create_bucket(
            Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        self.bucket = Bucket(self.s3, "state")
        self.kms = aws.client("kms")
        self.keys = {name: self.made() for name in ("old", "new")}
        self.revision = 0

    def made(self) -> tuple[str, jwk.PublicJwk]:
        created = self.kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")
        arn = created["KeyMetadata"]["Arn"]
        return arn, jwk.from_der(self.kms.get_public_key(KeyId=arn)["PublicKey"], "RS256")

    def store(self, **states: State) -> None:
        self.revision += 1
        far = datetime(2100, 1, 1, tzinfo=UTC)
        keys = tuple(
            Key(
                jwk=self.keys[name][1],
                arn=self.keys[name][0],
                created_at=START,
                state=state,
                since=START,
                may_sign_until=far if state is State.RETIRED else None,
            )
            for name, state in states.items()
        )
        ring = Keyring(identity="orders", issuer=US, revision=self.revision, keys=keys)
        standing = self.bucket.read("orders/keyring.json")
        self.bucket.write(
            "orders/keyring.json",
            keyring.serialise(ring),
            expected=standing.tag if standing else None,
        )


@pytest.fixture
def deployment(aws: Aws) -> Deployment:
    return Deployment(aws)


def test_the_deployment_s_keyring_gets_a_token_by_the_active_key(
    server: TokenEndpoint, deployment: Deployment
) -> None:
    deployment.store(new=State.ACTIVE)
    server.keys[:] = [deployment.keys["new"][1]]
    identity = Identity.from_keyring("state", identity="orders")
    assert tokens(identity, server).get().value == ACCESS_TOKEN


def test_rule_3_it_signs_with_no_older_copy_than_the_deployment_counts_on(
    deployment: Deployment,
) -> None:
    deployment.store(new=State.ACTIVE)
    signer = Identity.from_keyring("state", identity="orders").signer
    assert signer.sign(DRAFT, now=START, jti="a")
    deployment.s3.delete_object(Bucket="state", Key="orders/keyring.json")
    assert signer.sign(DRAFT, now=START + SIGNER_BOUND, jti="b")
    with pytest.raises(SigningError):
        signer.sign(DRAFT, now=START + SIGNER_BOUND + timedelta(seconds=1), jti="c")


def test_rule_9_when_the_active_key_is_refused_the_previous_one_gets_the_token(
    server: TokenEndpoint, deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.store(old=State.RETIRED, new=State.ACTIVE)
    server.keys[:] = [deployment.keys["old"][1]]
    identity = Identity.from_keyring("state", identity="orders")
    assert tokens(identity, server).get().value == ACCESS_TOKEN
    assert "the active key was refused, and the previous one was taken" in caplog.messages


# AWS's own


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[StsServer]:
    with StsServer() as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield sts


def test_aws_signs_for_a_provider_that_trusts_the_account_s_issuer(
    server: TokenEndpoint, sts: StsServer
) -> None:
    server.keys[:], server.issuer, server.subject = [sts.public], ISSUER, ROLE
    assert federated(Identity.from_web_identity(), server).get().value == ACCESS_TOKEN
    (form,) = sts.forms
    assert form["Audience.member.1"] == "api://AzureADTokenExchange"
    assert (form["DurationSeconds"], form["SigningAlgorithm"]) == ("300", "RS256")


def test_aws_s_own_is_asked_anew_for_each_attempt(server: TokenEndpoint, sts: StsServer) -> None:
    server.keys[:], server.issuer, server.subject = [sts.public], ISSUER, ROLE
    server.scripted.append(Answer(status=503, headers={"retry-after": "0"}))
    assert federated(Identity.from_web_identity(), server).get().value == ACCESS_TOKEN
    assert len({form["client_assertion"] for form in server.forms}) == len(sts.forms) == 2


def test_aws_s_own_cannot_name_a_client_and_says_so(server: TokenEndpoint, sts: StsServer) -> None:
    with pytest.raises(TokenRequestError) as refused:
        tokens(Identity.from_web_identity(), server).get()
    assert refused.value.code == "misconfigured"
    assert "names the AWS account in iss" in str(refused.value)
    assert sts.forms == []


@pytest.mark.parametrize(
    ("lifetime", "asked"), [(59, "60"), (60, "60"), (3600, "3600"), (3601, "3600")]
)
def test_aws_is_asked_for_a_lifetime_that_it_grants(
    sts: StsServer, lifetime: int, asked: str
) -> None:
    signer = Identity.from_web_identity().signer
    draft = Draft(
        issuer=None,
        subject="",
        audience="a",
        typ="JWT",
        algorithms=("PS256", "ES384"),
        lifetime=timedelta(seconds=lifetime),
    )
    signer.sign(draft, now=START, jti="")
    assert sts.forms[0]["DurationSeconds"] == asked
    assert sts.forms[0]["SigningAlgorithm"] == "ES384"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "OutboundWebIdentityFederationDisabledException",
            "misconfigured: outbound identity federation is not switched on in this AWS account",
        ),
        (
            "AccessDenied",
            "temporarily_unavailable: sts:GetWebIdentityToken failed: AccessDenied",
        ),
    ],
)
def test_what_aws_refuses_is_told(
    server: TokenEndpoint, sts: StsServer, code: str, expected: str
) -> None:
    sts.error = code
    with pytest.raises(TokenRequestError) as refused:
        federated(Identity.from_web_identity(), server).get()
    assert str(refused.value) == expected


def test_a_provider_that_takes_no_algorithm_of_aws_s_is_told_before_it_is_asked(
    sts: StsServer,
) -> None:
    draft = Draft(
        issuer=None,
        subject="",
        audience="a",
        typ="JWT",
        algorithms=("ES256",),
        lifetime=timedelta(seconds=60),
    )
    with pytest.raises(SettingsError, match="signs RS256 or ES384, and neither fits"):
        Identity.from_web_identity().signer.sign(draft, now=START, jti="")
    assert sts.forms == []


def test_a_boto3_that_does_not_know_it_is_called_too_old() -> None:
    with pytest.raises(SettingsError, match="too old for sts:GetWebIdentityToken"):
        WebIdentitySigner(SimpleNamespace())  # type: ignore[arg-type]


# A loop


@pytest.fixture
def held(server: TokenEndpoint, tmp_path: Path) -> Tokens:
    """Tokens of a server whose discovery document is late."""
    metadata = {"issuer": server.url, "token_endpoint": f"{server.url}/token"}
    server.metadata_scripted.append(Answer(body=metadata, delay=0.3))
    return tokens(Identity.from_pem(pem(tmp_path / "key.pem")), server)


def test_a_loop_goes_on_while_one_thread_asks_for_all_who_wait(
    server: TokenEndpoint, held: Tokens
) -> None:
    ticks = threads = 0

    async def wait() -> set[str]:
        nonlocal ticks, threads
        before = threading.active_count()
        waiting = [asyncio.create_task(held.get_async()) for _ in range(200)]
        while not all(each.done() for each in waiting):
            await asyncio.sleep(0.01)
            ticks += 1
            threads = max(threads, threading.active_count() - before)
        return {each.result().value for each in waiting}

    assert asyncio.run(wait()) == {ACCESS_TOKEN}
    assert len(server.forms) == 1
    assert ticks > 5
    assert threads <= 3  # ours, and the two by which the server answers


def test_a_token_that_is_at_hand_hops_to_no_thread(held: Tokens) -> None:
    held.get()

    async def get() -> str:
        return (await held.get_async()).value

    # Whoever never gives way to the loop is done at the first step.
    with pytest.raises(StopIteration) as done:
        get().send(None)
    assert done.value.value == ACCESS_TOKEN


def test_who_is_cancelled_does_not_take_the_token_from_others(
    server: TokenEndpoint, held: Tokens
) -> None:
    async def wait() -> str:
        first, second = (asyncio.create_task(held.get_async()) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        return (await second).value

    assert asyncio.run(wait()) == ACCESS_TOKEN
    assert len(server.forms) == 1


def test_when_all_who_waited_were_cancelled_an_error_is_nobody_s_and_not_complained_of(
    server: TokenEndpoint, held: Tokens
) -> None:
    server.scripted.append(Answer(status=401, body={"error": "invalid_client"}))
    complaints: list[object] = []

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        waiting = asyncio.create_task(held.get_async())
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.sleep(1)
        assert len(server.forms) == 1
        gc.collect()

    asyncio.run(wait())
    assert complaints == []


def test_an_error_reaches_all_who_wait_and_the_next_one_asks_anew(
    server: TokenEndpoint, held: Tokens
) -> None:
    server.scripted.append(Answer(status=401, body={"error": "invalid_client"}))

    async def wait() -> list[object]:
        both = await asyncio.gather(held.get_async(), held.get_async(), return_exceptions=True)
        return [*both, (await held.get_async()).value]

    one, two, three = asyncio.run(wait())
    assert isinstance(one, InvalidClientError)
    assert isinstance(two, InvalidClientError)
    assert three == ACCESS_TOKEN


def test_a_refused_token_is_replaced_in_a_loop_once(server: TokenEndpoint, held: Tokens) -> None:
    async def wait() -> set[object]:
        refused = await held.get_async()
        new = [held.instead_of_async(refused) for _ in range(50)]
        return set(await asyncio.gather(*new))

    assert asyncio.run(wait()) == {None}  # it is seconds old
    assert len(server.forms) == 1


def test_who_has_no_loop_and_no_aws_imports_neither() -> None:
    program = (
        "import sys, machine_identity.client; "
        "sys.exit(bool({'boto3', 'asyncio', 'httpx', 'requests'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_no_repr_shows_a_token_or_a_key(server: TokenEndpoint, tmp_path: Path) -> None:
    identity = Identity.from_pem(pem(tmp_path / "key.pem"))
    shown = tokens(identity, server)
    shown.get()
    text = f"{identity!r} {shown!r} {shown.get()!r}"
    assert not any(secret in text for secret in server.secrets)
