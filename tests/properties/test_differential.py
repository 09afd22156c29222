"""Whatever this verifier accepts, PyJWT and joserfc accept too, on tokens mutated at every layer.

The claim is one-sided: being stricter than either is the point, being laxer never is. Both get
the same key, algorithms, issuer, audience, leeway and instant.
"""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from machine_identity import clock, jwk, jwks_cache, jws
from machine_identity.access_token import Expectations
from machine_identity.errors import InvalidTokenError, Refusal
from machine_identity.jwks_cache import TrustedKey
from machine_identity.verifier import TrustedIssuer, Verifier

ISSUER, AUDIENCE = "https://issuer.example", "api://uppercase"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
JWKS = [
    jwk.from_public_key(RSA.public_key(), "RS256"),
    jwk.from_public_key(EC.public_key(), "ES256"),
]
RSA_KID, EC_KID = (each["kid"] for each in JWKS)
ALGORITHMS = ["RS256", "ES256"]
LEEWAY = 60
# PyJWT reads the clock itself, so the instant is the real one, and claims keep away from its edge.
NOW = int(clock.now().timestamp())


class Keys:
    """The key set, read by the code under test."""

    def __init__(self) -> None:
        self._keys = jwks_cache.parse(json.dumps({"keys": JWKS}).encode())

    def key(self, kid: str, now: datetime, _patience: timedelta | None = None) -> TrustedKey:
        assert now.tzinfo is UTC
        if kid not in self._keys:
            raise InvalidTokenError(Refusal.UNKNOWN_KEY)
        return self._keys[kid]


EXPECTED = Expectations(
    issuer=ISSUER,
    audiences=frozenset({AUDIENCE}),
    allow_any_client=True,
    leeway=timedelta(seconds=LEEWAY),
)
OURS = Verifier([TrustedIssuer(expectations=EXPECTED, keys=Keys())], algorithms=ALGORITHMS)


class LargerRegistry(JWSRegistry):
    """joserfc's bound on a header is a quarter of ours; that is taste, not safety."""

    max_header_length = jws.MAX_HEADER


def accepts(token: str) -> bool:
    try:
        OURS.verify(token, datetime.fromtimestamp(NOW, UTC))
    except InvalidTokenError:
        return False
    return True


def pyjwt_accepts(token: str) -> bool:
    kid = jwt.get_unverified_header(token)["kid"]
    key: Any = {RSA_KID: RSA.public_key(), EC_KID: EC.public_key()}[kid]
    jwt.decode(
        token,
        key,
        algorithms=ALGORITHMS,
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=LEEWAY,
        options={"require": ["exp", "iss", "aud"]},
    )
    return True


def joserfc_accepts(token: str) -> bool:
    published: Any = {"keys": JWKS}
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
    return True


def encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def signature(algorithm: object, content: bytes) -> bytes:
    if algorithm == "ES256":
        r, s = decode_dss_signature(EC.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    return RSA.sign(content, padding.PKCS1v15(), hashes.SHA256())


HEADERS: dict[str, dict[str, Any]] = {
    "RS256": {"alg": "RS256", "kid": RSA_KID, "typ": "at+jwt"},
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
ANY_OCTET = st.binary(min_size=1, max_size=1)
places = st.integers(0, 6000)
texts = st.text(max_size=8)
oddities = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    texts,
    st.lists(texts | st.integers(), max_size=3),
    st.dictionaries(texts, texts, max_size=2),
    st.sampled_from(
        [ISSUER, AUDIENCE, [AUDIENCE], [], NOW, str(NOW), NOW + 600, NOW - 600, float(NOW), 10**30]
    ),
    st.sampled_from(["JWT", "at+jwt", "none", "HS256", "RS256", "ES256", RSA_KID, EC_KID]),
    st.sampled_from(["https://a.example", "http://a.example", {"kty": "oct"}, ["b64"], ["exp"]]),
)
registered = "alg kid typ cty crit b64 zip enc jku jwk x5u x5c x5t x5t#S256 nonce azp scp cnf"
names = st.sampled_from([*CLAIMS, *registered.split()])
LAYERS = ["member", "second member", "left out", "twice", "text", "segment", "signature", "token"]
BASE64_LETTERS = st.sampled_from([bytes([each]) for each in b"AB+/=-_. \n\r\t,%\x00\xff"])
AROUND = st.sampled_from(["", " ", "\n", "\ufeff", "\0", "\N{NO-BREAK SPACE}", "}", " x", "{}"])


def spoilt(content: bytes, place: int, letter: bytes) -> bytes:
    """Replace, insert or remove an octet."""
    at, kind = place // 3 % (len(content) + 1), place % 3
    added = letter if kind else b""
    return content[:at] + added + content[at + (kind != 1) :]


def mutated(draw: st.DrawFn, members: dict[str, Any], layers: set[str]) -> bytes:
    """One of the two objects as text, with some of its members not as they should be."""
    changed = {**members}
    for _ in layers & {"member", "second member"}:
        changed[draw(names)] = draw(oddities)
    if "left out" in layers:
        changed.pop(draw(names), None)
    text = json.dumps(changed, ensure_ascii=len(layers) > 1)
    if "twice" in layers:
        text = f"{text[:-1]}, {json.dumps(draw(names))}: {json.dumps(draw(oddities))}}}"
    if "text" in layers:
        text = draw(AROUND) + text + draw(AROUND)
    content = text.encode(errors="surrogatepass")
    return spoilt(content, draw(places), draw(ANY_OCTET)) if "text" in layers else content


@st.composite
def tokens(draw: st.DrawFn) -> str:
    """Tokens signed over what was mutated at up to two layers, or mutated once more after."""
    algorithm = draw(st.sampled_from(ALGORITHMS))
    layers, which = draw(st.sets(st.sampled_from(LAYERS), max_size=2)), draw(st.integers(0, 1))
    parts = [json.dumps(each).encode() for each in (HEADERS[algorithm], CLAIMS)]
    parts[which] = mutated(draw, (HEADERS[algorithm], CLAIMS)[which], layers)
    segments = [encoded(part) for part in parts]
    if "segment" in layers:
        segments[which] = spoilt(segments[which], draw(places), draw(BASE64_LETTERS))
    content = b".".join(segments)
    sealed = signature(algorithm, content)
    if "signature" in layers:
        sealed = spoilt(sealed, draw(places), draw(ANY_OCTET))
    token = content + b"." + encoded(sealed)
    if "token" in layers:
        token = spoilt(token, draw(places), draw(BASE64_LETTERS))
    return token.decode("latin-1")


def good(algorithm: str, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    parts = ({**HEADERS[algorithm], **(header or {})}, {**CLAIMS, **claims})
    content = b".".join(encoded(json.dumps(part).encode()) for part in parts)
    return (content + b"." + encoded(signature(algorithm, content))).decode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("reference", [pyjwt_accepts, joserfc_accepts])
def test_all_three_accept_a_good_token(algorithm: str, reference: Callable[[str], bool]) -> None:
    assert accepts(good(algorithm))
    assert reference(good(algorithm))


@pytest.mark.parametrize(
    ("reference", "refusal"),
    [(pyjwt_accepts, jwt.InvalidTokenError), (joserfc_accepts, JoseError)],
)
@pytest.mark.parametrize(
    "token",
    [
        good("RS256", exp=NOW - 600),
        good("RS256", nbf=NOW + 600),
        good("RS256", iat=NOW + 600),
        good("RS256", aud="api://other"),
        good("RS256", iss="https://other.example"),
        good("RS256", exp="tomorrow"),
        good("RS256")[:-8] + "AAAAAAAA",
        good("RS256", header={"crit": ["x"], "x": 1}),
    ],
)
def test_the_references_are_asked_as_strictly_as_they_can_be(
    token: str, reference: Callable[[str], bool], refusal: type[Exception]
) -> None:
    assert not accepts(token)
    with pytest.raises(refusal):
        reference(token)


@given(tokens())
@example(good("RS256"))
@example(good("RS256", sub=7))
@example(good("RS256", jti=7))
@example(good("RS256", nbf=None))
@example(good("ES256", aud=[AUDIENCE, "other"]))
@example(good("RS256", header={"jku": "https://a.example", "x5c": ["x"], "jwk": {"kty": "oct"}}))
@example(good("RS256", header={"x5c": "x"}))
@example(good("RS256") + "=")
@settings(max_examples=500, deadline=None)
def test_what_is_accepted_here_the_references_accept(token: str) -> None:
    if accepts(token):
        event("accepted")
        assert pyjwt_accepts(token)
        assert joserfc_accepts(token)
    else:
        event("refused")
