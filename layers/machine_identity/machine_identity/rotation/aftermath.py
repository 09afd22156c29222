"""What follows from a revocation: how soon signing stops, and until when caches hold the old set.

Upper bounds from the settings, because nobody can ask the caches. Nothing is done here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from machine_identity import publication
from machine_identity.evidence import Standing
from machine_identity.keyring import Keyring
from machine_identity.policy import Policy
from machine_identity.steps import Done, Wait

KMS_SETTLES: Final = timedelta(minutes=1)
"""How long a disabled key may still sign: KMS says eventually, and means seconds as a rule."""


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
    """None if it could be neither read nor written."""
    signing_stops_within: timedelta
    accepted_until: AcceptedUntil | None
    """None while the key still stands in the published set."""
    refused_until: datetime | None
    """Until when a cache may not know the key that signs now; None if every one knows it."""
    notes: tuple[str, ...]
    """What failed and is still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far a revocation has come."""

    kid: str
    reason: str
    keyring: Keyring
    standing: Standing
    steps: tuple[Done, ...]
    wait: Wait | None
    notes: tuple[str, ...]


def revocation(outcome: Outcome, policy: Policy, now: datetime) -> Revocation:
    """Return what to tell of a revocation that is recorded, and what of it is still to come."""
    keyring, kid = outcome.keyring, outcome.kid
    key = next((each for each in keyring.keys if each.kid == kid), None)
    is_disabled = key is None or key.disabled_at is not None
    is_out = outcome.standing.jwks is not None and kid not in publication.standing_keys(
        outcome.standing
    )
    to_come = {
        "KMS has still to disable the key": not is_disabled,
        "the published set has still to be written without the key": not is_out,
        "no key signs until another one is made and published": keyring.active is None,
    }
    notes = (*outcome.notes, *(note for note, is_true in to_come.items() if is_true))
    since = None if key is None else key.revoked_at
    return Revocation(
        kid=kid,
        reason=outcome.reason,
        steps=outcome.steps,
        wait=outcome.wait or Wait(until=now, why="the rest is left to the next tick"),
        keyring=keyring,
        signing_stops_within=KMS_SETTLES if is_disabled else policy.signer_bound,
        accepted_until=accepted_until(keyring, policy, now) if is_out else None,
        refused_until=refused_until(keyring, policy, now, since=since),
        notes=notes,
    )


def accepted_until(keyring: Keyring, policy: Policy, now: datetime) -> AcceptedUntil:
    """Return until when caches may hold a set that was served before ``now`` (as in rule 1)."""
    since = now + policy.origin_staleness + policy.edge_staleness + policy.clock_skew
    return AcceptedUntil(
        max_age=since + policy.max_age,
        provider=since + policy.key_set_cache,
        longest_max_age=since + max(policy.max_age, keyring.longest_max_age),
    )


def refused_until(
    keyring: Keyring, policy: Policy, now: datetime, *, since: datetime | None
) -> datetime | None:
    """Return until when a cache may not know the key that has signed ``since`` the revocation.

    None if rule 1's wait is over for it, or if it signed before.
    """
    active = keyring.active
    if active is None or since is None or active.since < since:
        return None
    interval = policy.publication_interval(keyring.longest_max_age)
    until = (active.first_seen_at or now) + max(active.publication_interval, interval)
    return until if until > now else None
