"""Servers that come for our documents: the keyring's keys stand in the bucket, strangers see them.

Every copy that some cache may hold must have the standby key before it signs, so what counts is
since when the public URL has shown it, without a gap, and how long a copy may live (rule 1).
"""

from datetime import datetime

from machine_identity import publication, repairs
from machine_identity.evidence import Seen, of_this_run
from machine_identity.keyring import Key, Keyring
from machine_identity.policy import Policy
from machine_identity.situation import Situation
from machine_identity.steps import Publish, Wait


def publish(at: Situation) -> Publish | None:
    """Have the bucket hold what the keyring says; repairs whatever was done to it by hand."""
    if not (at.keyring.published or repairs.shows_revoked_key(at.keyring, at.evidence)):
        return None
    wanted = publication.documents(at.keyring, at.policy.max_age)
    if publication.stands(wanted, at.evidence.standing):
        return None
    kids = tuple(key.kid for key in at.keyring.published)
    strangers = publication.foreign(at.evidence.standing, at.keyring)
    return Publish(kids=kids, revision=wanted.revision, strangers=strangers)


def observe(at: Situation) -> Wait | None:
    """Return what the public URL has still to show, or for how long."""
    standby = at.keyring.standby
    seen = of_this_run(at.evidence.observation, at.now, at.policy.run_bound)
    if not isinstance(seen, Seen):
        return Wait(until=at.now, why=f"the public URL was not seen: {seen.why} (rule 1)")
    ready = ready_at(standby, at.keyring, at.policy)
    shown = standby and publication.is_shown(seen, at.evidence.standing, standby.kid)
    if ready is None or not shown:
        return Wait(until=at.now, why="the public URL does not show the standby key (rule 1)")
    if at.now < ready:
        return Wait(until=ready, why="some cache may not know the standby key yet (rule 1)")
    return None


def withdraw(at: Situation, key: Key) -> Wait | None:
    """Return the wait for the documents, which follow the keyring, to be without the key."""
    if key.kid not in publication.standing_keys(at.evidence.standing):
        return None
    return Wait(until=at.now, why="the published set still has a removed key")


def ready_at(standby: Key | None, keyring: Keyring, policy: Policy) -> datetime | None:
    """Return when rule 1 lets the standby key sign; None while nobody has seen it."""
    if standby is None or standby.first_seen_at is None:
        return None
    if keyring.genesis or _is_bereft(keyring):
        return standby.first_seen_at
    interval = max(
        standby.publication_interval, policy.publication_interval(keyring.longest_max_age)
    )
    return standby.first_seen_at + interval


def _is_bereft(keyring: Keyring) -> bool:
    """Whether the last key that signed was revoked: a cache that refuses the next is no worse."""
    return keyring.active is None and any(key.revoked_at is not None for key in keyring.keys)
