"""A compact JWS (RFC 7515 section 7.1), read as strictly as RFC 8725 asks, and its signature.

Reading and judging are apart: ``parse`` gives what somebody wrote, ``verify`` gives
``SignedClaims``, the only type whose members may be believed. Everything is refused that has two
readings (``encoding``) or asks for something that is not done here (``crit``, ``b64``, ``zip``,
``enc``). Keys and key URLs in a header are ignored, never followed: only the caller's key counts
(RFC 8725 section 3.10). A key serves only algorithms that it is bound to, and ``none`` and HMAC do
not exist here, so no public key can become a secret.

It looks at no claim: what they must say is ``access_token``'s, whose keys count is the caller's.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from machine_identity import jose
from machine_identity.encoding import base64url, json_object
from machine_identity.errors import InvalidTokenError, Refusal
from machine_identity.records import hidden, record

if TYPE_CHECKING:
    from machine_identity.jwk import PublicKey

MAX_TOKEN: Final = 16 * 1024
"""Octets. API Gateway passes headers of at most 10,240 together; Entra's tokens stay below 8 K."""
MAX_HEADER: Final = 2048
"""Octets of the encoded header; a certificate chain does not fit, and nobody would look at it."""

_UNSUPPORTED: Final = frozenset({"crit", "b64", "zip", "enc"})
_KEPT_HEADERS: Final = 64

type _Check = Callable[["PublicKey", bytes, bytes], None]


class VerifyingKey(Protocol):
    """A public key and the algorithms that it is bound to."""

    @property
    def public_key(self) -> "PublicKey":
        """Return the key."""
        ...

    @property
    def algorithms(self) -> Collection[str]:
        """Return the only algorithms (RFC 7518 section 3.1) that it may verify."""
        ...


@record
class _Header:
    """The part of a header that counts."""

    algorithm: str
    kid: str
    typ: str | None


@record
class UnverifiedToken:
    """What somebody wrote: good for choosing a key, and for nothing else."""

    algorithm: str
    kid: str = hidden()
    typ: str | None = hidden()
    claims: Mapping[str, Any] = hidden()
    signing_input: bytes = hidden()
    signature: bytes = hidden()


@record
class SignedClaims:
    """Claims under a signature that holds. Only ``verify`` makes one."""

    typ: str | None
    claims: Mapping[str, Any] = hidden()


def octets(token: str) -> bytes:
    """Return the token as octets. Raises InvalidTokenError if it is too long or not ASCII."""
    if len(token) > MAX_TOKEN:
        raise InvalidTokenError(Refusal.TOO_LARGE)
    if not token.isascii():
        raise InvalidTokenError(Refusal.MALFORMED)
    return token.encode()


def parse(token: bytes, algorithms: frozenset[str]) -> UnverifiedToken:
    """Return what the token says, unbelieved. Raises InvalidTokenError.

    ``algorithms`` are those that the caller allows, whatever a key may be bound to.
    """
    if len(token) > MAX_TOKEN:
        raise InvalidTokenError(Refusal.TOO_LARGE)
    # What is left of a third point is in the payload, and no letter of base64url.
    signing_input, _, encoded_signature = token.rpartition(b".")
    protected, _, payload = signing_input.partition(b".")
    try:
        header = _header(protected, algorithms)
        claims, signature = json_object(base64url(payload)), base64url(encoded_signature)
    except (ValueError, RecursionError):  # the latter only where the stack is small
        # Without its cause, whose text quotes the token.
        raise InvalidTokenError(Refusal.MALFORMED) from None
    return UnverifiedToken(
        algorithm=header.algorithm,
        kid=header.kid,
        typ=header.typ,
        claims=claims,
        signing_input=signing_input,
        signature=signature,
    )


def verify(token: UnverifiedToken, key: VerifyingKey) -> SignedClaims:
    """Return the claims if ``key`` made the signature (RFC 7515 section 5.2).

    Raises InvalidTokenError.
    """
    if token.algorithm not in key.algorithms:
        raise InvalidTokenError(Refusal.KEY_MISMATCH)
    try:
        _scheme(token.algorithm)(key.public_key, token.signature, token.signing_input)
    except InvalidSignature:
        raise InvalidTokenError(Refusal.SIGNATURE) from None
    return SignedClaims(typ=token.typ, claims=token.claims)


def prepare(algorithms: Collection[str]) -> None:
    """Make ready for these algorithms, which the first token would else wait for."""
    for algorithm in algorithms:
        _scheme(algorithm)


@lru_cache(_KEPT_HEADERS)  # an issuer writes the same one into all its tokens
def _header(protected: bytes, algorithms: frozenset[str]) -> _Header:
    if len(protected) > MAX_HEADER:
        raise InvalidTokenError(Refusal.TOO_LARGE)
    header = json_object(base64url(protected))
    algorithm = _algorithm(header, algorithms)
    _check_header(header)
    return _Header(algorithm=algorithm, kid=_key_id(header), typ=header.get("typ"))


def _algorithm(header: Mapping[str, Any], allowed: Collection[str]) -> str:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in allowed or algorithm not in _SCHEMES:
        raise InvalidTokenError(Refusal.ALGORITHM)
    return algorithm


def _key_id(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if not jose.is_key_id(kid):
        raise InvalidTokenError(Refusal.KEY_ID)
    return kid


def _check_header(header: Mapping[str, Any]) -> None:
    """Refuse extensions, and registered members of another type (RFC 7515 section 4.1)."""
    if not _UNSUPPORTED.isdisjoint(header) or not jose.are_typed(header, _REGISTERED):
        raise InvalidTokenError(Refusal.HEADER)


_REGISTERED: Final[jose.Types] = {
    **jose.CERTIFICATES,
    "typ": jose.is_text,
    "cty": jose.is_text,
    "jku": jose.is_url,
    "jwk": lambda value: isinstance(value, dict),
}


def _rsa(pad: padding.AsymmetricPadding, digest: hashes.HashAlgorithm) -> _Check:
    def check(key: "PublicKey", signature: bytes, content: bytes) -> None:
        if not isinstance(key, rsa.RSAPublicKey):
            raise InvalidTokenError(Refusal.KEY_MISMATCH)
        key.verify(signature, content, pad, digest)

    return check


def _pkcs1(digest: hashes.HashAlgorithm) -> _Check:
    """RFC 7518 section 3.3."""
    return _rsa(padding.PKCS1v15(), digest)


def _pss(digest: hashes.HashAlgorithm) -> _Check:
    """RFC 7518 section 3.5: the salt is as long as the hash."""
    return _rsa(padding.PSS(padding.MGF1(digest), salt_length=digest.digest_size), digest)


def _ecdsa(curve: type[ec.EllipticCurve], digest: hashes.HashAlgorithm) -> _Check:
    """RFC 7518 section 3.4: the signature is r and s, each as long as the curve's field."""
    size, algorithm = (curve().key_size + 7) // 8, ec.ECDSA(digest)

    def check(key: "PublicKey", signature: bytes, content: bytes) -> None:
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, curve):
            raise InvalidTokenError(Refusal.KEY_MISMATCH)
        if len(signature) != 2 * size:
            raise InvalidTokenError(Refusal.SIGNATURE)
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        key.verify(encode_dss_signature(r, s), content, algorithm)

    return check


_SCHEMES: Final[Mapping[str, Callable[[], _Check]]] = {
    "RS256": lambda: _pkcs1(hashes.SHA256()),
    "RS384": lambda: _pkcs1(hashes.SHA384()),
    "RS512": lambda: _pkcs1(hashes.SHA512()),
    "PS256": lambda: _pss(hashes.SHA256()),
    "PS384": lambda: _pss(hashes.SHA384()),
    "PS512": lambda: _pss(hashes.SHA512()),
    "ES256": lambda: _ecdsa(ec.SECP256R1, hashes.SHA256()),
    "ES384": lambda: _ecdsa(ec.SECP384R1, hashes.SHA384()),
    "ES512": lambda: _ecdsa(ec.SECP521R1, hashes.SHA512()),
}
ALGORITHMS: Final = tuple(_SCHEMES)
"""All that can be allowed: asymmetric, and of RFC 7518 section 3.1."""


@cache
def _scheme(algorithm: str) -> _Check:
    # Made when it is wanted: ec.ECDSA alone imports every cipher that cryptography has (4 ms).
    return _SCHEMES[algorithm]()
