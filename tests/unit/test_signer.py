"""The signer's copy of the keyring: how long it counts, and what a disabled key does to it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto import mock_aws

from machine_identity import jwk, keyring
from machine_identity.aws import AwsError
from machine_identity.aws.clients import client
from machine_identity.aws.s3 import Bucket, Document
from machine_identity.aws.signer import REFRESH_INTERVAL, SIGNER_BOUND, KeyringSigner
from machine_identity.client_assertion import Draft, PrivateKey, SigningError
from machine_identity.keyring import Key, Keyring, State
from machine_identity.policy import Policy
from machine_identity.token_source import Signer
from tests.kms import Kms, arn

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DRAFT = Draft(
    issuer=None,
    subject="client-1",
    audience="https://as.example",
    typ="JWT",
    algorithms=jwk.ALGORITHMS,
    lifetime=timedelta(seconds=300),
)
PRIVATE: dict[str, PrivateKey] = {
    "first": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "second": ec.generate_private_key(ec.SECP256R1()),
}
ALGORITHM = {"first": "RS256", "second": "ES256"}


class BreakableBucket(Bucket):
    """A bucket that can be made to fail, and counts how often it is asked."""

    is_down = False
    reads = 0

    def read(self, key: str) -> Document | None:
        self.reads += 1
        if self.is_down:
            raise AwsError("s3:GetObject", "ServiceUnavailable")
        return super().read(key)


def key(name: str, state: State) -> Key:
    public = jwk.from_public_key(PRIVATE[name].public_key(), ALGORITHM[name])
    return Key(jwk=public, arn=arn(name), created_at=START, state=state, since=START)


def kid(name: str) -> str:
    return key(name, State.ACTIVE).kid


class World:
    """One identity: its keyring in S3, its keys in KMS, and the signer under test."""

    def __init__(self) -> None:
        s3 = client("s3")
        s3.create_bucket(
            Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        self.bucket = BreakableBucket(s3, "state")
        self.kms = Kms()
        self.kms.keys = {arn(name): each for name, each in PRIVATE.items()}
        self.signer = self.other_signer()

    def other_signer(self, **times: timedelta) -> KeyringSigner:
        kms = cast("KMSClient", self.kms)
        return KeyringSigner(bucket=self.bucket, kms=kms, identity="default", **times)

    def store(self, revision: int, **states: State) -> None:
        """Let the keyring be this; a retired key may sign for an hour."""
        keys = (key(name, state) for name, state in states.items())
        ring = Keyring(
            identity="default",
            issuer="https://identity.example",
            revision=revision,
            keys=tuple(
                replace(each, may_sign_until=START + HOUR) if each.state is State.RETIRED else each
                for each in keys
            ),
        )
        self.put(keyring.serialise(ring))

    def put(self, body: bytes) -> None:
        standing = self.bucket.read("default/keyring.json")
        expected = standing.tag if standing else None
        self.bucket.write("default/keyring.json", body, expected=expected)
        self.bucket.reads = 0

    def signed_by(self, at: timedelta, signer: Signer | None = None) -> str:
        """Sign at that time, and return the kid once the signature and the times were verified."""
        now = START + at
        assertion = (signer or self.signer).sign(DRAFT, now=now, jti="jti-1")
        name = next(n for n in PRIVATE if kid(n) == jwt.get_unverified_header(assertion)["kid"])
        claims = jwt.decode(
            assertion,
            PRIVATE[name].public_key(),
            algorithms=[ALGORITHM[name]],
            options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
        )
        assert claims["iat"] == int(now.timestamp())
        assert claims["iss"] == "https://identity.example"
        return name


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield World()


def test_the_active_key_signs_and_the_others_do_not(world: World) -> None:
    world.store(1, first=State.STANDBY, second=State.ACTIVE)
    assert world.signed_by(timedelta()) == "second"


def test_a_promotion_is_followed_within_a_minute_and_not_before(world: World) -> None:
    world.store(1, first=State.ACTIVE, second=State.STANDBY)
    assert world.signed_by(timedelta()) == "first"
    world.store(2, first=State.RETIRED, second=State.ACTIVE)
    assert world.signed_by(REFRESH_INTERVAL - SECOND) == "first"
    assert world.bucket.reads == 0
    assert world.signed_by(REFRESH_INTERVAL) == "second"


def test_rule_3_the_signer_s_bound_is_the_one_that_the_policy_counts_on() -> None:
    assert Policy().signer_bound == SIGNER_BOUND


def test_rule_3_a_copy_signs_to_the_end_of_its_bound_when_s3_fails(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    world.signed_by(timedelta())
    world.bucket.is_down = True
    assert world.signed_by(SIGNER_BOUND) == "first"


@pytest.mark.parametrize("late", [SECOND, timedelta(days=30)])
def test_rule_3_a_thawed_signer_never_signs_with_a_copy_past_its_bound(
    world: World, late: timedelta
) -> None:
    world.store(1, first=State.ACTIVE)
    world.signed_by(timedelta())
    world.bucket.is_down = True
    with pytest.raises(SigningError, match="s3:GetObject failed: ServiceUnavailable"):
        world.signed_by(SIGNER_BOUND + late)
    assert len(world.kms.calls) == 1


def test_a_failing_s3_is_asked_once_a_minute_and_slows_no_other_caller(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    world.signed_by(timedelta())
    world.bucket.is_down, world.bucket.reads = True, 0
    for seconds in range(60, 120, 10):
        world.signed_by(timedelta(seconds=seconds))
    assert world.bucket.reads == 1
    world.bucket.is_down = False
    world.store(2, second=State.ACTIVE)
    assert world.signed_by(timedelta(seconds=120)) == "second"


def test_past_the_bound_s3_is_asked_every_time_until_it_answers(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    world.signed_by(timedelta())
    world.bucket.is_down = True
    with pytest.raises(SigningError):
        world.signed_by(SIGNER_BOUND + SECOND)
    world.bucket.is_down = False
    assert world.signed_by(SIGNER_BOUND + 2 * SECOND) == "first"


def test_a_copy_from_the_future_tells_nothing_about_its_age(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    world.signed_by(timedelta())
    world.bucket.is_down = True
    with pytest.raises(SigningError):
        world.signed_by(-SECOND)


def test_rule_6_a_rolled_back_keyring_is_not_taken(world: World) -> None:
    world.store(7, first=State.RETIRED, second=State.ACTIVE)
    assert world.signed_by(timedelta()) == "second"
    world.store(6, first=State.ACTIVE, second=State.STANDBY)
    assert world.signed_by(REFRESH_INTERVAL) == "second"
    with pytest.raises(SigningError, match="lower revision"):
        world.signed_by(SIGNER_BOUND + SECOND)


@pytest.mark.parametrize(
    "code", ["DisabledException", "KMSInvalidStateException", "NotFoundException"]
)
def test_on_a_disabled_key_the_keyring_is_read_at_once_and_the_active_key_signs(
    world: World, code: str
) -> None:
    world.store(1, first=State.ACTIVE, second=State.STANDBY)
    world.signed_by(timedelta())
    world.store(2, first=State.REMOVED, second=State.ACTIVE)
    world.kms.refusals[arn("first")] = code
    assert world.signed_by(SECOND) == "second"
    assert world.kms.calls[1:] == [arn("first"), arn("second")]


def test_a_key_that_stays_disabled_is_tried_once_more_and_no_oftener(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    world.kms.refusals[arn("first")] = "DisabledException"
    with pytest.raises(SigningError, match="kms:Sign failed: DisabledException"):
        world.signed_by(timedelta())
    assert len(world.kms.calls) == 2


def test_a_disabled_key_whose_keyring_cannot_be_read_signs_nothing(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    world.signed_by(timedelta())
    world.kms.refusals[arn("first")] = "DisabledException"
    world.bucket.is_down = True
    with pytest.raises(SigningError, match="s3:GetObject"):
        world.signed_by(SECOND)


def test_a_kms_that_does_not_answer_is_not_asked_again(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    world.kms.is_down = True
    with pytest.raises(SigningError, match="kms:Sign failed: ConnectTimeoutError"):
        world.signed_by(timedelta())
    assert len(world.kms.calls) == 1


def test_before_the_first_key_nothing_is_signed(world: World) -> None:
    with pytest.raises(SigningError, match="no keyring yet"):
        world.signed_by(timedelta())
    world.store(1, first=State.STANDBY)
    with pytest.raises(SigningError, match="no active key yet"):
        world.signed_by(timedelta())


@pytest.mark.parametrize("body", [b"", b"{}", b'{"version": 99}'])
def test_a_keyring_that_cannot_be_read_signs_nothing(world: World, body: bytes) -> None:
    world.put(body)
    with pytest.raises(SigningError, match="keyring"):
        world.signed_by(timedelta())


@pytest.mark.parametrize(
    "public",
    [
        {"kty": "RSA", "n": "!", "e": "AQAB", "kid": "k", "alg": "RS256"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "HS256"},
    ],
)
def test_a_key_that_is_no_public_key_of_ours_signs_nothing(
    world: World, public: jwk.PublicJwk
) -> None:
    broken = replace(key("first", State.ACTIVE), jwk=public)
    ring = Keyring(identity="default", issuer="https://identity.example", keys=(broken,))
    world.put(keyring.serialise(ring))
    with pytest.raises(SigningError, match="JWK"):
        world.signed_by(timedelta())
    assert world.kms.calls == []


def test_the_rhythm_of_a_compressed_world_can_be_another(world: World) -> None:
    signer = world.other_signer(refresh_interval=2 * SECOND, bound=5 * SECOND)
    world.store(1, first=State.ACTIVE)
    assert world.signed_by(timedelta(), signer) == "first"
    world.store(2, second=State.ACTIVE)
    assert world.signed_by(SECOND, signer) == "first"
    assert world.signed_by(2 * SECOND, signer) == "second"
    world.bucket.is_down = True
    assert world.signed_by(7 * SECOND, signer) == "second"
    with pytest.raises(SigningError):
        world.signed_by(8 * SECOND, signer)


# Rules 2 and 9


@pytest.mark.parametrize(
    ("at", "may"), [(HOUR - SECOND, True), (HOUR, False), (timedelta(days=9), False)]
)
def test_rule_9_the_previous_key_signs_while_the_keyring_allows_it(
    world: World, at: timedelta, *, may: bool
) -> None:
    world.store(1, first=State.RETIRED, second=State.ACTIVE)
    previous = world.signer.previous(START + at)
    assert (previous is not None) is may
    if previous is not None:
        assert world.signed_by(at, previous) == "first"
        assert world.signed_by(at) == "second"


@pytest.mark.parametrize("code", ["DisabledException", "NotFoundException"])
def test_rule_9_where_kms_does_not_sign_with_the_active_key_the_previous_one_signs(
    world: World, code: str
) -> None:
    world.store(1, first=State.RETIRED, second=State.ACTIVE)
    world.kms.refusals[arn("second")] = code
    assert world.signed_by(HOUR - SECOND) == "first"
    with pytest.raises(SigningError, match=f"kms:Sign failed: {code}"):
        world.signed_by(HOUR)


def test_rule_9_a_kms_that_does_not_answer_is_no_reason_to_sign_with_the_previous_key(
    world: World,
) -> None:
    world.store(1, first=State.RETIRED, second=State.ACTIVE)
    world.kms.refusals[arn("second")] = "ThrottlingException"
    with pytest.raises(SigningError, match="ThrottlingException"):
        world.signed_by(timedelta())


def test_the_keyring_of_another_identity_is_not_taken_and_not_remembered(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    own = world.bucket.read("default/keyring.json")
    assert own is not None
    other = replace(keyring.parse(own.body), identity="other", revision=99)
    world.put(keyring.serialise(other))
    with pytest.raises(SigningError, match="that of other, and not ours"):
        world.signed_by(timedelta())
    world.put(own.body)
    assert world.signed_by(SECOND) == "first"


def test_rule_9_without_a_retired_key_nobody_signs_instead(world: World) -> None:
    world.store(1, first=State.STANDBY, second=State.ACTIVE)
    assert world.signer.previous(START) is None


def test_rule_9_without_a_keyring_nobody_can_say(world: World) -> None:
    with pytest.raises(SigningError, match="no keyring yet"):
        world.signer.previous(START)


def test_rule_2_the_standby_key_signs_for_the_canary(world: World) -> None:
    world.store(1, first=State.STANDBY, second=State.ACTIVE)
    keyring = world.signer.keyring(START)
    assert keyring.standby is not None
    assert world.signed_by(SECOND, world.signer.with_key(keyring.standby, keyring)) == "first"


def test_one_key_s_signer_says_what_kms_said_and_takes_no_other_key(world: World) -> None:
    world.store(1, first=State.STANDBY, second=State.ACTIVE)
    world.kms.refusals[arn("first")] = "DisabledException"
    keyring = world.signer.keyring(START)
    with pytest.raises(SigningError, match="kms:Sign failed: DisabledException"):
        world.signed_by(SECOND, world.signer.with_key(keyring.key(kid("first")), keyring))
    assert world.kms.calls == [arn("first")]


def test_a_reread_keyring_is_the_one_that_stands_whatever_the_copy_s_age(world: World) -> None:
    world.store(1, first=State.ACTIVE)
    world.signed_by(timedelta())
    world.store(2, second=State.ACTIVE)
    assert world.signer.keyring(START + SECOND).revision == 1
    assert world.signer.reread(START + SECOND).revision == 2
    assert world.signed_by(SECOND) == "second"


def test_threads_that_reread_at_once_get_what_stands_there_and_none_a_later_copy_s_refusal(
    world: World,
) -> None:
    world.store(1, first=State.ACTIVE)
    bucket = world.bucket
    held, going_on = threading.Event(), threading.Event()

    class Slow(BreakableBucket):
        def read(self, key: str) -> Document | None:
            document = bucket.read(key)
            if not held.is_set():
                held.set()
                assert going_on.wait(9)
            return document

    slow = Slow(client("s3"), "state")
    signer = KeyringSigner(bucket=slow, kms=cast("KMSClient", world.kms), identity="default")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(signer.reread, START)
        assert held.wait(9)
        world.store(2, first=State.ACTIVE)
        second = pool.submit(signer.reread, START)
        wait([second], timeout=0.3)
        going_on.set()
        assert (first.result().revision, second.result().revision) == (1, 2)
    assert signer.keyring(START).revision == 2
