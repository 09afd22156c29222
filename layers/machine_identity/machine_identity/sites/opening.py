"""How a server is made ready to be asked: with a token for it, and with a key that proves us."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, assert_never

from machine_identity import certification
from machine_identity.client_assertion import SigningError, SigningKey
from machine_identity.client_credentials import AccessToken, Failure
from machine_identity.errors import SettingsError, TokenRequestError, UploadError
from machine_identity.keyring import Key, Keyring
from machine_identity.providers import ByGraph, ByManagement, Client
from machine_identity.sites.graph import GraphSite, Prover
from machine_identity.sites.management import ManagementSite, Registrations
from machine_identity.testimony import Testimony
from machine_identity.transport import Transport


class Holder(Protocol):
    """Holds one key, wherever its private half is."""

    def signing_key(self) -> SigningKey:
        """Return the key. Raises SigningError."""
        ...


class Holders(Protocol):
    """The keys of one keyring."""

    def with_key(self, key: Key, keyring: Keyring) -> Holder:
        """Return who holds that key."""
        ...

    def reread(self, now: datetime) -> Keyring:
        """Return the keyring as it stands. Raises SigningError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """Opens the server of each client that keys are brought to."""

    keys: Holders
    token: Callable[[Client, str], AccessToken]
    """Gets one for a client and a scope. Raises TokenRequestError."""
    transport: Transport
    now: Callable[[], datetime]
    registrations: Callable[[ByManagement], Registrations] | None = None
    """Opens the store of a client's registration. Raises SettingsError."""

    def open(
        self, client: Client, keyring: Keyring, testimony: Testimony
    ) -> GraphSite | ManagementSite:
        """Return the server of a client. Raises UploadError."""
        match client.upload:
            case None:
                raise UploadError(Failure.NOT_CONFIGURED)
            case ByGraph():
                return self._graph(client, client.upload, self._provers(keyring, testimony))
            case ByManagement():
                return self._management(client, client.upload, keyring)
            case _:
                assert_never(client.upload)

    def _management(
        self, client: Client, upload: ByManagement, keyring: Keyring
    ) -> ManagementSite:
        if self.registrations is None:
            raise UploadError(Failure.NOT_CONFIGURED)
        try:
            registrations = self.registrations(upload)
        except SettingsError as error:
            raise UploadError(Failure.NOT_CONFIGURED) from error
        return ManagementSite(
            client=client,
            keyring=keyring,
            registrations=registrations,
            current=lambda: self.keys.reread(self.now()),
        )

    def _graph(self, client: Client, upload: ByGraph, provers: tuple[Prover, ...]) -> GraphSite:
        try:
            token = self.token(client, upload.scope)
        except TokenRequestError as error:
            raise UploadError(error.code) from error
        return GraphSite(
            upload=upload,
            access_token=token.value,
            provers=provers,
            transport=self.transport,
            now=self.now,
        )

    def _provers(self, keyring: Keyring, testimony: Testimony) -> tuple[Prover, ...]:
        """Return the keys that may be registered: one is, or no token would be had either."""
        signing = (keyring.active, keyring.previous(self.now()))
        found = tuple(
            Prover(key=self._signing_key(key, keyring), certificate=made.der)
            for key in signing
            if key is not None and (made := certification.certified(key, testimony)) is not None
        )
        if not found:
            raise UploadError("no_certificate")
        return found

    def _signing_key(self, key: Key, keyring: Keyring) -> SigningKey:
        try:
            return self.keys.with_key(key, keyring).signing_key()
        except SigningError as error:
            raise UploadError("not_signed") from error
