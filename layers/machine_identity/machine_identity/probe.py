"""Our own key set as a stranger sees it: through the public URL, without credentials.

What comes back is an observation or the absence of one, never an error: a tick that cannot see
its own set goes on and waits (rule 1). A discovery document that leads elsewhere is an absence of
every key, because a server that starts from the issuer would not find them, and for as long as
caches may hold it they find the keys no sooner: of the two documents the longer max-age counts.
Each answer that bears a date, an error too, also tells how far our clock is from the server's.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from machine_identity import dates, jwk
from machine_identity.errors import TransportError
from machine_identity.evidence import Observation, Seen, Unseen
from machine_identity.http1 import Response
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH
from machine_identity.transport import Transport

_TIMEOUT: Final = timedelta(seconds=5)
"""For both documents together: a run looks several times, and has a minute."""
_MAX_AGE: Final = re.compile(r'(?:^|[\s,])(?:max-age|s-maxage)="?([0-9]+)', re.IGNORECASE)
_LONGEST: Final = 2**31
"""What a cache takes for a max-age that it cannot represent (RFC 9111 section 1.2.2)."""
_OK: Final = 200


class _NothingSeenError(Exception):
    """One of the two documents was not to be had."""


class Probe:
    """Looks at the documents that stand under ``issuer``."""

    def __init__(self, issuer: str, transport: Transport, clock: Callable[[], datetime]) -> None:
        self._issuer = issuer
        self._transport = transport
        self._clock = clock

    def __call__(self) -> Observation:
        """Fetch both documents; the observation bears the time after the last answer."""
        errors: list[timedelta | None] = []
        until = self._clock() + _TIMEOUT
        try:
            configuration, leads_for = self._fetch(CONFIGURATION_PATH, errors, until)
            jwks, max_age = self._fetch(JWKS_PATH, errors, until)
            kids = _kids(jwks) if self._leads_here(configuration) else frozenset[str]()
            digest = hashlib.sha256(json.dumps(jwks, sort_keys=True).encode()).hexdigest()
        except (TransportError, _NothingSeenError) as reason:
            return Unseen(at=self._clock(), why=str(reason), clock_error=dates.worst(errors))
        longest = max(leads_for, max_age)
        error = dates.worst(errors)
        return Seen(at=self._clock(), kids=kids, max_age=longest, digest=digest, clock_error=error)

    def _fetch(
        self, path: str, errors: list[timedelta | None], until: datetime
    ) -> tuple[dict[str, Any], timedelta]:
        """Return a document and its max-age, and add to ``errors`` what its date says."""
        answer = self._answer(path, errors, until)
        if answer.status != _OK:
            raise _NothingSeenError(f"{path} is answered with {answer.status}")
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise _NothingSeenError(f"{path} is not a JSON object")
        return document, _max_age(answer.headers.get("cache-control", ""))

    def _answer(self, path: str, errors: list[timedelta | None], until: datetime) -> Response:
        headers = {"Accept": "application/json"}
        asked_at = self._clock()
        left = max(timedelta(), until - asked_at)
        if not left:
            raise _NothingSeenError(f"no time was left to ask for {path}")
        answer = self._transport("GET", self._issuer + path, headers=headers, timeout=left)
        told = dates.instant(answer.headers.get("date"), answer.headers.get("age"))
        errors.append(dates.clock_error(told, asked_at=asked_at, answered_at=self._clock()))
        return answer

    def _leads_here(self, configuration: dict[str, Any]) -> bool:
        return (
            configuration.get("issuer") == self._issuer
            and configuration.get("jwks_uri") == self._issuer + JWKS_PATH
        )


def _kids(jwks: dict[str, Any]) -> frozenset[str]:
    """Return the names of all keys; one under a false name is a stranger, and hides its victim.

    A name is a thumbprint (RFC 7638); a stranger is called by its own, or as it calls itself.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list):
        raise _NothingSeenError(f"{JWKS_PATH} is not a JWK Set")
    named = [key for key in keys if isinstance(key, dict) and isinstance(key.get("kid"), str)]
    pairs = [(key["kid"], jwk.true_name(key)) for key in named]
    true = frozenset(claimed for claimed, name in pairs if claimed == name)
    false = [(claimed, name) for claimed, name in pairs if claimed != name]
    strangers = frozenset(claimed if name in true else name for claimed, name in false)
    return (true | strangers) - {claimed for claimed, _ in false if claimed in true}


def _max_age(cache_control: str) -> timedelta:
    """Return the longest that a cache may keep the answer (RFC 9111 section 5.2.2), or zero.

    Whatever is ambiguous is read the long way, since a wait rests on it: of several the longest,
    quotes or not, and a number of any length.
    """
    found = [int(digits.lstrip("0")[:11] or 0) for digits in _MAX_AGE.findall(cache_control)]
    return timedelta(seconds=min(max(found, default=0), _LONGEST))
