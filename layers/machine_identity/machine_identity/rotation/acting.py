"""Carries one step out: what it does outside of the keyring, and the keyring that it leaves.

Act, then record: whatever is repeated after a crash in between does no harm (rule 5). Recording is
the caller's, and so is what to do about a step that fails.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

from machine_identity import publication, transitions
from machine_identity.aws import AwsError
from machine_identity.evidence import Evidence, Search
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.rotation.documents import PublishedDocuments
from machine_identity.rotation.lookout import NOT_YET, TAGS_COUNT_AFTER, is_gone, looks
from machine_identity.rotation.world import World
from machine_identity.steps import (
    Abandon,
    Action,
    AdoptKey,
    CreateKey,
    Disable,
    EndSurplus,
    Intend,
    Publish,
    ScheduleDeletion,
    SwitchIssuer,
    Wait,
)
from machine_identity.transitions import Made

_JUDGED_BY_TAG: Final = frozenset(
    {"kms:GetPublicKey", "kms:DisableKey", "kms:ScheduleKeyDeletion"}
)
"""What the role allows on keys with our tags; CreateKey goes by the tags in its own request."""


class Actor:
    """Acts on one identity's world; raises ConflictError, AwsError and SettingsError."""

    def __init__(self, *, policy: Policy, world: World, published: PublishedDocuments) -> None:
        self._policy = policy
        self._world = world
        self._published = published

    def act(self, keyring: Keyring, evidence: Evidence, step: Action) -> tuple[Keyring, Evidence]:
        """Do what a step does, and return the keyring to record and what is known after it."""
        now = self._world.clock
        match step:
            case Intend():
                intent = self._world.unique()
                after = transitions.intended(keyring, step, intent=intent, now=now())
            case CreateKey() | AdoptKey():
                made = self._taken_in(step)
                after = transitions.created(keyring, step, made, policy=self._policy, now=now())
            case _:
                evidence = self._outside(keyring, evidence, step)
                after = transitions.taken(keyring, step, policy=self._policy, now=now())
        own = after.intent.id if isinstance(step, Intend) and after.intent else None
        return after, replace(evidence, own_intent=own)

    def not_yet(self, keyring: Keyring, step: Action, error: Exception) -> Wait | None:
        """Return the wait for a key that does not count everywhere yet; None for any failure."""
        if not isinstance(error, AwsError) or error.code not in NOT_YET:
            return None
        created_at = _created_at(keyring, step)
        if error.operation not in _JUDGED_BY_TAG or created_at is None:
            return None
        until = created_at + TAGS_COUNT_AFTER
        if self._world.clock() >= until:
            return None
        return Wait(until=until, why="a new key and its tags do not count yet (rule 5)")

    def _taken_in(self, step: CreateKey | AdoptKey) -> Made:
        """Return the key of the intent, made now or found again."""
        keys, algorithm = self._world.keys, self._policy.algorithm
        arn = step.arn if isinstance(step, AdoptKey) else keys.create(algorithm, step.intent)
        return Made(arn=arn, jwk=keys.public_key(arn, algorithm))

    def _outside(self, keyring: Keyring, evidence: Evidence, step: Action) -> Evidence:
        """Do what a step does outside of the keyring; after a publication, look again."""
        keys, window = self._world.keys, self._policy.deletion_window
        match step:
            case Publish():
                wanted = publication.documents(keyring, self._policy.max_age)
                standing = self._published.write(wanted, evidence.standing)
                seen, incoming = looks(self._world, keyring)
                return replace(evidence, standing=standing, observation=seen, incoming=incoming)
            case SwitchIssuer() if evidence.incoming is not None:
                return replace(evidence, observation=evidence.incoming, incoming=None)
            case Disable():
                with self._unless_gone(keyring, step):
                    keys.disable(keyring.key(step.kid).arn)
            case ScheduleDeletion():
                with self._unless_gone(keyring, step):
                    keys.schedule_deletion(keyring.key(step.kid).arn, window)
            case Abandon():
                with self._unless_gone(keyring, step):
                    keys.schedule_deletion(step.arn, window)
            case EndSurplus():
                with self._unless_gone(keyring, step):
                    keys.schedule_deletion(step.arn, window)
                search = evidence.search and _without(evidence.search, step.arn)
                return replace(evidence, search=search)
            case _:
                pass
        return evidence

    @contextmanager
    def _unless_gone(self, keyring: Keyring, step: Action) -> Iterator[None]:
        """To a key that KMS has deleted there is nothing left to do."""
        try:
            yield
        except AwsError as error:
            if not is_gone(error, _created_at(keyring, step), self._world.clock()):
                raise


def _without(search: Search, arn: str) -> Search:
    return replace(search, keys=tuple(key for key in search.keys if key.arn != arn))


def _created_at(keyring: Keyring, step: Action) -> datetime | None:
    """Return when the key that a step is about was created, or a moment before."""
    match step:
        case CreateKey() | AdoptKey() | Abandon():
            return None if keyring.intent is None else keyring.intent.written_at
        case Disable() | ScheduleDeletion():
            return keyring.key(step.kid).created_at
        case _:
            return None
