"""What is registered at the authorization server: APIs, and apps with how each proves itself.

The rules of a provider (audience, ``typ``, algorithms, limits) come from its entry in
``machine_identity.providers``, so the server can stand in for any of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final, assert_never
from uuid import NAMESPACE_URL, uuid5

from local.key_credentials import KeyCredential
from machine_identity.providers import AssertionIssuer, Provider
from machine_identity.publication import JWKS_PATH

TENANT: Final = "8c1f2f4e-6d0b-4a53-9f5e-2f6c7d1e0a42"
"""The one directory; an unknown one in a path is refused."""
API_URI: Final = "api://uppercase"
API_AUDIENCE: Final = "5a3c0c64-7a56-4b02-9d0c-4a7a8b6f2e11"
ROLE: Final = "Uppercase.Call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A resource for which tokens are issued."""

    app_id_uri: str
    """What a scope begins with."""
    client_id: str
    """What stands in ``aud`` of its tokens (version 2)."""


UPPERCASE: Final = Api(app_id_uri=API_URI, client_id=API_AUDIENCE)
GRAPH: Final = Api(
    app_id_uri="https://graph.microsoft.com", client_id="00000003-0000-0000-c000-000000000000"
)
"""Every tenant has it, under these two names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateKeyJwt:
    """A client that signs for itself, with a key of its registered key set (RFC 7523)."""

    jwks_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedCredential:
    """A client for which an issuer signs; the issuer's discovery document names its key set."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A client that signs for itself, with the key of a certificate that was uploaded."""

    keys: tuple[KeyCredential, ...]
    """Those with which the app is registered; Graph may add and remove some later."""


type Fetched = PrivateKeyJwt | FederatedCredential
"""The credentials whose keys the server fetches."""
type Credential = Fetched | Certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A client: how it proves itself, and what it may do."""

    client_id: str
    provider: Provider
    credential: Credential
    roles: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({API_URI: (ROLE,)})
    )
    """The app roles that it was granted, by the API's App ID URI."""

    @property
    def object_id(self) -> str:
        """The ID of the application object, which is neither the client ID nor the principal's."""
        return str(uuid5(NAMESPACE_URL, f"application/{self.client_id}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What an assertion must say at this server, for this app."""

    issuer: str
    subject: str
    audience: str
    typ: str
    algorithms: tuple[str, ...]
    lifetime_limit: timedelta
    leeway: timedelta
    by_certificate: bool = False
    """Judged as Entra documents that, and not more strictly: any lifetime, any number of uses."""


def app_for(provider: Provider, *, client_id: str, public_url: str, subject: str = "") -> App:
    """Return the app of a machine that publishes under ``public_url``, for that provider."""
    credential: Credential = PrivateKeyJwt(jwks_uri=public_url + JWKS_PATH)
    if provider.wants_certificates:
        credential = Certificates(keys=())
    if provider.issuer is AssertionIssuer.OURS:
        credential = FederatedCredential(issuer=public_url, subject=subject or client_id)
    return App(client_id=client_id, provider=provider, credential=credential)


def expectations(app: App, *, issuer: str, token_endpoint: str, leeway: timedelta) -> Expectations:
    """Return what the app's assertions must say at the server with that issuer and endpoint."""
    provider = app.provider
    match app.credential:
        case PrivateKeyJwt() | Certificates():
            signer = subject = app.client_id
        case FederatedCredential(issuer=signer, subject=subject):
            pass
        case _:
            assert_never(app.credential)
    return Expectations(
        issuer=signer,
        subject=subject,
        audience=provider.audience_for(issuer=issuer, token_endpoint=token_endpoint),
        typ=provider.typ,
        algorithms=provider.algorithms,
        lifetime_limit=provider.lifetime_limit,
        # More than the provider promises would hide that a key left the set too early.
        leeway=min(leeway, provider.leeway),
        by_certificate=isinstance(app.credential, Certificates),
    )
