"""Tokens got, kept and renewed, over real HTTP from a server that verifies the assertions."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from machine_identity import jwk, transport
from machine_identity.client_assertion import Draft, SigningError, SigningKey
from machine_identity.errors import InvalidClientError, TokenRequestError
from machine_identity.http1 import Response
from machine_identity.providers import PROVIDERS, Client, custom
from machine_identity.token_source import (
    COOLDOWN,
    METADATA_LIFETIME,
    MOST_KEPT,
    PATIENCE,
    REQUEST_TIMEOUT,
    Fallback,
    Signer,
    TokenSource,
)
from tests.token_endpoint import ACCESS_TOKEN, HTML, Answer, TokenEndpoint

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = jwk.from_public_key(RSA.public_key(), "RS256")
KEY = SigningKey(
    kid=PUBLIC["kid"], algorithm="RS256", private_key=RSA, issuer="https://us.example"
)


class World:
    """A server, a clock that only sleeping and the test move, and the source under test."""

    def __init__(self, server: TokenEndpoint) -> None:
        self.server = server
        self.instant = START
        self.count = 0
        self.slept: list[float] = []
        self.timeouts: list[timedelta] = []
        self.on_request: Callable[[], None] = lambda: None
        self.signer: SigningKey | Refusing = KEY
        self.client = Client(
            name="default",
            provider=PROVIDERS["rfc10070"],
            authorization_server=server.url,
            client_id="client-1",
            scope="read",
        )
        self.previous: Signer | None = None
        self.fallbacks: list[int] = []
        """How many requests there were when each fallback was told of."""
        self.source = TokenSource(
            signer=self,
            transport=self.send,
            clock=self,
            sleep=self._sleep,
            fallback=Fallback(
                previous=self._may_sign_instead,
                told=lambda: self.fallbacks.append(len(server.forms)),
            ),
        )

    def now(self) -> datetime:
        self.server.now = self.instant
        return self.instant

    def unique(self) -> str:
        self.count += 1
        return f"jti-{self.count}"

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        return self.signer.sign(draft, now=now, jti=jti)

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: timedelta,
    ) -> Response:
        """Send for real; the timeout is noted, and shortened where the answer is to be late."""
        self.timeouts.append(timeout)
        self.on_request()
        is_late = body and self.server.scripted and self.server.scripted[0].delay
        real = timedelta(seconds=0.25) if is_late else timeout
        return transport.send(method, url, headers=headers, body=body, timeout=real)

    def _may_sign_instead(self, now: datetime) -> Signer | None:
        assert now == self.instant
        if isinstance(self.signer, Refusing):
            raise SigningError("there is no keyring yet")
        return self.previous

    def kids(self) -> list[str]:
        """Return by which key each request was signed, in order."""
        sent = [form["client_assertion"] for form in self.server.forms]
        return [str(jwt.get_unverified_header(each)["kid"]) for each in sent]

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.instant += timedelta(seconds=seconds)

    def get(self, scope: str = "read") -> str:
        return self.source.get(self.client, scope).value

    def refused(self, scope: str = "read") -> TokenRequestError:
        with pytest.raises(TokenRequestError) as refused:
            self.source.get(self.client, scope)
        return refused.value


class Refusing:
    """A signer that cannot."""

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:  # noqa: ARG002
        raise SigningError("kms:Sign failed: ThrottlingException")


@pytest.fixture
def world() -> Iterator[World]:
    with TokenEndpoint([PUBLIC]) as server:
        yield World(server)


def test_a_server_that_verifies_the_assertion_gives_a_token(world: World) -> None:
    assert world.get() == ACCESS_TOKEN
    assert world.server.claims[0]["jti"] == "jti-1"
    assert world.server.forms[0]["scope"] == "read"


def test_a_wrong_key_is_invalid_client_and_the_assertion_is_not_echoed(world: World) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    world.signer = replace(KEY, private_key=other)
    error = world.refused()
    assert isinstance(error, InvalidClientError)
    assert error.description.startswith("signature: BadSignatureError of …")
    assert not any(secret in str(error) for secret in world.server.secrets)
    assert len(world.server.forms) == 1


@pytest.mark.parametrize("separator", ["\n", " ", ", ", '" + "', "%0A "])
def test_an_assertion_that_is_echoed_in_pieces_is_not_repeated_either(
    world: World, separator: str
) -> None:
    world.server.echo = lambda assertion: separator.join(textwrap.wrap(assertion, 40))
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    world.signer = replace(KEY, private_key=other)
    assert world.refused().description == "…"


def test_an_assertion_for_another_audience_is_refused_by_the_stand_in_too(world: World) -> None:
    world.client = replace(world.client, provider=PROVIDERS["rfc7523"])
    assert isinstance(world.refused(), InvalidClientError)


def test_by_configuration_the_audience_is_the_token_endpoint(world: World) -> None:
    world.server.typ, world.server.audience = "JWT", f"{world.server.url}/token"
    world.client = replace(world.client, provider=PROVIDERS["rfc7523"])
    assert world.get() == ACCESS_TOKEN


def test_entra_by_federation_is_told_our_issuer_and_the_registered_subject(world: World) -> None:
    world.server.issuer, world.server.subject = "https://us.example", "machine-7"
    world.server.typ, world.server.audience = "JWT", "api://AzureADTokenExchange"
    entra = PROVIDERS["entra-federated"]
    world.client = replace(world.client, provider=entra, subject="machine-7")
    assert world.get() == ACCESS_TOKEN


# Kept and renewed


@pytest.mark.parametrize(
    ("lifetime", "at", "asked"),
    [
        (3600, 3539, 1),
        (3600, 3540, 2),
        (3600, 3600, 2),
        (3600, 10**7, 2),
        (100, 79, 1),
        (100, 80, 2),
    ],
)
def test_a_token_is_used_until_shortly_before_it_expires(
    world: World, lifetime: int, at: int, asked: int
) -> None:
    world.server.grants = {"expires_in": lifetime}
    world.get()
    world.instant += at * SECOND
    world.get()
    assert len(world.server.forms) == asked


def test_after_a_clock_went_back_no_token_is_trusted_to_be_young(world: World) -> None:
    world.get()
    world.instant -= SECOND
    world.get()
    assert len(world.server.forms) == 2


def test_each_client_and_scope_has_a_token_of_its_own(world: World) -> None:
    world.get("read")
    world.get("write")
    world.get("read")
    world.client = replace(world.client, name="other")
    world.get("read")
    assert [form["scope"] for form in world.server.forms] == ["read", "write", "read"]


def test_a_refusal_is_not_kept(world: World) -> None:
    assert world.refused("unknown").code == "invalid_scope"
    assert world.refused("unknown").code == "invalid_scope"
    assert len(world.server.forms) == 2


def test_no_more_tokens_are_kept_than_memory_is_granted_for(world: World) -> None:
    for number in range(MOST_KEPT + 1):
        world.get(f"scope-{number}")
    world.get(f"scope-{MOST_KEPT}")
    world.get("scope-1")
    assert len(world.server.forms) == MOST_KEPT + 1
    world.get("scope-0")
    assert len(world.server.forms) == MOST_KEPT + 2


def test_a_token_is_as_old_as_its_request_not_as_its_answer(world: World) -> None:
    def slow() -> None:
        world.instant += SECOND

    world.on_request = slow
    token = world.source.get(world.client, "read")
    assert token.issued_at == START + SECOND  # discovery took the first second
    assert token.expires_at == token.issued_at + 3600 * SECOND


# Discovery


def test_the_token_endpoint_is_looked_up_once_an_hour(world: World) -> None:
    world.get("a")
    world.instant += METADATA_LIFETIME - SECOND
    world.get("b")
    assert world.server.discoveries == 1
    world.instant += SECOND
    world.get("c")
    assert world.server.discoveries == 2


def test_after_a_clock_went_back_the_token_endpoint_is_looked_up_anew(world: World) -> None:
    world.get("a")
    world.instant -= SECOND
    world.get("b")
    assert world.server.discoveries == 2


def test_an_issuer_with_a_slash_at_its_end_is_discovered_and_compared_with_it(
    world: World,
) -> None:
    issuer = world.server.url + "/tenant/"
    world.client = replace(world.client, authorization_server=issuer)
    assert world.refused().code == "invalid_metadata"
    world.server.metadata, world.server.audience = {"issuer": issuer}, issuer
    assert world.get() == ACCESS_TOKEN


def test_metadata_of_another_issuer_gets_no_assertion(world: World) -> None:
    world.server.metadata = {"issuer": "https://evil.example"}
    assert world.refused().code == "invalid_metadata"
    assert world.server.forms == []


def test_a_token_endpoint_elsewhere_never_becomes_the_audience(world: World) -> None:
    world.server.metadata = {"token_endpoint": "https://victim.example/token"}
    world.client = replace(world.client, provider=PROVIDERS["rfc7523"])
    assert world.refused().code == "invalid_metadata"
    assert world.count == 0


def test_a_token_endpoint_elsewhere_is_used_where_the_audience_is_the_issuer(
    world: World,
) -> None:
    with TokenEndpoint([PUBLIC]) as elsewhere:
        elsewhere.audience = world.server.url
        world.server.metadata = {"token_endpoint": f"{elsewhere.url}/token"}
        assert world.get() == ACCESS_TOKEN


def test_a_discovery_document_that_is_late_is_asked_for_again(world: World) -> None:
    world.server.metadata_scripted.append(Answer(status=503, body=HTML))
    assert world.get() == ACCESS_TOKEN
    assert world.server.discoveries == 2


# Tried again


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=0),
        Answer(status=429, body=HTML),
        Answer(status=500, body={"error": "server_error"}),
        Answer(status=503, body=HTML),
        Answer(delay=0.5),
    ],
    ids=["closed", "429", "500", "503", "too slow"],
)
def test_a_passing_fault_is_got_over_with_a_new_assertion(world: World, answer: Answer) -> None:
    world.server.scripted.append(answer)
    assert world.get() == ACCESS_TOKEN
    assertions = [form["client_assertion"] for form in world.server.forms]
    assert len(set(assertions)) == 2
    assert world.server.claims[-1]["jti"] == "jti-2"
    assert world.slept == [0.2]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(status=0), "temporarily_unavailable"),
        (Answer(status=500, body=HTML), "server_error"),
        (Answer(status=503, body=HTML), "temporarily_unavailable"),
        (Answer(status=503, body={"error": "temporarily_unavailable"}), "temporarily_unavailable"),
    ],
)
def test_a_fault_that_stays_is_given_up_after_three_attempts(
    world: World, answer: Answer, code: str
) -> None:
    world.server.scripted.extend([answer] * 4)
    assert world.refused().code == code
    assert (len(world.server.forms), world.slept) == (3, [0.2, 1.0])


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(status=400, body={"error": "invalid_scope"}), "invalid_scope"),
        (Answer(status=401, body={"error": "invalid_client"}), "invalid_client"),
        (Answer(status=200, body=HTML), "invalid_response"),
        (Answer(status=302, headers={"location": "https://evil.example"}), None),
        (Answer(status=404, body=HTML), "invalid_response"),
    ],
)
def test_a_refusal_and_a_page_are_final(world: World, answer: Answer, code: str | None) -> None:
    world.server.scripted.append(answer)
    if code is None:  # a redirect is no answer: it is tried again, and never followed
        assert world.get() == ACCESS_TOKEN
    else:
        assert world.refused().code == code
        assert len(world.server.forms) == 1


def test_a_server_that_is_not_there_is_temporarily_unavailable(world: World) -> None:
    with TokenEndpoint([]) as gone:
        url = gone.url
    world.client = replace(world.client, authorization_server=url)
    error = world.refused()
    assert (error.code, error.description) == (
        "temporarily_unavailable",
        "no answer from 127.0.0.1: ConnectionRefusedError",
    )


@pytest.mark.parametrize(("asked", "slept"), [("2", 2.0), ("0", 0.2), ("soon", 0.2), ("-5", 0.2)])
def test_a_server_that_says_when_to_come_back_is_not_asked_before(
    world: World, asked: str, slept: float
) -> None:
    world.server.scripted.append(Answer(status=429, headers={"retry-after": asked}))
    world.get()
    assert world.slept == [slept]


@pytest.mark.parametrize("asked", ["15", "86400"])
def test_a_server_that_wants_to_be_left_alone_for_long_is_not_waited_for(
    world: World, asked: str
) -> None:
    world.server.scripted.append(Answer(status=503, headers={"retry-after": asked}))
    assert world.refused().code == "temporarily_unavailable"
    assert world.slept == []


def test_all_attempts_together_end_within_the_patience(world: World) -> None:
    def slow() -> None:
        world.instant += REQUEST_TIMEOUT

    world.on_request = slow
    world.server.scripted.extend([Answer(status=503, headers={"retry-after": "3"})] * 3)
    assert world.refused().code == "temporarily_unavailable"
    assert world.timeouts == [5 * SECOND, 5 * SECOND, 2 * SECOND]
    assert world.timeouts[-1] + 2 * REQUEST_TIMEOUT + 3 * SECOND == PATIENCE


def test_when_the_lookup_used_the_time_up_no_token_is_asked_for(world: World) -> None:
    def very_slow() -> None:
        world.instant += PATIENCE

    world.on_request = very_slow
    error = world.refused()
    assert (error.code, error.description) == (
        "temporarily_unavailable",
        "the time for this request is used up",
    )
    assert world.server.forms == []


# Signing


def test_a_signer_that_cannot_sign_is_temporarily_unavailable(world: World) -> None:
    world.signer = Refusing()
    error = world.refused()
    assert (error.code, error.description) == (
        "temporarily_unavailable",
        "kms:Sign failed: ThrottlingException",
    )


def test_a_key_that_the_provider_does_not_take_is_a_misconfiguration(world: World) -> None:
    world.client = replace(world.client, provider=PROVIDERS["entra-federated"])
    world.signer = replace(KEY, algorithm="RS384")
    assert world.refused().code == "misconfigured"
    assert world.server.forms == []


# Rule 9


OLD = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OLD_PUBLIC = jwk.from_public_key(OLD.public_key(), "RS256")
PREVIOUS = replace(KEY, kid=OLD_PUBLIC["kid"], private_key=OLD)


@pytest.fixture
def stale(world: World) -> World:
    """A world whose server knows the previous key only."""
    world.server.keys[:] = [OLD_PUBLIC]
    world.previous = PREVIOUS
    return world


def test_rule_9_when_the_active_key_is_refused_the_previous_one_signs_anew(stale: World) -> None:
    assert stale.get() == ACCESS_TOKEN
    assert stale.kids() == [KEY.kid, PREVIOUS.kid]
    assert stale.server.claims[-1]["jti"] == "jti-2"
    assert stale.fallbacks == [2]


def test_rule_9_an_error_that_means_an_unknown_key_at_the_provider_is_a_refusal_too(
    stale: World,
) -> None:
    unknown_key = Answer(status=400, body={"error": "invalid_request"})
    stale.server.scripted.append(unknown_key)
    assert stale.refused().code == "invalid_request"
    own = {"like": "rfc10070", "key_unknown": ["invalid_client", "invalid_request"]}
    stale.client = replace(stale.client, provider=custom("own", own, PROVIDERS))
    stale.server.scripted.append(unknown_key)
    assert stale.get() == ACCESS_TOKEN
    assert stale.kids()[-1] == PREVIOUS.kid


def test_rule_9_a_token_of_the_previous_key_is_kept_like_any_other(stale: World) -> None:
    stale.get()
    stale.get()
    assert (len(stale.kids()), stale.fallbacks) == (2, [2])


def test_rule_9_the_previous_key_is_asked_only_when_the_active_one_is_refused(
    world: World,
) -> None:
    world.previous = PREVIOUS
    assert world.get() == ACCESS_TOKEN
    assert world.refused("unknown").code == "invalid_scope"
    world.server.scripted.extend([Answer(status=503, body=HTML)] * 3)
    assert world.refused("other").code == "temporarily_unavailable"
    assert set(world.kids()) == {KEY.kid}
    assert world.fallbacks == []


def test_rule_9_without_a_previous_key_the_refusal_is_final(stale: World) -> None:
    stale.previous = None
    assert isinstance(stale.refused(), InvalidClientError)
    assert stale.kids() == [KEY.kid]


@pytest.mark.parametrize(
    ("late", "kids"),
    [
        (timedelta(), [PREVIOUS.kid]),
        (COOLDOWN - SECOND, [PREVIOUS.kid]),
        (COOLDOWN, [KEY.kid, PREVIOUS.kid]),
        (timedelta(days=3), [KEY.kid, PREVIOUS.kid]),
        (-SECOND, [KEY.kid, PREVIOUS.kid]),
    ],
)
def test_rule_9_for_a_cooldown_the_previous_key_comes_first_then_the_active_one_again(
    stale: World, late: timedelta, kids: list[str]
) -> None:
    stale.get("a")
    stale.instant += late
    stale.get("b")
    assert stale.kids()[2:] == kids
    assert len(stale.fallbacks) == 2


def test_rule_9_what_is_signed_in_the_cooldown_does_not_prolong_it(stale: World) -> None:
    stale.get("a")
    stale.instant += COOLDOWN - SECOND
    stale.get("b")
    stale.instant += SECOND
    stale.get("c")
    assert stale.kids()[3:] == [KEY.kid, PREVIOUS.kid]


def test_rule_9_in_the_cooldown_the_active_key_is_asked_when_the_previous_is_refused(
    stale: World,
) -> None:
    stale.get("a")
    stale.server.keys[:] = [PUBLIC]
    assert stale.get("b") == ACCESS_TOKEN
    assert stale.kids()[2:] == [PREVIOUS.kid, KEY.kid]
    assert stale.fallbacks == [2]


def test_rule_9_in_the_cooldown_a_previous_key_that_cannot_sign_is_no_reason_to_refuse(
    stale: World,
) -> None:
    stale.get("a")

    stale.previous = Refusing()
    stale.server.keys[:] = [PUBLIC]
    assert stale.get("b") == ACCESS_TOKEN
    assert stale.kids()[-1] == KEY.kid


def test_rule_9_when_both_are_refused_the_first_error_is_told(stale: World) -> None:
    stale.server.scripted.extend(
        Answer(status=401, body={"error": "invalid_client", "error_description": text})
        for text in ("the first", "the second")
    )
    error = stale.refused()
    assert (error.code, error.description) == ("invalid_client", "the first")
    assert error.__suppress_context__
    assert (len(stale.kids()), stale.fallbacks) == (2, [])
    stale.get()
    assert stale.kids()[2:] == [KEY.kid, PREVIOUS.kid]


@pytest.mark.parametrize(("status", "asked"), [(500, 4), (400, 2)])
def test_rule_9_a_previous_key_that_cannot_help_leaves_the_first_error(
    stale: World, status: int, asked: int
) -> None:
    other = Answer(status=status, body={"error": "server_error"})
    stale.server.scripted.extend([Answer(status=401, body={"error": "invalid_client"}), other])
    stale.server.scripted.extend([other] * (asked - 2))
    assert stale.refused().code == "invalid_client"
    assert (len(stale.kids()), stale.fallbacks) == (asked, [])


def test_rule_9_a_previous_key_that_cannot_sign_leaves_the_first_error(stale: World) -> None:
    stale.previous = Refusing()
    assert isinstance(stale.refused(), InvalidClientError)
    assert (stale.kids(), stale.fallbacks) == ([KEY.kid], [])


def test_rule_9_both_keys_together_end_within_the_patience(stale: World) -> None:
    def slow() -> None:
        stale.instant += PATIENCE / 2

    stale.on_request = slow
    assert stale.refused().code == "invalid_client"
    assert stale.kids() == [KEY.kid]


# Rule 2


def test_rule_2_a_proof_gets_a_token_by_that_very_key_and_keeps_nothing(world: World) -> None:
    world.server.keys.append(OLD_PUBLIC)
    world.source.prove(world.client, PREVIOUS)
    world.source.prove(world.client, PREVIOUS)
    assert world.kids() == [PREVIOUS.kid] * 2
    assert world.server.forms[0]["scope"] == world.client.scope
    world.get()
    assert world.kids()[2:] == [KEY.kid]


def test_rule_2_a_refused_proof_falls_back_to_nobody(world: World) -> None:
    world.previous = KEY
    with pytest.raises(InvalidClientError):
        world.source.prove(world.client, PREVIOUS)
    assert world.kids() == [PREVIOUS.kid]
    assert world.fallbacks == []
