"""Entra ID, to which certificates are brought by Microsoft Graph (``entra_keys``).

The proof is signed with a key that is registered already, and never with the one that is brought.
Microsoft's texts differ in the proof's audience, so whoever was refused tries the other one next,
and after that the next of the keys that may be registered.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from machine_identity import entra_answers, entra_keys
from machine_identity.aws import AwsError
from machine_identity.client_assertion import SigningKey
from machine_identity.entra_answers import KeyFailure, KeyRollError
from machine_identity.entra_keys import KeyRequest
from machine_identity.errors import SettingsError, TransportError, UploadError
from machine_identity.providers import ByGraph
from machine_identity.testimony import Upload
from machine_identity.transport import Transport

TIMEOUT: Final = timedelta(seconds=5)
_LOST: Final = frozenset({KeyFailure.UNAVAILABLE, KeyFailure.INVALID_RESPONSE})
"""What may be answered to a call that was carried out."""


class Process[T](Protocol):
    """Reads what Graph answers. Raises KeyRollError."""

    def __call__(self, status: int, body: bytes, *, secrets: tuple[str, ...]) -> T:
        """Return what it means."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prover:
    """A key that is registered, and its certificate in DER."""

    key: SigningKey
    certificate: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSite:
    """One application, as it rolls its own certificates."""

    upload: ByGraph
    access_token: str = field(repr=False)
    """For Graph, of the application itself."""
    provers: tuple[Prover, ...]
    """The active key first, then the one before it while that may sign (rule 9)."""
    transport: Transport
    now: Callable[[], datetime]

    def publish(self, known: Upload, certificate: bytes) -> str:
        """Have the certificate registered, and return Graph's ID of it. Raises UploadError."""
        asked = entra_keys.add_key_request(
            object_id=self.upload.object_id,
            certificate=certificate,
            proof=self._proof(known),
            access_token=self.access_token,
            display_name=f"machine-identity {known.kid}",
        )
        return self._processed(asked, entra_answers.process_added)

    def withdraw(self, known: Upload) -> None:
        """Have the certificate removed that Graph has an ID for. Raises UploadError."""
        try:
            asked = entra_keys.remove_key_request(
                object_id=self.upload.object_id,
                key_id=known.key_id,
                proof=self._proof(known),
                access_token=self.access_token,
            )
        except SettingsError as error:  # the name is from the evidence
            raise UploadError(KeyFailure.UNKNOWN_KEY) from error
        self._processed(asked, entra_answers.process_removed)

    def observe(self) -> dict[str, str] | None:
        """Return the ID of each registered certificate by its thumbprint; None: no right to ask.

        One without a thumbprint goes by its ID. Raises UploadError.
        """
        asked = entra_keys.listing_request(
            object_id=self.upload.object_id, access_token=self.access_token
        )
        try:
            listed = self._processed(asked, entra_answers.process_listing)
        except UploadError as error:
            if error.code == KeyFailure.FORBIDDEN:
                return None
            raise
        return {each.thumbprint or each.key_id: each.key_id for each in listed}

    def _proof(self, known: Upload) -> str:
        audiences = entra_keys.PROOF_AUDIENCES
        refused = known.failures if known.code == KeyFailure.PROOF else 0
        prover = self.provers[refused // len(audiences) % len(self.provers)]
        try:
            return entra_keys.proof(
                prover.key,
                certificate=prover.certificate,
                object_id=self.upload.object_id,
                now=self.now(),
                audience=audiences[refused % len(audiences)],
            )
        except (AwsError, SettingsError) as error:
            raise UploadError("not_signed") from error

    def _processed[T](self, asked: KeyRequest, process: Process[T]) -> T:
        try:
            answer = self.transport(
                asked.method,
                self.upload.root + asked.path,
                headers=asked.headers,
                body=asked.body,
                timeout=TIMEOUT,
            )
            return process(answer.status, answer.body, secrets=asked.secrets)
        except TransportError as error:
            raise UploadError(KeyFailure.UNAVAILABLE, is_lost=True) from error
        except KeyRollError as error:
            raise UploadError(error.code, is_lost=error.code in _LOST) from error
