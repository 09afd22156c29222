"""What each step does to the keyring, and nothing else: no AWS, no clock.

The same functions serve a real run and a forecast, so that a plan is what would happen.
"""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Intent, Key, Keyring, State
from machine_identity.policy import Policy
from machine_identity.steps import (
    AdoptKey,
    CreateKey,
    Disable,
    Forget,
    Intend,
    Promote,
    Publish,
    ScheduleDeletion,
    Withdraw,
)

type Recorded = Promote | Withdraw | Disable | ScheduleDeletion | Forget | Publish


def intended(keyring: Keyring, step: Intend, *, intent: str, now: datetime) -> Keyring:
    """Write the intent down; a repeated one keeps its name, so that a late key is adopted."""
    name = keyring.intent.id if step.again and keyring.intent else intent
    return replace(keyring, intent=Intent(id=name, written_at=now))


def created(
    keyring: Keyring, step: CreateKey | AdoptKey, *, arn: str, jwk: PublicJwk, now: datetime
) -> Keyring:
    """Take the key of the intent in, as standby."""
    del step  # the intent is the keyring's own; the step's type says that it was carried out
    key = Key(jwk=jwk, arn=arn, created_at=now, state=State.STANDBY, since=now)
    return replace(keyring, keys=(*keyring.keys, key), intent=None)


def taken(keyring: Keyring, step: Recorded, *, policy: Policy, now: datetime) -> Keyring:
    """Return the keyring after a step that changes one key, or none."""
    match step:
        case Promote():
            return _promoted(keyring, step, policy, now)
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
        case _:
            assert_never(step)


def revised(before: Keyring, after: Keyring) -> Keyring:
    """Return ``after`` with the next revision, which the published set shares if it changes."""
    revision = before.revision + 1
    shown = (after.issuer, [key.jwk for key in after.published])
    was = (before.issuer, [key.jwk for key in before.published])
    published = before.published_revision if shown == was else revision
    return replace(after, revision=revision, published_revision=published)


def with_longest_retire_interval(keyring: Keyring, policy: Policy) -> Keyring:
    """Keep the longest wait before withdrawal for the keys whose signatures may be about."""
    for key in (*keyring.in_state(State.ACTIVE), *keyring.in_state(State.RETIRED)):
        longest = max(key.retire_interval, policy.retire_interval)
        keyring = keyring.with_key(replace(key, retire_interval=longest))
    return keyring


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
    keyring = _moved(keyring, step.kid, State.ACTIVE, now)
    keyring = replace(keyring, genesis=False, rollover_requested_at=None)
    return with_longest_retire_interval(keyring, policy)


def _moved(keyring: Keyring, kid: str, state: State, now: datetime) -> Keyring:
    return keyring.with_key(replace(keyring.key(kid), state=state, since=now))
