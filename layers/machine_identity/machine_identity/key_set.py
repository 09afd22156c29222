"""A stranger's key set: which of its keys can be trusted, and for which algorithms.

It is read as strictly as a token is (``encoding``) and judged key by key (RFC 7517, RFC 7518
section 6): what is weak, private, symmetric, meant for encryption, ambiguous or off its curve is
left out, and the good ones stay. Certificates and URLs in a key are never looked at or followed.

For how long a set serves is ``jwks_cache``'s.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity import jose
from machine_identity.encoding import UNREADABLE, base64url, readable_parts
from machine_identity.errors import KeySetUnavailableError
from machine_identity.records import hidden, record

if TYPE_CHECKING:
    from machine_identity.jwk import PublicKey

MAX_KEYS: Final = 100
"""AWS IAM and Entra take no more of a client either; an honest issuer has about ten."""
RSA_BITS: Final = range(2048, 8192 + 1)
"""From RFC 7518 section 3.3; up to where a check still takes less than a millisecond."""
RSA_EXPONENTS: Final = range(65537, 2**32, 2)
"""From FIPS 186-5 section A.1.1; everybody uses the first, and large ones make a check slow."""

_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_ORDERS: Final = (2, 6, 8, 9, 3, 26, 20, 35, 24, 13, 6, 51, 53, 54, 42, 50, 78)
"""Of 65537 modulo each of these; of 2**27 sound moduli one fits them all by chance."""
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
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


def parse(document: bytes) -> dict[str, TrustedKey]:
    """Return the keys of a JWK Set (RFC 7517 section 5) that can be trusted, by their kid.

    Raises KeySetUnavailableError if there is none, or too many to look at.
    """
    keys = read(document)
    if not keys:
        raise KeySetUnavailableError("the key set has no key that can be used")
    return keys


def read(document: bytes) -> dict[str, TrustedKey]:
    """Return the same of a set that may have none.

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
    if UNREADABLE in entry.values() or not _is_for_signatures(entry):
        return None
    kid = entry.get("kid")
    # Of another type, what is not used here would have another reader refuse this key.
    if not jose.is_key_id(kid) or not jose.are_typed(entry, jose.CERTIFICATES):
        return None
    try:
        kid.encode()  # raises at half a surrogate pair, which no token can name
        public_key, fitting = _rsa(entry) if entry["kty"] == "RSA" else _ec(entry)
        algorithms = frozenset({entry["alg"]}) if "alg" in entry else fitting
    except (ValueError, KeyError, TypeError):  # also cryptography's word for off the curve
        return None
    if not algorithms <= fitting:
        return None
    return TrustedKey(kid=kid, public_key=public_key, algorithms=algorithms)


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    """RFC 7517 sections 4.2 and 4.3; both members may be left out, and both count if not."""
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and all(isinstance(each, str) for each in operations)
        and "verify" in operations
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
