"""What each authorization server asks of an assertion and of the keys behind it, as data.

One entry a provider; nothing else in the package branches on a provider's name. ``aud`` is pinned
here and never taken from a server's answer alone, because a server that could choose it would
collect assertions that are good elsewhere (audience injection, CVE-2025-27370).

Each entry says where its facts come from: *ran* (tried against its code), *read* (its code or
standard), *documented* (the vendor), *said* (others). What nobody could tell is set to the careful
side: ``CAREFUL_KEY_SET_CACHE`` and ``CAREFUL_LEEWAY`` cost waiting time, never an assertion.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, assert_never

from machine_identity.client_assertion import Draft

ASSERTION_LIFETIME: Final = timedelta(seconds=300)
"""How long an assertion is valid, where the provider does not want it shorter."""
CAREFUL_KEY_SET_CACHE: Final = timedelta(hours=24)
"""For a provider that does not say how long it keeps a client's key set."""
CAREFUL_LEEWAY: Final = timedelta(minutes=5)
"""For a provider that does not say by how much it lets clocks differ."""

_RSA: Final = ("RS256", "RS384", "RS512", "PS256")
_ALL: Final = (*_RSA, "ES256", "ES384")


class Audience(StrEnum):
    """By which rule ``aud`` is found."""

    ISSUER = "issuer"
    """The authorization server's issuer identifier and nothing else (RFC 10070)."""
    TOKEN_ENDPOINT = "token_endpoint"  # noqa: S105 - a rule's name
    """The URL that the request goes to, as RFC 7523 section 3 was commonly read."""
    FIXED = "fixed"
    """A string of the provider's own."""


class AssertionIssuer(StrEnum):
    """Who stands in ``iss``."""

    CLIENT = "client"
    """The client itself, as RFC 7523 section 3 says of client authentication."""
    OURS = "ours"
    """The URL under which we publish: the server trusts an issuer, not a client's key set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How to authenticate to one kind of authorization server, and how it treats our key set."""

    name: str
    audience: Audience
    fixed_audience: str = ""
    issuer: AssertionIssuer = AssertionIssuer.CLIENT
    typ: str
    """The assertion's ``typ`` header."""
    algorithms: tuple[str, ...]
    lifetime_limit: timedelta = ASSERTION_LIFETIME
    """The longest assertion that it takes."""
    not_before_backdate: timedelta | None = None
    """How far before ``iat`` an ``nbf`` must lie; None leaves ``nbf`` out, which all accept."""
    key_set_cache: timedelta = CAREFUL_KEY_SET_CACHE
    """How long it may go on using an old copy of our key set, whatever our ``max-age`` says."""
    leeway: timedelta = CAREFUL_LEEWAY
    """How long after ``exp`` it may still accept an assertion."""
    source: str

    @property
    def assertion_lifetime(self) -> timedelta:
        """How long the assertions that we make for it are valid."""
        return min(ASSERTION_LIFETIME, self.lifetime_limit)

    def audience_for(self, *, issuer: str, token_endpoint: str) -> str:
        """Return ``aud`` for the authorization server of that issuer identifier."""
        match self.audience:
            case Audience.ISSUER:
                return issuer
            case Audience.TOKEN_ENDPOINT:
                return token_endpoint
            case Audience.FIXED:
                return self.fixed_audience
            case _:
                assert_never(self.audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client as it is registered at an authorization server."""

    name: str
    provider: Provider
    authorization_server: str
    """Its issuer identifier, character by character (RFC 8414 section 2)."""
    client_id: str
    scope: str
    """What is asked for when the caller asks for nothing in particular."""
    subject: str = ""
    """What was registered as ``sub`` where that is not the client ID."""

    @property
    def registration(self) -> str:
        """A digest of who this is and where: a client of the same name may become another."""
        server = self.provider.name, self.authorization_server, self.client_id, self.subject
        return hashlib.sha256("\n".join(server).encode()).hexdigest()[:16]

    def draft(self, token_endpoint: str) -> Draft:
        """Return the assertion to sign for a request to ``token_endpoint``."""
        provider = self.provider
        is_client = provider.issuer is AssertionIssuer.CLIENT
        return Draft(
            issuer=self.client_id if is_client else None,
            subject=self.subject or self.client_id,
            audience=provider.audience_for(
                issuer=self.authorization_server, token_endpoint=token_endpoint
            ),
            typ=provider.typ,
            algorithms=provider.algorithms,
            lifetime=provider.assertion_lifetime,
            not_before_backdate=provider.not_before_backdate,
        )


_ENTRIES: Final = (
    Provider(
        name="rfc10070",
        audience=Audience.ISSUER,
        typ="client-authentication+jwt",
        algorithms=_ALL,
        source="read: RFC 10070; cache and leeway of an unknown server: careful",
    ),
    Provider(
        name="rfc7523",
        audience=Audience.TOKEN_ENDPOINT,
        typ="JWT",
        algorithms=_ALL,
        source="read: RFC 7523 section 3; cache and leeway of an unknown server: careful",
    ),
    Provider(
        name="entra-federated",
        audience=Audience.FIXED,
        fixed_audience="api://AzureADTokenExchange",
        issuer=AssertionIssuer.OURS,
        typ="JWT",
        algorithms=("RS256",),
        # Undocumented for federated credentials. For a sibling feature Microsoft keeps metadata
        # for a day and asks to go on signing with the old key for about two.
        key_set_cache=timedelta(hours=48),
        source="documented: workload identity federation (audience, RS256); leeway: careful",
    ),
    Provider(
        name="okta",
        audience=Audience.TOKEN_ENDPOINT,
        typ="JWT",
        algorithms=("RS256", "RS384", "RS512", "ES256", "ES384"),
        lifetime_limit=timedelta(hours=1),
        source="documented: private_key_jwt (aud, exp at most an hour); cache, leeway: careful",
    ),
    Provider(
        name="auth0",
        # Its issuer identifier is the tenant's URL with the slash at the end.
        audience=Audience.ISSUER,
        typ="JWT",
        algorithms=("RS256", "RS384", "PS256"),
        # It takes five minutes; one of them is left for clocks that differ from its own.
        lifetime_limit=timedelta(minutes=4),
        source="documented: private key JWT (aud, lifetime, one-time); cache, leeway: careful",
    ),
    Provider(
        name="keycloak",
        audience=Audience.ISSUER,
        typ="JWT",
        algorithms=_ALL,
        # Since 26.2 an assertion older than a minute is refused, whatever its exp says.
        lifetime_limit=timedelta(seconds=60),
        source="read: keycloak #38585 (lifetime), 26.2's notes (aud); cache, leeway: careful",
    ),
    Provider(
        name="oidc-provider",
        audience=Audience.ISSUER,
        typ="JWT",
        algorithms=_ALL,
        # max(60 s, our max-age), and no fetch before that for an unknown kid.
        key_set_cache=timedelta(seconds=60),
        source="ran: cache, one-time jti, issuer as aud; leeway is its operator's: careful",
    ),
    Provider(
        name="hydra",
        audience=Audience.TOKEN_ENDPOINT,
        typ="JWT",
        algorithms=_ALL,
        key_set_cache=timedelta(hours=1),
        source="read: fosite (an hour, refetch on a miss, one-time jti); leeway: careful",
    ),
)

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType({each.name: each for each in _ENTRIES})
NAMES: Final = tuple(PROVIDERS)
DEFAULT: Final = "rfc10070"
