"""Signs with one KMS key, named by its ARN: a signer without a keyring, for who keeps one key.

The public half is read once, with the first assertion, since KMS shows it to nobody once the key
is disabled; the private half never leaves KMS. The key is named by ARN and never by an alias: an
alias can be moved to a key that no authorization server knows. A certificate of another key is
told with the first assertion, which is when the key is known. Nothing here rotates.
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

    from machine_identity.given_certificate import GivenCertificate

_ARN: Final = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")


class KmsKeySigner:
    """Signs with the KMS key of one ARN; threads may share it."""

    def __init__(
        self,
        kms: "KMSClient",
        arn: str,
        algorithm: str | None = None,
        *,
        issuer: str = "",
        certificate: "GivenCertificate | None" = None,
    ) -> None:
        """Take the key by name, and ask nothing yet. Raises SettingsError."""
        if not _ARN.fullmatch(arn):
            raise SettingsError("a KMS key is named by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID")
        self._kms = kms
        self._arn = arn
        self._algorithm = algorithm
        self._issuer = issuer
        self._certificate = certificate
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
        held = private_key(self._kms, self._arn, load_der_public_key(der))
        if held is None:
            raise SettingsError("the KMS key is neither RSA nor P-256 or P-384")
        public_key, given = held.public_key(), self._certificate
        algorithm = self._algorithm or jwk.default_algorithm(public_key)
        return SigningKey(
            kid=jwk.from_public_key(public_key, algorithm)["kid"],
            algorithm=algorithm,
            private_key=held,
            issuer=self._issuer,
            thumbprint="" if given is None else given.thumbprint(public_key),
        )
