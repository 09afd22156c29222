"""Why a key is where it is: the inequality that holds it, with its numbers in it.

What ``lifecycle.outlook`` says in a word, this says as a sum that an operator can add up. Nothing
is decided here.
"""

from datetime import UTC, datetime, timedelta
from typing import assert_never

from machine_identity import lifecycle
from machine_identity.keyring import Key, Keyring, State
from machine_identity.policy import Policy
from machine_identity.steps import Wait

_MINUTE = timedelta(minutes=1)


def because(key: Key, keyring: Keyring, policy: Policy, proof: Wait | None = None) -> str:
    """Return what ``key`` waits for before its next state, as an inequality with its numbers.

    ``proof`` is what rule 2 asks for, of a promotion that is due (``lifecycle.proof_wanted``).
    """
    if proof is not None and key in (keyring.standby, keyring.active):
        return proof.why
    match key.state:
        case State.STANDBY:
            return _before_promotion(key, keyring, policy)
        case State.ACTIVE:
            standby = keyring.standby
            if standby is None:
                return "there is no standby key yet that could take over"
            return _before_promotion(standby, keyring, policy)
        case State.RETIRED:
            return _before_withdrawal(key, policy)
        case State.REMOVED:
            return _before_the_end(key)
        case _:
            assert_never(key.state)


def _before_promotion(standby: Key, keyring: Keyring, policy: Policy) -> str:
    ahead = lifecycle.outlook(standby, keyring, policy)
    if ahead.not_before is None or standby.first_seen_at is None:
        return "the public URL has not shown the standby key yet (rule 1)"
    if standby != keyring.standby:
        return "another standby key comes first"
    if ahead.held_by.startswith("rule 1"):
        return _publication(standby, keyring, policy, ahead.not_before)
    active = keyring.active
    if keyring.rollover_requested_at is not None or active is None:
        return f"the rollover was asked for at {_at(ahead.not_before)}"
    days = _span(policy.rotation_interval)
    return f"active since {_at(active.since)} + rotation interval {days} = {_at(ahead.not_before)}"


def _publication(standby: Key, keyring: Keyring, policy: Policy, ready_at: datetime) -> str:
    seen_at = f"first seen {_at(standby.first_seen_at)}"
    interval = policy.publication_interval(keyring.longest_max_age)
    if standby.first_seen_at == ready_at:
        return f"{seen_at}, and no cache can hold a set that is better without it"
    if standby.publication_interval > interval:
        longest = _span(standby.publication_interval)
        return f"{seen_at} + longest interval since then {longest} = {_at(ready_at)}"
    cached = f"max-age {_span(max(policy.max_age, keyring.longest_max_age))}"
    if not policy.uploads:  # no provider's cache is waited for, but a sign that it has the key
        cached = f"max({cached}, provider's cache {_span(policy.key_set_cache)})"
    return (
        f"{seen_at} + origin staleness {_span(policy.origin_staleness)}"
        f" + edge staleness {_span(policy.edge_staleness)} + {cached}"
        f" + skew {_span(policy.clock_skew)} = {_at(ready_at)}"
    )


def _before_withdrawal(key: Key, policy: Policy) -> str:
    planned = key.since + max(key.retire_interval, policy.retire_interval)
    verified = max(key.verified_interval, policy.verified_interval)
    if key.may_sign_until is not None and key.may_sign_until + verified >= planned:
        until = key.may_sign_until + verified
        what = f"may sign until {_at(key.may_sign_until)} (rule 9)"
        return f"{what} + what it signed is verified for {_span(verified)} = {_at(until)}"
    interval = _span(max(key.retire_interval, policy.retire_interval))
    return f"retired since {_at(key.since)} + retire interval {interval} = {_at(planned)}"


def _before_the_end(key: Key) -> str:
    revoked = "" if key.revoked_at is None else f"revoked at {_at(key.revoked_at)}; "
    if key.disabled_at is None:
        return f"{revoked}it is still to be disabled in KMS"
    if key.deletion_at is None:
        return f"{revoked}its deletion is still to be scheduled in KMS"
    return f"{revoked}KMS deletes it at {_at(key.deletion_at)}"


def _at(instant: datetime | None) -> str:
    return "never" if instant is None else instant.astimezone(UTC).isoformat()


def _span(duration: timedelta) -> str:
    """Return a duration in hours and minutes, and in seconds if there are any."""
    hours, rest = divmod(duration, 60 * _MINUTE)
    minutes, rest = divmod(rest, _MINUTE)
    seconds = f":{int(rest.total_seconds()):02}" if rest else ""
    return f"{hours}:{minutes:02}{seconds}"
