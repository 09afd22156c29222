"""Signs with the active key of the keyring, as the KMS key that it is.

The signer's copy of the keyring is refreshed every minute. When S3 fails the copy stays in use,
but never past ``SIGNER_BOUND`` of wall-clock time, also after a frozen process is thawed: the
rotator counts on it when it withdraws a key (rule 3). A revision lower than one seen before is a
rolled-back document and is not taken (rule 6).

With the standby key it signs for the canary (rule 2), and with the previous one, as long as the
keyring allows it, when the active one was refused (rule 9). It writes nothing, and neither
creates, publishes nor ends a key (rule 8). Threads may share it: one of them reads at a time, so
that no copy takes the place of a later one.
"""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import jwt

from machine_identity import keyring as keyrings
from machine_identity.aws import AwsError
from machine_identity.aws.private_keys import private_key
from machine_identity.client_assertion import Draft, PrivateKey, SigningError, SigningKey
from machine_identity.keyring import Key, Keyring, KeyringError
from machine_identity.publication import JWKS_PATH

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

    from machine_identity.aws.s3 import Bucket

REFRESH_INTERVAL: Final = timedelta(minutes=1)
SIGNER_BOUND: Final = timedelta(hours=1)
"""How old the copy may be that is signed with; ``Policy.signer_bound`` counts on it."""

_UNUSABLE: Final = frozenset(
    {"DisabledException", "KMSInvalidStateException", "NotFoundException"}
)
"""What kms:Sign answers for a key that was revoked or removed after the copy was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """The keyring as it was when the read began."""

    keyring: Keyring
    read_at: datetime

    def is_within(self, bound: timedelta, now: datetime) -> bool:
        """Whether the copy is that young; one from the future tells nothing about its age."""
        return timedelta() <= now - self.read_at <= bound


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySigner:
    """Signs with one key of a keyring, whatever that key's state has become."""

    kms: "KMSClient"
    key: Key
    issuer: str

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Return the assertion, signed. Raises SigningError, or SettingsError from the draft."""
        try:
            return self.signed(draft, now=now, jti=jti)
        except AwsError as error:
            raise SigningError(str(error)) from error

    def signed(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Do as ``sign`` does, but raise AwsError as it comes, with KMS's own code."""
        return self.signing_key().sign(draft, now=now, jti=jti)

    def signing_key(self) -> SigningKey:
        """Return the key itself, for whatever it is to sign. Raises SigningError."""
        return SigningKey(
            kid=self.key.kid,
            algorithm=self.key.jwk["alg"],
            private_key=_private_key(self.kms, self.key),
            issuer=self.issuer,
            jwks_uri=self.issuer + JWKS_PATH,
            thumbprint=self.key.thumbprint,
        )


class KeyringSigner:
    """Signs as one identity, with the key that its keyring calls active."""

    def __init__(
        self,
        *,
        bucket: "Bucket",
        kms: "KMSClient",
        identity: str,
        refresh_interval: timedelta = REFRESH_INTERVAL,
        bound: timedelta = SIGNER_BOUND,
    ) -> None:
        self._bucket = bucket
        self._kms = kms
        self._refresh_interval = refresh_interval
        self._bound = bound
        self._document = f"{identity}/keyring.json"
        self._copy: _Copy | None = None
        self._tried_at: datetime | None = None
        self._reading = threading.Lock()

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Return the assertion, signed. Raises SigningError, or SettingsError from the draft.

        A key that KMS does not sign with any more was revoked a moment ago: the keyring is read
        again, and the key that is active then signs. If KMS does not sign with that one either,
        somebody broke it, and the previous key signs as long as it may (rule 9).
        """
        try:
            return self._signed(self.keyring(now), draft, now=now, jti=jti)
        except AwsError as error:
            if error.code not in _UNUSABLE:
                raise SigningError(str(error)) from error
        try:
            return self._signed(self.reread(now), draft, now=now, jti=jti)
        except AwsError as error:
            previous = self.previous(now) if error.code in _UNUSABLE else None
            if previous is None:
                raise SigningError(str(error)) from error
        return previous.sign(draft, now=now, jti=jti)

    def _signed(self, keyring: Keyring, draft: Draft, *, now: datetime, jti: str) -> str:
        active = keyring.active
        if active is None:
            raise SigningError("the keyring has no active key yet")
        return self.with_key(active, keyring).signed(draft, now=now, jti=jti)

    def previous(self, now: datetime) -> KeySigner | None:
        """Return who signs when the active key is refused (rule 9), if anybody may.

        Raises SigningError.
        """
        keyring = self.keyring(now)
        key = keyring.previous(now)
        return None if key is None else self.with_key(key, keyring)

    def with_key(self, key: Key, keyring: Keyring) -> KeySigner:
        """Return who signs with that very key of the keyring, as the canary does (rule 2)."""
        return KeySigner(kms=self._kms, key=key, issuer=keyring.issuer)

    def keyring(self, now: datetime) -> Keyring:
        """Return the keyring, read anew when a minute old; the copy survives a failed read.

        Raises SigningError.
        """
        copy = self._copy
        if copy is not None and copy.is_within(self._bound, now) and not self._is_due(now):
            return copy.keyring
        try:
            return self.reread(now)
        except SigningError:
            if copy is None or not copy.is_within(self._bound, now):
                raise
            return copy.keyring

    def _is_due(self, now: datetime) -> bool:
        """Whether a minute has passed since the last try: a failing S3 slows no caller down."""
        return self._tried_at is None or not (
            timedelta() <= now - self._tried_at < self._refresh_interval
        )

    def reread(self, now: datetime) -> Keyring:
        """Return the keyring as it stands in the bucket. Raises SigningError."""
        with self._reading:
            return self._reread(now)

    def _reread(self, now: datetime) -> Keyring:
        self._tried_at = now
        try:
            document = self._bucket.read(self._document)
            if document is None:
                raise SigningError("there is no keyring yet")
            keyring = keyrings.parse(document.body)
        except (AwsError, KeyringError) as error:
            raise SigningError(str(error)) from error
        if self._document != f"{keyring.identity}/keyring.json":
            raise SigningError(f"the keyring is that of {keyring.identity}, and not ours")
        if self._copy is not None and keyring.revision < self._copy.keyring.revision:
            raise SigningError("the keyring has a lower revision than one seen before")
        self._copy = _Copy(keyring=keyring, read_at=now)
        return keyring


def _private_key(kms: "KMSClient", key: Key) -> PrivateKey:
    try:
        public_key = jwt.PyJWK(dict(key.jwk)).key
    except jwt.PyJWTError as error:
        raise SigningError("the key's JWK cannot be read") from error
    held = private_key(kms, key.arn, public_key)
    if held is None:
        raise SigningError("the key's JWK is of a kind that KMS does not sign with")
    return held
