"""Writes events/authorizer/*.json, and beside this file the key set and the decisions they need.

``python tests/vectors/authorizer/make.py``; the private keys are made here and kept nowhere, so
each run replaces everything. The tests read the files and never run this.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

HERE = Path(__file__).parent
EVENTS = HERE.parents[2] / "events" / "authorizer"
ISSUER = "https://issuer.example"
API_ARN = "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234"
YEAR_2020, YEAR_2026, YEAR_2099, YEAR_2100 = 1577836800, 1767225600, 4070908800, 4102444800

KEY, STRANGER, ENCRYPTION, WEAK = (
    rsa.generate_private_key(public_exponent=65537, key_size=bits)
    for bits in (2048, 2048, 2048, 1024)
)
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


def jwk(key: rsa.RSAPrivateKey, kid: str, use: str = "sig") -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    n, e = (each.to_bytes((each.bit_length() + 7) // 8) for each in (numbers.n, numbers.e))
    return {"kty": "RSA", "kid": kid, "use": use, "n": encoded(n), "e": encoded(e)}


def rs256(key: rsa.RSAPrivateKey) -> Callable[[bytes], bytes]:
    return lambda content: key.sign(content, padding.PKCS1v15(), hashes.SHA256())


def hs256(content: bytes) -> bytes:
    """A signature whose secret is the public key, as everybody can read it."""
    secret = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hmac.digest(secret, content, hashlib.sha256)


def token(
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    *,
    sign: Callable[[bytes], bytes] | None = None,
    extra: str = "",
) -> str:
    """Return a good token but for what is given; a member of None is left out."""
    parts = []
    for members, changes in ((HEADER, header), (CLAIMS, claims)):
        merged = {**members, **(changes or {})}
        text = json.dumps({name: each for name, each in merged.items() if each is not None})
        parts.append(text)
    parts[1] = parts[1][:-1] + extra + "}"
    content = ".".join(encoded(part.encode()) for part in parts)
    return f"{content}.{encoded((sign or rs256(KEY))(content.encode()))}"


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


ALLOWED = {
    "allowed": bearer(token()),
    "allowed_in_any_case": event({"Authorization": f"bearer {token({'typ': 'JWT'})}"}),
    "allowed_audience_list": bearer(token(claims={"aud": ["api://other", "api://uppercase"]})),
}
REFUSED = {
    "alg_none": bearer(token({"alg": "none"}, sign=lambda _: b"")),
    "bad_signature": bearer(token(sign=rs256(STRANGER))),
    "client_assertion_typ": bearer(token({"typ": "client-authentication+jwt"})),
    "crit_header": bearer(token({"crit": ["b64"], "b64": True})),
    "duplicate_claim": bearer(token(claims={"roles": []}, extra=', "roles": ["Uppercase.Call"]')),
    "embedded_key": bearer(token({"jwk": jwk(STRANGER, "key-1")}, sign=rs256(STRANGER))),
    "encryption_key": bearer(token({"kid": "encryption"}, sign=rs256(ENCRYPTION))),
    "expired": bearer(token(claims={"exp": YEAR_2020, "iat": YEAR_2020 - 1, "nbf": None})),
    "hs256_with_public_key": bearer(token({"alg": "HS256"}, sign=hs256)),
    "id_token": bearer(token({"typ": "JWT"}, {"nonce": "n-0S6_WzA2Mj"})),
    "issued_in_future": bearer(token(claims={"iat": YEAR_2099})),
    "missing_exp": bearer(token(claims={"exp": None})),
    "missing_kid": bearer(token({"kid": None})),
    "missing_role": bearer(token(claims={"roles": ["Uppercase.Read"]})),
    "no_bearer": event({"authorization": "Basic Y2xpZW50LTE6c2VjcmV0"}),
    "no_header": event({}),
    "no_token": event({"authorization": "Bearer "}),
    "not_yet_valid": bearer(token(claims={"nbf": YEAR_2099})),
    "padded_token": bearer(token() + "="),
    "role_as_text": bearer(token(claims={"roles": "Uppercase.Call"})),
    "tampered_claims": bearer(tampered()),
    "text_exp": bearer(token(claims={"exp": str(YEAR_2100)})),
    "two_headers": event({"authorization": f"Bearer {token()}", "Authorization": "Bearer x"}),
    "two_tokens": bearer(f"{token()},Bearer {token()}"),
    "unknown_key": bearer(token({"kid": "key-9"})),
    "weak_key": bearer(token({"kid": "weak"}, sign=rs256(WEAK))),
    "wrong_audience": bearer(token(claims={"aud": "api://other"})),
    "wrong_issuer": bearer(token(claims={"iss": "https://issuer.example.attacker.example"})),
    "wrong_shape": {"hello": "world"},
}


def main() -> None:
    EVENTS.mkdir(parents=True, exist_ok=True)
    keys = [jwk(KEY, "key-1"), jwk(ENCRYPTION, "encryption", use="enc"), jwk(WEAK, "weak")]
    documents = {
        HERE / "jwks.json": {"keys": keys},
        HERE / "expected.json": {case: case in ALLOWED for case in sorted({**ALLOWED, **REFUSED})},
        **{EVENTS / f"{case}.json": body for case, body in {**ALLOWED, **REFUSED}.items()},
    }
    for path, document in documents.items():
        path.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
