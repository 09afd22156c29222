"""Access tokens kept, renewed and shared (steps 1, 2, 7 and 8).

1. A token is kept in memory until shortly before it expires. A refusal by the authorization
   server is not kept: the next call asks anew.
2. However many threads want the token of one client and scope at once, one of them asks and the
   others wait for what it gets, an error too (single flight).
3. Told how to work ahead (``Ahead``), it renews a token beside its callers, at a moment between
   three and four fifths of its life that chance chooses, so that many programs that were started
   together do not ask together. Nobody waits as long as the old token is good, and a renewal that
   fails is tried again after a pause. Lambda freezes a process between two calls, and with it
   whatever goes on beside them: the token function does not work ahead.
4. A token that an API refused is replaced before its time, but never more often than once in
   ``FORCED_INTERVAL``: an API that refuses every token must not make us ask for one with every
   call. Until another is in hand the old one is kept: that somebody refuses it, proves little.

How a token is asked for, retries and rule 9 included, is in ``asking``.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from machine_identity.client_credentials import AccessToken
from machine_identity.errors import TokenRequestError
from machine_identity.providers import Client
from machine_identity.token_source.asking import Asker, Clock, Fallback, Signer, keep
from machine_identity.transport import Transport

RENEWAL_MARGIN: Final = timedelta(seconds=60)
"""How long before its end a token is replaced, so that a caller can still use it; a token that
lives shorter than five minutes is replaced after four fifths of its life."""
FORCED_INTERVAL: Final = timedelta(seconds=30)
"""Between two renewals that an API's refusals bring about."""
AHEAD_PAUSE: Final = timedelta(seconds=30)
"""After a renewal ahead that failed, at least; up to twice as long, and less for short lives."""

_logger: Final = logging.getLogger(__name__)

type _Key = tuple[Client, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """How to renew tokens before anybody has to wait for it."""

    start: Callable[[Callable[[], None]], None]
    """Begins some work beside whoever calls. Raises RuntimeError where it cannot."""
    chance: Callable[[], float]
    """Returns a number from 0 up to, but not, 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A token, and until when it is handed out; after a clock went back, it is not."""

    token: AccessToken
    renew_at: datetime
    """From then on whoever comes sees to its renewal, ahead or not."""
    good_until: datetime
    forced_at: datetime | None = None
    """When an API's refusal last brought a renewal about, which then failed."""

    def is_good(self, now: datetime) -> bool:
        return self.token.issued_at <= now < self.good_until

    def serves(self, refused: AccessToken | None, now: datetime) -> bool:
        """Whether it is good for a caller to whom that token was refused, or none."""
        return self.is_good(now) and (refused is None or refused.value != self.token.value)

    def was_tried_lately(self, now: datetime) -> bool:
        """Whether a good token is new, or was to be replaced a moment ago."""
        since = self.forced_at or self.token.issued_at
        return self.is_good(now) and timedelta() <= now - since < FORCED_INTERVAL


class _Flight:
    """One request for a token, under way; who joins it waits for ``landed``."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.token: AccessToken | None = None
        self.error: TokenRequestError | None = None


class TokenSource:
    """Gets, keeps and renews access tokens for any number of clients of one signer.

    Safe to share between threads. Does not outlive a fork: a child makes its own.
    """

    def __init__(  # noqa: PLR0913 - the outside, by name
        self,
        *,
        signer: Signer,
        transport: Transport,
        clock: Clock,
        sleep: Callable[[float], None],
        fallback: Fallback | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self._asker = Asker(
            signer=signer, transport=transport, clock=clock, sleep=sleep, fallback=fallback
        )
        self._clock = clock
        self._ahead = ahead
        self._lock = threading.Lock()
        """Held to look and to write, never while anybody is asked."""
        self._kept: dict[_Key, _Kept] = {}
        self._flights: dict[_Key, _Flight] = {}

    def get(self, client: Client, scope: str) -> AccessToken:
        """Return a token for ``scope`` that is good for a while yet. Raises TokenRequestError."""
        token = self.at_hand(client, scope)
        return self._got((client, scope)) if token is None else token

    def at_hand(self, client: Client, scope: str) -> AccessToken | None:
        """Return a token that is good for a while yet if there is one, without waiting."""
        kept = self._kept.get((client, scope))
        if kept is None:
            return None
        now = self._clock.now()
        if kept.token.issued_at <= now < kept.renew_at:
            return kept.token
        if self._ahead is None or not kept.is_good(now):
            return None
        self._renew_ahead((client, scope), self._ahead, now)
        return kept.token

    def instead_of(self, refused: AccessToken, client: Client, scope: str) -> AccessToken | None:
        """Return another token in place of one that an API refused, or None if there is none yet.

        None also means that asking for one so soon is of no use. Raises TokenRequestError.
        """
        token = self._got((client, scope), refused=refused)
        return None if token.value == refused.value else token

    def prove(self, client: Client, signer: Signer) -> None:
        """Get a token with an assertion of that signer, whoever is active, and drop it (rule 2).

        Raises TokenRequestError.
        """
        self._asker.prove(client, signer)

    def _got(self, key: _Key, refused: AccessToken | None = None) -> AccessToken:
        """Return the token that is kept by now, or what the one flight for it brings."""
        while True:
            with self._lock:
                now = self._clock.now()
                kept = self._kept.get(key)
                if kept is not None and kept.serves(refused, now):
                    return kept.token
                flight = self._flights.get(key)
                if flight is None:
                    if kept is not None and kept.was_tried_lately(now):
                        return kept.token
                    own = self._flights[key] = _Flight()
                    if kept is not None and refused is not None:
                        self._kept[key] = replace(kept, forced_at=now)
                    break
            flight.landed.wait()
            if flight.token is not None:
                return flight.token
            if flight.error is not None:
                raise _again(flight.error) from flight.error
            # Whoever asked was interrupted, which is no answer: it is asked anew.
        return self._lead(key, own)

    def _lead(self, key: _Key, flight: _Flight) -> AccessToken:
        """Ask, keep what comes, and tell all who wait. Raises TokenRequestError."""
        try:
            token = self._asker.ask(*key, self._clock.now())
            kept = self._keeping(token)
            with self._lock:
                keep(self._kept, key, kept)
        except TokenRequestError as error:
            flight.error = error
            raise
        else:
            flight.token = token
            return token
        finally:
            with self._lock:
                del self._flights[key]
            flight.landed.set()

    def _renew_ahead(self, key: _Key, ahead: Ahead, now: datetime) -> None:
        """Have the token renewed beside whoever calls, unless that is under way or just was."""
        pause = (1 + ahead.chance()) * AHEAD_PAUSE
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or now < kept.renew_at or key in self._flights:
                return
            life = kept.token.expires_at - kept.token.issued_at
            self._kept[key] = replace(kept, renew_at=now + min(pause, life / 20))
            flight = self._flights[key] = _Flight()
        try:
            ahead.start(lambda: self._lead_ahead(key, flight))
        except RuntimeError:  # no thread is to be had: the next one that must wait for it asks
            with self._lock:
                del self._flights[key]
            flight.landed.set()

    def _lead_ahead(self, key: _Key, flight: _Flight) -> None:
        try:
            self._lead(key, flight)
        except TokenRequestError as error:
            _logger.warning("no token ahead of time, the old one is in use: %s", error)

    def _keeping(self, token: AccessToken) -> _Kept:
        life = token.expires_at - token.issued_at
        good_until = token.expires_at - min(RENEWAL_MARGIN, life / 5)
        renew_at = good_until
        if self._ahead is not None:
            renew_at = token.issued_at + life * (3 + self._ahead.chance()) / 5
        return _Kept(token=token, renew_at=renew_at, good_until=good_until)


def in_thread(work: Callable[[], None]) -> None:
    """Begin some work in a thread that keeps no program from ending: ``Ahead.start``."""
    threading.Thread(target=work, name="machine-identity", daemon=True).start()


def _again(error: TokenRequestError) -> TokenRequestError:
    """Return an error of one's own: one that many threads raise collects all their traces."""
    return type(error)(error.code, error.description)
