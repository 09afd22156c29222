"""The keys of one issuer, fetched from where it publishes them, and kept as ``jwks_cache`` says.

The key set's URL is given, or comes from the issuer's discovery document, which must name exactly
that issuer (RFC 8414 section 3.3, OpenID Connect Discovery section 4.3) and must not lead from
https to anything else. It is looked up again once a day, and after a failure: a set may move.

A call that has to ask makes one attempt, discovery included, within one time-out. One attempt is
under way at a time: whose key is known goes on with it meanwhile, who needs the answer waits for
it instead of asking again. A failure is logged and costs nobody else anything.
"""

import json
import logging
import re
import threading
import time
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from machine_identity import jwks_cache
from machine_identity.errors import (
    InvalidTokenError,
    KeySetUnavailableError,
    Refusal,
    TransportError,
)
from machine_identity.jwks_cache import Action, Cache, Decision, Limits, TrustedKey
from machine_identity.records import record
from machine_identity.transport import Response, Transport

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
DISCOVERY_LIFETIME: Final = timedelta(hours=24)

_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?=$|[\s,])", re.IGNORECASE)
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"')
_logger: Final = logging.getLogger(__name__)


@record
class Location:
    """Where an issuer's keys are: at ``jwks_uri``, or where its discovery document says."""

    issuer: str
    jwks_uri: str | None = None


class JwksClient:
    """Gives the keys of one issuer; safe to share between threads."""

    def __init__(
        self,
        location: Location,
        *,
        transport: Transport,
        limits: Limits,
        timeout: timedelta,
    ) -> None:
        self._location = location
        self._transport = transport
        self._limits = limits
        self._timeout = timeout
        self._cache = Cache()
        self._discovered: tuple[datetime, str] | None = None
        self._fetched_from = ""
        self._flight = threading.Lock()

    def key(self, kid: str, now: datetime) -> TrustedKey:
        """Return the issuer's key of that name.

        Raises InvalidTokenError if the issuer has none, KeySetUnavailableError if it cannot be
        asked.
        """
        decision = jwks_cache.decide(self._cache, kid, now, self._limits)
        if decision.action is Action.REFRESH:
            decision = self._after_refresh(decision, kid, now)
        if decision.key is not None:
            return decision.key
        if decision.action is Action.REFUSE:
            raise InvalidTokenError(Refusal.UNKNOWN_KEY)
        raise KeySetUnavailableError(f"the keys of {self._location.issuer} are not to be had")

    def _after_refresh(self, due: Decision, kid: str, now: datetime) -> Decision:
        patience = self._timeout if due.key is None else timedelta()
        if not self._flight.acquire(timeout=patience.total_seconds()):
            return due
        try:
            # Who had the lock before may have brought what is wanted.
            again = jwks_cache.decide(self._cache, kid, now, self._limits)
            if again.action is Action.REFRESH:
                self._cache = self._refreshed(now)
        finally:
            self._flight.release()
        return jwks_cache.decide(self._cache, kid, now, self._limits)

    def _refreshed(self, now: datetime) -> Cache:
        deadline = time.monotonic() + self._timeout.total_seconds()
        try:
            uri = self._location.jwks_uri or self._jwks_uri(now, deadline)
            return self._fetched(uri, now, deadline)
        except (TransportError, KeySetUnavailableError) as error:
            self._discovered = None
            _logger.warning("the keys of %s are not refreshed: %s", self._location.issuer, error)
            return jwks_cache.failed(self._cache, now)

    def _fetched(self, uri: str, now: datetime, deadline: float) -> Cache:
        # An entity tag means something to the resource that gave it, and to no other.
        known = self._cache.etag if uri == self._fetched_from else ""
        answer = self._get(uri, {"if-none-match": known} if known else {}, deadline)
        max_age = _max_age(answer.headers.get("cache-control", ""))
        if known and answer.status == HTTPStatus.NOT_MODIFIED:
            return jwks_cache.confirmed(self._cache, now, max_age=max_age)
        if answer.status != HTTPStatus.OK:
            raise KeySetUnavailableError(f"the key set is answered with {answer.status}")
        etag = answer.headers.get("etag", "")
        keys = jwks_cache.parse(answer.body)
        self._fetched_from = uri
        return jwks_cache.fetched(
            keys, now, max_age=max_age, etag=etag if _ETAG.fullmatch(etag) else ""
        )

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
    if answer.status != HTTPStatus.OK:
        raise KeySetUnavailableError(f"the discovery document is answered with {answer.status}")
    try:
        members: Any = json.loads(answer.body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or brackets without end
        members = None
    if not isinstance(members, dict) or members.get("issuer") != issuer:
        raise KeySetUnavailableError("the discovery document does not name this issuer")
    uri = members.get("jwks_uri")
    # Plain http is loopback's only, and loopback is no place that a stranger may send us to.
    schemes = ("https://",) if issuer.startswith("https://") else ("https://", "http://")
    if not isinstance(uri, str) or not uri.startswith(schemes):
        raise KeySetUnavailableError("the discovery document has no https jwks_uri")
    return uri


def _max_age(cache_control: str) -> timedelta | None:
    found = _MAX_AGE.search(cache_control)
    return timedelta(seconds=int(found[1])) if found else None
