"""A token is read in one way or not at all, and believed only under a key that is bound to it."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from machine_identity import jws
from machine_identity.errors import InvalidTokenError, Refusal
from machine_identity.jwk import PublicKey

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVES: dict[str, ec.EllipticCurve] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}
EC = {algorithm: ec.generate_private_key(curve) for algorithm, curve in CURVES.items()}
ALL = frozenset(jws.ALGORITHMS)
CLAIMS = {"iss": "https://issuer.example", "sub": "client-1"}


@dataclass(frozen=True, kw_only=True)
class Bound:
    public_key: PublicKey
    algorithms: frozenset[str]


def private(algorithm: str) -> Any:
    return EC.get(algorithm, RSA)


def key(algorithm: str, *bound: str) -> Bound:
    return Bound(
        public_key=private(algorithm).public_key(), algorithms=frozenset(bound or (algorithm,))
    )


def encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def signed(header: bytes, payload: bytes) -> bytes:
    """An RS256 token whose header and payload are exactly these octets, signed all the same."""
    content = encoded(header) + b"." + encoded(payload)
    return content + b"." + encoded(RSA.sign(content, padding.PKCS1v15(), hashes.SHA256()))


def token(header: dict[str, Any] | None = None, payload: bytes | None = None) -> bytes:
    members = {"alg": "RS256", "kid": "k1", **(header or {})}
    text = json.dumps({name: each for name, each in members.items() if each is not ...})
    return signed(text.encode(), json.dumps(CLAIMS).encode() if payload is None else payload)


def accepted(content: bytes) -> jws.SignedClaims:
    return jws.verify(jws.parse(content, ALL), key("RS256"))


def refused(content: bytes, bound: Bound | None = None) -> Refusal:
    with pytest.raises(InvalidTokenError) as error:
        jws.verify(jws.parse(content, ALL), bound or key("RS256"))
    return error.value.code


@pytest.mark.parametrize("algorithm", jws.ALGORITHMS)
def test_what_another_library_signed_holds(algorithm: str) -> None:
    text = jwt.encode(CLAIMS, private(algorithm), algorithm, headers={"kid": "k1"})
    parsed = jws.parse(jws.octets(text), frozenset({algorithm}))
    claims = jws.verify(parsed, key(algorithm))
    assert (claims.claims, claims.typ, parsed.kid) == (CLAIMS, "JWT", "k1")


@pytest.mark.parametrize("algorithm", jws.ALGORITHMS)
def test_a_signature_of_another_key_or_over_another_text_does_not_hold(algorithm: str) -> None:
    text = jwt.encode(CLAIMS, private(algorithm), algorithm, headers={"kid": "k1"})
    parsed = jws.parse(text.encode(), ALL)
    other: dict[str, PublicKey] = {
        name: ec.generate_private_key(curve).public_key() for name, curve in CURVES.items()
    }
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    wrong = Bound(public_key=other.get(algorithm, stranger), algorithms=ALL)
    altered = replace(parsed, signing_input=parsed.signing_input + b"x")
    for candidate, bound in ((parsed, wrong), (altered, key(algorithm))):
        with pytest.raises(InvalidTokenError) as error:
            jws.verify(candidate, bound)
        assert error.value.code is Refusal.SIGNATURE


@pytest.mark.parametrize("algorithm", jws.ALGORITHMS)
def test_a_key_is_not_used_with_an_algorithm_that_it_is_not_bound_to(algorithm: str) -> None:
    text = jwt.encode(CLAIMS, private(algorithm), algorithm, headers={"kid": "k1"})
    bound = key(algorithm, *(ALL - {algorithm}))
    assert refused(text.encode(), bound) is Refusal.KEY_MISMATCH


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("RS256", "ES256"), ("ES256", "RS256"), ("ES256", "ES384")]
)
def test_a_key_of_another_kind_is_not_used_whatever_it_is_bound_to(
    algorithm: str, kind: str
) -> None:
    text = jwt.encode(CLAIMS, private(algorithm), algorithm, headers={"kid": "k1"})
    assert refused(text.encode(), key(kind, *ALL)) is Refusal.KEY_MISMATCH


def test_the_caller_s_list_counts_whatever_the_key_is_bound_to() -> None:
    with pytest.raises(InvalidTokenError) as error:
        jws.parse(token(), frozenset({"PS256", "ES256"}))
    assert error.value.code is Refusal.ALGORITHM


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "rs256", "RS256 ", "", 1, [], ...])
def test_none_hmac_and_what_is_no_algorithm_are_refused(algorithm: object) -> None:
    assert refused(token({"alg": algorithm})) is Refusal.ALGORITHM


def test_an_algorithm_that_is_not_implemented_cannot_be_allowed() -> None:
    with pytest.raises(InvalidTokenError) as error:
        jws.parse(token({"alg": "none"}), frozenset({"none"}))
    assert error.value.code is Refusal.ALGORITHM


def test_a_public_key_is_no_hmac_secret() -> None:
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(pem)
    content = encoded(b'{"alg":"HS256","kid":"k1"}') + b"." + encoded(b"{}")
    assert refused(content + b"." + encoded(digest.finalize())) is Refusal.ALGORITHM


@pytest.mark.parametrize("length", [0, 1, 63, 65, 72])
def test_an_ecdsa_signature_is_r_and_s_of_exact_length(length: int) -> None:
    text = jwt.encode(CLAIMS, EC["ES256"], "ES256", headers={"kid": "k1"}).encode()
    parsed = jws.parse(text, ALL)
    wrong = replace(parsed, signature=(parsed.signature + bytes(8))[:length])
    with pytest.raises(InvalidTokenError) as error:
        jws.verify(wrong, key("ES256"))
    assert error.value.code is Refusal.SIGNATURE


def test_a_signature_without_the_leading_zero_of_s_is_too_short() -> None:
    text = next(
        text
        for text in (signed_with_ec(str(number)) for number in range(100_000))
        if jws.parse(text, ALL).signature[32] == 0
    )
    parsed = jws.parse(text, ALL)
    assert jws.verify(parsed, key("ES256")).claims
    short = replace(parsed, signature=parsed.signature[:32] + parsed.signature[33:])
    with pytest.raises(InvalidTokenError) as error:
        jws.verify(short, key("ES256"))
    assert error.value.code is Refusal.SIGNATURE


def signed_with_ec(jti: str) -> bytes:
    return jwt.encode({"jti": jti}, EC["ES256"], "ES256", headers={"kid": "k1"}).encode()


@pytest.mark.parametrize("algorithm", CURVES)
def test_zeros_are_no_ecdsa_signature(algorithm: str) -> None:
    text = jwt.encode(CLAIMS, EC[algorithm], algorithm, headers={"kid": "k1"}).encode()
    parsed = jws.parse(text, ALL)
    zeros = replace(parsed, signature=bytes(len(parsed.signature)))  # CVE-2022-21449
    with pytest.raises(InvalidTokenError) as error:
        jws.verify(zeros, key(algorithm))
    assert error.value.code is Refusal.SIGNATURE


def test_the_pss_salt_is_as_long_as_the_hash() -> None:
    content = encoded(b'{"alg":"PS256","kid":"k1"}') + b"." + encoded(b"{}")
    for salt, holds in ((32, True), (20, False), (padding.PSS.MAX_LENGTH, False)):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
        text = content + b"." + encoded(RSA.sign(content, pss, hashes.SHA256()))
        if holds:
            assert jws.verify(jws.parse(text, ALL), key("PS256")).claims == {}
        else:
            assert refused(text, key("PS256")) is Refusal.SIGNATURE


# Segments


def altered(place: int, change: Callable[[bytes], bytes]) -> bytes:
    segments = token().split(b".")
    segments[place] = change(segments[place])
    return b".".join(segments)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"..",
        b"a.b",
        token() + b".",
        b"." + token(),
        token() + b".x.y",
        token().replace(b".", b"..", 1),
    ],
)
def test_a_token_has_three_segments(content: bytes) -> None:
    assert refused(content) is Refusal.MALFORMED


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "change",
    [
        lambda segment: segment + b"=" * (-len(segment) % 4 or 4),
        lambda segment: segment + b"A" * ((1 - len(segment)) % 4),
        lambda segment: segment + b"\n",
        lambda segment: b" " + segment,
        lambda segment: segment[:4] + b"+" + segment[5:],
        lambda segment: segment[:4] + b"/" + segment[5:],
        lambda segment: segment[:4] + b"=" + segment[5:],
        lambda segment: segment[:4] + b"*" + segment[5:],
        lambda segment: segment[:4] + b"****" + segment[4:],
        lambda segment: segment[:4] + b"\r\n\r\n" + segment[4:],
        lambda segment: segment[:4] + b"\xc3" + segment[5:],
        lambda segment: segment[:4] + b"\0" + segment[5:],
    ],
)
def test_each_segment_is_unpadded_base64url(place: int, change: Callable[[bytes], bytes]) -> None:
    assert refused(altered(place, change)) is Refusal.MALFORMED


@pytest.mark.parametrize("length", [1, 2, 4, 5, 7, 8])
def test_a_segment_has_one_spelling(length: int) -> None:
    canonical = encoded(bytes(range(length)))
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same = []
    for letter in letters:
        spelling = canonical[:-1] + bytes([letter])
        content = token().rsplit(b".", 1)[0] + b"." + spelling
        try:
            parsed = jws.parse(content, ALL)
        except InvalidTokenError:
            continue
        assert encoded(parsed.signature) == spelling
        same += [spelling] if parsed.signature == bytes(range(length)) else []
    assert same == [canonical]


# JSON

OPEN = b'{"iss":"i","x":'


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'"text"',
        b"7",
        b"null",
        b"{",
        b"{}{}",
        b"{} x",
        b"\xef\xbb\xbf{}",
        b"\x0c{}",
        b"{}\xc2\xa0",
        b'{"iss":"\xff"}',
        b'{"iss":"\xed\xa0\x80"}',
        b'{"iss":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"iss":"a\nb"}',
        b"{'iss':'i'}",
        b'{"iss":"i","iss":"i"}',
        b'{"iss":"i","\\u0069ss":"j"}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":1,"b":2}]}',
        OPEN + b"NaN}",
        OPEN + b"Infinity}",
        OPEN + b"-Infinity}",
        OPEN + b"1e400}",
        OPEN + b"-1e400}",
        OPEN + b"01}",
        OPEN + b"1" * 21 + b"}",
        OPEN + b"1" * 5000 + b"}",
        OPEN + b"[" * 16 + b"]" * 16 + b"}",
        OPEN + b'{"a":' * 16 + b"1" + b"}" * 17,
        OPEN + b"[" * 8000,
        OPEN + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_the_claims_are_one_json_object_with_one_reading(payload: bytes) -> None:
    assert refused(token(payload=payload)) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b' {"iss" : "i"}\r\n\t',
        '{"iss":"Zoë 🙂"}'.encode(),
        b'{"iss":"\\ud83d\\ude42"}',
        b'{"a":{"b":1},"c":{"b":1}}',
        OPEN + b"1" * 20 + b"}",
        OPEN + b"1.5e300}",
        OPEN + b"[" * 15 + b"]" * 15 + b"}",
        OPEN + b'{"a":' * 15 + b"1" + b"}" * 16,
        OPEN + b"[" * 15 + b"]" * 15 + b',"y":[[],{}]}',
        OPEN + b'"' + b"[{" * 100 + b'"}',
    ],
)
def test_and_everything_within_the_bounds_is_read_as_python_reads_it(payload: bytes) -> None:
    assert accepted(token(payload=payload)).claims == json.loads(payload)


@pytest.mark.parametrize(
    "header",
    [b"", b"[]", b'{"alg":"RS256","kid":"k1","kid":"k1"}', b'{"alg":"RS256","kid":"\\ud800"}'],
)
def test_the_header_is_read_as_strictly(header: bytes) -> None:
    assert refused(signed(header, b"{}")) is Refusal.MALFORMED


# Sizes


def test_a_token_is_bounded_before_anything_else_is_done_with_it() -> None:
    longest = "a" * jws.MAX_TOKEN
    assert jws.octets(longest) == longest.encode()
    with pytest.raises(InvalidTokenError) as error:
        jws.octets(longest + "a")
    assert error.value.code is Refusal.TOO_LARGE
    assert refused(b"a" * jws.MAX_TOKEN) is Refusal.MALFORMED
    assert refused(b"a" * (jws.MAX_TOKEN + 1)) is Refusal.TOO_LARGE


def test_a_header_is_bounded() -> None:
    room = jws.MAX_HEADER * 3 // 4 - len('{"alg": "RS256", "kid": "k1", "cty": ""}')
    assert accepted(token({"cty": "x" * room})).claims == CLAIMS
    assert refused(token({"cty": "x" * (room + 1)})) is Refusal.TOO_LARGE


@pytest.mark.parametrize("text", ["Zoë", "\ud800", "a.b.c\N{NO-BREAK SPACE}"])
def test_a_token_is_ascii(text: str) -> None:
    with pytest.raises(InvalidTokenError) as error:
        jws.octets(text)
    assert error.value.code is Refusal.MALFORMED


def test_a_token_inside_a_token_is_no_object_of_claims() -> None:
    assert refused(token({"cty": "JWT"}, payload=token())) is Refusal.MALFORMED


# The header


@pytest.mark.parametrize("kid", [..., None, "", 7, ["k1"], {"a": 1}, "k" * 257])
def test_kid_is_required_a_string_and_bounded(kid: object) -> None:
    assert refused(token({"kid": kid})) is Refusal.KEY_ID


def test_the_longest_kid_is_taken() -> None:
    assert jws.parse(token({"kid": "k" * 256}), ALL).kid == "k" * 256


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "enc"])
@pytest.mark.parametrize("value", [None, True, False, "", "DEF", [], ["b64"], ["exp"]])
def test_extensions_are_refused_whatever_they_ask_for(name: str, value: object) -> None:
    assert refused(token({name: value})) is Refusal.HEADER


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("typ", None),
        ("typ", ["JWT"]),
        ("cty", 1),
        ("x5t", 1),
        ("x5t#S256", []),
        ("jku", 1),
        ("jku", "http://issuer.example/keys"),
        ("x5u", "file:///etc/passwd"),
        ("jwk", "key"),
        ("jwk", [{}]),
        ("x5c", "certificate"),
        ("x5c", ["certificate", 1]),
    ],
)
def test_a_registered_member_of_another_type_is_refused(name: str, value: object) -> None:
    assert refused(token({name: value})) is Refusal.HEADER


def test_a_typ_is_passed_on_as_it_is_and_its_absence_too() -> None:
    assert accepted(token({"typ": "AT+jwt"})).typ == "AT+jwt"
    assert accepted(token()).typ is None


def test_what_is_not_registered_is_ignored() -> None:
    header = {"nonce": "n", "x5t": "t", "x5t#S256": "t", "cty": "JWT", "x5c": ["c"]}
    assert accepted(token(header)).claims == CLAIMS


def test_a_key_that_the_token_brings_along_is_not_used() -> None:
    attacker = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(attacker.public_key()))
    for extra in ({"jwk": own}, {"jku": "https://attacker.example/keys"}, {"x5c": ["MII"]}):
        text = jwt.encode(CLAIMS, attacker, "RS256", headers={"kid": "k1", **extra})
        assert refused(text.encode()) is Refusal.SIGNATURE


# Silence


def test_nothing_of_a_token_is_in_an_error_or_a_repr() -> None:
    content = token({"typ": "secret-typ", "kid": "secret-kid"}, b'{"iss":"secret-issuer"}')
    parsed = jws.parse(content, ALL)
    shown = repr(parsed) + repr(jws.verify(parsed, key("RS256")).claims.keys())
    broken = altered(1, lambda segment: segment[:8])
    with pytest.raises(InvalidTokenError) as error:
        jws.parse(broken, ALL)
    shown += repr(error.value) + str(error.value)
    assert error.value.__suppress_context__
    assert "secret" not in shown
    assert not [part for part in content.decode().split(".") if part in shown]
