"""What each step does to the keyring, and nothing else: no AWS, no clock.

The same functions serve a real run and a forecast, so that a plan is what would happen.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Incoming, Intent, Key, Keyring, Outgoing, State, Surplus
from machine_identity.policy import Policy
from machine_identity.steps import (
    Abandon,
    AddIssuer,
    AdoptKey,
    Confirm,
    ConfirmIssuer,
    CreateKey,
    Disable,
    Discard,
    DropIssuer,
    EndSurplus,
    Forget,
    Intend,
    Prolong,
    Promote,
    Publish,
    Revoke,
    ScheduleDeletion,
    SwitchIssuer,
    Withdraw,
)

type Repair = Confirm | Discard | Abandon | EndSurplus
type Relocation = AddIssuer | ConfirmIssuer | SwitchIssuer | DropIssuer
type Recorded = (
    Promote
    | Prolong
    | Withdraw
    | Disable
    | ScheduleDeletion
    | Forget
    | Publish
    | Revoke
    | Repair
    | Relocation
)


def intended(keyring: Keyring, step: Intend, *, intent: str, now: datetime) -> Keyring:
    """Write the intent down; a repeated one keeps its name, so that a late key is adopted."""
    name = keyring.intent.id if step.again and keyring.intent else intent
    return replace(keyring, intent=Intent(id=name, written_at=now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The key that was made for an intent."""

    arn: str
    jwk: PublicJwk


def created(
    keyring: Keyring, step: CreateKey | AdoptKey, made: Made, *, policy: Policy, now: datetime
) -> Keyring:
    """Take the key of the intent in, as standby."""
    del step  # the intent is the keyring's own; the step's type says that it was carried out
    key = Key(jwk=made.jwk, arn=made.arn, created_at=now, state=State.STANDBY, since=now)
    key = ordered(key, policy, now)
    return replace(keyring, keys=(*keyring.keys, key), intent=None)


def ordered(key: Key, policy: Policy, now: datetime) -> Key:
    """Fix the dates of a key's certificate, in whole seconds, for readers with another clock."""
    first = now.replace(microsecond=0) - policy.clock_skew
    until = first + policy.certificate_lifetime
    return replace(key, certificate_from=first, certificate_until=until)


def taken(  # noqa: PLR0911 - one a step
    keyring: Keyring, step: Recorded, *, policy: Policy, now: datetime
) -> Keyring:
    """Return the keyring after a step that changes one key, or none."""
    match step:
        case Promote():
            rolled_over_at = None if keyring.genesis else now
            keyring = _promoted(keyring, step, policy, now)
            return replace(keyring, rolled_over_at=rolled_over_at)
        case Prolong():
            return keyring.with_key(replace(keyring.key(step.kid), may_sign_until=step.until))
        case Withdraw():
            return _moved(keyring, step.kid, State.REMOVED, now)
        case Disable():
            return keyring.with_key(replace(keyring.key(step.kid), disabled_at=now))
        case ScheduleDeletion():
            at = now + policy.deletion_window
            return keyring.with_key(replace(keyring.key(step.kid), deletion_at=at))
        case Forget():
            left = tuple(key for key in keyring.keys if key.kid != step.kid)
            return replace(keyring, keys=left)
        case Publish():
            return _published(keyring, policy, now)
        case Revoke():
            return _revoked(keyring, step, policy, now)
        case AddIssuer() | ConfirmIssuer() | SwitchIssuer() | DropIssuer():
            return _relocated(keyring, step, policy, now)
        case _:
            return _repaired(keyring, step, now)


def revised(before: Keyring, after: Keyring) -> Keyring:
    """Return ``after`` with the next revision, which the published set shares if it changes."""
    revision = before.revision + 1
    shown = (after.issuers, [key.jwk for key in after.published])
    was = (before.issuers, [key.jwk for key in before.published])
    published = before.published_revision if shown == was else revision
    return replace(after, revision=revision, published_revision=published)


def with_longest_retire_interval(keyring: Keyring, policy: Policy) -> Keyring:
    """Keep the longest wait before withdrawal of all whose signatures may be about (rule 4)."""
    for key in (*keyring.in_state(State.ACTIVE), *keyring.in_state(State.RETIRED)):
        keyring = keyring.with_key(with_longest_waits(key, policy))
    return replace(
        keyring,
        outgoing=tuple(_with_longest_stay(each, policy) for each in keyring.outgoing),
        surplus=tuple(_with_longest_stay(each, policy) for each in keyring.surplus),
    )


def with_longest_waits(key: Key, policy: Policy) -> Key:
    """Keep the longest waits of a key that signed, or may have."""
    verified = max(key.verified_interval, policy.verified_interval)
    return replace(_with_longest_stay(key, policy), verified_interval=verified)


def _with_longest_stay[T: (Key, Outgoing, Surplus)](each: T, policy: Policy) -> T:
    return replace(each, retire_interval=max(each.retire_interval, policy.retire_interval))


def _published(keyring: Keyring, policy: Policy, now: datetime) -> Keyring:
    """Remember a max-age that was lowered: copies served with it until now live on (rule 4)."""
    if keyring.max_age > policy.max_age:
        longest = max(keyring.longest_max_age, keyring.max_age)
        keyring = replace(keyring, longest_max_age=longest, longest_max_age_at=now)
    return replace(keyring, max_age=policy.max_age)


def _promoted(keyring: Keyring, step: Promote, policy: Policy, now: datetime) -> Keyring:
    """One write: at no instant do two keys sign, or none."""
    if step.retires is not None:
        keyring = _moved(keyring, step.retires, State.RETIRED, now)
        until = now + policy.fallback_interval
        keyring = keyring.with_key(replace(keyring.key(step.retires), may_sign_until=until))
    keyring = _moved(keyring, step.kid, State.ACTIVE, now)
    if keyring.incoming is not None:  # its caches may not know this key yet
        keyring = replace(keyring, incoming=replace(keyring.incoming, first_seen_at=None))
    keyring = replace(
        keyring,
        genesis=False,
        rollover_requested_at=None,
        rollover_due_at=policy.rollover_at(now, keyring.key(step.kid).certified_until),
        confirmed_kid=None,
    )
    return with_longest_retire_interval(keyring, policy)


def _repaired(keyring: Keyring, step: Repair, now: datetime) -> Keyring:
    match step:
        case Confirm():
            return replace(keyring, confirmed_kid=step.kid)
        case Discard():
            return _discarded(keyring, step.kid, now)
        case Abandon():
            return replace(keyring, intent=None)
        case EndSurplus():
            left = tuple(each for each in keyring.surplus if each.arn != step.arn)
            return replace(keyring, surplus=left)
        case _:
            assert_never(step)


def _discarded(keyring: Keyring, kid: str, now: datetime) -> Keyring:
    """Take a standby key away; one that may have signed is kept like any other that did.

    It may have by a keyring that was lost, or by one that was rolled back unseen. Whichever key
    comes in its place is not the first that was ever public.
    """
    key = keyring.key(kid)
    is_ready = (
        key.first_seen_at is not None and now >= key.first_seen_at + key.publication_interval
    )
    may_have_signed = is_ready or key.retire_interval > timedelta()
    keyring = replace(keyring, genesis=False)
    return _moved(keyring, kid, State.RETIRED if may_have_signed else State.REMOVED, now)


def _relocated(keyring: Keyring, step: Relocation, policy: Policy, now: datetime) -> Keyring:
    match step:
        case AddIssuer():
            return replace(keyring, incoming=Incoming(url=step.url, since=now))
        case ConfirmIssuer():
            incoming = keyring.incoming and replace(keyring.incoming, confirmed_at=now)
            return replace(keyring, incoming=incoming)
        case SwitchIssuer():
            return _switched(keyring, step, policy, now)
        case DropIssuer():
            if keyring.incoming is not None and keyring.incoming.url == step.url:
                return replace(keyring, incoming=None)  # it may have been in use before
            outgoing = tuple(each for each in keyring.outgoing if each.url != step.url)
            return replace(keyring, outgoing=outgoing)
        case _:
            assert_never(step)


def _switched(keyring: Keyring, step: SwitchIssuer, policy: Policy, now: datetime) -> Keyring:
    """One write, as for keys; the standby key is news to the caches of the new URL."""
    kept = (each for each in keyring.outgoing if each.url not in {step.url, step.retires})
    old = Outgoing(url=step.retires, since=now, retire_interval=policy.retire_interval)
    for key in keyring.in_state(State.STANDBY):
        keyring = keyring.with_key(replace(key, first_seen_at=None))
    return replace(
        keyring, issuer=step.url, incoming=None, outgoing=(*kept, old), confirmed_kid=None
    )


def _revoked(keyring: Keyring, step: Revoke, policy: Policy, now: datetime) -> Keyring:
    """Rule 10: one write takes the key away and lets another sign in its place."""
    key = keyring.key(step.kid)
    since = key.since if key.state is State.REMOVED else now
    revoked = replace(
        key,
        state=State.REMOVED,
        since=since,
        revoked_at=now,
        reason=step.reason,
        may_sign_until=None,
    )
    keyring = keyring.with_key(revoked)
    if step.promotes is None:
        return keyring
    return _promoted(keyring, Promote(kid=step.promotes, retires=None), policy, now)


def _moved(keyring: Keyring, kid: str, state: State, now: datetime) -> Keyring:
    return keyring.with_key(replace(keyring.key(kid), state=state, since=now))
