"""What follows from a revocation: how soon signing stops, and until when caches hold the old set.

Upper bounds from the settings, those of today and those that the keyring remembers, because nobody
can ask the caches. They count from the instant at which the set without the key was first seen,
if that is recorded, so that whoever asks again later is told the same. Nothing is done here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from machine_identity import publication
from machine_identity.evidence import Observation, Seen, Standing
from machine_identity.keyring import Key, Keyring
from machine_identity.policy import Policy
from machine_identity.steps import Done, Publish, Rebuild, Wait

KMS_SETTLES: Final = timedelta(minutes=1)
"""How long a disabled key may still sign: KMS says eventually, and means seconds as a rule."""
_MAY_BE_SHOWN: Final = "the published set may still show the key"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedUntil:
    """Until when a cache may still accept the key, by what that cache goes by."""

    max_age: datetime
    provider: datetime
    longest_max_age: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """What was done about a key, and what follows from it."""

    kid: str
    reason: str
    steps: tuple[Done, ...]
    wait: Wait
    keyring: Keyring | None
    """None if it is not known how it stands, or whether it was written."""
    signing_stops_within: timedelta | None
    """None if the key is neither known to be disabled nor recorded as revoked."""
    accepted_until: AcceptedUntil | None
    """None while the key may still stand in the published set."""
    refused_until: datetime | None
    """Until when a cache may lack the key that signs since then; None if that one signed before,
    or every cache knows it."""
    notes: tuple[str, ...]
    """What failed and is still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far a revocation has come."""

    kid: str
    reason: str
    steps: tuple[Done, ...]
    is_disabled: bool
    """Whether KMS has said so."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What its last look at the world left."""

    keyring: Keyring
    standing: Standing
    observation: Observation
    wait: Wait | None


def recorded(outcome: Outcome, found: Found, policy: Policy, now: datetime) -> Revocation:
    """Return what to tell of a revocation that is recorded, and what of it is still to come."""
    keyring = found.keyring
    key = keyring.find(outcome.kid)
    is_out = _is_out(outcome, found)
    to_come = {
        "KMS has not told this run that the key is disabled": not outcome.is_disabled,
        _MAY_BE_SHOWN: not is_out,
        "no key signs until one is made, published and seen": keyring.active is None,
    }
    revoked_at = None if key is None else key.revoked_at
    late = None if revoked_at is None else policy.signer_bound
    is_rebuilt = any(isinstance(step, Rebuild) for step in outcome.steps)
    since = None if is_rebuilt else revoked_at or now
    left = Wait(until=now, why="the rest is left to the next tick")
    withdrawn_at = _withdrawn_by(outcome.kid, found, now)
    return Revocation(
        kid=outcome.kid,
        reason=outcome.reason,
        steps=outcome.steps,
        wait=found.wait or left,
        keyring=keyring,
        signing_stops_within=KMS_SETTLES if outcome.is_disabled else late,
        accepted_until=accepted_until(keyring, key, policy, withdrawn_at) if is_out else None,
        refused_until=refused_until(keyring, policy, now, since=since),
        notes=(*outcome.notes, *(note for note, is_true in to_come.items() if is_true)),
    )


def unrecorded(outcome: Outcome, now: datetime) -> Revocation:
    """Return what to tell of a key that is disabled at best, for want of a keyring."""
    done = "the key is disabled in KMS, and " if outcome.is_disabled else ""
    return Revocation(
        kid=outcome.kid,
        reason=outcome.reason,
        steps=outcome.steps,
        wait=Wait(until=now, why=f"{done}nothing is known to be recorded"),
        keyring=None,
        signing_stops_within=KMS_SETTLES if outcome.is_disabled else None,
        accepted_until=None,
        refused_until=None,
        notes=(*outcome.notes, _MAY_BE_SHOWN),
    )


def accepted_until(
    keyring: Keyring, key: Key | None, policy: Policy, withdrawn_at: datetime
) -> AcceptedUntil:
    """Return until when caches may hold a set that was served before the withdrawal.

    As in rule 1, and of a provider's bound the longest that was in force in the key's life.
    """
    since = withdrawn_at + policy.origin_staleness + policy.edge_staleness + policy.clock_skew
    longest = timedelta() if key is None else _longest_wait(key, policy)
    return AcceptedUntil(
        max_age=since + policy.max_age,
        provider=max(since + policy.key_set_cache, withdrawn_at + longest),
        longest_max_age=since + max(policy.max_age, keyring.longest_max_age),
    )


def refused_until(
    keyring: Keyring, policy: Policy, now: datetime, *, since: datetime | None
) -> datetime | None:
    """Return until when a cache may not know the key that has signed ``since`` the revocation.

    None if rule 1's wait is over for it, or if it signed before; of a keyring that was rebuilt
    nobody can say that (``since`` is None).
    """
    active = keyring.active
    if active is None or (since is not None and active.since < since):
        return None
    interval = policy.publication_interval(keyring.longest_max_age)
    until = (active.first_seen_at or now) + max(active.publication_interval, interval)
    return until if until > now else None


def _is_out(outcome: Outcome, found: Found) -> bool:
    """Whether the published set was written, or read, without the key."""
    is_written = any(
        isinstance(step, Publish) and outcome.kid not in step.kids for step in outcome.steps
    )
    standing = found.standing
    is_read = standing.jwks is not None
    return is_written or (is_read and outcome.kid not in publication.standing_keys(standing))


def _withdrawn_by(kid: str, found: Found, now: datetime) -> datetime:
    """Return an instant at which the set without the key was out, the earliest on record."""
    seen, keyring = found.observation, found.keyring
    if not isinstance(seen, Seen) or seen.digest != keyring.seen_digest:
        return now
    # Without any kid nothing is told: the discovery document may lead elsewhere.
    is_shown_without = bool(seen.kids) and kid not in seen.kids
    return min(now, keyring.seen_since or now) if is_shown_without else now


def _longest_wait(key: Key, policy: Policy) -> timedelta:
    """Return the longest wait in the key's life that a provider's cache was a part of.

    What part, the keyring does not say: a wait before withdrawal that was longer than today's
    counts whole.
    """
    is_longer = key.retire_interval > policy.retire_interval
    return max(key.publication_interval, key.retire_interval if is_longer else timedelta())
