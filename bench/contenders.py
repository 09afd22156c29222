"""The Python libraries that the README compares with, each told all that its own options can say.

Each gets the key set from the issuer's address, by its own client where it has one. Where it has
none, the set is fetched once and its keys are prepared, which is the fastest that the library can
be. No check is written for a library that has none of that kind: what it then lets in, the table
says. Packages are those of ``bench/requirements.txt``.
"""

import json
import urllib.request
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import jwt
from aws_lambda_powertools.utilities.auth_alpha import JWTVerifier
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from bench.issuer import AUDIENCE, TYPE, Issuer
from bench.ours import Check, Contender

with warnings.catch_warnings(record=True):
    # Authlib's own words: use joserfc instead. Many still have it, so it is measured.
    from authlib.jose import JsonWebKey, JsonWebToken  # type: ignore[import-not-found,import-untyped,unused-ignore]  # bench/.venv only
from jose import jwk as jose_jwk  # type: ignore[import-not-found,import-untyped,unused-ignore]  # bench/.venv only
from jose import jwt as jose_jwt  # type: ignore[import-not-found,import-untyped,unused-ignore]  # bench/.venv only

if TYPE_CHECKING:
    from collections.abc import Callable

LEEWAY: Final = 60
"""Seconds; ours has the same."""


def contenders(issuer: Issuer, algorithm: str) -> list[Contender]:
    """Return all of them, with their versions. python-jose knows no PS algorithm."""
    makers: dict[str, Callable[[Issuer, str], Check]] = {
        f"PyJWT {version('pyjwt')}, key prepared": _pyjwt,
        f"PyJWT {version('pyjwt')} + PyJWKClient": _pyjwk_client,
        f"joserfc {version('joserfc')}": _joserfc,
        f"Authlib {version('authlib')}": _authlib,
        f"python-jose {version('python-jose')}": _python_jose,
        f"Powertools {version('aws-lambda-powertools')} JWTVerifier": _powertools,
    }
    if algorithm.startswith("PS"):
        makers = {name: make for name, make in makers.items() if make is not _python_jose}
    return [_contender(name, make(issuer, algorithm)) for name, make in makers.items()]


def _contender(name: str, check: Check) -> Contender:
    # None of them remembers a token, so none has to be made anew.
    return Contender(name=name, fresh=lambda: check, again=name.endswith("PyJWKClient"))


def _pyjwt(issuer: Issuer, algorithm: str) -> Check:
    key = jwt.PyJWK.from_dict(_jwk(issuer, algorithm)).key
    return lambda token: _decoded(token, key, issuer, algorithm)


def _pyjwk_client(issuer: Issuer, algorithm: str) -> Check:
    """Return what most tutorials write: PyJWT, with its PyJWKClient."""
    keys = jwt.PyJWKClient(issuer.jwks_uri)
    return lambda token: _decoded(token, keys.get_signing_key_from_jwt(token), issuer, algorithm)


def _decoded(token: str, key: Any, issuer: Issuer, algorithm: str) -> object:  # noqa: ANN401 - a key of PyJWT's many kinds
    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=AUDIENCE,
        issuer=issuer.url,
        leeway=LEEWAY,
        options={"require": ["iss", "aud", "exp"]},
    )


def _joserfc(issuer: Issuer, algorithm: str) -> Check:
    keys = KeySet.import_key_set(_fetched(issuer))
    registry = joserfc_jwt.JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer.url},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )

    def check(token: str) -> object:
        decoded = joserfc_jwt.decode(token, keys, algorithms=[algorithm])
        registry.validate(decoded.claims)
        return decoded

    return check


def _authlib(issuer: Issuer, algorithm: str) -> Check:
    library = JsonWebToken([algorithm])
    keys = JsonWebKey.import_key_set(_fetched(issuer))
    wanted = {
        "iss": {"essential": True, "value": issuer.url},
        "aud": {"essential": True, "value": AUDIENCE},
        "exp": {"essential": True},
    }

    def check(token: str) -> object:
        claims = library.decode(token, keys, claims_options=wanted)
        claims.validate(leeway=LEEWAY)
        return claims

    return check


def _python_jose(issuer: Issuer, algorithm: str) -> Check:
    key = jose_jwk.construct(_jwk(issuer, algorithm), algorithm)
    options = {"leeway": LEEWAY, "require_iss": True, "require_aud": True, "require_exp": True}
    return lambda token: jose_jwt.decode(
        token, key, algorithms=[algorithm], audience=AUDIENCE, issuer=issuer.url, options=options
    )


def _powertools(issuer: Issuer, algorithm: str) -> Check:
    return JWTVerifier(
        issuer=issuer.url,
        audience=AUDIENCE,
        algorithms=[algorithm],
        jwks_uri=issuer.jwks_uri,
        expected_headers={"typ": TYPE},
        clock_skew_seconds=LEEWAY,
    ).verify


def _jwk(issuer: Issuer, algorithm: str) -> dict[str, Any]:
    keys: list[dict[str, Any]] = _fetched(issuer)["keys"]
    return next(each for each in keys if each["alg"] == algorithm)


def _fetched(issuer: Issuer) -> Any:  # noqa: ANN401 - JSON is anything
    with urllib.request.urlopen(issuer.jwks_uri) as answer:  # noqa: S310 - loopback, https
        return json.load(answer)
