"""Writes events/authorizer/*.json, and beside this file the key set and the decisions they need.

``python tests/vectors/authorizer/make.py``; the private keys are made here and kept nowhere, so
each run replaces everything. The tests read the files and never run this. The decision is
``allowed`` or the code under which the log has the refusal; it is written down here by hand.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HERE = Path(__file__).parent
EVENTS = HERE.parents[2] / "events" / "authorizer"
ISSUER = "https://issuer.example"
API_ARN = "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234"
YEAR_2020, YEAR_2026, YEAR_2099, YEAR_2100 = 1577836800, 1767225600, 4070908800, 4102444800

KEY, STRANGER, ENCRYPTION, SIGNING, PRIVATE, DOUBLED = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(6)
)
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
SMALL = rsa.generate_private_key(public_exponent=3, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
HEADER = {"alg": "RS256", "typ": "at+jwt", "kid": "key-1"}
CLAIMS = {
    "iss": ISSUER,
    "aud": "api://uppercase",
    "exp": YEAR_2100,
    "iat": YEAR_2026,
    "nbf": YEAR_2026,
    "sub": "subject-1",
    "client_id": "client-1",
    "jti": "0b0c3b4e-9d3c-4a5e-8f51-6f6d2f1c9a77",
    "scope": "uppercase",
    "roles": ["Uppercase.Call"],
}


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def octets(number: int) -> str:
    return encoded(number.to_bytes((number.bit_length() + 7) // 8))


def jwk(key: rsa.RSAPrivateKey, kid: str, **members: Any) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    public = {"kty": "RSA", "kid": kid, "n": octets(numbers.n), "e": octets(numbers.e)}
    return {**public, "use": "sig", **members}


def point(kid: str, *, shifted_by: int = 0) -> dict[str, Any]:
    """Return the public half of CURVE, or a point beside the curve."""
    numbers = CURVE.public_key().public_numbers()
    x, y = (encoded(each.to_bytes(32)) for each in (numbers.x, numbers.y ^ shifted_by))
    return {"kty": "EC", "kid": kid, "crv": "P-256", "x": x, "y": y}


def rs256(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda content: key.sign(content, padding.PKCS1v15(), hashes.SHA256())


def ps256(content: bytes) -> bytes:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
    return KEY.sign(content, pss, hashes.SHA256())


def es256_der(content: bytes) -> bytes:
    """A signature as X.509 has it; a JWS has r and s side by side (RFC 7518 section 3.4)."""
    return CURVE.sign(content, ec.ECDSA(hashes.SHA256()))


def es256(content: bytes) -> bytes:
    return b"".join(each.to_bytes(32) for each in decode_dss_signature(es256_der(content)))


def hs256(content: bytes) -> bytes:
    """A signature whose secret is the public key, as everybody can read it."""
    secret = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hmac.digest(secret, content, hashlib.sha256)


def text(members: dict[str, Any], extra: str = "") -> bytes:
    """Return JSON; a member of None is left out, and ``extra`` comes last as it is."""
    kept = {name: each for name, each in members.items() if each is not None}
    return (json.dumps(kept)[:-1] + extra + "}").encode()


def signed(header: bytes, claims: bytes, sign: Callable[[bytes], bytes] | None = None) -> str:
    content = f"{encoded(header)}.{encoded(claims)}"
    return f"{content}.{encoded((sign or rs256(KEY))(content.encode()))}"


def token(
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    *,
    sign: Callable[[bytes], bytes] | None = None,
    extra: str = "",
) -> str:
    """Return a good token but for what is given; a member of None is left out."""
    return signed(
        text({**HEADER, **(header or {})}), text({**CLAIMS, **(claims or {})}, extra), sign
    )


def with_claims(content: bytes) -> str:
    """Return a well signed token whose payload is this, whatever it is."""
    return signed(text(HEADER), content)


def event(headers: dict[str, str]) -> dict[str, Any]:
    """Return what API Gateway asks an authorizer with (payload 2.0)."""
    route = "POST /api/uppercase"
    return {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": f"{API_ARN}/$default/POST/api/uppercase",
        "identitySource": list(headers.values()),
        "routeKey": route,
        "rawPath": "/api/uppercase",
        "rawQueryString": "",
        "headers": {
            **headers,
            "content-type": "application/json",
            "host": "abcdef1234.execute-api.eu-central-1.amazonaws.com",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdef1234",
            "domainName": "abcdef1234.execute-api.eu-central-1.amazonaws.com",
            "domainPrefix": "abcdef1234",
            "http": {
                "method": "POST",
                "path": "/api/uppercase",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8.11.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
            "time": "24/Nov/2026:12:00:00 +0000",
            "timeEpoch": 1795521600000,
        },
    }


def bearer(value: str) -> dict[str, Any]:
    return event({"authorization": f"Bearer {value}"})


def tampered() -> str:
    head, _, signature = token().split(".")
    payload = token(claims={"roles": ["Uppercase.Call", "Uppercase.Admin"]}).split(".")[1]
    return f"{head}.{payload}.{signature}"


def respelt() -> str:
    """The same octets in other letters: the last one has four spare bits."""
    good = token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return good[:-1] + alphabet[alphabet.index(good[-1]) + 1]


def without(part: int) -> str:
    parts = token().split(".")
    parts[part] = ""
    return ".".join(parts)


KEYS = [
    jwk(KEY, "key-1"),
    point("curve"),
    jwk(ENCRYPTION, "encryption", use="enc"),
    jwk(SIGNING, "signing", key_ops=["sign"]),
    jwk(WEAK, "weak"),
    jwk(SMALL, "small-exponent"),
    jwk(PRIVATE, "private", d="AQAB"),
    jwk(DOUBLED, "doubled"),
    jwk(KEY, "doubled"),
    point("off-curve", shifted_by=1),
]
EXTRA_ROLES = ', "roles": ["Uppercase.Call"]'
DEEP = "[" * 40 + "]" * 40
ALLOWED = {
    "allowed": bearer(token()),
    "allowed_in_any_case": event({"Authorization": f"bearer {token({'typ': 'JWT'})}"}),
    "allowed_audience_list": bearer(token(claims={"aud": ["api://other", "api://uppercase"]})),
    "allowed_es256": bearer(token({"alg": "ES256", "kid": "curve"}, sign=es256)),
    "allowed_without_type": bearer(token({"typ": None})),
    "allowed_with_scopes_in_a_list": bearer(token(claims={"scope": None, "scp": ["uppercase"]})),
}
REFUSED = {
    "algorithm": {
        "alg_lower_case": token({"alg": "rs256"}),
        "alg_none": token({"alg": "none"}, sign=lambda _: b""),
        "alg_not_allowed": token({"alg": "PS256"}, sign=ps256),
        "hs256_with_public_key": token({"alg": "HS256"}, sign=hs256),
    },
    "audience": {
        "missing_audience": token(claims={"aud": None}),
        "audience_as_prefix": token(claims={"aud": "api://uppercase/"}),
        "wrong_audience": token(claims={"aud": "api://other"}),
    },
    "claim_type": {
        "audience_as_number": token(claims={"aud": 7}),
        "exp_as_truth": token(claims={"exp": True}),
        "exp_negative": token(claims={"exp": -1}),
        "exp_with_fraction": token(claims={"exp": YEAR_2100 + 0.5}),
        "missing_exp": token(claims={"exp": None}),
        "nbf_as_text": token(claims={"nbf": str(YEAR_2026)}),
        "role_as_text": token(claims={"roles": "Uppercase.Call"}),
        "scope_as_number": token(claims={"scope": 7}),
        "text_exp": token(claims={"exp": str(YEAR_2100)}),
    },
    "expired": {"expired": token(claims={"exp": YEAR_2020, "iat": YEAR_2020 - 1, "nbf": None})},
    "header": {
        "b64_header": token({"b64": False}),
        "crit_header": token({"crit": ["b64"], "b64": True}),
        "enc_header": token({"enc": "A256GCM"}),
        "jku_without_tls": token({"jku": "http://issuer.example/jwks.json"}),
        "zip_header": token({"zip": "DEF"}),
    },
    "issued_in_future": {"issued_in_future": token(claims={"iat": YEAR_2099})},
    "issuer": {
        "issuer_with_slash": token(claims={"iss": f"{ISSUER}/"}),
        "issuer_in_a_list": token(claims={"iss": [ISSUER]}),
        "missing_issuer": token(claims={"iss": None}),
        "wrong_issuer": token(claims={"iss": f"{ISSUER}.attacker.example"}),
    },
    "key_id": {
        "kid_as_number": token({"kid": 7}),
        "kid_empty": token({"kid": ""}),
        "kid_too_long": token({"kid": "k" * 257}),
        "missing_kid": token({"kid": None}),
    },
    "key_mismatch": {
        "es256_with_rsa_key": token({"alg": "ES256"}, sign=es256),
        "rs256_with_curve_key": token({"kid": "curve"}),
    },
    "malformed": {
        "claims_deep": token(extra=f', "x": {DEEP}'),
        "claims_in_a_list": with_claims(b"[]"),
        "claims_not_utf8": with_claims(text({**CLAIMS, "x": "?"}).replace(b"?", b"\xff")),
        "claims_then_more": with_claims(text(CLAIMS) + b"x"),
        "detached": without(1),
        "duplicate_claim": token(claims={"roles": []}, extra=EXTRA_ROLES),
        "duplicate_header": signed(text(HEADER, ', "alg": "RS256"'), text(CLAIMS)),
        "exp_beyond_numbers": token(claims={"exp": None}, extra=', "exp": 1e400'),
        "exp_not_a_number": token(claims={"exp": None}, extra=', "exp": NaN'),
        "four_segments": f"{token()}.x",
        "half_a_surrogate_pair": token(claims={"x": "\ud800"}),
        "padded_token": f"{token()}=",
        "respelt_signature": respelt(),
        "two_segments": token().rpartition(".")[0],
        "two_tokens": f"{token()},Bearer {token()}",
    },
    "not_yet_valid": {"not_yet_valid": token(claims={"nbf": YEAR_2099})},
    "role": {
        "missing_role": token(claims={"roles": ["Uppercase.Read"]}),
        "role_in_another_case": token(claims={"roles": ["uppercase.call"]}),
        "without_roles": token(claims={"roles": None}),
    },
    "signature": {
        "bad_signature": token(sign=rs256(STRANGER)),
        "embedded_key": token({"jwk": jwk(STRANGER, "key-1")}, sign=rs256(STRANGER)),
        "es256_as_der": token({"alg": "ES256", "kid": "curve"}, sign=es256_der),
        "es256_of_zeros": token({"alg": "ES256", "kid": "curve"}, sign=lambda _: bytes(64)),
        "tampered_claims": tampered(),
        "without_signature": without(2),
    },
    "too_large": {
        "too_large": token(claims={"x": "x" * 13_000}),
        "too_large_header": token({"x": "x" * 1600}),
    },
    "type": {
        "bound_to_a_key": token(claims={"cnf": {"jkt": "x"}}),
        "client_assertion_typ": token({"typ": "client-authentication+jwt"}),
        "empty_typ": token({"typ": ""}),
        "id_token_of_a_code_flow": token({"typ": "JWT"}, {"client_id": None}),
        "id_token": token({"typ": "JWT"}, {"nonce": "n-0S6_WzA2Mj"}),
        "security_event": token({"typ": "JWT"}, {"events": {}}),
    },
    "unknown_key": {
        "doubled_key": token({"kid": "doubled"}),
        "encryption_key": token({"kid": "encryption"}, sign=rs256(ENCRYPTION)),
        "key_off_its_curve": token({"alg": "ES256", "kid": "off-curve"}, sign=es256),
        "key_of_small_exponent": token({"kid": "small-exponent"}, sign=rs256(SMALL)),
        "key_that_may_not_verify": token({"kid": "signing"}, sign=rs256(SIGNING)),
        "key_url": token(
            {"kid": "attacker", "jku": "https://attacker.example/"}, sign=rs256(STRANGER)
        ),
        "private_key_published": token({"kid": "private"}, sign=rs256(PRIVATE)),
        "unknown_key": token({"kid": "key-9"}),
        "weak_key": token({"kid": "weak"}, sign=rs256(WEAK)),
    },
}
NO_TOKEN = {
    "no_bearer": event({"authorization": "Basic Y2xpZW50LTE6c2VjcmV0"}),
    "no_header": event({}),
    "no_token": event({"authorization": "Bearer "}),
    "two_headers": event({"authorization": f"Bearer {token()}", "Authorization": "Bearer x"}),
    "wrong_shape": {"hello": "world"},
}


def main() -> None:
    cases = {
        **{case: ("allowed", each) for case, each in ALLOWED.items()},
        **{case: ("no_token", each) for case, each in NO_TOKEN.items()},
        **{
            case: (code, bearer(each))
            for code, tokens in REFUSED.items()
            for case, each in tokens.items()
        },
    }
    EVENTS.mkdir(parents=True, exist_ok=True)
    for old in EVENTS.glob("*.json"):
        old.unlink()
    documents = {
        HERE / "jwks.json": {"keys": KEYS},
        HERE / "expected.json": {case: cases[case][0] for case in sorted(cases)},
        **{EVENTS / f"{case}.json": body for case, (_, body) in cases.items()},
    }
    for path, document in documents.items():
        path.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
