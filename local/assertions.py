"""Whether an assertion is the app's own and good now (RFC 7523 section 3, RFC 10070).

First its form and header, then the key and the signature, and only then what it claims; times
are whole seconds, judged on the ``now`` of the caller with a leeway. The signature is joserfc's
work. What is left to others: which app it is for, and who keeps the key sets.

Where an app has certificates, the header names one in the place of a ``kid``, ``exp`` may be as
late as it likes, times may have fractions and ``iat`` may be missing, all as Entra documents it or
its own libraries do.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from local import key_credentials
from local.entra_errors import EntraError, Fault
from local.registrations import Expectations

MOST_BYTES: Final = 8 * 1024
"""Of an assertion; ours have less than one tenth of it."""
MOST_REMEMBERED: Final = 10_000
"""Of the ``jti`` in use; one is forgotten when its assertion can be accepted no more."""
_MOST_JTI: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """An assertion that has the right form; nothing of it is verified."""

    content: jws.CompactSignature
    kid: str
    """What the header calls the key, or the certificate."""

    @property
    def header(self) -> Mapping[str, Any]:
        """The header, of which everything may be wrong that was not looked at."""
        return self.content.protected


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What is left of an assertion that was accepted: what keeps it from being used again."""

    jti: str
    acceptable_until: int
    """Seconds since the epoch; from then on it is refused in any case."""


def read(text: str, expected: Expectations) -> Assertion:
    """Return the assertion if its form and its header will do. Raises EntraError."""
    if len(text) > MOST_BYTES:
        raise EntraError(Fault.MALFORMED)
    try:
        content = jws.extract_compact(text.encode(), registry=_registry(expected))
    except (JoseError, ValueError, TypeError, RecursionError):
        raise EntraError(Fault.MALFORMED) from None
    header: Any = content.protected
    if not isinstance(header, dict) or header.get("typ") != expected.typ or "crit" in header:
        raise EntraError(Fault.MALFORMED)
    if header.get("alg") not in expected.algorithms:
        raise EntraError(Fault.UNSUPPORTED_ALGORITHM)
    if expected.by_certificate:
        return Assertion(content=content, kid=_certificate_name(header))
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise EntraError(Fault.NO_KEY_ID)
    return Assertion(content=content, kid=kid)


def verify(assertion: Assertion, key: Key, expected: Expectations) -> Mapping[str, Any]:
    """Return the claims if ``key`` signed them, with an algorithm that is its own."""
    try:
        is_signed = jws.validate_compact(assertion.content, key, registry=_registry(expected))
    except (JoseError, ValueError):  # the key is of another kind, curve, use or algorithm
        is_signed = False
    if not is_signed:
        raise EntraError(Fault.SIGNATURE)
    try:
        claims = json.loads(assertion.content.payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise EntraError(Fault.MALFORMED)
    return claims


def check(claims: Mapping[str, Any], expected: Expectations, now: datetime) -> Accepted:
    """Check every claim of a verified assertion. Raises EntraError."""
    by_certificate = expected.by_certificate
    for name, value, fault in (
        ("iss", expected.issuer, Fault.IDENTIFIER if by_certificate else Fault.ISSUER),
        ("sub", expected.subject, Fault.IDENTIFIER if by_certificate else Fault.SUBJECT),
        # A string and no list: an assertion is for one reader (RFC 10070).
        ("aud", expected.audience, Fault.REALM if by_certificate else Fault.AUDIENCE),
    ):
        if claims.get(name) != value:
            raise EntraError(fault)
    acceptable_until = _check_times(claims, expected, now)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MOST_JTI:
        raise EntraError(Fault.REPLAYED)
    return Accepted(jti=jti, acceptable_until=acceptable_until)


def _check_times(claims: Mapping[str, Any], expected: Expectations, now: datetime) -> int:
    by_certificate = expected.by_certificate
    # Entra's own example of an assertion has no iat, and MSAL writes fractions of a second.
    issued = claims.get("iat", 0 if by_certificate else None)
    expires, issued, not_before = (
        _instant(each, of=(int, float) if by_certificate else (int,))
        for each in (claims.get("exp"), issued, claims.get("nbf", 0))
    )
    at, leeway = now.timestamp(), int(expected.leeway.total_seconds())
    if at >= expires + leeway or max(issued, not_before) > at + leeway:
        raise EntraError(Fault.TIME_RANGE)
    # The leeway is for the clock by which exp was reckoned, which may be ahead of this one.
    if not by_certificate and expires > at + expected.lifetime_limit.total_seconds() + leeway:
        raise EntraError(Fault.LIFETIME)
    return int(expires + leeway)


def _registry(expected: Expectations) -> JWSRegistry:
    # Header members that nobody here knows are ignored, as RFC 7515 section 4 asks.
    registry = JWSRegistry(algorithms=expected.algorithms, strict_check_header=False)
    registry.max_header_length = MOST_BYTES  # joserfc's own has no room for MSAL's x5c
    return registry


def _instant(value: object, *, of: tuple[type, ...]) -> float:
    if type(value) not in of or (isinstance(value, float) and not math.isfinite(value)):
        raise EntraError(Fault.MALFORMED)  # JSON's true and NaN are no dates
    return value  # type: ignore[return-value] # it is of one of those types


def _certificate_name(header: Mapping[str, Any]) -> str:
    names = key_credentials.named(header)
    if not names:
        raise EntraError(Fault.UNKNOWN_CERTIFICATE)
    return next(iter(names.values()))


class UsedAssertions:
    """Remembers each ``jti`` of an app for as long as the assertion could be used again."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], int] = {}
        self._lock = Lock()

    def use(self, client_id: str, accepted: Accepted, now: datetime) -> None:
        """Use an assertion up. Raises EntraError for the second time, and when memory is full."""
        at, name = now.timestamp(), (client_id, accepted.jti)
        with self._lock:
            self._used = {each: until for each, until in self._used.items() if until > at}
            if name in self._used:
                raise EntraError(Fault.REPLAYED)
            if len(self._used) >= MOST_REMEMBERED:
                raise EntraError(Fault.BUSY)
            self._used[name] = accepted.acceptable_until
