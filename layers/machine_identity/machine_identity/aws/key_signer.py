"""Signs with one KMS key, named by its ARN: a signer without a keyring, for who keeps one key.

The public half is read once, with the first assertion, since KMS shows it to nobody once the key
is disabled; the private half never leaves KMS. The key is named by ARN and never by an alias: an
alias can be moved to a key that no authorization server knows. Nothing here rotates.
"""

import re
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import load_der_public_key

from machine_identity import jwk
from machine_identity.aws import AwsError
from machine_identity.aws.clients import translated
from machine_identity.aws.private_keys import private_key
from machine_identity.client_assertion import Draft, SigningError, SigningKey
from machine_identity.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_ARN: Final = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")


class KmsKeySigner:
    """Signs with the KMS key of one ARN; threads may share it."""

    def __init__(
        self, kms: "KMSClient", arn: str, algorithm: str | None = None, *, issuer: str = ""
    ) -> None:
        """Take the key by name, and ask nothing yet. Raises SettingsError."""
        if not _ARN.fullmatch(arn):
            raise SettingsError("a KMS key is named by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID")
        self._kms = kms
        self._arn = arn
        self._algorithm = algorithm
        self._issuer = issuer
        self._key: SigningKey | None = None
        self._lock = threading.Lock()

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Return the assertion, signed. Raises SigningError, or SettingsError from the draft."""
        try:
            return self._signing_key().sign(draft, now=now, jti=jti)
        except AwsError as error:
            raise SigningError(str(error)) from error

    def _signing_key(self) -> SigningKey:
        with self._lock:
            if self._key is None:
                self._key = self._read()
            return self._key

    def _read(self) -> SigningKey:
        with translated("kms:GetPublicKey"):
            der = self._kms.get_public_key(KeyId=self._arn)["PublicKey"]
        public_key = load_der_public_key(der)
        held = private_key(self._kms, self._arn, public_key)
        if held is None:
            raise SettingsError("the KMS key is neither RSA nor P-256 or P-384")
        algorithm = self._algorithm or jwk.default_algorithm(held.public_key())
        return SigningKey(
            kid=jwk.from_public_key(held.public_key(), algorithm)["kid"],
            algorithm=algorithm,
            private_key=held,
            issuer=self._issuer,
        )
