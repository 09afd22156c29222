"""Whole decisions: tokens that another library signed, keys over real HTTP, any time at all."""

import json
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import jwk, jws, transport, verifier
from machine_identity.access_token import Expectations, VerifiedClaims
from machine_identity.errors import (
    InvalidTokenError,
    KeySetUnavailableError,
    Refusal,
    SettingsError,
)
from machine_identity.jwks_cache import Limits
from machine_identity.jwks_client import JwksClient, Location
from machine_identity.key_set import TrustedKey
from machine_identity.verifier import TrustedIssuer, Verifier
from tests.key_set_server import Answer, KeySetServer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
EC_KEY = ec.generate_private_key(ec.SECP256R1())
JWKS = [
    *(jwk.from_public_key(key.public_key(), "RS256") for key in KEYS),
    jwk.from_public_key(EC_KEY.public_key(), "ES256"),
]
ONE, TWO = "https://one.example", "https://two.example"


def token(
    private: Any = KEYS[0],
    kid: str = JWKS[0]["kid"],
    header: Mapping[str, Any] | None = None,
    **claims: Any,
) -> str:
    members = {
        "iss": ONE,
        "aud": "api://uppercase",
        "exp": SECONDS + 3600,
        "iat": SECONDS,
        "sub": "subject-1",
        "client_id": "client-1",
        "roles": ["Uppercase.Call"],
        **claims,
    }
    algorithm = "ES256" if private is EC_KEY else "RS256"
    return jwt.encode(members, private, algorithm, headers={"kid": kid, **(header or {})})


class Counted:
    """The keys of an issuer, and how often they were asked for."""

    def __init__(self, server: KeySetServer, issuer: str) -> None:
        self.asked = 0
        self.patience: timedelta | None = None
        self._client = JwksClient(
            Location(issuer=issuer, jwks_uri=server.jwks_uri),
            transport=transport.send,
            limits=Limits(),
            timeout=timedelta(seconds=2),
        )

    def key(self, kid: str, now: datetime, patience: timedelta | None = None) -> TrustedKey:
        self.asked += 1
        self.patience = patience
        return self._client.key(kid, now, patience)


class World:
    """Two issuers, each with a key set of its own, and a verifier that trusts both."""

    def __init__(self, one: KeySetServer, two: KeySetServer) -> None:
        self.one, self.two = one, two
        self.keys = {ONE: Counted(one, ONE), TWO: Counted(two, TWO)}
        self.verifier = self.trusting(ONE, TWO)

    def trusting(
        self, *issuers: str, algorithms: tuple[str, ...] = ("RS256",), **denied: tuple[str, ...]
    ) -> Verifier:
        return Verifier(
            [
                TrustedIssuer(expectations=expectations(each), keys=self.keys[each])
                for each in issuers
            ],
            algorithms=algorithms,
            **denied,
        )

    def refused(self, text: str, after: timedelta = timedelta()) -> Refusal:
        with pytest.raises(InvalidTokenError) as error:
            self.verifier.verify(text, NOW + after)
        return error.value.code


def expectations(issuer: str) -> Expectations:
    return Expectations(
        issuer=issuer,
        audiences=frozenset({"api://uppercase"}),
        roles=frozenset({"Uppercase.Call"}),
    )


@pytest.fixture
def world() -> Iterator[World]:
    with KeySetServer({"keys": JWKS[:1]}) as one, KeySetServer({"keys": JWKS[1:]}) as two:
        yield World(one, two)


@pytest.fixture
def signature_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The algorithms of all signatures that are checked from here on, as ever."""
    checks: list[str] = []
    real = jws.verify

    def verify(unverified: Any, key: Any) -> Any:
        checks.append(unverified.algorithm)
        return real(unverified, key)

    monkeypatch.setattr(jws, "verify", verify)
    return checks


def test_steps_10_to_12_say_who_calls(world: World) -> None:
    claims = world.verifier.verify(token(), NOW)
    assert (claims.issuer, claims.subject, claims.roles) == (ONE, "subject-1", ("Uppercase.Call",))


def test_each_issuer_s_tokens_are_checked_with_its_own_keys_only(world: World) -> None:
    second: dict[str, Any] = {"private": KEYS[1], "kid": JWKS[1]["kid"]}
    assert world.verifier.verify(token(**second, iss=TWO), NOW).issuer == TWO
    assert world.refused(token(**second, iss=ONE)) is Refusal.UNKNOWN_KEY
    assert world.refused(token(iss=TWO)) is Refusal.UNKNOWN_KEY


def test_of_an_issuer_that_is_not_trusted_no_key_is_looked_for(world: World) -> None:
    for issuer in ("https://three.example", ONE + "/", "", None, 7, [ONE], {ONE: 1}):
        assert world.refused(forged(issuer)) is Refusal.ISSUER
    assert (world.one.fetches, world.two.fetches) == (0, 0)
    assert (world.keys[ONE].asked, world.keys[TWO].asked) == (0, 0)


def forged(issuer: object) -> str:
    """A signed token whose issuer is anything, which jwt.encode would not write."""
    payload = json.dumps({"iss": issuer}).encode()
    return jwt.PyJWS().encode(payload, KEYS[0], "RS256", headers={"kid": JWKS[0]["kid"]})


def test_what_is_wrong_on_its_face_costs_neither_a_fetch_nor_a_signature_check(
    world: World, signature_checks: list[str]
) -> None:
    assert world.refused("a" * 20_000) is Refusal.TOO_LARGE
    assert world.refused("Zoë") is Refusal.MALFORMED
    assert world.refused("\ud800") is Refusal.MALFORMED
    assert world.refused("") is Refusal.MALFORMED
    assert world.refused(token(EC_KEY)) is Refusal.ALGORITHM
    assert (world.one.fetches, signature_checks) == (0, [])


@pytest.mark.parametrize(
    "kid", ["../../keys/1", "' OR 1=1 --", "https://attacker.example/keys", "$(id)", "a\0b"]
)
def test_a_kid_is_a_name_to_look_up_and_nothing_else(world: World, kid: str) -> None:
    world.verifier.verify(token(), NOW)
    assert world.refused(token(kid=kid)) is Refusal.UNKNOWN_KEY
    assert world.one.requests == [("/keys", "")]


@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_a_url_in_a_header_is_never_followed(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hosts: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str | bytes, *rest: Any, **options: Any) -> Any:
        hosts.append(host if isinstance(host, str) else host.decode())
        return real(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    header = {name: "https://attacker.example/keys"}
    assert world.verifier.verify(token(header=header), NOW).issuer == ONE
    assert world.refused(token(KEYS[1], JWKS[0]["kid"], header=header)) is Refusal.SIGNATURE
    assert set(hosts) == {"127.0.0.1"}


def test_the_signature_is_checked_before_any_claim_but_the_issuer_counts(world: World) -> None:
    assert world.refused(token(KEYS[1], exp=0, aud="x", roles=[])) is Refusal.SIGNATURE
    assert world.refused(token(exp=0, aud="x", roles=[])) is Refusal.AUDIENCE


def test_algorithms_beyond_rs256_are_taken_when_they_are_allowed(world: World) -> None:
    text = token(EC_KEY, JWKS[2]["kid"], iss=TWO)
    with pytest.raises(InvalidTokenError):
        world.verifier.verify(text, NOW)
    assert world.trusting(TWO, algorithms=("ES256",)).verify(text, NOW).issuer == TWO


def test_while_the_keys_are_not_to_be_had_nobody_is_judged(world: World) -> None:
    world.one.answer = Answer(status=500)
    for text in (token(), token(KEYS[1]), token(kid="made-up"), token(exp=0)):
        with pytest.raises(KeySetUnavailableError):
            world.verifier.verify(text, NOW)


def test_an_unknown_key_is_refused_after_a_fetch_that_succeeded(world: World) -> None:
    world.verifier.verify(token(), NOW)
    assert world.refused(token(kid="made-up")) is Refusal.UNKNOWN_KEY
    world.one.answer = Answer(status=500)
    with pytest.raises(KeySetUnavailableError):
        world.verifier.verify(token(kid="made-up"), NOW + HOUR)
    assert world.verifier.verify(token(exp=SECONDS + 9999), NOW + HOUR).issuer == ONE


def test_the_patience_of_a_call_is_the_patience_with_the_key_set(world: World) -> None:
    for patience in (SECOND, None, 2 * SECOND):  # also of a token seen before
        world.verifier.verify(token(), NOW, patience=patience)
        assert world.keys[ONE].patience == patience


# Deny lists


def test_what_a_denied_key_signed_is_refused_without_a_look_at_the_set(
    world: World, signature_checks: list[str]
) -> None:
    world.verifier = world.trusting(ONE, TWO, denied_key_ids=("other", JWKS[0]["kid"]))
    assert [world.refused(token()) for _ in range(2)] == [Refusal.DENIED_KEY] * 2
    assert world.refused(token(kid="made-up")) is Refusal.UNKNOWN_KEY
    assert (world.keys[ONE].asked, signature_checks) == (1, [])
    assert world.verifier.verify(token(KEYS[1], JWKS[1]["kid"], iss=TWO), NOW).issuer == TWO


@pytest.mark.parametrize("name", ["jti", "uti"])
def test_a_denied_token_is_refused_each_time_and_no_other_of_its_client_is(
    world: World, name: str
) -> None:
    world.verifier = world.trusting(ONE, denied_token_ids=("t1", "t2"))

    def named(text: str) -> str:
        claims: dict[str, Any] = {name: text}
        return token(**claims)

    for _ in range(2):
        assert world.refused(named("t1")) is Refusal.DENIED_TOKEN
        assert world.refused(named("t2")) is Refusal.DENIED_TOKEN
        for other in ("t", "t11", "T1", "t1 t2"):
            assert world.verifier.verify(named(other), NOW).issuer == ONE
    assert world.verifier.verify(token(), NOW).issuer == ONE


def test_only_what_is_signed_says_which_token_it_is(world: World) -> None:
    world.verifier = world.trusting(ONE, denied_token_ids=("t1",))
    assert world.refused(token(KEYS[1], jti="t1")) is Refusal.SIGNATURE
    assert world.refused(token(jti="t1", aud="x")) is Refusal.AUDIENCE
    assert world.verifier.verify(token(uti=["t1"]), NOW).issuer == ONE


def test_a_token_seen_before_is_denied_by_the_configuration_that_comes_after(world: World) -> None:
    text = token(jti="t1")
    assert world.verifier.verify(text, NOW).issuer == ONE
    world.verifier = world.trusting(ONE, denied_key_ids=(JWKS[0]["kid"],))
    assert world.refused(text) is Refusal.DENIED_KEY
    world.verifier = world.trusting(ONE, denied_token_ids=("t1",))
    assert world.refused(text) is Refusal.DENIED_TOKEN


# A token seen before


def test_a_token_seen_before_costs_no_signature_check(
    world: World, signature_checks: list[str]
) -> None:
    text = token()
    first = world.verifier.verify(text, NOW)
    assert world.verifier.verify(text, NOW + SECOND) is first
    assert world.verifier.verify("".join(text), NOW + 2 * SECOND) is first
    assert signature_checks == ["RS256"]


def test_one_letter_more_or_less_is_another_token(world: World) -> None:
    text = token()
    world.verifier.verify(text, NOW)
    assert world.refused(text + "A") in {Refusal.MALFORMED, Refusal.SIGNATURE}
    assert world.refused(text[:-1]) in {Refusal.MALFORMED, Refusal.SIGNATURE}


def test_a_hit_still_honours_expiry_and_a_clock_that_went_back(
    world: World, signature_checks: list[str]
) -> None:
    text = token(nbf=SECONDS)
    end = HOUR + timedelta(seconds=60)
    first = world.verifier.verify(text, NOW)
    assert world.verifier.verify(text, NOW + end - SECOND) == first
    assert world.refused(text, end) is Refusal.EXPIRED
    assert world.refused(text, end + 300 * HOUR) is Refusal.EXPIRED
    assert world.verifier.verify(text, NOW - timedelta(seconds=60)) == first
    assert world.refused(text, -timedelta(seconds=61)) is Refusal.NOT_YET_VALID
    assert signature_checks


def test_a_hit_still_honours_a_removed_key(world: World) -> None:
    text = token(exp=SECONDS + 99_999)
    world.verifier.verify(text, NOW)
    world.one.jwks = {"keys": JWKS[1:]}
    assert world.verifier.verify(text, NOW + HOUR - SECOND).issuer == ONE
    assert world.refused(text, HOUR) is Refusal.UNKNOWN_KEY


def test_a_hit_still_honours_a_key_that_was_replaced_under_the_same_name(world: World) -> None:
    text = token(exp=SECONDS + 99_999)
    world.verifier.verify(text, NOW)
    world.one.jwks = {"keys": [{**JWKS[1], "kid": JWKS[0]["kid"]}]}
    assert world.refused(text, HOUR) is Refusal.SIGNATURE


def test_a_hit_still_honours_the_hard_age_of_the_set(world: World) -> None:
    text = token(exp=SECONDS + 999_999)
    world.verifier.verify(text, NOW)
    world.one.answer = Answer(status=500)
    assert world.verifier.verify(text, NOW + 24 * HOUR - SECOND).issuer == ONE
    with pytest.raises(KeySetUnavailableError):
        world.verifier.verify(text, NOW + 24 * HOUR)


def test_after_a_refresh_that_kept_the_key_a_token_is_checked_once_more(
    world: World, signature_checks: list[str]
) -> None:
    text = token(exp=SECONDS + 99_999)
    for after in (timedelta(), HOUR, HOUR + SECOND, HOUR + 2 * SECOND):
        assert world.verifier.verify(text, NOW + after).issuer == ONE
    assert signature_checks == ["RS256"] * 2
    assert world.one.fetches == 2


def test_another_configuration_knows_nothing_of_what_was_seen(world: World) -> None:
    world.verifier.verify(token(), NOW)
    with pytest.raises(InvalidTokenError) as error:
        world.trusting(TWO).verify(token(), NOW)
    assert error.value.code is Refusal.ISSUER


def test_a_refused_token_is_refused_again_for_the_same_reason(
    world: World, signature_checks: list[str]
) -> None:
    text = token(roles=[])
    assert [world.refused(text) for _ in range(2)] == [Refusal.ROLE] * 2
    assert signature_checks == ["RS256"] * 2


def test_the_tokens_unused_for_longest_are_forgotten_first(
    world: World, signature_checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "MOST_KEPT", 3)
    texts = [token(jti=str(number)) for number in range(4)]
    for number in (0, 1, 2, 0, 3):  # 1 is now unused for longest
        world.verifier.verify(texts[number], NOW)
    assert len(signature_checks) == 4
    for number in (0, 2, 3):
        world.verifier.verify(texts[number], NOW)
    assert len(signature_checks) == 4
    world.verifier.verify(texts[1], NOW)
    assert len(signature_checks) == 5


def test_no_more_tokens_are_kept_than_that(world: World, signature_checks: list[str]) -> None:
    assert 256 <= verifier.MOST_KEPT <= 4096
    texts = [token(EC_KEY, JWKS[2]["kid"], iss=TWO, jti=str(n)) for n in range(verifier.MOST_KEPT)]
    judge = world.trusting(TWO, algorithms=("ES256",))
    for text in (*texts, texts[0]):
        judge.verify(text, NOW)
    assert len(signature_checks) == len(texts)
    judge.verify(token(EC_KEY, JWKS[2]["kid"], iss=TWO, jti="one more"), NOW)
    judge.verify(texts[1], NOW)  # pushed out by the one more
    assert len(signature_checks) == len(texts) + 2


def test_it_can_be_shared_between_threads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "MOST_KEPT", 2)
    texts = [token(sub=f"subject-{number}") for number in range(4)]

    def judge(number: int) -> VerifiedClaims:
        return world.verifier.verify(texts[number % 4], NOW)

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(judge, range(400)))
    assert [each.subject for each in claims] == [f"subject-{n % 4}" for n in range(400)]
    assert world.one.fetches == 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda world: world.trusting(), "must be an issuer to trust"),
        (lambda world: world.trusting(ONE, ONE), "none of them twice"),
        (lambda world: world.trusting(ONE, algorithms=()), "must be some of RS256"),
        (lambda world: world.trusting(ONE, algorithms=("none",)), "must be some of RS256"),
        (lambda world: world.trusting(ONE, algorithms=("RS256", "HS256")), "must be some of"),
    ],
)
def test_a_verifier_that_trusts_nobody_or_anything_cannot_be_made(
    world: World, make: Callable[[World], Verifier], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        make(world)


def test_nothing_of_a_token_is_in_an_error(world: World) -> None:
    texts = [token(roles=[]), token(KEYS[1]), token(kid="secret-kid"), token(iss="secret-issuer")]
    for text in texts:
        with pytest.raises(InvalidTokenError) as error:
            world.verifier.verify(text, NOW)
        shown = repr(error.value) + str(error.value) + repr(error.value.__cause__)
        assert "secret" not in shown
        assert not [part for part in text.split(".") if part in shown]


def test_one_thread_at_a_time_changes_what_is_kept(world: World) -> None:
    first, second = token(), token(jti="another")
    world.verifier.verify(first, NOW)
    met: list[bool] = []

    class Watched(OrderedDict[bytes, Any]):
        def __setitem__(self, digest: bytes, seen: object) -> None:
            if not met:
                met.append(True)
                other = Thread(target=world.verifier.verify, args=(second, NOW))
                other.start()
                other.join(0.3)
                met.append(other.is_alive())
                waiting.append(other)
            super().__setitem__(digest, seen)

    waiting: list[Thread] = []
    world.verifier._seen = Watched()  # noqa: SLF001 - where two threads could meet
    world.verifier.verify(first, NOW)
    waiting[0].join()
    assert met == [True, True]


@pytest.mark.parametrize("name", ["algorithms", "denied_key_ids", "denied_token_ids"])
def test_a_string_is_no_list_of_what_is_allowed_or_denied(name: str) -> None:
    issuer = TrustedIssuer(
        expectations=Expectations(issuer="i", audiences=frozenset("a"), allow_any_client=True),
        keys=JwksClient(
            Location(issuer="i"), transport=transport.send, limits=Limits(), timeout=timedelta(1)
        ),
    )
    arguments: dict[str, Any] = {name: "RS256"}
    with pytest.raises(SettingsError, match="a string is none"):
        Verifier([issuer], **arguments)
