"""What puts right what nobody planned: an emergency, a key that fails, one too many, a bad clock.

Pure decisions, one a rule or a part of one; ``lifecycle`` calls them in its order. Each looks at
what stands there and not at who did it, so that a run that died is finished by the next.

A keyring that is lost altogether is ``recovery``'s.
"""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from machine_identity import publication
from machine_identity.evidence import Evidence, OwnedKey, Search
from machine_identity.keyring import VERSION, Key, Keyring, State, Surplus
from machine_identity.policy import Policy
from machine_identity.steps import Action, Disable, Discard, EndSurplus, Wait

SEARCH_INTERVAL: Final = timedelta(days=1)
"""How often KMS is asked for all keys of ours."""
_ZERO: Final = timedelta()


def clock_wait(policy: Policy, evidence: Evidence, now: datetime) -> Wait | None:
    """Rule 11: while our clock and another one are apart, nothing is recorded and nothing done."""
    error = evidence.clock_error
    if error is None or abs(error) <= policy.clock_skew:
        return None
    side = "ahead of" if error > _ZERO else "behind"
    why = f"this run's clock is {abs(error)} {side} those that answered it (rule 11)"
    return Wait(until=now, why=why, alarms=("ClockApart",))


def is_search_due(keyring: Keyring, now: datetime) -> bool:
    """Whether KMS should be searched for keys of ours that nobody knows of (rule 5)."""
    return keyring.searched_at is None or now >= keyring.searched_at + SEARCH_INTERVAL


def noted(keyring: Keyring, evidence: Evidence, now: datetime) -> Keyring:
    """Return the keyring with what KMS said: what the search found, that the active key fails.

    A key that KMS does not sign with asks for a rollover as an operator would: the signer then
    proves the standby key by itself, because nothing is to be had with the active one, and rule 1
    still holds.
    """
    if keyring.version > VERSION:
        return keyring
    if evidence.search is not None and evidence.search.at != keyring.searched_at:
        keyring = _searched(keyring, evidence.search)
    active = keyring.active
    if active is None or active.kid not in evidence.unusable or keyring.rollover_requested_at:
        return keyring
    return replace(keyring, rollover_requested_at=now)


def disabling(keyring: Keyring, failed: AbstractSet[Action]) -> Disable | None:
    """Rule 10: a revoked key is disabled in KMS before anything else is done."""
    for key in keyring.keys:
        step = Disable(kid=key.kid)
        if key.revoked_at is not None and key.disabled_at is None and step not in failed:
            return step
    return None


def shows_revoked_key(keyring: Keyring, evidence: Evidence) -> bool:
    """Whether a key that was revoked still stands in the published set."""
    revoked = {key.kid for key in keyring.keys if key.revoked_at is not None}
    return not revoked.isdisjoint(publication.standing_keys(evidence.standing))


def discard(
    keyring: Keyring, policy: Policy, evidence: Evidence, now: datetime
) -> Discard | Wait | None:
    """Replace a standby key that KMS would not sign with, or that is otherwise of no use any more.

    Where KMS has every key fail, keys are not made and thrown away for ever: those that it has
    still to delete count.
    """
    for key in keyring.in_state(State.STANDBY):
        why = _unfit(key, policy, evidence, now)
        if why is None:
            continue
        if len(keyring.keys) >= 2 * policy.most_live_keys:
            why = f"{why}, and too many keys failed before it"
            return Wait(until=now, why=why, alarms=("KeysFail",))
        return Discard(kid=key.kid, why=why)
    return None


def end_surplus(
    keyring: Keyring,
    policy: Policy,
    evidence: Evidence,
    now: datetime,
    failed: AbstractSet[Action],
) -> EndSurplus | None:
    """Rule 5: a key of ours that no record knows is ended when nothing it signed can be valid.

    Most often it was made unseen and never published. It may also have been in use before somebody
    restored an old keyring: so it waits like a retired key, and one that is public is left alone.
    """
    search = evidence.search
    if search is None:
        return None
    known = {each.arn: each for each in keyring.surplus}
    for owned in search.keys:
        step = EndSurplus(arn=owned.arn)
        is_public = owned.jwk is not None and owned.jwk["kid"] in search.public
        surplus = known.get(owned.arn)
        if surplus is None or is_public or step in failed:
            continue
        if now >= surplus.found_at + max(surplus.retire_interval, policy.retire_interval):
            return step
    return None


def _searched(keyring: Keyring, search: Search) -> Keyring:
    """Write down what nobody knows of, and do again what somebody undid to a removed key."""
    known = {each.arn: each for each in keyring.surplus}
    unknown = (each.arn for each in search.keys if _is_unknown(each, keyring))
    surplus = (known.get(arn, Surplus(arn=arn, found_at=search.at)) for arn in unknown)
    keyring = replace(keyring, searched_at=search.at, surplus=tuple(surplus))
    owned = {each.arn: each for each in search.keys if not each.is_ending}
    for key in keyring.in_state(State.REMOVED):
        if key.arn in owned:
            disabled_at = key.disabled_at if owned[key.arn].jwk is None else None
            key = replace(key, disabled_at=disabled_at, deletion_at=None)  # noqa: PLW2901 - the same key
            keyring = keyring.with_key(key)
    return keyring


def _unfit(key: Key, policy: Policy, evidence: Evidence, now: datetime) -> str | None:
    if key.kid in evidence.unusable:
        return "KMS would not sign with the standby key"
    algorithm = key.jwk["alg"]
    if algorithm != policy.algorithm:
        return f"the standby key is for {algorithm}, and the settings ask for {policy.algorithm}"
    if key.certified_until is not None and now > key.certified_until:
        return "the standby key's certificate lapsed"
    return None


def _is_unknown(owned: OwnedKey, keyring: Keyring) -> bool:
    intent = keyring.intent
    return (
        not owned.is_ending
        and owned.arn not in {key.arn for key in keyring.keys}
        and (intent is None or intent.id != owned.intent)
    )
