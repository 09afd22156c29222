"""Which key ``export`` is about: one in a PEM file, one in KMS, or a deployment's own."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from machine_identity import certificate, clock, jwk, publication
from machine_identity.aws import AwsError
from machine_identity.certificate import Terms
from machine_identity.client_assertion import SigningError, SigningKey
from machine_identity.errors import SettingsError
from machine_identity.jwk import PublicJwk
from machine_identity.key_files import pem_file
from machine_identity.keyring import Key, Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Public keys, and the first of them as what signs a certificate of its own."""

    jwks: tuple[PublicJwk, ...]
    told: str
    """Which keys these are, for people."""
    signing_key: Callable[[], SigningKey] = field(repr=False)
    arn: str = ""

    def certificate(self, terms: Terms) -> bytes:
        """Return the first key's certificate in DER. Raises SettingsError or SigningError."""
        try:
            return certificate.self_signed(terms, self.signing_key())
        except AwsError as error:
            sentence = f"the key signs its own certificate, and {error}"
            if error.code.startswith("AccessDenied"):
                sentence += f"; you need the right to kms:Sign with {self.arn}"
            raise SigningError(sentence) from error


def from_file(path: Path, algorithm: str | None) -> Exported:
    """Return the key in a PEM file. Raises SettingsError."""
    key = pem_file(path, algorithm)
    public = jwk.from_public_key(key.private_key.public_key(), key.algorithm)
    return Exported(jwks=(public,), told=f"the key in {path}", signing_key=lambda: key)


def from_kms(arn: str, algorithm: str | None) -> Exported:
    """Return a key of KMS. Raises SettingsError or AwsError."""
    from machine_identity.aws import held_keys  # noqa: PLC0415 - a laptop needs no boto3

    key = held_keys.in_kms(arn, algorithm)
    return Exported(
        jwks=(key.jwk,), told=f"the key {arn}", signing_key=key.signing_key, arn=key.arn
    )


def from_keyring(bucket: str, identity: str, kid: str | None, *, whole_set: bool) -> Exported:
    """Return a deployment's key of that name, or the one to register next, or all as published.

    Raises SettingsError, SigningError or AwsError.
    """
    from machine_identity.aws import held_keys  # noqa: PLC0415 - as above

    found = held_keys.in_keyring(bucket, identity, clock.now())
    keys = found.keyring.published if whole_set and not kid else _chosen(found.keyring, kid)
    if not keys:
        raise SigningError(f"the keyring of {identity} has no key yet")
    public, first = _as_published(found.keyring), found.held(keys[0])
    named = ", ".join(f"the {key.state} key {key.kid}" for key in keys)
    return Exported(
        jwks=tuple(public[key.kid] for key in keys),
        told=f"{named} of {identity}",
        signing_key=first.signing_key,
        arn=first.arn,
    )


def _chosen(keyring: Keyring, kid: str | None) -> tuple[Key, ...]:
    """Return the key of that name, or without one the standby key: it is to be known in time."""
    if not kid:
        return tuple(key for key in (keyring.standby or keyring.active,) if key is not None)
    key = keyring.find(kid)
    if key is None or not key.is_published:
        raise SettingsError(f"no published key of {keyring.identity} is called {kid}")
    return (key,)


def _as_published(keyring: Keyring) -> dict[str, PublicJwk]:
    """Return each key with the members that are published, and no other (rule 8)."""
    document = publication.documents(keyring, timedelta())
    return {key["kid"]: key for key in json.loads(document.jwks)["keys"]}
