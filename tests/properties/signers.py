"""Those who sign, each with a copy of the keyring that is as old as may be.

An unlucky signer reads the keyring a moment before it changes, and then cannot read it again until
its copy is too old. Which key signs, and for how long a copy is good, is the real signer's choice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import jwt

from machine_identity.aws import AwsError
from machine_identity.aws.s3 import Document
from machine_identity.aws.signer import SIGNER_BOUND, KeyringSigner
from machine_identity.client_assertion import SigningError
from machine_identity.keyring import Key, Keyring
from tests.outside import KeyService, SigningService
from tests.properties.promise import Assertion, Promise

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

    from machine_identity.aws.s3 import Bucket

NOTHING = timedelta()


@dataclass(slots=True, kw_only=True)
class Reads:
    """The private bucket as one signer reaches it: at times not at all."""

    documents: Mapping[str, Document]
    is_down: bool = False

    def read(self, key: str) -> Document | None:
        if self.is_down:
            raise AwsError("s3:GetObject", "SlowDown")
        return self.documents.get(key)


class Signer:
    """The token function's signer in one process, whose clock may be apart from the true one."""

    def __init__(
        self,
        documents: Mapping[str, Document],
        keys: KeyService,
        *,
        born_at: datetime,
        clock_error: timedelta,
    ) -> None:
        self.leaves_at = born_at + SIGNER_BOUND
        """Until when a copy that is read now may be signed with."""
        self._reads = Reads(documents=documents)
        self._clock_error = clock_error
        self._kms = keys
        self._keys = keyring_signer(self._reads, keys)

    def sign(
        self,
        now: datetime,
        lifetime: timedelta,
        *,
        can_read: bool = True,
        falls_back: bool = False,
    ) -> Assertion | None:
        """Return an assertion, or None if the signer makes none now.

        The signature itself is left out, because it takes more time than all the rest; what the
        signer does when KMS refuses one is repeated here.
        """
        self._reads.is_down = not can_read
        at = now + self._clock_error
        try:
            key = _chosen(self._keys.keyring(at), at, falls_back=falls_back)
            if key is not None and not falls_back and not self._can_sign(key):
                key = _chosen(self._keys.reread(at), at, falls_back=False)
        except SigningError:
            return None
        if key is None or not self._can_sign(key):
            return None
        return Assertion(kid=key.kid, expires_at=at + lifetime)

    def _can_sign(self, key: Key) -> bool:
        known = self._kms.keys.get(key.arn)
        return known is not None and known.enabled and known.deletion_at is None


class Signers:
    """All that sign for one identity: a long-lived one, a starved one, and the unlucky ones."""

    def __init__(
        self,
        documents: Mapping[str, Document],
        keys: KeyService,
        promise: Promise,
        clock: Callable[[], datetime],
    ) -> None:
        self._documents = documents
        self._keys = keys
        self._promise = promise
        self._clock = clock
        self._fresh = self._born(documents, NOTHING)
        self._starved = self._born(documents, promise.skew)
        self._before: Mapping[str, Document] = {}
        self._unlucky: list[Signer] = []

    def sign(self) -> None:
        """Let every signer make an assertion, and one that has just begun."""
        self._sign(self._born(self._documents, -self._promise.skew))
        self._sign(self._fresh)
        if not self._sign(self._starved, can_read=False):
            self._sign(self._starved)
        for each in self._unlucky:
            self._sign(each, can_read=False)

    def thaw(self, *, can_read: bool) -> None:
        """Sign in a process that was frozen since it last signed, and perhaps cannot read now."""
        self._sign(self._fresh, can_read=can_read)

    def before_a_write(self) -> None:
        """Take down what somebody may read at the last moment."""
        self._before = dict(self._documents)

    def after_a_change(self) -> None:
        """Let a signer that read it then go on with what it read, and another with what is new."""
        unlucky = self._born(self._before, self._promise.skew)
        self._sign(unlucky)
        self._unlucky.append(unlucky)
        self._sign(self._born(self._documents, NOTHING))

    def leave_at(self) -> list[datetime]:
        """Return when a copy becomes too old to sign with."""
        return [each.leaves_at for each in self._unlucky]

    def let_go(self) -> None:
        """Let those whose copy becomes too old now sign with it for the last time."""
        for each in [signer for signer in self._unlucky if signer.leaves_at <= self._clock()]:
            self._sign(each, can_read=False)
            self._unlucky.remove(each)

    def _born(self, documents: Mapping[str, Document], clock_error: timedelta) -> Signer:
        return Signer(documents, self._keys, born_at=self._clock(), clock_error=clock_error)

    def _sign(self, signer: Signer, *, can_read: bool = True) -> bool:
        """Make an assertion, and another as if the first had been refused (rule 9)."""
        now, lifetime = self._clock(), self._promise.policy.assertion_lifetime
        made = [
            signer.sign(now, lifetime, can_read=can_read, falls_back=falls_back)
            for falls_back in (False, True)
        ]
        for each in made:
            if each is not None:
                self._promise.made(each)
        self._promise.judge()
        return made[0] is not None


def keyring_signer(reads: Reads, keys: KeyService) -> KeyringSigner:
    """Return the real signer, over the simulated bucket and key service."""
    kms = SigningService(keys, lambda *_: None)
    return KeyringSigner(
        bucket=cast("Bucket", reads), kms=cast("KMSClient", kms), identity="default"
    )


def kid_of(assertion: str) -> str:
    return str(jwt.get_unverified_header(assertion)["kid"])


def _chosen(keyring: Keyring, at: datetime, *, falls_back: bool) -> Key | None:
    return keyring.previous(at) if falls_back else keyring.active
