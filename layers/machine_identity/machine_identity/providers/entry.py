"""What one kind of authorization server asks of an assertion and of the keys behind it.

A ``Provider`` is data: see ``table.json`` for those that are known, each fact with its source and
the day it was read, and ``document`` for how such data is read. Nothing in the package branches
on a provider's name.

``aud`` is pinned here and never taken from a server's answer alone, because a server that could
choose it would collect assertions that are good elsewhere (audience injection, CVE-2025-27370).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, assert_never
from urllib.parse import urlsplit

from machine_identity.client_assertion import Draft

ASSERTION_LIFETIME: Final = timedelta(seconds=300)
"""How long an assertion is valid, where the provider does not want it shorter."""
CAREFUL_KEY_SET_CACHE: Final = timedelta(hours=24)
"""For a provider that does not say how long it keeps a client's key set."""
CAREFUL_LEEWAY: Final = timedelta(minutes=5)
"""For a provider that does not say by how much it lets clocks differ."""
CAREFUL_FETCH_LIMIT: Final = timedelta(milliseconds=1500)
"""For a provider that does not say how long it waits: as long as API Gateway's authorizer does."""


class Grant(StrEnum):
    """What an assertion is good for there."""

    CLIENT_CREDENTIALS = "client_credentials"
    """Its token endpoint gives a machine a token for it (RFC 7523)."""
    USER_FLOW = "user_flow"
    """It authenticates a client at the token endpoint, in flows that a person begins."""
    EXCHANGE = "exchange"
    """A cloud's own exchange takes it as a web identity token, from its SDK."""
    NONE = "none"
    """Nothing."""


class Audience(StrEnum):
    """By which rule ``aud`` is found."""

    ISSUER = "issuer"
    """The authorization server's issuer identifier and nothing else (RFC 10070)."""
    TOKEN_ENDPOINT = "token_endpoint"  # nosec B105 # noqa: S105 - a rule's name
    """The URL that the request goes to, as RFC 7523 section 3 was commonly read."""
    FIXED = "fixed"
    """A string of the provider's own."""


class AssertionIssuer(StrEnum):
    """Who stands in ``iss``."""

    CLIENT = "client"
    """The client itself, as RFC 7523 section 3 says of client authentication."""
    OURS = "ours"
    """The URL under which we publish: the server trusts an issuer, not a client's key set."""


class JtiRule(StrEnum):
    """What becomes of an assertion that is sent twice; ours never are."""

    ONE_TIME = "one_time"
    """It is refused."""
    UNCHECKED = "unchecked"
    UNKNOWN = "unknown"


class Registration(StrEnum):
    """In which form a server is told of our keys."""

    ISSUER = "issuer"
    """It trusts our issuer URL, and finds the keys by its discovery document."""
    JWKS_URI = "jwks_uri"
    JWKS = "jwks"
    JWK = "jwk"
    PEM = "pem"
    CERTIFICATE = "certificate"

    @property
    def is_fetched(self) -> bool:
        """Whether the server comes for the keys, and so for their successors, by itself."""
        return self in {Registration.ISSUER, Registration.JWKS_URI}


class Kind(StrEnum):
    """How well a fact is known."""

    RAN = "ran"
    """Tried against the provider's code."""
    READ = "read"
    """In its code, or in a standard."""
    DOCUMENTED = "documented"
    """In the vendor's documents."""
    SAID = "said"
    """By others."""
    UNVERIFIED = "unverified"
    """By nobody who could be found: the value is the careful one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where facts come from."""

    of: tuple[str, ...]
    """The fields that it vouches for."""
    kind: Kind
    where: str
    """An address, or the section of a standard; empty for what nobody says."""
    on: date
    """When it was read."""
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How to authenticate to one kind of authorization server, and how it treats our key set."""

    name: str
    title: str = ""
    grant: Grant = Grant.CLIENT_CREDENTIALS
    audience: Audience
    fixed_audience: str = ""
    issuer: AssertionIssuer = AssertionIssuer.CLIENT
    typ: str
    """The assertion's ``typ`` header."""
    header: tuple[str, ...] = ("kid",)
    """What else the header carries, of ``client_assertion.HEADERS``."""
    algorithms: tuple[str, ...]
    lifetime_limit: timedelta = ASSERTION_LIFETIME
    """The longest assertion that it takes."""
    not_before_backdate: timedelta | None = None
    """How far before ``iat`` an ``nbf`` must lie; None leaves ``nbf`` out, which all accept."""
    jti: JtiRule = JtiRule.UNKNOWN
    extra_claims: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Claims with a value of the provider's own, beside those of RFC 7523."""
    registration: tuple[Registration, ...] = (Registration.JWKS_URI,)
    """The best way first."""
    key_set_cache: timedelta = CAREFUL_KEY_SET_CACHE
    """How long it may go on using an old copy of our key set, whatever our ``max-age`` says."""
    refetches: bool | None = None
    """Whether it fetches the set anew for a ``kid`` that it does not know; None: nobody says."""
    fetch_limit: timedelta = CAREFUL_FETCH_LIMIT
    """How long it waits for our documents."""
    most_keys: int | None = None
    """How many keys, or credentials, it takes; None: nobody says."""
    leeway: timedelta = CAREFUL_LEEWAY
    """How long after ``exp`` it may still accept an assertion."""
    scope: str = ""
    """What a scope looks like there, for people."""
    key_unknown: tuple[str, ...] = ("invalid_client",)
    """The values of ``error`` that can mean: your key is unknown here (rule 9)."""
    cannot: str = ""
    """What it cannot do, in a sentence for people."""
    sources: tuple[Source, ...] = field(default=(), repr=False, hash=False)

    @property
    def is_uploaded_to(self) -> bool:
        """Whether keys have to be brought there, since it does not come for them."""
        return not self.registration[0].is_fetched

    @property
    def wants_certificates(self) -> bool:
        """Whether an assertion names a certificate there, and not a key."""
        return "x5t#S256" in self.header

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


GRAPH: Final = "https://graph.microsoft.com/v1.0"
_GUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def is_guid(text: str) -> bool:
    """Whether Microsoft's directory could call something that."""
    return _GUID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ByGraph:
    """Certificates are brought to an application of Entra ID by Microsoft Graph."""

    object_id: str
    """Of the application, which is neither its client ID nor the ID of its service principal."""
    root: str = GRAPH
    """What Graph's paths are appended to; national clouds have another."""

    @property
    def scope(self) -> str:
        """What a token for Graph is asked for by."""
        parts = urlsplit(self.root)
        return f"{parts.scheme}://{parts.netloc}/.default"

    @property
    def where(self) -> tuple[str, ...]:
        """What of it tells one server from another."""
        return (self.root, self.object_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByManagement:
    """The key set is put into the client's registration by RFC 7592."""

    store: str
    """Where the registration's own token is kept, under the client's name."""

    @property
    def where(self) -> tuple[str, ...]:
        """What of it tells one server from another."""
        return (self.store,)


type Bringing = ByGraph | ByManagement
"""How the signer has a server know our keys that does not come for them."""


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
    upload: Bringing | None = None
    """How our keys are brought there by themselves; None: they are fetched, or brought by hand."""

    @property
    def registration(self) -> str:
        """A digest of who this is and where: a client of the same name may become another."""
        server = [self.provider.name, self.authorization_server, self.client_id, self.subject]
        server += [] if self.upload is None else self.upload.where
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
            header=provider.header,
            extra_claims=provider.extra_claims,
        )
