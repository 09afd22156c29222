"""Servers that have our key set in a client's registration and do not fetch it (RFC 7592).

A key is brought, and dropped, by a ``PUT`` of the whole set that the keyring publishes. So to ask
twice is as good as once, and one ``PUT`` a run does for all keys that are due. It is done when
the server's answer has exactly that set, and the keyring still publishes it: of two runs at once
the one with the older set may have come last, and would bring a withdrawn key back.

The registration's own token is the registrar's to keep; it is never seen here.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from machine_identity import publication
from machine_identity.client_assertion import SigningError
from machine_identity.client_registration.answers import (
    Failure,
    RegisteredClient,
    RegistrationError,
    RejectedError,
)
from machine_identity.client_registration.metadata import Metadata
from machine_identity.errors import UploadError
from machine_identity.keyring import Keyring
from machine_identity.providers import Client
from machine_identity.testimony import Upload

OUTDATED: Final = "outdated"
"""The keyring published another set meanwhile."""
ANOTHER_CLIENT: Final = "another_client"
"""The store has the registration of another client than ``clients.json`` has under the name."""

_NOT_DONE: Final = frozenset(
    {
        Failure.NOT_REGISTERED,
        Failure.INTERRUPTED,
        Failure.NOT_MANAGEABLE,
        Failure.FOREIGN_URI,
        Failure.CONFLICT,
        Failure.STORE,
        Failure.REPLACED,
    }
)
"""Nothing was sent, or the server has said what it did instead."""
_CODES: Final = frozenset(
    {
        *Failure,
        "invalid_client_metadata",
        "invalid_request",
        "insufficient_scope",
        "access_denied",
    }
)
"""Ours, and those of RFC 7591 section 3.2.2 and RFC 6750 section 3.1 that may come. Another one
must not be taken for a word of the hand's, ``unknown_key`` above all."""


class Changed(Protocol):
    """A client as the server has it after a change that it took."""

    @property
    def client(self) -> RegisteredClient:
        """Return it."""
        ...


class Registrations(Protocol):
    """Changes clients at their servers; the registrar does."""

    def update(self, name: str, changes: Metadata) -> Changed:
        """Change the client of that name. RegistrationError unless the server took the change."""
        ...


class ManagementSite:
    """One client's registration, while one run of the hand is at it."""

    def __init__(
        self,
        *,
        client: Client,
        keyring: Keyring,
        registrations: Registrations,
        current: Callable[[], Keyring],
    ) -> None:
        """Make one; ``current`` reads the keyring anew, and may raise SigningError."""
        self._client = client
        self._keyring = keyring
        self._registrations = registrations
        self._current = current
        self._is_asked = False
        self._failure: UploadError | None = None

    def publish(self, known: Upload, certificate: bytes) -> str:  # noqa: ARG002 - all at once
        """Have the server take the published set. Raises UploadError."""
        self._bring()
        return ""

    def withdraw(self, known: Upload) -> None:  # noqa: ARG002 - all at once
        """Have the server take the published set, which is without the key. Raises UploadError."""
        self._bring()

    def observe(self) -> None:
        """Return None: what the server has is told by its answer to each ``PUT``."""

    def _bring(self) -> None:
        """Put the set, once a run, whatever came of it."""
        if not self._is_asked:
            self._is_asked = True
            self._failure = self._failure_of_put()
        if self._failure is not None:
            raise self._failure

    def _failure_of_put(self) -> UploadError | None:
        wanted = publication.entries(self._keyring)
        try:
            changed = self._registrations.update(self._client.name, _with(wanted))
            is_current = publication.entries(self._current()) == wanted
        except RegistrationError as error:
            return _told(error)
        except SigningError:
            return UploadError(OUTDATED, is_lost=True)
        if changed.client.client_id != self._client.client_id:
            return UploadError(ANOTHER_CLIENT)
        return None if is_current else UploadError(OUTDATED)


def _with(keys: list[dict[str, Any]]) -> Metadata:
    return Metadata(jwks={"keys": keys})


def _told(error: RegistrationError) -> UploadError:
    """Return what went wrong as a code; what the server said in its own words stays here."""
    code = error.code if error.code in _CODES else Failure.REFUSED
    is_known = isinstance(error, RejectedError) or error.code in _NOT_DONE
    return UploadError(code, is_lost=not is_known)
