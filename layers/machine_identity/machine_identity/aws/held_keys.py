"""Keys of ours as somebody outside Lambda finds them: in KMS by ARN, in a deployment's keyring.

Finding one asks for ``kms:GetPublicKey`` or for ``s3:GetObject`` on the keyring, and its
certificate for that on the evidence; nothing is signed before ``signing_key`` is asked for it, and
nothing is ever written.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

from cryptography.hazmat.primitives.serialization import load_der_public_key

from machine_identity import certification, jwk, testimony
from machine_identity.aws.clients import client, translated
from machine_identity.aws.private_keys import private_key
from machine_identity.aws.s3 import Bucket
from machine_identity.aws.signer import KeyringSigner
from machine_identity.client_assertion import PrivateKey, SigningError, SigningKey
from machine_identity.errors import SettingsError
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Key, Keyring
from machine_identity.testimony import TestimonyError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_ARN: Final = re.compile(r"arn:[a-z0-9-]+:kms:([a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+")
_FIRST: Final = {
    "RSA_2048": "RS256",
    "RSA_3072": "RS256",
    "RSA_4096": "RS256",
    "ECC_NIST_P256": "ES256",
    "ECC_NIST_P384": "ES384",
}
"""What a key of each kind signs with unless another algorithm is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """A key in KMS: its public half, and its private half as what signs."""

    arn: str
    jwk: PublicJwk
    signing_key: Callable[[], SigningKey] = field(repr=False)
    """Raises SigningError; what it returns raises AwsError when KMS does not sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKeyring:
    """A deployment's keyring, and its keys as what signs."""

    keyring: Keyring
    _store: Bucket = field(repr=False)
    _signer: KeyringSigner = field(repr=False)

    def held(self, key: Key) -> HeldKey:
        """Return one of its keys."""
        signer = self._signer.with_key(key, self.keyring)
        return HeldKey(arn=key.arn, jwk=key.jwk, signing_key=signer.signing_key)

    def certificate(self, key: Key) -> bytes | None:
        """Return the certificate in DER that the signer made of a key, exactly as it is ordered.

        Raises SigningError if its evidence cannot be read, and AwsError.
        """
        document = self._store.read(testimony.object_key(self.keyring.identity))
        try:
            told = None if document is None else testimony.parse(document.body)
        except TestimonyError as error:
            raise SigningError(str(error)) from error
        made = certification.certified(key, told)
        return None if made is None else made.der


def in_kms(arn: str, algorithm: str | None) -> HeldKey:
    """Return a key of KMS, which signs with ``algorithm`` or as its kind does.

    Raises SettingsError if it cannot be one of ours, and AwsError.
    """
    named = _ARN.fullmatch(arn)
    if named is None:
        raise SettingsError("a KMS key is named by its ARN (arn:…:key/…); an alias could move")
    with translated("kms:GetPublicKey"):
        kms = client("kms")
        _check_region(named[1], kms.meta.region_name)
        answer = kms.get_public_key(KeyId=arn)
    spec, usage = str(answer["KeySpec"]), answer["KeyUsage"]
    if usage != "SIGN_VERIFY" or spec not in _FIRST:
        raise SettingsError(f"a {usage} key of kind {spec} signs no assertion")
    public = jwk.from_der(answer["PublicKey"], algorithm or _FIRST[spec])
    key = SigningKey(
        kid=public["kid"],
        algorithm=public["alg"],
        private_key=_private_key(kms, arn, answer["PublicKey"]),
    )
    return HeldKey(arn=arn, jwk=public, signing_key=lambda: key)


def _check_region(of_key: str, of_client: str) -> None:
    if of_key != of_client:
        raise SettingsError(f"the key is in {of_key}, and AWS is asked in {of_client}")


def _private_key(kms: "KMSClient", arn: str, der: bytes) -> PrivateKey:
    return cast("PrivateKey", private_key(kms, arn, load_der_public_key(der)))


def in_keyring(bucket: str, identity: str, now: datetime) -> HeldKeyring:
    """Return the keyring of an identity. Raises SigningError if it is not to be had, AwsError."""
    with translated("aws:Configure"):
        store, kms = Bucket(client("s3"), bucket), client("kms")
    signer = KeyringSigner(bucket=store, kms=kms, identity=identity)
    return HeldKeyring(keyring=signer.reread(now), _store=store, _signer=signer)
