"""Client assertions: the JWT by which a client says who it is (RFC 7521, RFC 7523, RFC 10070).

The claims are those of RFC 7523 section 3: ``iss``, ``sub``, ``aud``, ``exp``, ``iat``, ``jti``;
``nbf`` stays out unless a provider asks for it, since an ``nbf`` of this second is refused by
whoever's clock is a little behind. ``aud`` is one string, never a list: an assertion is for one
reader (RFC 10070).

PyJWT encodes and signs with whatever ``cryptography`` calls a private key: one read from a PEM
file, or one whose ``sign`` asks KMS. Nothing of JWS is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from machine_identity.errors import MachineIdentityError, SettingsError

HEADERS: Final = ("kid", "x5t#S256", "jku")
"""What a header can carry beside ``alg`` and ``typ`` (RFC 7515 section 4.1)."""
CLAIMS: Final = frozenset({"iss", "sub", "aud", "iat", "exp", "nbf", "jti"})
"""What this module says, and nobody else (RFC 7523 section 3)."""

type PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class SigningError(MachineIdentityError):
    """No assertion can be signed at present: no key, or nobody who signs with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an assertion is to say, before it is known which key signs it, and when."""

    issuer: str | None
    """Who stands in ``iss``; None is the issuer under which the signer's keys are published."""
    subject: str
    audience: str
    typ: str
    algorithms: tuple[str, ...]
    """What the reader accepts."""
    lifetime: timedelta
    not_before_backdate: timedelta | None = None
    """How far before ``iat`` an ``nbf`` lies; None leaves it out."""
    header: tuple[str, ...] = ("kid",)
    """What the header carries beside ``alg`` and ``typ``, of ``HEADERS``."""
    extra_claims: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key that signs, and the names that go with it; a signer with one key, kept in hand."""

    kid: str
    algorithm: str
    private_key: PrivateKey = field(repr=False)
    issuer: str = ""
    """The URL under which the public half is published, if it is."""
    jwks_uri: str = field(default="", repr=False)
    thumbprint: str = ""
    """The ``x5t#S256`` of the key's certificate, if it was made one."""

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Return the assertion, signed. Raises SettingsError when key and reader do not fit."""
        if self.algorithm not in draft.algorithms:
            accepted = ", ".join(draft.algorithms)
            raise SettingsError(f"the key signs with {self.algorithm}; accepted are {accepted}")
        issuer = self.issuer if draft.issuer is None else draft.issuer
        if not issuer:
            raise SettingsError("the assertion must name our issuer, and none is configured")
        members = {**draft.extra_claims, **claims(draft, issuer=issuer, now=now, jti=jti)}
        return sign(members, self, headers={"typ": draft.typ, **self._header(draft)})

    def _header(self, draft: Draft) -> dict[str, str]:
        """Return the names of the key that the reader asks for."""
        names = {"kid": self.kid, "x5t#S256": self.thumbprint, "jku": self.jwks_uri}
        asked = {name: names[name] for name in draft.header}
        if missing := [name for name, value in asked.items() if not value]:
            raise SettingsError(f"the header must carry {missing[0]}, and the key has none")
        return asked


def claims(draft: Draft, *, issuer: str, now: datetime, jti: str) -> dict[str, str | int]:
    """Return the claims of one assertion (RFC 7523 section 3); times are whole seconds."""
    issued_at = int(now.timestamp())
    members: dict[str, str | int] = {
        "iss": issuer,
        "sub": draft.subject,
        "aud": draft.audience,
        "iat": issued_at,
        "exp": issued_at + int(draft.lifetime.total_seconds()),
        "jti": jti,
    }
    if draft.not_before_backdate is not None:
        members["nbf"] = issued_at - int(draft.not_before_backdate.total_seconds())
    return members


def sign(members: dict[str, str | int], key: SigningKey, *, headers: dict[str, str]) -> str:
    """Return the claims as a JWS in compact form (RFC 7515 section 3.1)."""
    return jwt.encode(members, key.private_key, algorithm=key.algorithm, headers=headers)
