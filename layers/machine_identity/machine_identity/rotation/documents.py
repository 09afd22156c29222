"""The documents of one identity in their two stores: the keyring, and what is published of it.

Both are replaced only as they were read (rule 6). The published documents are read before the
keyring, so that what a concurrent run publishes in between is never newer than the keyring; a key
set whose revision is higher all the same proves that the keyring was lost or rolled back.

Nothing is decided here, except that such a keyring must not be acted on.
"""

from dataclasses import dataclass

from machine_identity import keyring as keyrings
from machine_identity import publication, transitions
from machine_identity import testimony as testimonies
from machine_identity.aws.s3 import Document
from machine_identity.evidence import Standing
from machine_identity.keyring import Keyring, KeyringError, LostKeyringError
from machine_identity.publication import CONFIGURATION_PATH, JWKS_PATH, Documents
from machine_identity.rotation.world import Store
from machine_identity.testimony import Testimony, TestimonyError


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The keyring as it stands in the store, and the tag to replace it by; None if none stands."""

    keyring: Keyring
    tag: str | None


class KeyringDocument:
    """The keyring of one identity, in the private store."""

    def __init__(self, store: Store, *, identity: str, issuer: str) -> None:
        self._store = store
        self._key = f"{identity}/keyring.json"
        self._empty = Keyring(identity=identity, issuer=issuer)

    def read(self) -> Held:
        """Return the keyring, an empty one before the first. Raises AwsError, KeyringError."""
        document = self._store.read(self._key)
        if document is None:
            return Held(keyring=self._empty, tag=None)
        return Held(keyring=keyrings.parse(document.body), tag=document.tag)

    def read_to_act(self, standing: Standing, testimony: Testimony | None = None) -> Held:
        """Return the keyring if it may be acted on, given what was read before it.

        Raises AwsError, KeyringError for that of somebody else, and LostKeyringError for one that
        is broken or of a time gone by.
        """
        held = self.read()
        self._refuse_another_s(held.keyring)
        published, known = publication.standing_revision(standing), held.keyring.published_revision
        signer, revision = (testimony or Testimony()).keyring_revision, held.keyring.revision
        if held.keyring.version > keyrings.VERSION:
            return held
        if published > known:
            raise LostKeyringError(
                f"the published set has revision {published}, the keyring knows only {known}: "
                "the keyring was lost or rolled back"
            )
        if signer > revision and held.tag is not None:
            raise LostKeyringError(
                f"the signer has read revision {signer} of the keyring, which has only "
                f"{revision}: the keyring was rolled back"
            )
        return held

    def salvage(self) -> Held:
        """Return what a lost keyring still says, if anything, with the tag to replace it by.

        Raises AwsError, and KeyringError for the keyring of somebody else.
        """
        document = self._store.read(self._key)
        if document is None:
            return Held(keyring=self._empty, tag=None)
        try:
            keyring = keyrings.parse(document.body)
        except LostKeyringError:
            keyring = self._empty
        self._refuse_another_s(keyring)
        return Held(keyring=keyring, tag=document.tag)

    def _refuse_another_s(self, keyring: Keyring) -> None:
        own = self._empty.identity
        if keyring.identity != own:
            raise KeyringError(f"the keyring is that of {keyring.identity}, not that of {own}")

    def was_ever_there(self) -> bool:
        """Return whether any version of the keyring ever stood in the store. Raises AwsError."""
        return self._store.has_history(self._key)

    def save(self, held: Held, after: Keyring) -> Held:
        """Write what is to follow ``held``, with the next revision; nothing if nothing changed.

        Raises ConflictError, AwsError.
        """
        if after == held.keyring:
            return held
        revised = transitions.revised(held.keyring, after)
        tag = self._store.write(self._key, keyrings.serialise(revised), expected=held.tag)
        return Held(keyring=revised, tag=tag)


class TestimonyDocument:
    """What the signer of one identity saw, in the private store; only read here."""

    __test__ = False

    def __init__(self, store: Store, *, identity: str) -> None:
        self._store = store
        self._key = testimonies.object_key(identity)

    def read(self) -> Testimony | None:
        """Return it, and None for none or a broken one: that proves nothing. Raises AwsError."""
        document = self._store.read(self._key)
        try:
            return None if document is None else testimonies.parse(document.body)
        except TestimonyError:
            return None


class PublishedDocuments:
    """The key set and the discovery document of one identity, in the store that all may read."""

    def __init__(self, store: Store, *, identity: str) -> None:
        self._store = store
        self._jwks = publication.object_key(identity, JWKS_PATH)
        self._configuration = publication.object_key(identity, CONFIGURATION_PATH)

    def read(self) -> Standing:
        """Return both as they stand, with the Cache-Control that they share. Raises AwsError."""
        jwks, configuration = self._store.read(self._jwks), self._store.read(self._configuration)
        return Standing(
            jwks=None if jwks is None else jwks.body,
            configuration=None if configuration is None else configuration.body,
            cache_control=_shared_caching(jwks, configuration),
            jwks_tag=None if jwks is None else jwks.tag,
            configuration_tag=None if configuration is None else configuration.tag,
        )

    def write(self, wanted: Documents, over: Standing) -> Standing:
        """Write both over those that were read, the key set first. Raises ConflictError, AwsError.

        A run that dies in between leaves a discovery document that is older than the key set, and
        that harms nobody: it never leads to a set that is not there (the other order would, the
        first time), it lists the algorithm of every key that may sign, since no key is promoted
        before both stand, and that of a key withdrawn a little longer than it has to.
        """
        caching = wanted.cache_control
        jwks_tag = self._store.write(
            self._jwks, wanted.jwks, expected=over.jwks_tag, cache_control=caching
        )
        configuration_tag = self._store.write(
            self._configuration,
            wanted.configuration,
            expected=over.configuration_tag,
            cache_control=caching,
        )
        return Standing(
            jwks=wanted.jwks,
            configuration=wanted.configuration,
            cache_control=caching,
            jwks_tag=jwks_tag,
            configuration_tag=configuration_tag,
        )


def _shared_caching(jwks: Document | None, configuration: Document | None) -> str | None:
    if jwks is None or configuration is None or jwks.cache_control != configuration.cache_control:
        return None
    return jwks.cache_control
