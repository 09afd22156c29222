"""The rotation that everybody writes first: make a key, publish it, sign with it at once.

It is not careless otherwise: the key lives in KMS, the old one stays in the set, the set is served
as ours is, with the same max-age. The only thing that it lacks is the wait, and that is what the
rehearsal must be able to see.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from local.aws import Aws
from machine_identity import clock
from machine_identity.aws.kms_keys import KmsKeys, Owner
from machine_identity.aws.private_keys import KmsRsaPrivateKey
from machine_identity.client_assertion import Draft, SigningKey
from machine_identity.jwk import PublicJwk
from machine_identity.publication import JWKS_PATH, object_key
from rehearsal.compressed import POLICY

IDENTITY: Final = "naive"
INTERVAL: Final = timedelta(seconds=45)
"""How often it rotates; no multiple of a minute, so that it meets copies of every age."""


class Naive:
    """Rotates the keys of one identity, and signs as it."""

    def __init__(
        self,
        *,
        aws: Aws,
        bucket: str,
        issuer: str,
        before_new_key: Callable[[], None],
    ) -> None:
        self._kms, self._s3 = aws.client("kms"), aws.client("s3")
        owner = Owner(stack="rehearsal", identity=IDENTITY)
        self._keys = KmsKeys(self._kms, aws.client("resourcegroupstaggingapi"), owner)
        self._bucket = bucket
        self._issuer = issuer
        self._before_new_key = before_new_key
        self._published: list[PublicJwk] = []
        self._signing: SigningKey | None = None
        self._rotated_at: datetime | None = None

    def tick(self) -> None:
        """Rotate if it is time to."""
        now = clock.now()
        if self._rotated_at is None or now - self._rotated_at >= INTERVAL:
            self._rotated_at = now
            self._rotate()

    def sign(self, draft: Draft, *, now: datetime, jti: str) -> str:
        """Return the assertion, signed by the newest key."""
        assert self._signing is not None  # noqa: S101 - the first tick comes before any client
        return self._signing.sign(draft, now=now, jti=jti)

    def _rotate(self) -> None:
        if self._signing is not None:
            self._before_new_key()
        arn = self._keys.create(POLICY.algorithm, clock.unique())
        jwk = self._keys.public_key(arn, POLICY.algorithm)
        self._publish(jwk)
        public_key = jwt.PyJWK(dict(jwk)).key
        assert isinstance(public_key, rsa.RSAPublicKey)  # noqa: S101 - as the algorithm says
        self._signing = SigningKey(
            kid=jwk["kid"],
            algorithm=POLICY.algorithm,
            private_key=KmsRsaPrivateKey(self._kms, arn, public_key),
            issuer=self._issuer,
        )

    def _publish(self, jwk: PublicJwk) -> None:
        self._published = [*self._published[-1:], jwk]
        self._s3.put_object(
            Bucket=self._bucket,
            Key=object_key(IDENTITY, JWKS_PATH),
            Body=json.dumps({"keys": self._published}).encode(),
            ContentType="application/json",
            CacheControl=f"public, max-age={int(POLICY.max_age.total_seconds())}",
        )
