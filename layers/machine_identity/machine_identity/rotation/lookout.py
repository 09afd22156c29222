"""What a run finds before it decides: the documents, the public URL, the keys in KMS, the time.

The other documents are read before the keyring, so that what a concurrent run does in between is
never newer than it; the public URL is looked at after it, since it says which one. A keyring that
is lost is rebuilt here, in memory only.

Nothing is written here, and nothing is decided but what can be believed: a denial speaks against a
key only if KMS tells about the other one, since else it speaks against our role; and what KMS does
not answer proves nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from machine_identity import dates, publication, recovery, repairs
from machine_identity.aws import AwsError
from machine_identity.evidence import Evidence, Observation, Search, Seen, Standing, Unseen
from machine_identity.keyring import Key, Keyring, LostKeyringError
from machine_identity.policy import Policy
from machine_identity.rotation.dated import DatedStore
from machine_identity.rotation.documents import (
    Held,
    KeyringDocument,
    PublishedDocuments,
    TestimonyDocument,
)
from machine_identity.rotation.world import World
from machine_identity.testimony import Testimony

TAGS_COUNT_AFTER: Final = timedelta(minutes=5)
"""How long KMS takes until a new tag counts in authorization; a new key is known far sooner."""
NOT_YET: Final = frozenset({"AccessDenied", "AccessDeniedException", "NotFoundException"})
"""What KMS answers for a key that does not count everywhere yet."""


def is_gone(error: AwsError, created_at: datetime | None, now: datetime) -> bool:
    """Return whether KMS has deleted a key that it does not know: a new one may yet come up."""
    is_new = created_at is not None and now < created_at + TAGS_COUNT_AFTER
    return error.code == "NotFoundException" and not is_new


def looks(world: World, keyring: Keyring) -> tuple[Observation, Observation | None]:
    """Return what the issuer in use shows now, and the one that is to be, if there is one."""
    observation, incoming = world.probe(keyring.issuer), keyring.incoming
    return observation, None if incoming is None else world.probe(incoming.url)


class _Told(Enum):
    """What KMS says of a key."""

    USABLE = auto()
    UNUSABLE = auto()
    DENIED = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found, and the keyring that is to take the place of a lost one."""

    held: Held
    evidence: Evidence
    rebuilt: Keyring | None = None
    why: str = ""


class Lookout:
    """Looks at one identity's world; raises AwsError and KeyringError."""

    def __init__(self, *, identity: str, issuer: str, policy: Policy, world: World) -> None:
        self._policy = policy
        self._world = world
        self._state = DatedStore(world.state, world.clock)
        self._store = DatedStore(world.published, world.clock)
        self.keyring = KeyringDocument(self._state, identity=identity, issuer=issuer)
        self.published = PublishedDocuments(self._store, identity=identity)
        self.testimony = TestimonyDocument(self._state, identity=identity)

    def look(self) -> Found:
        """Look at the world, then read the keyring; without one, find out whether ever one was."""
        self._state.clock_errors.clear()
        self._store.clock_errors.clear()
        standing, testimony = self.published.read(), self.testimony.read()
        try:
            held = self.keyring.read_to_act(standing, testimony)
        except LostKeyringError as error:
            held = self.keyring.salvage()
            lost = _lost(held, standing, testimony)
            return self._rebuilt(held, self._seen(lost, standing, testimony), error)
        if held.tag is None:
            lost = _lost(held, standing, testimony)
            return self._begun(held, self._seen(lost, standing, testimony))
        return self._found(held, self._seen(held.keyring, standing, testimony))

    def unusable(self, keyring: Keyring) -> frozenset[str]:
        """Return the active and standby keys that KMS would not sign with; raises nothing."""
        keys = [key for key in (keyring.active, keyring.standby) if key is not None]
        told = {key.kid: self._told(key) for key in keys}
        is_our_role_s = {_Told.USABLE, _Told.UNUSABLE}.isdisjoint(told.values())
        against = {_Told.UNUSABLE} if is_our_role_s else {_Told.UNUSABLE, _Told.DENIED}
        return frozenset(kid for kid, answer in told.items() if answer in against)

    def _seen(self, keyring: Keyring, standing: Standing, testimony: Testimony | None) -> Evidence:
        """Look at the public URLs, and at what the clocks say."""
        observation, incoming = looks(self._world, keyring)
        told = (*self._state.clock_errors, *self._store.clock_errors)
        return Evidence(
            observation=observation,
            incoming=incoming,
            standing=standing,
            testimony=testimony,
            clock_error=dates.worst((*told, observation.clock_error)),
        )

    def _found(self, held: Held, evidence: Evidence) -> Found:
        keyring = held.keyring
        evidence = replace(
            self._tagged(keyring, evidence),
            unusable=self.unusable(keyring),
            search=evidence.search or self._search_if_due(keyring, evidence),
        )
        return Found(held=held, evidence=evidence)

    def _begun(self, held: Held, evidence: Evidence) -> Found:
        """Return an empty keyring to begin with, unless keys of ours are in use without one."""
        genesis = self._is_genesis(evidence)
        if not genesis:
            evidence, rebuilt = self._recovered(held, evidence)
            if rebuilt.keys:
                why = "the keyring is gone, and keys of ours are in use"
                return Found(held=held, evidence=evidence, rebuilt=rebuilt, why=why)
        held = replace(held, keyring=replace(held.keyring, genesis=genesis))
        return self._found(held, evidence)

    def _rebuilt(self, held: Held, evidence: Evidence, lost: LostKeyringError) -> Found:
        """Return what the keyring must have been; raise ``lost`` if only strangers are published.

        Where nothing is published either, and no key is ours, all begins anew.
        """
        evidence, rebuilt = self._recovered(held, evidence)
        if not rebuilt.keys and evidence.search is not None and evidence.search.public:
            raise lost
        return Found(held=held, evidence=evidence, rebuilt=rebuilt, why=str(lost))

    def _recovered(self, held: Held, evidence: Evidence) -> tuple[Evidence, Keyring]:
        """Search KMS, and return what that adds and the keyring that follows from it all."""
        evidence = replace(evidence, search=self._searched(evidence))
        now = self._world.clock()
        return evidence, recovery.rebuilt(held.keyring, self._policy, evidence, now)

    def _is_genesis(self, evidence: Evidence) -> bool:
        """Whether there was never a keyring, a key or a set, so that no cache holds an old one."""
        return (
            isinstance(evidence.observation, Unseen)
            and evidence.standing.jwks is None
            and not self.keyring.was_ever_there()
            and not self._world.keys.any()
        )

    def _tagged(self, keyring: Keyring, evidence: Evidence) -> Evidence:
        """Add the key that an earlier run made for the open intent, and whether it fits."""
        intent = keyring.intent
        arn = None if intent is None else self._world.keys.find(intent.id)
        if intent is None or arn is None:
            return evidence
        try:
            fits = self._world.keys.is_usable(arn, self._policy.algorithm)
        except AwsError:
            fits = True
        unfit = frozenset[str]() if fits else frozenset({intent.id})
        return replace(evidence, tagged={intent.id: arn}, unfit=unfit)

    def _told(self, key: Key) -> "_Told":
        try:
            is_usable = self._world.keys.is_usable(key.arn, key.jwk["alg"])
        except AwsError as error:
            is_young = self._world.clock() < key.created_at + TAGS_COUNT_AFTER
            if error.code not in NOT_YET or is_young:
                return _Told.NOTHING
            return _Told.UNUSABLE if error.code == "NotFoundException" else _Told.DENIED
        return _Told.USABLE if is_usable else _Told.UNUSABLE

    def _searched(self, evidence: Evidence) -> Search:
        """Return all keys of ours that KMS tells about. Raises AwsError."""
        public = frozenset(publication.standing_keys(evidence.standing))
        if isinstance(evidence.observation, Seen):
            public |= evidence.observation.kids
        at = self._world.clock()
        return Search(at=at, keys=self._world.keys.search(), public=public)

    def _search_if_due(self, keyring: Keyring, evidence: Evidence) -> Search | None:
        """Search once a day; what fails is tried again by the next run, and keeps none from it."""
        if not repairs.is_search_due(keyring, self._world.clock()):
            return None
        try:
            return self._searched(evidence)
        except AwsError:
            return None


def _lost(held: Held, standing: Standing, testimony: Testimony | None) -> Keyring:
    """Return what is left of a keyring, with the issuer under which to look."""
    issuer, *_ = recovery.issuers(held.keyring, standing, testimony)
    return replace(held.keyring, issuer=issuer, incoming=None)
