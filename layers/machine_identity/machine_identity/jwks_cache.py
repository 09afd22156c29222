"""A stranger's key set: which of its keys can be trusted, for how long, and when to ask again.

``parse`` reads as strictly as a token is read (``encoding``) and judges key by key (RFC 7517, RFC
7518 section 6): what is weak, private, symmetric, meant for encryption, ambiguous or off its curve
is left out, and the good ones stay. ``decide`` is a function of (cache, kid, now):

1. A known key serves while the set is fresh. When it is not, one call asks again, and the key
   goes on serving, whatever comes of it, until the set reaches its hard age.
2. An unknown key may be new, so it is worth asking for, but at most once in a cooldown *for all
   of them together*: anybody can make up key identifiers.
3. While the issuer does not answer, the pauses between two attempts double, up to five minutes.
   Each is cut by up to a half, by chance, so that many who failed together do not ask together.
4. Not in a fresh set: refused. Not known because the issuer does not answer: nobody can say.

``successor`` decides what a new set is worth:

5. A set that lost most of several keys, or all that could be used, may be a mistake: the old keys
   go on beside the new ones, until the next set, asked for after one or two cooldowns, counts,
   whatever is in it. So a removed key is trusted for the refresh interval; where most went at
   once, for two cooldowns beyond it; and while the issuer cannot be asked, until the hard age.

All ages are measured on the wall clock, which goes on in a frozen environment. Where it went back,
an age is unknown: it is time to ask again, and beyond a few minutes the set counts as too old.
Nothing here fetches, waits, reads a clock or draws a number.
"""

from collections.abc import Mapping, Sequence
from copy import replace
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity.encoding import UNREADABLE, base64url, readable_parts
from machine_identity.errors import KeySetUnavailableError
from machine_identity.records import hidden, record

if TYPE_CHECKING:
    from machine_identity.jwk import PublicKey

MAX_KEYS: Final = 100
"""AWS IAM and Entra take no more of a client either; an honest issuer has about ten."""
MAX_KEY_ID: Final = 256
RSA_BITS: Final = range(2048, 8192 + 1)
"""From RFC 7518 section 3.3; up to where a check still takes less than a millisecond."""
RSA_EXPONENTS: Final = range(65537, 2**32, 2)
"""From FIPS 186-5 section A.1.1; everybody uses the first, and large ones make a check slow."""
LONGEST_PAUSE: Final = timedelta(minutes=5)
FIRST_PAUSE: Final = timedelta(seconds=1)
"""After a failure without a set to go on with, when every call fails; else it is the cooldown."""
SHORTEST_FRESHNESS: Final = timedelta(minutes=5)
"""However short a max-age is: Auth0's is 15 s, and a refresh is in line."""
STEP_BACK: Final = timedelta(minutes=5)
"""By which a clock may be put right without losing the set."""
DISORDER: Final = timedelta(seconds=10)
"""By which a caller that waited for another's attempt may have read its clock earlier."""

_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_ORDERS: Final = (2, 6, 8, 9, 3, 26, 20, 35, 24, 13, 6, 51, 53, 54, 42, 50, 78)
"""Of 65537 modulo each of these; of 2**27 sound moduli one fits them all by chance."""
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_HTTPS: Final = "https://"
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, frozenset[str]]]] = {
    "P-256": (ec.SECP256R1(), frozenset({"ES256"})),
    "P-384": (ec.SECP384R1(), frozenset({"ES384"})),
    "P-521": (ec.SECP521R1(), frozenset({"ES512"})),
}


@record
class TrustedKey:
    """A public key of an issuer's and the algorithms that it is bound to; itself, and no equal."""

    kid: str
    public_key: "PublicKey" = hidden()
    algorithms: frozenset[str]

    __eq__, __hash__ = object.__eq__, object.__hash__


@record
class Limits:
    """How old a set may become, and how often an issuer is asked."""

    refresh_interval: timedelta = timedelta(hours=1)
    """A key that the issuer removed is trusted for so long at most, while the issuer answers."""
    max_age: timedelta = timedelta(hours=24)
    """And for so long while it does not."""
    cooldown: timedelta = timedelta(seconds=30)
    """Between two attempts that unknown keys cause, and at least after a first failure."""


@record
class Cache:
    """The last good set, and what is known about the last attempt to get one."""

    keys: Mapping[str, TrustedKey] = hidden(default=MappingProxyType({}))
    fetched_at: datetime | None = None
    """When the set was asked for; None if there has never been one."""
    max_age: timedelta | None = None
    """What the issuer said, if it did (RFC 9111 section 5.2.2.1)."""
    etag: str = hidden(default="")
    tried_at: datetime | None = None
    """When the last attempt began, or ended if it failed: the pause is not what it took."""
    failures: int = 0
    """Attempts that failed since the last one that did not; one that brought doubt did."""
    chance: float = 0
    """From 0 up to 1: how much of what is left to chance is added to the pause."""
    is_in_doubt: bool = False
    """Whether the issuer's last set is not taken for good: ``keys`` are the old and the new."""


class Action(Enum):
    """What to do with a token that names a key."""

    USE = "use"
    """The key is known and serves."""
    REFRESH = "refresh"
    """It is time to ask the issuer; a key that is known serves those who do not wait."""
    REFUSE = "refuse"
    """The issuer, asked a moment ago, has no such key."""
    FAIL = "fail"
    """The issuer does not answer, so nobody can say whether it has such a key."""


@record
class Decision:
    """What to do, and the key if it is known and its set not too old."""

    action: Action
    key: TrustedKey | None = None


def decide(cache: Cache, kid: str, now: datetime, limits: Limits) -> Decision:
    """Return what to do with a token that names the key ``kid``."""
    age = _age(cache, now)
    is_usable = _is_usable(cache, now, limits)
    key = cache.keys.get(kid) if is_usable else None
    if key is not None and -DISORDER <= age < _freshness(cache, limits):
        return Decision(action=Action.USE, key=key)
    if cache.failures > 0:
        is_resting = _is_recent(cache, now, _pause(cache, limits, is_usable=is_usable))
    else:
        is_resting = is_usable and key is None and _is_recent(cache, now, limits.cooldown)
    if not is_resting:
        return Decision(action=Action.REFRESH, key=key)
    if key is not None:
        return Decision(action=Action.USE, key=key)
    return Decision(action=Action.REFUSE if cache.failures == 0 else Action.FAIL)


@record
class Attempt:
    """When an issuer was asked, when that was over, and a number from 0 up to 1 for the pause."""

    begun_at: datetime
    ended_at: datetime
    chance: float


def fetched(
    keys: Mapping[str, TrustedKey], now: datetime, *, max_age: timedelta | None, etag: str
) -> Cache:
    """Return the cache that a set makes, asked for at ``now``, if it is taken for good."""
    return Cache(keys=keys, fetched_at=now, max_age=max_age, etag=etag, tried_at=now)


def successor(cache: Cache, new: Cache, attempt: Attempt, limits: Limits) -> Cache:
    """Return what comes after ``cache`` when an attempt brought the set of ``new`` (rule 5)."""
    is_usable = _is_usable(cache, attempt.begun_at, limits)
    if is_usable and not cache.is_in_doubt and _has_lost_most(cache.keys, new.keys):
        both = {**new.keys, **cache.keys}
        # Without its entity tag the next answer is a whole set again, never "the same".
        doubted = replace(cache, keys=both, etag="", is_in_doubt=True, failures=0)
        return failed(doubted, attempt)
    if not new.keys:
        return failed(Cache(failures=cache.failures), attempt)
    return new


def confirmed(cache: Cache, now: datetime, *, max_age: timedelta | None) -> Cache:
    """Return the cache after the issuer said that the set is still the same (304)."""
    return fetched(cache.keys, now, max_age=max_age, etag=cache.etag)


def failed(cache: Cache, attempt: Attempt) -> Cache:
    """Return the cache after an attempt that brought nothing."""
    failures, chance = cache.failures + 1, attempt.chance
    return replace(cache, failures=failures, tried_at=attempt.ended_at, chance=chance)


def _has_lost_most(old: Mapping[str, TrustedKey], new: Mapping[str, TrustedKey]) -> bool:
    """Whether fewer than half of several keys are left, or none that can be used.

    The one key of an issuer that has but one is replaced whenever it is renewed: no doubt there.
    """
    left = [
        kid for kid, key in old.items() if kid in new and new[kid].public_key == key.public_key
    ]
    return not new or (len(old) > 1 and 2 * len(left) < len(old))


def _is_usable(cache: Cache, now: datetime, limits: Limits) -> bool:
    return -STEP_BACK <= _age(cache, now) < limits.max_age


def _age(cache: Cache, now: datetime) -> timedelta:
    return timedelta.max if cache.fetched_at is None else now - cache.fetched_at


def _freshness(cache: Cache, limits: Limits) -> timedelta:
    if cache.is_in_doubt:
        return -DISORDER  # it is never fresh
    said = limits.refresh_interval if cache.max_age is None else cache.max_age
    return min(max(said, SHORTEST_FRESHNESS), limits.refresh_interval)


def _pause(cache: Cache, limits: Limits, *, is_usable: bool) -> timedelta:
    """Return how long to leave the issuer alone: a half for sure, and a half by chance."""
    first = limits.cooldown if is_usable else FIRST_PAUSE
    doublings = min(cache.failures, 10)  # beyond, it is the longest anyway
    longest = min(first * (1 << doublings), max(LONGEST_PAUSE, 2 * limits.cooldown))
    return longest * (1 + cache.chance) / 2


def _is_recent(cache: Cache, now: datetime, pause: timedelta) -> bool:
    return cache.tried_at is not None and -DISORDER <= now - cache.tried_at < pause


def parse(document: bytes) -> dict[str, TrustedKey]:
    """Return the keys of a JWK Set (RFC 7517 section 5) that can be trusted, by their kid.

    Raises KeySetUnavailableError if there is none, or too many to look at.
    """
    keys = read(document)
    if not keys:
        raise KeySetUnavailableError("the key set has no key that can be used")
    return keys


def read(document: bytes) -> dict[str, TrustedKey]:
    """Return the same of a set that may have none (rule 5).

    Raises KeySetUnavailableError if it is no set, or has too many keys to look at.
    """
    try:
        entries = readable_parts(document).get("keys")
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or brackets without end
        entries = None
    if not isinstance(entries, list):
        raise KeySetUnavailableError("the answer is not a JWK Set")
    if len(entries) > MAX_KEYS:
        raise KeySetUnavailableError(f"a key set of more than {MAX_KEYS} keys is not read")
    return _without_doubles([key for key in map(_trusted, entries) if key is not None])


def _without_doubles(keys: Sequence[TrustedKey]) -> dict[str, TrustedKey]:
    """Leave out all keys that share a kid: which one is meant would be a guess."""
    kids = [key.kid for key in keys]
    return {key.kid: key for key in keys if kids.count(key.kid) == 1}


def _trusted(entry: object) -> TrustedKey | None:
    """Return the key, or None if anything at all is wrong with it."""
    if not isinstance(entry, dict) or not _PRIVATE.isdisjoint(entry):
        return None
    if UNREADABLE in entry.values() or not _is_for_signatures(entry) or not _is_typed(entry):
        return None
    try:
        kid = _key_id(entry["kid"])
        public_key, fitting = _rsa(entry) if entry["kty"] == "RSA" else _ec(entry)
        algorithms = frozenset({entry["alg"]}) if "alg" in entry else fitting
    except (ValueError, KeyError, TypeError):  # also cryptography's word for off the curve
        return None
    if not algorithms <= fitting:
        return None
    return TrustedKey(kid=kid, public_key=public_key, algorithms=algorithms)


def _key_id(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY_ID:
        raise ValueError
    return value.encode().decode()  # raises at half a surrogate pair, which no token can name


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    """RFC 7517 sections 4.2 and 4.3; both members may be left out, and both count if not."""
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and all(isinstance(each, str) for each in operations)
        and "verify" in operations
    )


def _is_typed(entry: Mapping[str, Any]) -> bool:
    """RFC 7517 sections 4.6 to 4.9: what is not used here, and never followed, is as it should be.

    Or else another reader would refuse the key that this one trusts.
    """
    texts = [entry.get("x5t", ""), entry.get("x5t#S256", ""), entry.get("x5u", _HTTPS)]
    chain = entry.get("x5c", [])
    return (
        isinstance(chain, list)
        and all(isinstance(each, str) for each in [*texts, *chain])
        and texts[-1].startswith(_HTTPS)
    )


def _rsa(entry: Mapping[str, Any]) -> tuple["PublicKey", frozenset[str]]:
    n, e = _octets(entry["n"]), _octets(entry["e"])
    modulus, exponent = int.from_bytes(n), int.from_bytes(e)
    if modulus.bit_length() not in RSA_BITS or modulus % 2 == 0 or exponent not in RSA_EXPONENTS:
        raise ValueError
    if _is_roca(modulus):
        raise ValueError
    return rsa.RSAPublicNumbers(exponent, modulus).public_key(), _RSA


def _is_roca(modulus: int) -> bool:
    """Whether it has the mark of CVE-2017-15361, whose private half can be computed.

    Such a modulus is a power of 65537 modulo every small prime.
    """
    marks = zip(_ROCA_PRIMES, _ROCA_ORDERS, strict=True)
    return all(pow(modulus, order, prime) == 1 for prime, order in marks)


def _ec(entry: Mapping[str, Any]) -> tuple["PublicKey", frozenset[str]]:
    if entry["kty"] != "EC":
        raise ValueError
    curve, algorithms = _CURVES[entry["crv"]]
    x, y = _octets(entry["x"]), _octets(entry["y"])
    if not len(x) == len(y) == (curve.key_size + 7) // 8:  # RFC 7518 section 6.2.1.2
        raise ValueError
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve)
    return numbers.public_key(), algorithms


def _octets(value: object) -> bytes:
    """Decode base64url in its canonical form, without padding (RFC 7518 section 2)."""
    if not isinstance(value, str):
        raise TypeError
    return base64url(value.encode())
