"""A lost keyring written anew, from what KMS holds and what is published.

A key is ours if KMS has it with our tags, or if the lost document, in our private bucket, still
names it. If the document can be read, KMS signs with its active key, and it names all of ours that
is published, then each key keeps its state. Else the oldest that is published and that KMS signs
with becomes active, since every cache has had the longest time to learn of it; the next is the
standby key, and the others are retired: published, and signing nothing. No wait has begun in the
new record, so all of them start now, under the longest intervals that anybody remembers. Any of
them may have signed, and none but the oldest is sure to be known: nobody falls back to one.

What stands in the published set and is nobody's is not taken in, because whoever edited the set
would choose whom the world trusts. What was revoked stays revoked. Where nothing of ours is seen
to be published, all our keys are taken in, to be published, and none of them signs at once.

Nothing is asked of anybody here, and whether the keyring is lost is not decided here.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from machine_identity import certification, publication, transitions
from machine_identity.evidence import Evidence, OwnedKey, Standing
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Key, Keyring, Outgoing, State
from machine_identity.policy import Policy
from machine_identity.steps import Rebuild
from machine_identity.testimony import Testimony

REVISIONS_LOST: Final = 10**9
"""More than a keyring can have been written after the last thing that is known of it.

A signer refuses a revision lower than one that it has seen, and a run writes a few dozen at most.
"""


def rebuilt(lost: Keyring, policy: Policy, evidence: Evidence, now: datetime) -> Keyring:
    """Return the keyring to go on from; one without keys if there are none to be found.

    ``lost`` is what the document still says, or an empty keyring. The revision is such that the
    next one is beyond any that was lost.
    """
    enabled = _enabled(lost, evidence)
    keys = _as_recorded(lost, enabled, evidence) or _by_age(lost, enabled, policy, evidence, now)
    keys = [replace(_waiting(key, policy), since=now, first_seen_at=None) for key in keys]
    keys = [_certified(key, policy, evidence, now) for key in keys]
    ended = (key for key in lost.in_state(State.REMOVED) if key.kid not in {k.kid for k in keys})
    revision = _highest_revision(lost, evidence) + REVISIONS_LOST
    return replace(
        lost,
        **_issuers(lost, policy, evidence, now),
        revision=revision,
        published_revision=revision,
        genesis=False,
        keys=(*keys, *ended),
        intent=None,
        rollover_requested_at=None,
        rollover_due_at=None,
        rolled_over_at=None,
        confirmed_kid=None,
        searched_at=None,
        surplus=(),
    )


def _highest_revision(lost: Keyring, evidence: Evidence) -> int:
    """Return the highest that anything tells of."""
    published = publication.standing_revision(evidence.standing)
    read = 0 if evidence.testimony is None else evidence.testimony.keyring_revision
    return max(published, read, lost.revision, lost.published_revision)


def _issuers(lost: Keyring, policy: Policy, evidence: Evidence, now: datetime) -> dict[str, Any]:
    """Return which URL assertions name, as far as anything tells.

    A switch that was under way begins anew; what assertions may have named stays published.
    """
    issuer, *others = issuers(lost, evidence.standing, evidence.testimony)
    interval = policy.retire_interval
    outgoing = (Outgoing(url=each, since=now, retire_interval=interval) for each in others)
    return {"issuer": issuer, "incoming": None, "outgoing": tuple(outgoing)}


def issuers(lost: Keyring, standing: Standing, testimony: Testimony | None) -> tuple[str, ...]:
    """Return under which URLs the keys were published, the one in use first.

    The discovery document tells, of those that the keyring knew if that can be read, since anybody
    may have edited it; then what the signer has read; and at last the settings.
    """
    told = publication.standing_issuers(standing)
    if lost.revision:
        is_ours = bool(told) and told[0] in lost.issuers
        known = (each for each in told if is_ours and each in lost.issuers)
        return tuple(dict.fromkeys((*known, *lost.issuers)))
    signed = (testimony.issuer,) if testimony is not None and testimony.issuer else ()
    return tuple(dict.fromkeys((*told, *signed))) or lost.issuers


def step(keyring: Keyring, why: str) -> Rebuild:
    """Return what is told of it."""
    active = keyring.active
    kids = tuple(key.kid for key in keyring.published)
    return Rebuild(active=None if active is None else active.kid, kids=kids, why=why)


def _enabled(lost: Keyring, evidence: Evidence) -> dict[str, Key]:
    """Return the keys of ours that KMS signs with, the oldest first; what was ended is not one."""
    standing = publication.standing_keys(evidence.standing)
    remembered = {key.kid: key for key in lost.keys}
    ended = {key.kid for key in lost.in_state(State.REMOVED)}
    owned = () if evidence.search is None else evidence.search.keys
    return {
        jwk["kid"]: _known(each, jwk, standing, remembered)
        for each in sorted(owned, key=lambda each: each.created_at)
        if (jwk := each.jwk) is not None and jwk["kid"] not in ended
    }


def _as_recorded(
    lost: Keyring, enabled: dict[str, Key], evidence: Evidence
) -> tuple[Key, ...] | None:
    """Return the keys in the states that the document gives them, if nothing speaks against it.

    It was rolled back across nothing that the public saw, or it was never lost, and somebody
    edited the published set: strangers in that are no evidence, nor is what it lacks.
    """
    if lost.active is None or lost.active.kid not in enabled:
        return None
    newer = enabled.keys() & _public(evidence) - {key.kid for key in lost.keys}
    return None if newer else lost.published


def _by_age(
    lost: Keyring, enabled: dict[str, Key], policy: Policy, evidence: Evidence, now: datetime
) -> list[Key]:
    """Return all keys that may be in use: the oldest active, the next standby, others retired.

    Where no published key of ours is to be seen, or where one that may be older fails, nobody can
    say that every cache knows the oldest: then none is active before rule 1 has held for it.
    """
    public = _public(evidence) - {key.kid for key in lost.in_state(State.REMOVED)}
    seen = [key for kid, key in enabled.items() if kid in public]
    signing = seen or list(enabled.values())
    is_known = bool(seen) and (
        public <= enabled.keys() or now >= seen[0].created_at + policy.publication_interval()
    )
    roles = [State.STANDBY, *([State.RETIRED] * len(signing))]
    if is_known:
        roles = [State.ACTIVE, *roles]
    keys = [replace(key, state=role) for key, role in zip(signing, roles, strict=False)]
    for key in (key for key in lost.published if key not in signing):
        is_in_use = key.kid in public or key.kid in enabled
        keys.append(replace(key, state=State.RETIRED if is_in_use else State.REMOVED))
    return keys


def _public(evidence: Evidence) -> frozenset[str]:
    return frozenset() if evidence.search is None else evidence.search.public


def _known(
    owned: OwnedKey, jwk: PublicJwk, standing: dict[str, PublicJwk], remembered: dict[str, Key]
) -> Key:
    """Return the record of a key: as the lost document had it, or as KMS and the set tell it."""
    if (key := remembered.get(jwk["kid"])) is not None:
        return key
    algorithm = str(standing.get(jwk["kid"], jwk).get("alg"))
    is_rsa = jwk["kty"] == "RSA" and algorithm in {"RS256", "RS384", "RS512", "PS256"}
    jwk = {**jwk, "alg": algorithm} if is_rsa else jwk
    created_at = owned.created_at
    return Key(
        jwk=jwk, arn=owned.arn, created_at=created_at, state=State.RETIRED, since=created_at
    )


def _certified(key: Key, policy: Policy, evidence: Evidence, now: datetime) -> Key:
    """Order the certificate that was made already, or else a new one."""
    key = certification.restored(key, evidence.testimony)
    return key if key.certificate_from else transitions.ordered(key, policy, now)


def _waiting(key: Key, policy: Policy) -> Key:
    interval = max(key.publication_interval, policy.publication_interval())
    key = transitions.with_longest_waits(key, policy)
    return replace(key, publication_interval=interval, may_sign_until=None)
