"""Asks for an access token: discovery, assertion, request, retries, and the previous key.

A request that failed on the way, or that the server was too busy for, is made again after a
pause, each time with a new assertion: a server that saw the first one refuses its ``jti``. A
refusal is final. All of it ends within ``PATIENCE``.

Rule 9: when an assertion is refused and the previous key may still sign, another is signed with
that one. If it is taken, the previous key comes first for ``COOLDOWN``, so that not every token
costs two requests; then the right one is tried again. If neither is, the first error is told.

Threads may ask at once: all that they share is which endpoint was discovered, and when the
previous key was needed, and whoever writes last of these is as right as any other. It signs
nothing itself (see ``Signer``), keeps no token and knows no settings.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from machine_identity.client_assertion import Draft, SigningError
from machine_identity.client_credentials import (
    DISCOVERY_PATH,
    AccessToken,
    Failure,
    is_passing,
    is_same_origin,
    process_metadata,
    process_response,
    token_request,
)
from machine_identity.errors import (
    InvalidClientError,
    SettingsError,
    TokenRequestError,
    TransportError,
)
from machine_identity.http1 import Response
from machine_identity.providers import Audience, Client
from machine_identity.transport import Transport

PATIENCE: Final = timedelta(seconds=15)
"""How long a token may take to get, all attempts and pauses together; KMS's time comes on top."""
REQUEST_TIMEOUT: Final = timedelta(seconds=5)
PAUSES: Final = (timedelta(milliseconds=200), timedelta(seconds=1))
"""Before the second and the third attempt; there is no fourth."""
METADATA_LIFETIME: Final = timedelta(hours=1)
COOLDOWN: Final = timedelta(minutes=5)
"""How long the previous key comes first once it was needed (rule 9)."""
MOST_KEPT: Final = 256
"""Of tokens, and of discovery documents: callers choose scopes, and memory is not theirs."""


class Signer(Protocol):
    """Signs assertions, with the key that it holds to be the right one at ``now``."""

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Return the assertion. Raises SigningError, or SettingsError if it can never work."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Rule 9: who signs when the right key is refused, and who is told of it."""

    previous: Callable[[datetime], Signer | None]
    """Who may sign instead at an instant, if anybody. Raises SigningError."""
    told: Callable[[], None]
    """Called for each token that the previous key brought, when it is in hand."""


class Clock(Protocol):
    """Time and identifiers; the module ``clock`` is one."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...

    def unique(self) -> str:
        """Return an identifier never used before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exchange:
    asked_at: datetime
    sent: bytes = field(repr=False)
    response: Response


class Asker:
    """Gets access tokens for any number of clients of one signer, each asked for anew."""

    def __init__(
        self,
        *,
        signer: Signer,
        transport: Transport,
        clock: Clock,
        sleep: Callable[[float], None],
        fallback: Fallback | None,
    ) -> None:
        self._signer = signer
        self._fallback = fallback
        self._fell_back_at: datetime | None = None
        self._transport = transport
        self._clock = clock
        self._sleep = sleep
        self._endpoints: dict[str, tuple[datetime, str]] = {}

    def prove(self, client: Client, signer: Signer) -> None:
        """Get a token with an assertion of that signer, and drop it. Raises TokenRequestError."""
        self._asked(client, client.scope, signer, self._clock.now() + PATIENCE)

    def ask(self, client: Client, scope: str, now: datetime) -> AccessToken:
        """Return a new token for ``scope``. Raises TokenRequestError."""
        deadline, previous = now + PATIENCE, self._previous(now)
        if self._fallback is None or previous is None:
            return self._asked(client, scope, self._signer, deadline)
        is_cooling_down = self._is_cooling_down(now)
        order = (previous, self._signer) if is_cooling_down else (self._signer, previous)
        # The active key is the rule and the previous one an exception, which may not last.
        goes_on = TokenRequestError if is_cooling_down else InvalidClientError
        token, signer = self._asked_in_turn(client, scope, order, deadline, goes_on)
        if signer is previous:
            self._fell_back_at = self._fell_back_at if is_cooling_down else now
            self._fallback.told()
        return token

    def _asked_in_turn(
        self,
        client: Client,
        scope: str,
        order: tuple[Signer, Signer],
        deadline: datetime,
        goes_on: type[TokenRequestError],
    ) -> tuple[AccessToken, Signer]:
        """Ask with the first, and after an error of that kind with the second."""
        first, second = order
        try:
            return self._asked(client, scope, first, deadline), first
        except goes_on as refused:
            try:
                return self._asked(client, scope, second, deadline), second
            except TokenRequestError:
                raise refused from None

    def _previous(self, now: datetime) -> Signer | None:
        try:
            return None if self._fallback is None else self._fallback.previous(now)
        except SigningError:
            return None  # who signs first meets the same fault, and tells it

    def _is_cooling_down(self, now: datetime) -> bool:
        at = self._fell_back_at
        return at is not None and timedelta() <= now - at < COOLDOWN

    def _asked(
        self, client: Client, scope: str, signer: Signer, deadline: datetime
    ) -> AccessToken:
        endpoint = self._token_endpoint(client, deadline)

        def ask(now: datetime) -> _Request:
            assertion = self._signed(signer, client.draft(endpoint), now)
            headers, body = token_request(
                client_id=client.client_id, scope=scope, assertion=assertion
            )
            return _Request(method="POST", url=endpoint, headers=headers, body=body)

        answer = self._exchange(ask, deadline)
        try:
            return _processed(answer, scope)
        except TokenRequestError as error:
            if error.code not in client.provider.key_unknown:
                raise
            raise InvalidClientError(error.code, error.description) from None

    def _signed(self, signer: Signer, draft: Draft, now: datetime) -> str:
        try:
            return signer.sign(draft, now=now, jti=self._clock.unique())
        except SigningError as error:
            raise TokenRequestError(Failure.TEMPORARILY_UNAVAILABLE, str(error)) from error
        except SettingsError as error:
            raise TokenRequestError(Failure.MISCONFIGURED, str(error)) from error

    def _token_endpoint(self, client: Client, deadline: datetime) -> str:
        issuer, now = client.authorization_server, self._clock.now()
        read_at, endpoint = self._endpoints.get(issuer, (None, ""))
        if read_at is None or not timedelta() <= now - read_at < METADATA_LIFETIME:
            endpoint = self._discovered(issuer, deadline)
            keep(self._endpoints, issuer, (now, endpoint))
        pinned = client.provider.audience is not Audience.TOKEN_ENDPOINT
        # As audience, an endpoint of another's choosing would make the assertion good elsewhere.
        if not pinned and not is_same_origin(endpoint, issuer):
            raise TokenRequestError(
                Failure.INVALID_METADATA, "the token endpoint is not on the issuer's own host"
            )
        return endpoint

    def _discovered(self, issuer: str, deadline: datetime) -> str:
        url = issuer.removesuffix("/") + DISCOVERY_PATH
        request = _Request(method="GET", url=url, headers={"accept": "application/json"})
        response = self._exchange(lambda _: request, deadline).response
        return process_metadata(response.status, response.body, issuer=issuer)

    def _exchange(self, ask: Callable[[datetime], _Request], deadline: datetime) -> _Exchange:
        """Ask until there is an answer that a repetition would not better."""
        pauses = iter(PAUSES)
        while True:
            asked_at = self._clock.now()
            request = ask(asked_at)
            outcome = self._attempt(request, deadline)
            wait = _wait(outcome, next(pauses, None))
            if wait is None or self._clock.now() + wait >= deadline:
                break
            self._sleep(wait.total_seconds())
        if isinstance(outcome, TransportError):
            raise TokenRequestError(Failure.TEMPORARILY_UNAVAILABLE, str(outcome)) from outcome
        return _Exchange(asked_at=asked_at, sent=request.body or b"", response=outcome)

    def _attempt(self, request: _Request, deadline: datetime) -> Response | TransportError:
        left = deadline - self._clock.now()
        if left <= timedelta():
            return TransportError("the time for this request is used up")
        try:
            return self._transport(
                request.method,
                request.url,
                headers=request.headers,
                body=request.body,
                timeout=min(left, REQUEST_TIMEOUT),
            )
        except TransportError as error:
            return error


def _processed(answer: _Exchange, scope: str) -> AccessToken:
    response = answer.response
    return process_response(
        response.status,
        response.body,
        requested_scope=scope,
        now=answer.asked_at,
        sent=answer.sent,
    )


def _wait(outcome: Response | TransportError, pause: timedelta | None) -> timedelta | None:
    """Return after how long to ask again, never before a server's own ``Retry-After``; or None."""
    if pause is None or isinstance(outcome, TransportError):
        return pause
    if not is_passing(outcome.status):
        return None
    asked = outcome.headers.get("retry-after", "")
    known = asked.isascii() and asked.isdigit() and len(asked) <= 6  # noqa: PLR2004 - eleven days
    return max(pause, timedelta(seconds=int(asked))) if known else pause


def keep[Key, Value](kept: dict[Key, Value], key: Key, value: Value) -> None:
    """Remember ``value``, and forget the oldest beyond ``MOST_KEPT``."""
    kept.pop(key, None)
    while len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value
