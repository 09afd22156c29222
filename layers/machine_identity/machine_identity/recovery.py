"""A lost keyring written anew, from what KMS holds and what is published.

A key is ours if KMS has it with our tags, or if the lost document, in our private bucket, still
names it; it is in use if the published set or the public URL shows it. Of those, the oldest that
KMS signs with becomes active, since every cache has had the longest time to learn of it; the next
is the standby key, and the others are retired: published, and signing nothing. No wait has begun
in the new record, so all of them start now, under the longest intervals that anybody remembers.
Any of them may have signed, and none but the oldest is sure to be known: nobody falls back to one.

What stands in the published set and is nobody's is not taken in, because whoever edited the set
would choose whom the world trusts. What was revoked stays revoked. A key that is not published is
none of it: it never signed, or must not sign any more.

Nothing is asked of anybody here, and whether the keyring is lost is not decided here.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from machine_identity import publication
from machine_identity.evidence import Evidence, OwnedKey
from machine_identity.jwk import PublicJwk
from machine_identity.keyring import Key, Keyring, Outgoing, State
from machine_identity.policy import Policy
from machine_identity.steps import Rebuild

REVISIONS_LOST: Final = 10**9
"""More than a keyring can have been written after the last thing that is known of it.

A signer refuses a revision lower than one that it has seen, and a run writes a few dozen at most.
"""


def rebuilt(
    lost: Keyring, policy: Policy, evidence: Evidence, now: datetime, *, known: int
) -> Keyring:
    """Return the keyring to go on from; one without keys if there are none to be found.

    ``lost`` is what the document still says, or an empty keyring, and ``known`` is the highest
    revision that is known of. The revision is such that the next one is beyond any that was lost.
    """
    signing, others = _in_use(lost, evidence)
    roles = [State.ACTIVE, State.STANDBY, *([State.RETIRED] * len(signing))]
    keys = [
        replace(key, state=state, since=now, first_seen_at=None)
        for key, state in zip(signing, roles, strict=False)
    ]
    keys += [replace(key, state=State.RETIRED, since=now) for key in others]
    ended = (key for key in lost.in_state(State.REMOVED) if key.kid not in {k.kid for k in keys})
    revision = max(known, lost.revision, lost.published_revision) + REVISIONS_LOST
    return replace(
        lost,
        **_issuers(lost, policy, evidence, now),
        revision=revision,
        published_revision=revision,
        genesis=False,
        keys=tuple(_with_longest(key, policy) for key in keys) + tuple(ended),
        intent=None,
        rollover_requested_at=None,
        rollover_due_at=None,
        confirmed_kid=None,
        searched_at=None,
    )


def _issuers(lost: Keyring, policy: Policy, evidence: Evidence, now: datetime) -> dict[str, Any]:
    """Return which URL assertions name, as the discovery document tells it if nothing else does.

    A switch that was under way begins anew; what assertions may have named stays published.
    """
    issuer, *others = lost.issuers
    if lost.revision == 0:
        issuer, *others = publication.standing_issuers(evidence.standing) or (lost.issuer,)
    interval = policy.retire_interval
    outgoing = (Outgoing(url=each, since=now, retire_interval=interval) for each in others)
    return {"issuer": issuer, "incoming": None, "outgoing": tuple(outgoing)}


def step(keyring: Keyring, why: str) -> Rebuild:
    """Return what is told of it."""
    active = keyring.active
    kids = tuple(key.kid for key in keyring.published)
    return Rebuild(active=None if active is None else active.kid, kids=kids, why=why)


def _in_use(lost: Keyring, evidence: Evidence) -> tuple[list[Key], list[Key]]:
    """Return the keys in use that KMS signs with, the oldest first, and the others that are ours.

    A removed key whose withdrawal nobody carried out is in no use, and neither is a revoked one.
    """
    standing = publication.standing_keys(evidence.standing)
    search = evidence.search
    public = frozenset[str]() if search is None else search.public
    remembered = {key.kid: key for key in lost.keys}
    ended = {key.kid for key in lost.keys if key.state is State.REMOVED}
    owned = () if search is None else search.keys
    signing = {
        jwk["kid"]: _known(each, jwk, standing, remembered)
        for each in sorted(owned, key=lambda each: each.created_at)
        if (jwk := each.jwk) is not None and jwk["kid"] in public - ended
    }
    others = [key for kid, key in remembered.items() if kid in public - ended - signing.keys()]
    return list(signing.values()), others


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


def _with_longest(key: Key, policy: Policy) -> Key:
    interval = policy.publication_interval()
    return replace(
        key,
        publication_interval=max(key.publication_interval, interval),
        retire_interval=max(key.retire_interval, policy.retire_interval),
        verified_interval=max(key.verified_interval, policy.verified_interval),
        may_sign_until=None,
    )
