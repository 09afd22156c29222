"""The keys of one issuer, fetched from where it publishes them, and kept as ``jwks_cache`` says.

The key set's URL is given, or comes from the issuer's discovery document, which must name exactly
that issuer (RFC 8414 section 3.3, OpenID Connect Discovery section 4.3) and must not lead from
https to anything else. It is looked up again once a day, and after a failure: a set may move.

A call that has to ask makes one attempt, discovery included, within one time-out, and within the
time that the call itself has left. One attempt is under way at a time, and while there is a set
to go on with nobody else waits for it: a known key serves, of another nobody can say meanwhile.
Without a set all wait, instead of asking again. A failure is logged, and costs nobody else
anything.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from machine_identity import clock, encoding, jwks_cache, key_set
from machine_identity.errors import (
    InvalidTokenError,
    KeySetUnavailableError,
    Refusal,
    TransportError,
)
from machine_identity.http1 import Response
from machine_identity.jwks_cache import Action, Attempt, Cache, Decision, Limits
from machine_identity.key_set import TrustedKey
from machine_identity.records import record
from machine_identity.transport import Transport

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
DISCOVERY_LIFETIME: Final = timedelta(hours=24)
LEAST_TIME: Final = timedelta(milliseconds=100)
"""With less left no attempt is begun: it would fail by our fault, and be followed by a pause."""

_OK, _NOT_MODIFIED = 200, 304
_MAX_AGE: Final = re.compile(r"""(?:^|[\s,])max-age=("?)(\d{1,9})\1(?=$|[\s,])""", re.IGNORECASE)
_NOT_KEPT: Final = re.compile(r"(?:^|[\s,])no-(?:cache|store)(?=$|[\s,=])", re.IGNORECASE)
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"')
_NOTHING: Final = Cache()
_NO_KEY: Final = "the key set has no key that can be used"
_DOUBT: Final = "most of them are gone, or all; the next answer counts, whatever it is"
_logger: Final = logging.getLogger(__name__)


@record
class Location:
    """Where an issuer's keys are: at ``jwks_uri``, or where its discovery document says."""

    issuer: str
    jwks_uri: str | None = None


class JwksClient:
    """Gives the keys of one issuer; safe to share between threads.

    ``timeout`` is the longest that a call may take over it. ``known`` is what there is before
    anything was fetched. ``chance`` draws a number from 0 up to 1.
    """

    def __init__(  # noqa: PLR0913 - the outside and the rules, by name
        self,
        location: Location,
        *,
        transport: Transport,
        limits: Limits,
        timeout: timedelta,
        known: Cache = _NOTHING,
        chance: Callable[[], float] = clock.chance,
    ) -> None:
        self._location = location
        self._transport = transport
        self._limits = limits
        self._timeout = timeout
        self._least = min(LEAST_TIME, timeout / 2)
        self._chance = chance
        self._cache = known
        self._discovered: tuple[datetime, str] | None = None
        self._fetched_from = ""
        self._flight = threading.Lock()

    def key(self, kid: str, now: datetime, patience: timedelta | None = None) -> TrustedKey:
        """Return the issuer's key of that name; wait for it no longer than ``patience``.

        Raises InvalidTokenError if the issuer has none, KeySetUnavailableError if it cannot be
        asked.
        """
        decision = jwks_cache.decide(self._cache, kid, now, self._limits)
        if decision.action is Action.REFRESH:
            left = self._timeout if patience is None else min(self._timeout, patience)
            decision = self._after_refresh(kid, now, left)
        if decision.key is not None:
            return decision.key
        if decision.action is Action.REFUSE:
            raise InvalidTokenError(Refusal.UNKNOWN_KEY)
        raise KeySetUnavailableError(f"the keys of {self._location.issuer} are not to be had")

    def _after_refresh(self, kid: str, now: datetime, left: timedelta) -> Decision:
        deadline = time.monotonic() + left.total_seconds()
        # Else made-up names would fill up a service's threads while the issuer hangs.
        can_go_on = jwks_cache.is_usable(self._cache, now, self._limits)
        wait = 0 if can_go_on else max(left.total_seconds(), 0)
        if self._flight.acquire(timeout=wait):
            try:
                # Who had the lock before may have brought what is wanted.
                again = jwks_cache.decide(self._cache, kid, now, self._limits)
                is_worth_it = deadline - time.monotonic() >= self._least.total_seconds()
                if again.action is Action.REFRESH and is_worth_it:
                    self._cache = self._refreshed(now, deadline)
            finally:
                self._flight.release()
        # Also without the lock: who has it may have stored the set, and not yet let go.
        return jwks_cache.decide(self._cache, kid, now, self._limits)

    def _refreshed(self, now: datetime, deadline: float) -> Cache:
        begun = time.monotonic()
        try:
            uri = self._location.jwks_uri or self._jwks_uri(now, deadline)
            cache = self._fetched(uri, now, begun, deadline)
        except (TransportError, KeySetUnavailableError) as error:
            cache, why = jwks_cache.failed(self._cache, self._attempt(now, begun)), str(error)
        else:
            why = _DOUBT if cache.is_in_doubt else _NO_KEY
        if cache.failures > 0:
            self._discovered = None
            _logger.warning("the keys of %s are not refreshed: %s", self._location.issuer, why)
        return cache

    def _fetched(self, uri: str, now: datetime, begun: float, deadline: float) -> Cache:
        # An entity tag means something to the resource that gave it, and to no other.
        known = self._cache.etag if uri == self._fetched_from else ""
        answer = self._get(uri, {"if-none-match": known} if known else {}, deadline)
        max_age = _max_age(answer.headers.get("cache-control", ""))
        if known and answer.status == _NOT_MODIFIED:
            return jwks_cache.confirmed(self._cache, now, max_age=max_age)
        if answer.status != _OK:
            raise KeySetUnavailableError(f"the key set is answered with {answer.status}")
        etag = answer.headers.get("etag", "")
        keys = key_set.read(answer.body)
        self._fetched_from = uri
        new = jwks_cache.fetched(
            keys, now, max_age=max_age, etag=etag if _ETAG.fullmatch(etag) else ""
        )
        return jwks_cache.successor(self._cache, new, self._attempt(now, begun), self._limits)

    def _attempt(self, now: datetime, begun: float) -> Attempt:
        ended_at = now + timedelta(seconds=time.monotonic() - begun)
        return Attempt(begun_at=now, ended_at=ended_at, chance=self._chance())

    def _jwks_uri(self, now: datetime, deadline: float) -> str:
        if self._discovered is not None:
            discovered_at, uri = self._discovered
            if timedelta() <= now - discovered_at < DISCOVERY_LIFETIME:
                return uri
        url = self._location.issuer.removesuffix("/") + DISCOVERY_PATH
        uri = _from_metadata(self._get(url, {}, deadline), self._location.issuer)
        self._discovered = (now, uri)
        return uri

    def _get(self, url: str, headers: dict[str, str], deadline: float) -> Response:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TransportError("the time for this attempt is used up")
        return self._transport(
            "GET",
            url,
            headers={"accept": "application/json", **headers},
            timeout=timedelta(seconds=left),
        )


def _from_metadata(answer: Response, issuer: str) -> str:
    if answer.status != _OK:
        raise KeySetUnavailableError(f"the discovery document is answered with {answer.status}")
    try:
        members = encoding.json_object(answer.body)
    except (ValueError, RecursionError):  # of no one meaning
        members = {}
    if members.get("issuer") != issuer:
        raise KeySetUnavailableError("the discovery document does not name this issuer")
    uri = members.get("jwks_uri")
    # Plain http is loopback's only, and loopback is no place that a stranger may send us to.
    schemes = ("https://",) if issuer.lower().startswith("https://") else ("https://", "http://")
    if not isinstance(uri, str) or not uri.startswith(schemes):
        raise KeySetUnavailableError("the discovery document has no https jwks_uri")
    return uri


def _max_age(cache_control: str) -> timedelta | None:
    """Read how long an answer is good for (RFC 9111 section 5.2.2); None if it does not say."""
    if _NOT_KEPT.search(cache_control):
        return timedelta()
    found = _MAX_AGE.search(cache_control)
    return timedelta(seconds=int(found[2])) if found else None
