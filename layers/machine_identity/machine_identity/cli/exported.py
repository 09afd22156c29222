"""Which key ``export`` is about: one in a PEM file, one in KMS, or a deployment's own."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from machine_identity import certificate, certification, clock, jwk, publication
from machine_identity.aws import AwsError
from machine_identity.certificate import Terms
from machine_identity.client_assertion import SigningError, SigningKey
from machine_identity.errors import SettingsError
from machine_identity.jwk import PublicJwk
from machine_identity.key_files import pem_file
from machine_identity.keyring import Key, Keyring, State

EVIDENCE: Final = "the token function's evidence says which certificate it made"
_NONE_YET: Final = "the token function has made no certificate of this key yet"
THE_SAME: Final = f"{_NONE_YET}; if it makes one, it is this one"
ANOTHER: Final = (
    f"{_NONE_YET}; if it makes one, it is another, and assertions that name it do not name this"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A certificate in DER, and what is to be known of it."""

    der: bytes = field(repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Public keys, and the first of them as what signs a certificate of its own."""

    jwks: tuple[PublicJwk, ...]
    told: str
    """Which keys these are, for people."""
    signing_key: Callable[[], SigningKey] = field(repr=False)
    arn: str = ""
    order: Terms | None = None
    """What the certificate of the first one is to say, by the keyring."""
    made: Callable[[], bytes | None] = field(default=lambda: None, repr=False)
    """Returns the one that the token function made so, if it did; it is what assertions name."""

    def as_ordered(self) -> Certified | None:
        """Return the first key's certificate as its keyring orders it; None without an order.

        Of an RSA key, whoever makes it makes the same. Raises SigningError.
        """
        if self.order is None:
            return None
        try:
            made = self.made()
        except AwsError as error:
            raise SigningError(f"{EVIDENCE}, and {error}") from error
        if made is not None:
            return Certified(der=made)
        note = THE_SAME if self.jwks[0]["kty"] == "RSA" else ANOTHER
        return Certified(der=self.certificate(self.order), note=note)

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
    is_ordered = keys[0].certificate_from is not None
    named = ", ".join(f"the {key.state} key {key.kid}" for key in keys)
    return Exported(
        jwks=tuple(public[key.kid] for key in keys),
        told=f"{named} of {identity}",
        signing_key=first.signing_key,
        arn=first.arn,
        order=certification.terms(keys[0], identity) if is_ordered else None,
        made=partial(found.certificate, keys[0]),
    )


def _chosen(keyring: Keyring, kid: str | None) -> tuple[Key, ...]:
    """Return the key of that name, or without one the standby key: it is to be known in time.

    The active one need not be looked up, to be known at once; no key's own name is that short.
    """
    if not kid:
        return tuple(key for key in (keyring.standby or keyring.active,) if key is not None)
    key = keyring.active if kid == State.ACTIVE else keyring.find(kid)
    if key is None or not key.is_published:
        raise SettingsError(f"no published key of {keyring.identity} is called {kid}")
    return (key,)


def _as_published(keyring: Keyring) -> dict[str, PublicJwk]:
    """Return each key with the members that are published, and no other (rule 8)."""
    document = publication.documents(keyring, timedelta())
    return {key["kid"]: key for key in json.loads(document.jwks)["keys"]}
