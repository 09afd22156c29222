"""What was seen in this run, written into the keyring: where every wait of rule 1 begins.

A failed fetch is no observation. An absence starts a wait over, also one that no stranger has met
yet: a key that the bucket's own set lacks will be missing in some copy. Of a wait that has begun
the longest is kept, so that no change of settings shortens it (rule 4), and a longer max-age is
written down before anything is published with it.

It decides nothing: see ``lifecycle`` for the keys, and ``relocation`` for the issuers.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from machine_identity import certification, publication, relocation, transitions
from machine_identity.evidence import Evidence, Seen
from machine_identity.keyring import VERSION, Key, Keyring, State
from machine_identity.policy import Policy


def noted(keyring: Keyring, policy: Policy, evidence: Evidence) -> Keyring:
    """Return the keyring with what the public URL and the bucket showed written into it."""
    if keyring.version > VERSION:
        return keyring
    active = keyring.active
    keyring = replace(
        keyring,
        max_age=max(keyring.max_age, policy.max_age),
        rollover_due_at=None if active is None else _rollover_at(active, policy),
    )
    if isinstance(evidence.observation, Seen):
        keyring = _with_max_age(keyring, policy, evidence.observation)
        keyring = _seen(keyring, evidence, evidence.observation)
    interval = policy.publication_interval(keyring.longest_max_age)
    for key in keyring.in_state(State.STANDBY):
        if key.first_seen_at is not None:
            longest = max(key.publication_interval, interval)
            keyring = keyring.with_key(replace(key, publication_interval=longest))
    keyring = relocation.noted(keyring, policy, evidence)
    keyring = certification.observed(keyring, evidence.testimony)
    return transitions.with_longest_retire_interval(keyring, policy)


def _seen(keyring: Keyring, evidence: Evidence, seen: Seen) -> Keyring:
    """Write down which standby keys were there; a set without the first ends the genesis."""
    first = keyring.standby
    genesis = keyring.genesis and first is not None and first.kid in seen.kids
    for key in keyring.in_state(State.STANDBY):
        is_there = publication.is_shown(seen, evidence.standing, key.kid)
        at = (key.first_seen_at or seen.at) if is_there else None
        keyring = keyring.with_key(replace(key, first_seen_at=at))
    if seen.digest != keyring.seen_digest:
        keyring = replace(keyring, seen_digest=seen.digest, seen_since=seen.at)
    return replace(keyring, genesis=genesis)


def _rollover_at(active: Key, policy: Policy) -> datetime:
    return policy.rollover_at(active.since, active.certified_until)


def _with_max_age(keyring: Keyring, policy: Policy, seen: Seen) -> Keyring:
    """Remember the longest max-age as long as a copy served with one longer than ours can live.

    A shorter one that is still longer than ours prolongs it: its copies may outlive the longest.
    """
    at, longest = keyring.longest_max_age_at, keyring.longest_max_age
    if at is not None and seen.at > at + longest:
        at, longest = None, timedelta()
    if seen.max_age > policy.max_age:
        at, longest = seen.at, max(longest, seen.max_age)
    return replace(keyring, longest_max_age=longest, longest_max_age_at=at)
