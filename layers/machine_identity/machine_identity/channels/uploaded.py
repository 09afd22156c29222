"""Servers to which keys are brought: they know a key from the moment at which they took it.

No interval tells when that was. What shows it is the canary of a client there, or the word of the
operator who brought it (``confirm``); the signer, which may see it in a listing too, asks for a
token in any case. Until one of them speaks, no standby key replaces the active one, and after a
day it is asked for aloud. A first key replaces none, and nothing is waited for.

Whether the signer brings the keys by itself makes no difference here.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from machine_identity import canary
from machine_identity.keyring import Key, Keyring, State
from machine_identity.policy import Policy
from machine_identity.situation import Situation
from machine_identity.steps import Wait
from machine_identity.testimony import Testimony

WANTED: Final = "UploadWanted"
"""The metric of a key that somebody has to bring, or to confirm."""
LAPSING: Final = "CertificateLapsing"
PATIENCE: Final = timedelta(days=1)
"""How long a new standby key may take to be brought before people are asked."""
_WHY: Final = (
    "no client has had a token with the standby key: it is to be brought to the server, and "
    "confirmed unless a client of ours proves it (rule 1)"
)


def publish(at: Situation) -> Wait | None:
    """Return the reminder that the standby key is still to be brought, and of what lapses."""
    standby, lapsing = at.keyring.standby, _lapsing(at)
    unseen = wanted(at.keyring, at.policy, at.evidence.testimony, at.now)
    if standby is None or unseen is None:
        return lapsing
    due = standby.since + PATIENCE
    if at.now < due:
        return lapsing or Wait(until=due, why=unseen.why)
    return unseen if lapsing is None else replace(unseen, alarms=(WANTED, LAPSING))


def observe(at: Situation) -> Wait | None:
    """Return the wait for a sign that the servers have the standby key; ``publish`` reminds."""
    unseen = wanted(at.keyring, at.policy, at.evidence.testimony, at.now)
    return None if unseen is None else replace(unseen, alarms=())


def wanted(
    keyring: Keyring, policy: Policy, testimony: Testimony | None, now: datetime
) -> Wait | None:
    """Return the wait for whoever is to bring the standby key, or to say that he has."""
    standby = keyring.standby
    if not policy.uploads or keyring.active is None or standby is None:
        return None
    if keyring.confirmed_kid == standby.kid or canary.is_taken(standby.kid, testimony):
        return None
    return Wait(until=now, why=_WHY, alarms=(WANTED,))


def withdraw(at: Situation, key: Key) -> Wait | None:
    """Return the wait for the signer to have the key dropped wherever it had it taken."""
    told = () if at.evidence.testimony is None else at.evidence.testimony.uploads
    is_open = any(each.kid == key.kid and each.asked_at and not each.ended_at for each in told)
    lapses_at = key.certificate_until
    if not is_open or lapses_at is None or at.now > lapses_at:
        return None
    return Wait(until=at.now, why="a server still has a removed key, which the signer is to drop")


def _lapsing(at: Situation) -> Wait | None:
    """Return the alarm that a key in use has a certificate which is about to lapse."""
    margin = at.policy.retire_interval
    for key in at.keyring.in_state(State.ACTIVE):
        until = key.certified_until
        if until is not None and at.now >= until - margin:
            why = f"the active key's certificate lapses at {until.isoformat()}"
            return Wait(until=at.now, why=why, alarms=(LAPSING,))
    return None
