"""Verifiers that other people wrote: each reads our published documents and judges an assertion.

``VERIFIERS`` says of each which of our algorithms it takes, and the tests hold that both ways.
Those in Python are asked here, those on Node over lines of JSON, as the rehearsal asks them.
"""

import json
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import jwt
from aws_lambda_powertools.utilities.auth_alpha import JWTVerifier
from aws_lambda_powertools.utilities.auth_alpha.jwt.exceptions import InvalidTokenError
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from interop.deployment import AUDIENCE
from interop.trials import NODE_FOLDER, Party, from_npm, from_pypi
from machine_identity.jwk import ALGORITHMS
from machine_identity.publication import CONFIGURATION_PATH
from rehearsal.processes import Questions

type Judge = Callable[[str, str, str], str]
"""Issuer, algorithm and assertion to the reason why it is refused, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """One of them."""

    party: Callable[[], Party]
    judge: Judge | Path
    """A function here, or a program for Node."""
    forged: str
    """What it says of a changed assertion: by class, code or first words."""
    elsewhere: str
    """What it says of one for another audience."""
    takes: frozenset[str] = frozenset(ALGORITHMS)
    unknown: str = ""
    """What it says of an algorithm that it does not take."""


def _document(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - loopback, https
        return json.load(answer)


def _key_set_of(issuer: str) -> str:
    configuration: dict[str, str] = _document(issuer + CONFIGURATION_PATH)
    assert configuration["issuer"] == issuer
    return configuration["jwks_uri"]


def _by_pyjwk_client(issuer: str, algorithm: str, assertion: str) -> str:
    try:
        key = jwt.PyJWKClient(_key_set_of(issuer)).get_signing_key_from_jwt(assertion)
        jwt.decode(assertion, key, algorithms=[algorithm], audience=AUDIENCE, issuer=issuer)
    except jwt.PyJWTError as error:
        return type(error).__name__
    return ""


def _by_joserfc(issuer: str, algorithm: str, assertion: str) -> str:
    keys = KeySet.import_key_set(_document(_key_set_of(issuer)))
    try:
        token = joserfc_jwt.decode(assertion, keys, algorithms=[algorithm])
        joserfc_jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": AUDIENCE},
        ).validate(token.claims)
    except JoseError as error:
        return type(error).__name__
    return ""


def _by_powertools(issuer: str, algorithm: str, assertion: str) -> str:
    try:
        JWTVerifier(issuer=issuer, audience=AUDIENCE, algorithms=[algorithm]).verify(assertion)
    except InvalidTokenError as error:
        return type(error).__name__
    return ""


VERIFIERS: Final[Mapping[str, Verifier]] = {
    "PyJWKClient": Verifier(
        party=lambda: from_pypi("pyjwt", "PyJWT's PyJWKClient"),
        judge=_by_pyjwk_client,
        forged="InvalidSignatureError",
        elsewhere="InvalidAudienceError",
    ),
    "joserfc": Verifier(
        party=lambda: from_pypi("joserfc"),
        judge=_by_joserfc,
        forged="BadSignatureError",
        elsewhere="InvalidClaimError",
    ),
    "Powertools": Verifier(
        party=lambda: from_pypi("aws-lambda-powertools", "Powertools' JWTVerifier"),
        judge=_by_powertools,
        forged="InvalidSignatureError",
        elsewhere="InvalidClaimsError",
    ),
    "jose": Verifier(
        party=lambda: from_npm("jose"),
        judge=NODE_FOLDER / "jose.mjs",
        forged="ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        elsewhere="ERR_JWT_CLAIM_VALIDATION_FAILED",
    ),
    "jwks-rsa": Verifier(
        party=lambda: from_npm("jwks-rsa"),
        judge=NODE_FOLDER / "jwks_rsa.mjs",
        forged="invalid signature",
        elsewhere="jwt audience invalid",
    ),
    "aws-jwt-verify": Verifier(
        party=lambda: from_npm("aws-jwt-verify"),
        judge=NODE_FOLDER / "aws_jwt_verify.mjs",
        forged="JwtInvalidSignatureError",
        elsewhere="JwtInvalidAudienceError",
        takes=frozenset(ALGORITHMS) - {"PS256"},
        unknown="JwtInvalidSignatureAlgorithmError",
    ),
}


class Judges:
    """``with Judges(node, logs) as judges``: all of them, the processes of some among them."""

    def __init__(self, node: str, logs: Path) -> None:
        self._node = node
        self._logs = logs
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._judges = {name: self._judge(name, each) for name, each in VERIFIERS.items()}
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def why_not(self, verifier: str, issuer: str, algorithm: str, assertion: str) -> str:
        """Return why that verifier refuses the assertion; nothing if it does not."""
        return self._judges[verifier](issuer, algorithm, assertion)

    def _judge(self, name: str, verifier: Verifier) -> Judge:
        if not isinstance(verifier.judge, Path):
            return verifier.judge
        questions = Questions([self._node, str(verifier.judge)], self._logs / f"{name}.log")
        self._open.enter_context(questions.process)

        def judge(issuer: str, algorithm: str, assertion: str) -> str:
            about = {"issuer": issuer, "audience": AUDIENCE, "algorithm": algorithm}
            # A reader is a verifier with a cache of its own: one for each deployment.
            answer = questions.ask({"reader": issuer, **about, "assertion": assertion})
            return "" if answer["accepted"] else str(answer["why"])

        return judge
