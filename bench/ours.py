"""The verifier of this project, and the yardstick, as the bench runs them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from jwt.utils import base64url_decode

from bench.issuer import AUDIENCE, SCOPE, TYPE, Issuer
from machine_identity import clock, transport
from machine_identity.access_token import Expectations
from machine_identity.jwks_cache import Limits
from machine_identity.jwks_client import JwksClient, Location
from machine_identity.verifier import TrustedIssuer, Verifier

if TYPE_CHECKING:
    from machine_identity.jwk import PublicKey

NAME: Final = "Machine Identity"

type Check = Callable[[str], object]
"""Returns if the token is good, and raises if it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Somebody's verifier, told all that its own options can say."""

    name: str
    fresh: Callable[[], Check]
    """Makes one that knows the keys and has seen no token. What this takes is not measured."""
    again: bool = False
    """Whether it is measured on tokens that it has seen, too."""


def ours(issuer: Issuer, algorithm: str) -> Contender:
    """Return the verifier as the authorizer makes it; the clock is read for each token."""
    trusted = TrustedIssuer(
        expectations=Expectations(
            issuer=issuer.url,
            audiences=frozenset({AUDIENCE}),
            scopes=frozenset({SCOPE}),
            token_types=frozenset({TYPE}),
        ),
        keys=JwksClient(
            Location(issuer=issuer.url, jwks_uri=issuer.jwks_uri),
            transport=transport.send,
            limits=Limits(),
            timeout=timedelta(seconds=2),
        ),
    )

    def fresh() -> Check:
        verifier = Verifier([trusted], algorithms=(algorithm,))
        return lambda token: verifier.verify(token, clock.now())

    return Contender(name=NAME, fresh=fresh, again=True)


type Signed = tuple[bytes, bytes]
"""A signature in the form that the key's own method takes, and what it signs."""


def signed(token: str, algorithm: str) -> Signed:
    """Take a token apart, ahead of all measuring."""
    content, _, encoded = token.rpartition(".")
    signature = base64url_decode(encoded)
    if algorithm == "ES256":
        half = len(signature) // 2
        r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
        signature = utils.encode_dss_signature(r, s)
    return signature, content.encode()


def bare(key: "PublicKey", algorithm: str) -> Callable[[Signed], object]:
    """Return the yardstick: ``public_key.verify``, which raises if it does not hold."""
    digest = hashes.SHA256()
    if isinstance(key, rsa.RSAPublicKey):
        pss = padding.PSS(padding.MGF1(digest), salt_length=digest.digest_size)
        pad = pss if algorithm == "PS256" else padding.PKCS1v15()
        return lambda each: key.verify(each[0], each[1], pad, digest)
    ecdsa = ec.ECDSA(digest)
    return lambda each: key.verify(each[0], each[1], ecdsa)
