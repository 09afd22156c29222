"""Rule 2, proof before promotion: when the standby key is to be tried, and when it is proven.

A trial is a pair of requests for a token by one client, signed with the active key and then with
the standby key. Two successes far enough apart make a proof, which is renewed within a day before
the promotion. A refusal starts over, and the more refusals the longer the pause. Tried are all
configured clients, and always ``PUBLISHED_SET``: a throw-away signature that is verified with the
key of that name as the public URL serves it. So a rotation whose signer tells nothing never
switches by itself.

Everything follows from the keyring, the testimony and ``now``: the signer, which tries, has no
policy, and rotation, which acts, does not know the clients. It sends and signs nothing itself.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from machine_identity.keyring import Keyring
from machine_identity.policy import CanaryTimes, Policy
from machine_identity.steps import Wait
from machine_identity.testimony import Testimony, Trial

PUBLISHED_SET: Final = "the published set"
"""In the place of a client; no client can be called so, since a name has no spaces."""
_SOMEBODY: Final = "a client"
TIMES: Final = CanaryTimes()
_MOST_DOUBLINGS: Final = 16
"""More than the longest pause needs, and few enough to be reckoned with."""


class Verdict(IntEnum):
    """What a trial says about the standby key, the worst last."""

    PROVEN = 0
    NOT_YET = 1
    BOTH_REFUSED = 2
    REFUSED = 3


def ready_at(keyring: Keyring) -> datetime | None:
    """Return when rule 1's wait ends for the standby key, as far as the keyring tells.

    None while nobody has seen the key, or there is no active one that it could replace.
    """
    standby = keyring.standby
    if keyring.active is None or standby is None or standby.first_seen_at is None:
        return None
    return standby.first_seen_at + standby.publication_interval


def promotion_at(keyring: Keyring) -> datetime | None:
    """Return when the standby key is to take over; None while there is nothing to take over."""
    due = keyring.rollover_requested_at or keyring.rollover_due_at
    if keyring.active is None or due is None:
        return None
    return max(due, ready_at(keyring) or due)


def is_overdue(keyring: Keyring, deadline: timedelta, now: datetime) -> bool:
    """Whether a promotion has been due for as long as ``deadline`` and did not happen."""
    at = promotion_at(keyring)
    return at is not None and now >= at + deadline


def trials(
    keyring: Keyring, testimony: Testimony, clients: Mapping[str, str] | None = None
) -> tuple[Trial, ...]:
    """Return one trial for the published set and for each client, begun or not.

    ``clients`` has the registration of each by its name. What was tried with another key, at
    another server, or before the standby key's wait was over, is forgotten.
    """
    standby, ready = keyring.standby, ready_at(keyring)
    if standby is None or ready is None:
        return ()
    known = {
        each.client: each
        for each in testimony.trials
        if each.kid == standby.kid and not _is_premature(each, ready)
    }
    fresh = (
        Trial(client=name, kid=standby.kid, registration=registration)
        for name, registration in {PUBLISHED_SET: "", **(clients or {})}.items()
    )
    begun = ((known.get(each.client), each) for each in fresh)
    return tuple(
        old if old is not None and old.registration == new.registration else new
        for old, new in begun
    )


def next_trial_at(keyring: Keyring, trial: Trial, times: CanaryTimes = TIMES) -> datetime | None:
    """Return when to try next; None if nothing in the keyring asks for it."""
    ready, promotion = ready_at(keyring), promotion_at(keyring)
    if ready is None:
        return None
    if trial.refused_at is not None:
        return max(ready, trial.refused_at + _pause(trial.refusals, times))
    if trial.first_success_at is None or trial.last_success_at is None:
        return ready
    if trial.last_success_at - trial.first_success_at < times.apart:
        return trial.first_success_at + times.apart
    if promotion is None:
        return None
    return max(trial.last_success_at + times.lifetime / 2, promotion - times.lifetime)


def accepted(trial: Trial, now: datetime) -> Trial:
    """Return the trial after the standby key was taken, whatever became of the active one."""
    first = trial.first_success_at or now
    return replace(_unbegun(trial), first_success_at=first, last_success_at=now)


def refused(trial: Trial, now: datetime, *, code: str, active_refused: bool) -> Trial:
    """Return the trial after the standby key was not taken; no success before it counts."""
    return replace(
        _unbegun(trial),
        refused_at=now,
        refusals=trial.refusals + 1,
        code=code,
        active_refused=active_refused,
    )


def verdict(keyring: Keyring, trial: Trial, now: datetime, times: CanaryTimes = TIMES) -> Verdict:
    """Return what the trial says at ``now`` about the key that it was made with."""
    first, last, ready = trial.first_success_at, trial.last_success_at, ready_at(keyring)
    if ready is None or _is_premature(trial, ready):
        return Verdict.NOT_YET
    if trial.refused_at is not None:
        return Verdict.BOTH_REFUSED if trial.active_refused else Verdict.REFUSED
    if first is None or last is None:
        return Verdict.NOT_YET
    is_proof = last - first >= times.apart and now - last <= times.lifetime
    return Verdict.PROVEN if is_proof else Verdict.NOT_YET


def hold(
    keyring: Keyring, testimony: Testimony | None, policy: Policy, now: datetime
) -> Wait | None:
    """Return what rule 2 has the promotion wait for, and None if the standby key is proven.

    The operator's word (``confirmed_kid``) stands for a proof that nobody could give. It does not
    outweigh a server that takes the active key and refuses this one: to break what works there is
    ``rotate`` with ``unsafe``. Where keys are uploaded it can come long before (it says that the
    server has the key), and stands for a proof only when that is overdue. A first key replaces
    none, and is held by rule 1 alone.
    """
    standby = keyring.standby
    if keyring.active is None or standby is None:
        return None
    known = () if testimony is None else testimony.trials
    told = [each for each in known if each.kid == standby.kid]
    if PUBLISHED_SET not in {each.client for each in told}:
        told.append(Trial(client=PUBLISHED_SET, kid=standby.kid))
    judged = [(verdict(keyring, each, now, policy.canary), each) for each in told]
    worst, trial = max(judged, key=lambda pair: pair[0])
    if worst is Verdict.PROVEN:
        return None
    is_vouched = not policy.uploads or is_overdue(keyring, policy.canary_deadline, now)
    if is_vouched and keyring.confirmed_kid == standby.kid and worst is not Verdict.REFUSED:
        return None
    if not known:
        return Wait(until=now, why="the token function has told of no trial yet (rule 2)")
    return _wait(keyring, worst, trial, policy, now)


def is_taken(kid: str, testimony: Testimony | None) -> bool:
    """Return whether any client's last trial got it a token, however long ago that was."""
    told = () if testimony is None else testimony.trials
    return any(
        each.kid == kid and each.client != PUBLISHED_SET and each.last_success_at for each in told
    )


def foreseen(keyring: Keyring, now: datetime) -> Testimony:
    """Return the testimony at ``now`` in a world in which every proof comes as soon as it may."""
    standby, ready = keyring.standby, ready_at(keyring)
    if standby is None or ready is None or now < ready:
        return Testimony()
    proven = (
        Trial(client=name, kid=standby.kid, first_success_at=ready, last_success_at=now)
        for name in (PUBLISHED_SET, _SOMEBODY)
    )
    return Testimony(trials=tuple(proven))


def _wait(keyring: Keyring, worst: Verdict, trial: Trial, policy: Policy, now: datetime) -> Wait:
    who = trial.client if trial.client == PUBLISHED_SET else f"the client {trial.client}"
    if worst is Verdict.NOT_YET:
        first = trial.first_success_at
        at = now if first is None else first + policy.canary.apart
        return Wait(until=at, why=f"{who} has yet to prove the standby key (rule 2)")
    if worst is Verdict.REFUSED:
        why = f"{who} refuses the standby key and takes the active one: {trial.code} (rule 2)"
        return Wait(until=now, why=why)
    is_overdue_now = is_overdue(keyring, policy.canary_deadline, now)
    asks = "an operator may confirm" if is_overdue_now else "the next trial may tell"
    return Wait(until=now, why=f"{who} takes neither key: {trial.code}; {asks} (rule 2)")


def _unbegun(trial: Trial) -> Trial:
    return Trial(client=trial.client, kid=trial.kid, registration=trial.registration)


def _is_premature(trial: Trial, ready: datetime) -> bool:
    """Whether it was made when some cache might not have known the key."""
    made_at = trial.first_success_at or trial.refused_at
    return made_at is not None and made_at < ready


def _pause(refusals: int, times: CanaryTimes) -> timedelta:
    doublings = max(0, min(refusals - 1, _MOST_DOUBLINGS))
    return min(times.first_pause * (1 << doublings), times.longest_pause)
