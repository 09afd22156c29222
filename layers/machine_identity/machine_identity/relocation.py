"""A change of the issuer's URL, as the keys change: publish, wait, and only then sign with it.

When the settings name another URL its documents are published beside those of the issuer in use,
which assertions go on naming. They name the new one when it has shown its own documents, with the
active key in them, at every look for the whole publication interval, and when an operator has
confirmed that every provider trusts it, which nobody here can see. The documents of the old one
stay for the retire interval after that.

Whatever makes the wait uncertain starts it over: a look without the active key, or another key
that becomes active. The standby key is news to the new URL's caches, and waits anew (rule 1).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from machine_identity import publication
from machine_identity.evidence import Evidence, Seen, Standing, of_this_run
from machine_identity.keyring import Incoming, Keyring, Outgoing
from machine_identity.policy import Policy
from machine_identity.steps import AddIssuer, DropIssuer, SwitchIssuer, Wait


def noted(keyring: Keyring, policy: Policy, evidence: Evidence) -> Keyring:
    """Return the keyring with what the issuer to be showed, and the longest wait since."""
    incoming, seen = keyring.incoming, evidence.incoming
    if incoming is None:
        return keyring
    longest = keyring.longest_max_age
    if isinstance(seen, Seen):
        is_there = _is_shown(keyring, incoming, seen, evidence.standing)
        at = (incoming.first_seen_at or seen.at) if is_there else None
        incoming = replace(incoming, first_seen_at=at)
        longest = max(longest, seen.max_age)
    interval = max(incoming.publication_interval, policy.publication_interval(longest))
    return replace(keyring, incoming=replace(incoming, publication_interval=interval))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What comes next for one issuer, when at the earliest, and what holds it until then."""

    url: str
    state: str
    next: str
    not_before: datetime | None
    held_by: str


def outlook(keyring: Keyring, policy: Policy) -> tuple[Outlook, ...]:
    """Return every issuer under which the keys are published, the one in use first."""
    incoming = keyring.incoming
    outlooks = [_in_use(keyring)]
    if incoming is not None:
        is_rule_1 = incoming.first_seen_at is None or incoming.confirmed_at is not None
        held = "rule 1: publish before sign" if is_rule_1 else "the operator's word"
        ahead = ready_at(incoming)
        outlooks.append(
            Outlook(
                url=incoming.url, state="incoming", next="in use", not_before=ahead, held_by=held
            )
        )
    for each in keyring.outgoing:
        at, held = _goes_at(each, policy), "rule 3: retire after the last signature"
        outlooks.append(
            Outlook(url=each.url, state="outgoing", next="removed", not_before=at, held_by=held)
        )
    return tuple(outlooks)


def next_step(
    keyring: Keyring, policy: Policy, evidence: Evidence, now: datetime
) -> AddIssuer | SwitchIssuer | DropIssuer | Wait | None:
    """Return what to do about the issuer now, or until when it has to wait and why."""
    wanted, incoming = policy.issuer or keyring.issuer, keyring.incoming
    if incoming is not None and incoming.url != wanted:
        return DropIssuer(url=incoming.url, why="the settings ask for another one")
    outgoing = _drop_outgoing(keyring, policy, now)
    if wanted == keyring.issuer or isinstance(outgoing, DropIssuer):
        return outgoing
    if incoming is None:
        return AddIssuer(url=wanted)
    held = _hold(keyring, incoming, policy, evidence, now)
    return held or SwitchIssuer(url=wanted, retires=keyring.issuer)


def _hold(
    keyring: Keyring, incoming: Incoming, policy: Policy, evidence: Evidence, now: datetime
) -> Wait | None:
    """Return what keeps assertions from naming the issuer to be; None if nothing does."""
    if not is_seen(keyring, policy, evidence, now):
        why = f"{incoming.url} does not show its own documents with the active key (rule 1)"
        is_late = now >= incoming.since + incoming.publication_interval
        return Wait(until=now, why=why, alarms=("IssuerNotShown",) if is_late else ())
    ready = ready_at(incoming)
    if ready is None or now < ready:
        why = f"some cache may not know the documents of {incoming.url} yet (rule 1)"
        return Wait(until=ready or now, why=why)
    if incoming.confirmed_at is None:
        why = f"an operator is to confirm that every provider trusts {incoming.url}"
        return Wait(until=now, why=why, alarms=("IssuerUnconfirmed",))
    return None


def ready_at(incoming: Incoming) -> datetime | None:
    """Return when its caches have had time enough; None while it shows nothing."""
    if incoming.first_seen_at is None:
        return None
    return incoming.first_seen_at + incoming.publication_interval


def is_seen(keyring: Keyring, policy: Policy, evidence: Evidence, now: datetime) -> bool:
    """Return whether this very run saw its documents, and the active key in them."""
    incoming, active = evidence.incoming, keyring.active
    if incoming is None or active is None:
        return False
    seen = of_this_run(incoming, now, policy.run_bound)
    return isinstance(seen, Seen) and active.kid in seen.kids


def _drop_outgoing(keyring: Keyring, policy: Policy, now: datetime) -> DropIssuer | Wait | None:
    waits: list[Wait] = []
    wanted = policy.issuer
    for each in (each for each in keyring.outgoing if each.url != wanted):
        until = _goes_at(each, policy)
        if now >= until:
            return DropIssuer(url=each.url, why="nothing that names it can be valid any more")
        waits.append(Wait(until=until, why="what names the old issuer may be valid (rule 3)"))
    return min(waits, key=lambda wait: wait.until, default=None)


def _goes_at(outgoing: Outgoing, policy: Policy) -> datetime:
    return outgoing.since + max(outgoing.retire_interval, policy.retire_interval)


def _in_use(keyring: Keyring) -> Outlook:
    incoming = keyring.incoming
    if incoming is None:
        held = "no other is asked for"
        return Outlook(url=keyring.issuer, state="in use", next="", not_before=None, held_by=held)
    return Outlook(
        url=keyring.issuer,
        state="in use",
        next="outgoing",
        not_before=ready_at(incoming),
        held_by="the incoming issuer",
    )


def _is_shown(keyring: Keyring, incoming: Incoming, seen: Seen, standing: Standing) -> bool:
    """Whether it shows the active key, and no document in the bucket lacks either of them."""
    issuers, active = publication.standing_issuers(standing), keyring.active
    if active is None or (issuers and incoming.url not in issuers):
        return False
    return publication.is_shown(seen, standing, active.kid)
