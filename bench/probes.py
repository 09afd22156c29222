"""Tokens that must not get in, each for one reason: what a verifier is fast at is told with them.

They are well signed by the right key, except ``FORGED``: who takes that one is no verifier, and is
not measured. The rest shows, by trying, how much of the judging each one leaves to its caller.
"""

import json
from typing import Final

from bench.issuer import LIFETIME, Issuer

FORGED: Final = "forged"
TEXT_EXP: Final = "4102444800"
"""The year 2100, in quotation marks."""


def probes(issuer: Issuer, algorithm: str) -> dict[str, str]:
    """Return a bad token for each reason, by the reason."""
    good = issuer.claims()
    late, early = good["exp"] - 2 * LIFETIME, good["iat"] + LIFETIME

    def token(**changed: object) -> str:
        return issuer.token(algorithm, {**good, **changed})

    def headed(**header: object) -> str:
        return issuer.token(algorithm, good, **header)

    return {
        FORGED: forged(token()),
        "expired": token(exp=late),
        "not yet valid": token(nbf=early),
        "issued in the future": token(iat=early),
        "other issuer": token(iss=f"{good['iss']}/other"),
        "other audience": token(aud="api://uppercase/other"),
        "scope missing": token(scope="openid uppercase.read"),
        "no `exp`": issuer.token(algorithm, {n: v for n, v in good.items() if n != "exp"}),
        "`exp` as text": token(exp=TEXT_EXP),
        "member twice": issuer.token(algorithm, json.dumps(good)[:-1] + ',"sub":"other"}'),
        "other `typ`": headed(typ="client-authentication+jwt"),
        "unknown `kid`": headed(kid="unknown"),
        "unknown `crit`": headed(crit=["urn:example:unknown"], **{"urn:example:unknown": True}),
    }


def forged(token: str) -> str:
    """Return the token with one letter in the middle of its signature changed."""
    place = token.rindex(".") + (len(token) - token.rindex(".")) // 2
    return f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}"
