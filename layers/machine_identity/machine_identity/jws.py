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
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from machine_identity.encoding import base64url, json_object
from machine_identity.errors import InvalidTokenError, Refusal

if TYPE_CHECKING:
    from machine_identity.jwk import PublicKey

MAX_TOKEN: Final = 16 * 1024
"""Octets. API Gateway passes headers of at most 10,240 together; Entra's tokens stay below 8 K."""
MAX_HEADER: Final = 2048
"""Octets of the encoded header; a certificate chain does not fit, and nobody would look at it."""
MAX_KEY_ID: Final = 256

_UNSUPPORTED: Final = frozenset({"crit", "b64", "zip", "enc"})
_HTTPS: Final = "https://"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """The part of a header that counts."""

    algorithm: str
    kid: str
    typ: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """What somebody wrote: good for choosing a key, and for nothing else."""

    algorithm: str
    kid: str = field(repr=False)
    typ: str | None = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedClaims:
    """Claims under a signature that holds. Only ``verify`` makes one."""

    typ: str | None
    claims: Mapping[str, Any] = field(repr=False)


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
    try:
        protected, payload, encoded_signature = token.split(b".")
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
        signing_input=token[: len(protected) + 1 + len(payload)],
        signature=signature,
    )


def verify(token: UnverifiedToken, key: VerifyingKey) -> SignedClaims:
    """Return the claims if ``key`` made the signature (RFC 7515 section 5.2).

    Raises InvalidTokenError.
    """
    if token.algorithm not in key.algorithms:
        raise InvalidTokenError(Refusal.KEY_MISMATCH)
    try:
        _SCHEMES[token.algorithm](key.public_key, token.signature, token.signing_input)
    except InvalidSignature:
        raise InvalidTokenError(Refusal.SIGNATURE) from None
    return SignedClaims(typ=token.typ, claims=token.claims)


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
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KEY_ID:
        raise InvalidTokenError(Refusal.KEY_ID)
    return kid


def _check_header(header: Mapping[str, Any]) -> None:
    """Refuse extensions, and registered members of another type (RFC 7515 section 4.1)."""
    if not _UNSUPPORTED.isdisjoint(header):
        raise InvalidTokenError(Refusal.HEADER)
    for name, is_right in _REGISTERED.items():
        if name in header and not is_right(header[name]):
            raise InvalidTokenError(Refusal.HEADER)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_url(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_HTTPS)


def _is_chain(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_REGISTERED: Final[Mapping[str, Callable[[object], bool]]] = {
    "typ": _is_text,
    "cty": _is_text,
    "x5t": _is_text,
    "x5t#S256": _is_text,
    "jku": _is_url,
    "x5u": _is_url,
    "jwk": lambda value: isinstance(value, dict),
    "x5c": _is_chain,
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


_SCHEMES: Final[Mapping[str, _Check]] = {
    "RS256": _pkcs1(hashes.SHA256()),
    "RS384": _pkcs1(hashes.SHA384()),
    "RS512": _pkcs1(hashes.SHA512()),
    "PS256": _pss(hashes.SHA256()),
    "PS384": _pss(hashes.SHA384()),
    "PS512": _pss(hashes.SHA512()),
    "ES256": _ecdsa(ec.SECP256R1, hashes.SHA256()),
    "ES384": _ecdsa(ec.SECP384R1, hashes.SHA384()),
    "ES512": _ecdsa(ec.SECP521R1, hashes.SHA512()),
}
ALGORITHMS: Final = tuple(_SCHEMES)
"""All that can be allowed: asymmetric, and of RFC 7518 section 3.1."""
