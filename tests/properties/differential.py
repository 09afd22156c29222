"""The verifier and two references, PyJWT and joserfc, asked alike about a token under a key set.

The claim is one-sided: being stricter than either is the point, being laxer never is. All get the
same keys, algorithms, issuer, audience, leeway and instant. A set is judged key by key here and as
a whole there, so the references are given one entry at a time, of those that have the token's kid.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from machine_identity import clock, jwk, jws, key_set
from machine_identity.access_token import Expectations
from machine_identity.errors import InvalidTokenError, KeySetUnavailableError, Refusal
from machine_identity.key_set import TrustedKey
from machine_identity.verifier import TrustedIssuer, Verifier

ISSUER, AUDIENCE = "https://issuer.example", "api://uppercase"
ALGORITHMS = ["RS256", "PS256", "ES256"]
LEEWAY = 60
NOW = int(clock.now().timestamp())

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FREE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())


def entry(key: Any, algorithm: str, *without: str) -> dict[str, Any]:
    members = jwk.from_public_key(key.public_key(), algorithm)
    return {name: each for name, each in members.items() if name not in without}


JWKS = [entry(RSA, "RS256"), entry(EC, "ES256"), entry(FREE, "PS256", "alg", "use")]
RSA_KID, EC_KID, FREE_KID = (each["kid"] for each in JWKS)
DOCUMENT = json.dumps({"keys": JWKS}).encode()

HEADERS: dict[str, dict[str, Any]] = {
    "RS256": {"alg": "RS256", "kid": RSA_KID, "typ": "at+jwt"},
    "PS256": {"alg": "PS256", "kid": FREE_KID},
    "ES256": {"alg": "ES256", "kid": EC_KID, "typ": "JWT"},
}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "exp": NOW + 3600,
    "iat": NOW - 10,
    "nbf": NOW - 10,
    "sub": "subject-1",
    "jti": "jti-1",
    "client_id": "client-1",
    "scope": "a b",
    "roles": ["a"],
}
EXPECTED = Expectations(
    issuer=ISSUER,
    audiences=frozenset({AUDIENCE}),
    allow_any_client=True,
    leeway=timedelta(seconds=LEEWAY),
)


type Decodes = Callable[[str, Mapping[str, Any]], None]


class Keys:
    """A key set, read by the code under test."""

    def __init__(self, document: bytes) -> None:
        self._keys = key_set.parse(document)

    def key(self, kid: str, now: datetime, _patience: timedelta | None = None) -> TrustedKey:
        assert now.tzinfo is UTC
        if kid not in self._keys:
            raise InvalidTokenError(Refusal.UNKNOWN_KEY)
        return self._keys[kid]


def verifier(document: bytes) -> Verifier:
    issuer = TrustedIssuer(expectations=EXPECTED, keys=Keys(document))
    return Verifier([issuer], algorithms=ALGORITHMS)


OURS = verifier(DOCUMENT)


class LargerRegistry(JWSRegistry):
    """joserfc's bound on a header is a quarter of ours; that is taste, not safety."""

    max_header_length = jws.MAX_HEADER


def accepts(token: str, document: bytes = DOCUMENT) -> bool:
    """Whether the code under test takes it; anything but its own errors is a crash."""
    try:
        ours = OURS if document is DOCUMENT else verifier(document)
        ours.verify(token, datetime.fromtimestamp(NOW, UTC))
    except (InvalidTokenError, KeySetUnavailableError):
        return False
    return True


def entries(token: str, document: bytes) -> list[dict[str, Any]]:
    """The keys that the token may mean, as a lenient reader sees them."""
    kid = jwt.get_unverified_header(token)["kid"]
    keys = json.loads(document)["keys"]
    return [each for each in keys if isinstance(each, dict) and each.get("kid") == kid]


class AtNow(datetime):
    """PyJWT asks the clock itself, and is told the instant of all the others."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "AtNow":
        return cls.fromtimestamp(NOW, tz)


@contextmanager
def pyjwt_at_now() -> Iterator[None]:
    theirs: Any = jwt.api_jwt
    real = theirs.datetime
    theirs.datetime = AtNow
    try:
        yield
    finally:
        theirs.datetime = real


def pyjwt_decodes(token: str, key: Mapping[str, Any]) -> None:
    """Raise PyJWT's error unless it takes the token."""
    with pyjwt_at_now():
        jwt.decode(
            token,
            jwt.PyJWK.from_dict(dict(key)).key,
            algorithms=ALGORITHMS,
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud"]},
        )


def joserfc_decodes(token: str, key: Mapping[str, Any]) -> None:
    """Raise joserfc's error unless it takes the token."""
    published: Any = {"keys": [key]}
    # RFC 7515 section 4: a member that is not understood is ignored, which joserfc leaves to us.
    registry = LargerRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    decoded = joserfc_jwt.decode(
        token, KeySet.import_key_set(published), algorithms=ALGORITHMS, registry=registry
    )
    joserfc_jwt.JWTClaimsRegistry(
        now=NOW,
        leeway=LEEWAY,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    ).validate(decoded.claims)


REFERENCES: tuple[Decodes, ...] = (pyjwt_decodes, joserfc_decodes)


def compare(token: str, document: bytes = DOCUMENT) -> bool:
    """Return whether it is accepted here; raise what a reference says against that."""
    if not accepts(token, document):
        return False
    meant = entries(token, document)
    for decodes in REFERENCES:
        _taken_with_any(decodes, token, meant)
    return True


def _taken_with_any(decodes: Decodes, token: str, meant: list[dict[str, Any]]) -> None:
    for key in meant[:-1]:
        try:
            decodes(token, key)
        except Exception:  # noqa: BLE001, S112 - any error of theirs is a refusal: the next key
            continue
        return
    decodes(token, meant[-1])


def encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def signature(algorithm: object, content: bytes) -> bytes:
    if algorithm == "ES256":
        r, s = decode_dss_signature(EC.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    if algorithm == "PS256":
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return FREE.sign(content, pss, hashes.SHA256())
    return RSA.sign(content, padding.PKCS1v15(), hashes.SHA256())


def signed(algorithm: str, header: bytes, claims: bytes) -> str:
    """A token over exactly these octets."""
    content = encoded(header) + b"." + encoded(claims)
    return (content + b"." + encoded(signature(algorithm, content))).decode()


def good(algorithm: str, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    parts = ({**HEADERS[algorithm], **(header or {})}, {**CLAIMS, **claims})
    return signed(algorithm, *(json.dumps(part).encode() for part in parts))
