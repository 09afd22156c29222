"""What a provider that misbehaves costs: counted, on real sockets, while simulated hours pass.

Who waits is told by who asks: one call at a time is made here, so a call in which nothing was
asked has waited for nobody.
"""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import cycle, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from machine_identity import jwk, transport
from machine_identity.access_token import Expectations
from machine_identity.errors import InvalidTokenError, KeySetUnavailableError
from machine_identity.http1 import Response
from machine_identity.jwks_cache import Limits
from machine_identity.jwks_client import JwksClient, Location
from machine_identity.verifier import TrustedIssuer, Verifier
from tests.authority import LOOPBACK, Authority
from tests.providers import misbehaving
from tests.providers.misbehaving import Provider, Script, in_turn

type Trust = Callable[[x509.GeneralName], ssl.SSLContext]

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=count) for count in (1, 60, 3600, 86400))
COOLDOWN = Limits().cooldown
LONGEST_PAUSE = 5 * MINUTE
ISSUER = "https://issuer.example"
PRIVATE = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]
KEYS = [jwk.from_public_key(key.public_key(), "ES256") for key in PRIVATE]
PUBLIC = [key.public_key() for key in PRIVATE]
KIDS = [key["kid"] for key in KEYS]
SET = {"keys": KEYS[:3]}
SWAPPED = {"keys": [{**KEYS[(n + 1) % 3], "kid": KIDS[n]} for n in range(3)]}
"""Each name with another one's key."""
RANDOM: Final = 10_000
STEP = timedelta(seconds=0.1)
"""Between two tokens with random kids."""
WRONG_NAME = "TLS with a wrong name"
SHORT = timedelta(seconds=0.2)
"""What a call has left where nobody answers in time."""


def token(number: int, private: int | None = None, **claims: Any) -> str:
    """A token that names the key of that number, signed by it or by another one."""
    members = {
        "iss": ISSUER,
        "aud": "api://uppercase",
        "exp": int((NOW + 9 * DAY).timestamp()),
        "sub": "subject-1",
        "client_id": "client-1",
        **claims,
    }
    key = PRIVATE[number if private is None else private]
    return jwt.encode(members, key, "ES256", headers={"kid": KIDS[number]})


def made_up(number: int) -> str:
    """A token with a random kid; its signature is none, and nobody comes to look at it."""
    _, claims, signature = TEMPLATE.split(".")
    header = json.dumps({"alg": "ES256", "kid": f"random-{number}"}).encode()
    return f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.{claims}.{signature}"


TEMPLATE = token(0)
FLOOD = [made_up(number) for number in range(RANDOM)]
SEEN = [token(number) for number in range(3)]
FORGED = [token(number, (number + 1) % 3) for number in range(3)]
"""Good where the provider's keys are swapped, and nowhere else."""


class World:
    """A verifier of one issuer, whose fetches are counted by the call in which they fall."""

    def __init__(self, provider: Provider, chances: Callable[[], float] = lambda: 0) -> None:
        self.provider = provider
        self.now = NOW
        self.calls = 0
        self.asked: list[tuple[int, datetime]] = []
        """The call and the instant of each fetch."""
        self.patience: timedelta | None = None
        keys = JwksClient(
            Location(issuer=ISSUER, jwks_uri=provider.jwks_uri),
            transport=self._send,
            limits=Limits(),
            timeout=timedelta(seconds=5),
            chance=chances,
        )
        expectations = Expectations(
            issuer=ISSUER, audiences=frozenset({"api://uppercase"}), allow_any_client=True
        )
        trusted = TrustedIssuer(expectations=expectations, keys=keys)
        self.verifier = Verifier([trusted], algorithms=("ES256",))

    def _send(self, method: str, url: str, **rest: Any) -> Response:
        self.asked.append((self.calls, self.now))
        return transport.send(method, url, **rest)

    def decision(self, text: str) -> str:
        """What becomes of a token: ``allowed``, why not, or ``unavailable``."""
        self.calls += 1
        try:
            self.verifier.verify(text, self.now, patience=self.patience)
        except InvalidTokenError as refused:
            return refused.code.value
        except KeySetUnavailableError:
            return "unavailable"
        return "allowed"

    @property
    def fetches(self) -> int:
        """How many there were, by both sides' account; no call made two."""
        assert len({call for call, _ in self.asked}) == len(self.asked) == self.provider.asked
        return len(self.asked)

    @property
    def gaps(self) -> list[timedelta]:
        """The times between two fetches."""
        return [after - before for (_, before), (_, after) in pairwise(self.asked)]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(SET) as provider:
        yield provider


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trust:
    """Return what makes servers that can prove a name to this process."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(transport, "_contexts", [])
    return lambda name: authority.context(name, tmp_path)


UNANSWERED: dict[str, Script] = {
    "slow": misbehaving.slow,
    "hanging": misbehaving.hanging,
    "dripping": misbehaving.dripping,
}
FAILING: dict[str, Script] = {
    **UNANSWERED,
    "hanging up": misbehaving.hanging_up,
    "500": misbehaving.status(500),
    "404": misbehaving.status(404),
    "html": misbehaving.html,
    "10 MB": misbehaving.huge,
    "truncated JSON": misbehaving.truncated,
    "broken off": misbehaving.broken_off,
    "redirect loop": misbehaving.redirect_loop,
    WRONG_NAME: misbehaving.good,  # after a handshake that nobody finishes
}
FLAPPING: dict[str, Script] = {
    "flapping": in_turn(misbehaving.status(500), misbehaving.good),
    "flapping sets": in_turn(misbehaving.other_keys({"keys": KEYS[3:]}), misbehaving.good),
    "flapping names": in_turn(misbehaving.other_keys(SWAPPED), misbehaving.good),
    "now and then empty": in_turn(misbehaving.without_a_key, misbehaving.good),
}


def misbehave(provider: Provider, name: str, trust: Trust) -> None:
    """Let the provider do what has that name from here on."""
    provider.script = {**FAILING, **FLAPPING}[name]
    if name == WRONG_NAME:
        provider.context = trust(x509.DNSName("other.example"))


def begun(provider: Provider, name: str, trust: Trust) -> World:
    """A world that has the key set, an hour after; from here on the provider misbehaves."""
    if name == WRONG_NAME:
        provider.context = trust(LOOPBACK)
    world = World(provider, cycle([0, 0.3, 0.9, 0.6]).__next__)
    assert [world.decision(text) for text in SEEN] == ["allowed"] * 3
    assert world.fetches == 1
    misbehave(provider, name, trust)
    world.now = NOW + HOUR
    world.patience = SHORT if name in UNANSWERED else None
    return world


@pytest.mark.parametrize("name", [*FAILING, *FLAPPING])
def test_a_busy_function_decides_rightly_and_asks_no_more_than_the_cooldown_allows(
    provider: Provider, name: str, trust: Trust, record_property: Callable[[str, object], None]
) -> None:
    world = begun(provider, name, trust)
    for number, text in enumerate(FLOOD):
        world.now = NOW + HOUR + number * STEP
        assert world.decision(text) in {"unknown_key", "unavailable"}
        if number % 10 == 0:
            known = number // 10 % 3
            good = token(known, jti=str(number)) if number % 100 == 0 else SEEN[known]
            assert world.decision(good) == "allowed"
            assert world.decision(FORGED[known]) == "signature"
    fetches = world.fetches - 1
    allowed = int(RANDOM * STEP / COOLDOWN) + 1
    assert 3 <= fetches <= (most_attempts(RANDOM * STEP) if name in FAILING else allowed)
    assert min(world.gaps) >= COOLDOWN
    record_property(
        "counted",
        f"{RANDOM} random kids in {RANDOM * STEP}: {fetches} fetches of {allowed} allowed, "
        f"all 1000 known tokens allowed, all 1000 forged refused; {theirs(name, trust)}",
    )


def most_attempts(duration: timedelta) -> int:
    """How many there can be if all fail and chance makes every pause as short as it can."""
    attempts, at, pause = 0, timedelta(), 2 * COOLDOWN
    while at < duration:
        attempts += 1
        at += min(pause, LONGEST_PAUSE) / 2
        pause *= 2
    return attempts


def theirs(name: str, trust: Trust) -> str:
    """What PyJWT's client does under the same load, broken off where that is beyond comparison."""
    if name == "dripping":
        return "PyJWKClient not tried, its time-out begins anew with every byte"
    asked = found = 0
    with Provider(SET) as provider, PyJwt(provider, name, trust) as client:
        most = 5 if name in UNANSWERED else 100
        for number in range(RANDOM):
            client.seconds = (HOUR + number * STEP).total_seconds()
            client.key(f"random-{number}")
            if number % 10 == 0:
                asked += 1
                found += client.key(KIDS[known := number // 10 % 3]) == PUBLIC[known]
            if provider.asked - 1 >= most:
                break
        end = "" if number == RANDOM - 1 else f", broken off after {number + 1} kids"
        fetches = provider.asked - 1
    return f"PyJWKClient {fetches} fetches{end}, {found} of {asked} known keys found"


class PyJwt:
    """PyJWKClient as it comes, but for the clock and a time-out as short as ours."""

    def __init__(self, provider: Provider, name: str, trust: Trust) -> None:
        self.seconds = 0.0
        self._patch = pytest.MonkeyPatch()
        self._provider, self._name, self._trust = provider, name, trust
        if name == WRONG_NAME:
            provider.context = trust(LOOPBACK)
        self._client = jwt.PyJWKClient(
            provider.jwks_uri,
            timeout=SHORT.total_seconds(),
            ssl_context=ssl.create_default_context(),
        )

    def __enter__(self) -> Self:
        clock = SimpleNamespace(monotonic=lambda: self.seconds)
        for module in ("jwks_client", "jwk_set_cache", "api_jwk"):
            self._patch.setattr(f"jwt.{module}.time", clock)
        assert self.key(KIDS[0]) == PUBLIC[0]
        misbehave(self._provider, self._name, self._trust)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def key(self, kid: str) -> object:
        """The key of that name, or None if an error says otherwise."""
        try:
            return self._client.get_signing_key(kid).key
        except (jwt.PyJWTError, OSError, ValueError):
            return None


@pytest.mark.parametrize("name", FAILING)
def test_in_a_rarely_called_function_one_call_in_a_back_off_period_asks_and_no_other(
    provider: Provider, name: str, trust: Trust
) -> None:
    world = begun(provider, name, trust)
    for minute in range(40):
        world.now = NOW + HOUR + minute * MINUTE
        before = world.fetches
        assert world.decision(SEEN[minute % 3]) == "allowed"
        asked_in_the_first_call = world.fetches - before
        assert world.decision(token(minute % 3, jti=str(minute))) == "allowed"
        assert world.decision(FORGED[minute % 3]) == "signature"
        assert world.decision(FLOOD[minute]) == "unavailable"
        assert world.fetches - before == asked_in_the_first_call <= 1
    _, *gaps = world.gaps
    assert len(gaps) >= 7
    for failures, gap in enumerate(gaps, 1):
        pause = min(COOLDOWN * 2**failures, LONGEST_PAUSE)
        assert pause / 2 <= gap < pause + 2 * MINUTE


def test_a_function_that_is_called_every_ten_minutes_goes_on_until_the_hard_age_and_then_recovers(
    provider: Provider, trust: Trust
) -> None:
    world = begun(provider, "500", trust)
    while world.now < NOW + DAY + HOUR:
        expected = "allowed" if world.now < NOW + DAY else "unavailable"
        assert world.decision(SEEN[0]) == expected
        assert world.decision(FORGED[0]) == ("signature" if expected == "allowed" else expected)
        world.now += 10 * MINUTE
    assert world.fetches > 140
    provider.script = misbehaving.good
    assert world.decision(SEEN[0]) == "allowed"
    assert world.decision(FLOOD[0]) == "unknown_key"


@pytest.mark.parametrize("every", [SECOND, 10 * MINUTE])
def test_keys_that_are_swapped_for_good_count_when_the_set_comes_a_second_time(
    provider: Provider, every: timedelta
) -> None:
    world = World(provider)
    assert [world.decision(text) for text in SEEN] == ["allowed"] * 3
    provider.script = misbehaving.other_keys(SWAPPED)
    world.now = NOW + HOUR
    while world.now <= NOW + HOUR + max(COOLDOWN + SECOND, every):
        known = [world.decision(text) for text in SEEN]
        forged = [world.decision(text) for text in FORGED]
        is_taken = world.fetches == 3
        assert known == ["signature" if is_taken else "allowed"] * 3
        assert forged == ["allowed" if is_taken else "signature"] * 3
        world.now += every
    assert is_taken
    assert COOLDOWN <= world.gaps[-1] <= max(COOLDOWN + SECOND, every)


@pytest.mark.parametrize("every", [SECOND, 10 * MINUTE])
def test_keys_that_are_all_replaced_serve_at_once_and_the_old_ones_until_the_second_set(
    provider: Provider, every: timedelta
) -> None:
    world, new = World(provider), token(3)
    assert [world.decision(text) for text in SEEN] == ["allowed"] * 3
    provider.script = misbehaving.other_keys({"keys": KEYS[3:]})
    world.now = NOW + HOUR
    while world.now <= NOW + HOUR + max(COOLDOWN + SECOND, every):
        known = [world.decision(text) for text in SEEN]
        assert known == ["unknown_key" if world.fetches == 3 else "allowed"] * 3
        assert world.decision(new) == "allowed"
        world.now += every
    assert world.fetches == 3


def test_an_ordinary_removal_counts_with_the_first_refresh(provider: Provider) -> None:
    world = World(provider)
    assert [world.decision(text) for text in SEEN] == ["allowed"] * 3
    provider.jwks = {"keys": KEYS[1:3]}
    world.now = NOW + HOUR - SECOND
    assert world.decision(SEEN[0]) == "allowed"
    world.now = NOW + HOUR
    assert [world.decision(text) for text in SEEN] == ["unknown_key", "allowed", "allowed"]
    assert world.fetches == 2


@pytest.mark.parametrize("name", UNANSWERED)
def test_while_one_call_waits_all_others_decide_about_known_keys_and_none_asks_too(
    provider: Provider, name: str, trust: Trust
) -> None:
    world = begun(provider, name, trust)
    world.patience = 2 * SECOND if name == "hanging" else None
    with ThreadPoolExecutor(5) as pool:
        waiting = pool.submit(world.decision, SEEN[0])
        while provider.asked < 2:
            threading.Event().wait(0.01)
        others = [pool.submit(world.decision, token(n % 3, jti=str(n))) for n in range(200)]
        assert {each.result() for each in others} == {"allowed"}
        assert not waiting.done()
        provider.gone.set()  # what hangs hangs up, what is slow is quick
        assert waiting.result() == "allowed"
    assert provider.asked == 2
