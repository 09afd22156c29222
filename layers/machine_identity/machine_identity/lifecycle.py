"""The life of the keys: what to do next, as a pure function of (keyring, policy, evidence, now).

Each rule looks at the whole situation and answers with an action, with a wait, or with nothing;
the first action in the order below wins, else the earliest wait. So a rule that must wait, or
whose step fails, never keeps another from acting, and a run that comes late, twice or after a
crash finds its way from whatever stands there. The numbers are those of docs/rotation.md.

It does not act, does not know AWS, and does not read a clock: see ``rotation`` for that.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from machine_identity import canary, fallback, relocation, repairs
from machine_identity.channels import CHANNELS, fetched, uploaded
from machine_identity.evidence import Evidence, Seen
from machine_identity.keyring import VERSION, Key, Keyring, State
from machine_identity.policy import Policy
from machine_identity.situation import Situation
from machine_identity.steps import (
    Abandon,
    Action,
    AdoptKey,
    CreateKey,
    Decision,
    Disable,
    Forget,
    Intend,
    Promote,
    Publish,
    ScheduleDeletion,
    Wait,
    Withdraw,
)
from machine_identity.testimony import Testimony

ADOPTION_INTERVAL: Final = timedelta(minutes=15)
"""After an unanswered CreateKey: how long its key may take to appear in the index (rule 5)."""
_NEWER: Final = "newer code wrote the keyring, and this code only reads it (rule 6)"
_PROOF: Final = "rule 2: proof before promotion"
_UPLOAD: Final = "rule 1: the server is to be told of the standby key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What comes next for one key, when at the earliest, and which rule holds it until then."""

    next: str
    not_before: datetime | None
    held_by: str


def next_step(
    keyring: Keyring,
    policy: Policy,
    evidence: Evidence,
    now: datetime,
    failed: frozenset[Action] = frozenset(),
) -> Decision:
    """Return the one thing to do now, or until when there is nothing to do and why.

    ``failed`` are the steps that this run tried in vain: the rules after theirs have their turn.
    """
    if keyring.version > VERSION:
        return Wait(until=now, why=_NEWER, alarms=("KeyringNewer",))
    if (apart := repairs.clock_wait(policy, evidence, now)) is not None:
        return apart
    at = Situation(keyring=keyring, policy=policy, evidence=evidence, now=now, failed=failed)
    answers = [each for each in (rule(at) for rule in _RULES) if each is not None]
    waits: list[Wait] = []
    for each in answers:
        if isinstance(each, Wait):
            waits.append(each)
        elif each not in failed:
            return each
    in_vain = Wait(until=now, why="a step failed, and is tried again at the next tick")
    first = min(waits, key=lambda wait: wait.until, default=in_vain)
    alarms = [alarm for wait in waits for alarm in wait.alarms]
    if keyring.active is not None and keyring.active.kid in evidence.unusable:
        alarms.append("ActiveKeyFails")
    if keyring.published and not isinstance(evidence.observation, Seen):
        alarms.append("PublishedSetUnseen")
    return replace(first, alarms=tuple(alarms))


def emergency_step(
    keyring: Keyring,
    policy: Policy,
    evidence: Evidence,
    now: datetime,
    failed: frozenset[Action] = frozenset(),
) -> Decision:
    """Return what of a revocation depends on no clock, so that rule 11 does not hold it back."""
    at = Situation(keyring=keyring, policy=policy, evidence=evidence, now=now, failed=failed)
    for step in (_disable_revoked(at), _withdraw_revoked(at)):
        if step is not None and step not in failed:
            return step
    return repairs.clock_wait(policy, evidence, now) or Wait(until=now, why="the rest can wait")


def proof_wanted(
    keyring: Keyring, policy: Policy, testimony: Testimony | None, now: datetime
) -> Wait | None:
    """Return what rule 2 has a promotion wait for that is due by every other rule.

    For a key that is to be brought to a server somebody waits before it is due.
    """
    ready, active = fetched.ready_at(keyring.standby, keyring, policy), keyring.active
    if ready is None or active is None:
        return None
    if (upload := uploaded.wanted(keyring, policy, testimony, now)) is not None:
        return upload
    if now < max(ready, _rollover_due(active, keyring, policy)):
        return None
    return canary.hold(keyring, testimony, policy, now)


def outlook(key: Key, keyring: Keyring, policy: Policy, proof: Wait | None = None) -> Outlook:
    """Return what comes next for ``key``, as far as the keyring and ``proof_wanted`` tell."""
    match key.state:
        case State.STANDBY:
            return _proven(_rollover("active", key, keyring, policy), proof)
        case State.ACTIVE:
            return _proven(_rollover("retired", keyring.standby, keyring, policy), proof)
        case State.RETIRED:
            at = _withdrawal_at(key, policy)
            held = "rule 3: retire after the last signature"
            return Outlook(next="removed", not_before=at, held_by=held)
        case State.REMOVED:
            return Outlook(next="deleted", not_before=key.deletion_at, held_by="deletion window")
        case _:
            assert_never(key.state)


def _proven(ahead: Outlook, proof: Wait | None) -> Outlook:
    if proof is None or ahead.not_before is None:
        return ahead
    at = max(ahead.not_before, proof.until)
    held = _UPLOAD if uploaded.WANTED in proof.alarms else _PROOF
    return replace(ahead, not_before=at, held_by=held)


def _rollover(to: str, standby: Key | None, keyring: Keyring, policy: Policy) -> Outlook:
    """One write moves both keys, so what holds the one holds the other."""
    ready = fetched.ready_at(standby, keyring, policy)
    held = "rule 1: publish before sign"
    if ready is None or keyring.active is None:
        return Outlook(next=to, not_before=ready, held_by=held)
    due = _rollover_due(keyring.active, keyring, policy)
    held = held if ready > due else "rotation interval"
    return Outlook(next=to, not_before=max(due, ready), held_by=held)


def _rollover_due(active: Key, keyring: Keyring, policy: Policy) -> datetime:
    planned = policy.rollover_at(active.since, active.certified_until)
    return keyring.rollover_requested_at or planned


def _disable_revoked(at: Situation) -> Decision | None:
    return repairs.disabling(at.keyring, at.failed)


def _withdraw_revoked(at: Situation) -> Decision | None:
    """Rule 10: a revoked key leaves the set before a new one is made, which may take long."""
    return _publish(at) if repairs.shows_revoked_key(at.keyring, at.evidence) else None


def _discard(at: Situation) -> Decision | None:
    return repairs.discard(at.keyring, at.policy, at.evidence, at.now)


def _end_surplus(at: Situation) -> Decision | None:
    return repairs.end_surplus(at.keyring, at.policy, at.evidence, at.now, at.failed)


def _create(at: Situation) -> Decision | None:
    """Keep one active and one standby key, each created under an intent (rule 5)."""
    intent = at.keyring.intent
    if intent is None:
        return _intend(at)
    if intent.id == at.evidence.own_intent:
        return CreateKey(intent=intent.id)
    if arn := at.evidence.tagged.get(intent.id):
        fits = intent.id not in at.evidence.unfit
        kind = AdoptKey if fits else Abandon
        return kind(intent=intent.id, arn=arn)
    until = intent.written_at + at.policy.run_bound + ADOPTION_INTERVAL
    if at.now < until:
        return Wait(until=until, why="a key may have been created unseen (rule 5)")
    return Intend(again=True)


def _intend(at: Situation) -> Decision | None:
    keyring = at.keyring
    if len(keyring.in_state(State.STANDBY)) + len(keyring.in_state(State.ACTIVE)) >= 2:  # noqa: PLR2004 - one active, one standby
        return None
    live = [key for key in keyring.keys if key.disabled_at is None and key.deletion_at is None]
    if len(live) >= at.policy.most_live_keys:
        why = f"{len(live)} keys are live, and no more are created"
        return Wait(until=at.now, why=why, alarms=("TooManyKeys",))
    return Intend()


def _publish(at: Situation) -> Decision | None:
    """Have the servers know the keyring's keys; what people are to do comes after what can be."""
    reminder: Wait | None = None
    for channel in CHANNELS:
        answer = channel.publish(at)
        if isinstance(answer, Publish):
            return answer
        reminder = reminder or answer
    return reminder


def _promote(at: Situation) -> Decision | None:
    """Rules 1 and 2: a key signs if every channel shows it, and if it is proven."""
    standby, active = at.keyring.standby, at.keyring.active
    if standby is None or standby.kid in at.evidence.unusable:
        return None
    due = at.now if active is None else _rollover_due(active, at.keyring, at.policy)
    if at.now < due:
        return Wait(until=due, why="the active key signs until its rotation interval is over")
    for channel in CHANNELS:
        if (unseen := channel.observe(at)) is not None:
            return unseen
    held = canary.hold(at.keyring, at.evidence.testimony, at.policy, at.now)
    return held or Promote(kid=standby.kid, retires=None if active is None else active.kid)


def _relocate(at: Situation) -> Decision | None:
    """Another issuer, if the settings name one: published, waited for, and then switched to."""
    return relocation.next_step(at.keyring, at.policy, at.evidence, at.now)


def _withdraw(at: Situation) -> Decision | None:
    """Rule 3: the oldest retired key leaves the set when nothing it signed can be valid.

    One after the other: a signer whose settings are a moment old may sign with a key that has just
    taken over as it did with the one before, whose wait remembers those settings.
    """
    for key in at.keyring.in_state(State.RETIRED)[:1]:
        until = _withdrawal_at(key, at.policy)
        if at.now < until:
            return Wait(until=until, why="what the retired key signed may be valid (rule 3)")
        return Withdraw(kid=key.kid)
    return None


def _withdrawal_at(key: Key, policy: Policy) -> datetime:
    """Return when rule 3 lets a retired key go, under the longest intervals there were."""
    planned = key.since + max(key.retire_interval, policy.retire_interval)
    if key.may_sign_until is None:
        return planned
    verified = max(key.verified_interval, policy.verified_interval)
    return max(planned, key.may_sign_until + verified)


def _prolong(at: Situation) -> Decision | None:
    """Rule 9: while the previous key is needed, it goes on being allowed."""
    return fallback.prolongation(at.keyring, at.evidence, at.policy, at.now)


def _dispose(at: Situation) -> Decision | None:
    """Disable, schedule for deletion and at last forget what has left the published set."""
    waits: list[Wait] = []
    for key in at.keyring.in_state(State.REMOVED):
        step = _disposal(at, key)
        if isinstance(step, Wait):
            waits.append(step)
        elif step not in at.failed:
            return step
    return min(waits, key=lambda wait: wait.until, default=None)


def _disposal(at: Situation, key: Key) -> Action | Wait:
    if key.disabled_at is None:
        return Disable(kid=key.kid)
    if key.deletion_at is None:
        return ScheduleDeletion(kid=key.kid)
    if at.now < key.deletion_at:
        return Wait(until=key.deletion_at, why="KMS keeps the removed key until then")
    known = (channel.withdraw(at, key) for channel in CHANNELS)
    return next((wait for wait in known if wait is not None), Forget(kid=key.kid))


_RULES: Final[tuple[Callable[[Situation], Decision | None], ...]] = (
    _disable_revoked,
    _withdraw_revoked,
    _discard,
    _create,
    _publish,
    _relocate,
    _prolong,
    _promote,
    _withdraw,
    _dispose,
    _end_surplus,
)
