"""Rule 8 over an upload channel: what the signer has to do so that servers know our keys.

The keyring gives the order, and it is a state, not an event, so that none is ever lost: a standby
key is to be known, by a certificate with exactly the dates and the serial number that follow from
its record; a removed key is not to be known any more. What came of it stands in the testimony,
written before a server is asked and again after its answer.

1. A certificate is made once and kept before anybody is shown it.
2. To ask twice may register a key twice. So after an answer that was lost, nobody asks again
   before the canary's refusal, or a listing without the key, has shown that it is not there; a
   server that refuses a key which it said it has is believed for a day; and after ``MOST_ASKED``
   people have to look.
3. A key that a server knows under a name that we never heard stays there until its certificate
   lapses, if it does not tell what it has: KMS will not sign with it any more.

Everything follows from (keyring, testimony, site, now). Nothing is sent or signed here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from machine_identity import certificate, certification
from machine_identity.keyring import Key, Keyring, State
from machine_identity.testimony import Listing, Testimony, Trial, Upload

SETTLES: Final = timedelta(hours=1)
"""How long a server may take to know everywhere what it was told; Graph speaks of minutes."""
DOUBTED_AFTER: Final = timedelta(days=1)
"""How long a server's own word is believed that it has a key which it refuses."""
LISTING_INTERVAL: Final = timedelta(days=1)
FIRST_PAUSE: Final = timedelta(minutes=15)
LONGEST_PAUSE: Final = timedelta(hours=1)
"""After a failure, and after some in a row: an administrator may have mended it meanwhile."""
_SHORT_PAUSES: Final = 3
MOST_ASKED: Final = 5
"""How often a server is asked to take a key that it then refuses; more would pile copies up."""
LEFT_BEHIND: Final = "left_behind"
"""The code of a key that stays at a server until its certificate lapses (rule 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The server of one client to which keys are brought."""

    client: str
    registration: str
    unknown: tuple[str, ...]
    """The codes by which it refuses a key that it does not know."""
    is_repeatable: bool
    """Whether to ask twice is as good as once; else each key is there once for each asking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """Ask the server to take the key."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Ask the server to drop the key."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """Ask the server what it has."""


type Act = Add | Remove | List


def upload(testimony: Testimony, site: Site, kid: str) -> Upload:
    """Return how far a key has come there, begun or not, whatever the client was called then."""
    name = (site.registration, kid)
    begun = (each for each in testimony.uploads if (each.registration, each.kid) == name)
    fresh = Upload(client=site.client, kid=kid, registration=site.registration)
    return replace(next(begun, fresh), client=site.client)


def with_upload(testimony: Testimony, changed: Upload) -> Testimony:
    """Return the testimony with what is now known of one key at one server."""
    name = (changed.registration, changed.kid)
    others = (each for each in testimony.uploads if (each.registration, each.kid) != name)
    return replace(testimony, uploads=(*others, changed))


def kept(testimony: Testimony, keyring: Keyring, sites: Iterable[Site]) -> Testimony:
    """Return the testimony without what is about no key of the keyring.

    What was done for a client that is not there any more is kept as long as its key: a slip in
    ``clients.json`` must not have it done again. A keyring older than one that was read before
    (rule 6) tells nothing about what may go.
    """
    if is_outdated(keyring, testimony):
        return testimony
    kids, names = {key.kid for key in keyring.keys}, {site.client for site in sites}
    return replace(
        testimony,
        certificates=tuple(each for each in testimony.certificates if each.kid in kids),
        uploads=tuple(each for each in testimony.uploads if each.kid in kids),
        listings=tuple(each for each in testimony.listings if each.client in names),
    )


def is_outdated(keyring: Keyring, testimony: Testimony) -> bool:
    """Whether a later keyring was read already: this one was rolled back, or overtaken."""
    return keyring.revision < testimony.keyring_revision


def settled(testimony: Testimony, site: Site) -> Testimony:
    """Return the testimony with each key known to be there that got a client a token there."""
    for trial in (each for each in testimony.trials if each.client == site.client):
        known, last = upload(testimony, site, trial.kid), trial.last_success_at
        if last is None or trial.registration != site.registration:
            continue
        is_since = known.asked_at is None or last >= known.asked_at
        if is_since and known.added_at is None and known.ended_at is None:
            testimony = with_upload(testimony, added(known, known.key_id, last))
    return testimony


def next_act(keyring: Keyring, testimony: Testimony, site: Site, now: datetime) -> Act | None:
    """Return what is to be done at a site now; None if there is nothing, or nothing yet.

    A key that is to sign comes first: nothing that is to go, or to be told, keeps it waiting.
    """
    each = ((key, upload(testimony, site, key.kid)) for key in keyring.keys)
    due = [(key, known) for key, known in each if not (known.ended_at or _is_pausing(known, now))]
    for key, known in due:
        if _is_wanted(key, site) and _is_to_be_asked(known, testimony, site, now):
            return Add(kid=key.kid)
    gone = [(key, known) for key, known in due if _is_to_go(key, known, testimony)]
    for key, known in gone:
        if known.key_id or site.is_repeatable:
            return Remove(kid=key.kid)
    is_asked_for = any(is_settled(known, now) for _, known in gone)
    return List() if is_asked_for or _is_listing_due(keyring, testimony, site, now) else None


def again_at(testimony: Testimony, now: datetime) -> datetime | None:
    """Return when there may be more to do though the keyring does not change; None is never."""
    open_still = [each for each in testimony.uploads if each.ended_at is None]
    lost = (now + FIRST_PAUSE for each in open_still if each.asked_at and not each.added_at)
    failed = (each.failed_at + _pause(each) for each in open_still if each.failed_at)
    listings = (each.at + LISTING_INTERVAL for each in testimony.listings)
    return min((*lost, *failed, *listings), default=None)


def asking(known: Upload, now: datetime) -> Upload:
    """Return the record to write before the server is asked to take the key."""
    asked = known.asked + 1
    return replace(
        known, asked_at=now, asked=asked, added_at=None, key_id="", failed_at=None, code=""
    )


def added(known: Upload, key_id: str, now: datetime) -> Upload:
    """Return the record after the server said that it has the key."""
    return replace(known, added_at=now, key_id=key_id, failures=0, failed_at=None, code="")


def failed(known: Upload, code: str, now: datetime) -> Upload:
    """Return the record after the server, or somebody before it, said no."""
    return replace(known, failures=known.failures + 1, failed_at=now, code=code)


def ended(known: Upload, now: datetime, code: str = "") -> Upload:
    """Return the record after the last thing that will ever be done about it."""
    return replace(known, ended_at=now, failures=0, failed_at=None, code=code)


def listed(
    keyring: Keyring, testimony: Testimony, site: Site, names: dict[str, str], now: datetime
) -> Testimony:
    """Return the testimony after a listing: SHA-1 thumbprints of certificates, and their IDs.

    What of ours is in it is there, by that ID, whatever was said before: there may be two of it.
    Of a removed key that is not, nothing is left, unless the server may not know of it yet.
    """
    ours: set[str] = set()
    for key in keyring.keys:
        made = certification.read(key, testimony)
        if made is None:
            continue
        sha1 = certificate.sha1(made.der)
        ours.add(sha1)
        known = upload(testimony, site, key.kid)
        if key_id := names.get(sha1):
            testimony = with_upload(testimony, _found(known, key_id, now))
        elif key.state is State.REMOVED and known.ended_at is None and is_settled(known, now):
            testimony = with_upload(testimony, ended(known, now))
    strangers = tuple(sorted(names.keys() - ours))
    return _with_listing(testimony, Listing(client=site.client, at=now, strangers=strangers))


def is_settled(known: Upload, now: datetime) -> bool:
    """Whether the server must know by now of a key that it may have taken."""
    at = known.added_at or known.asked_at
    return at is None or now >= at + SETTLES


def untold(keyring: Keyring, testimony: Testimony, site: Site, now: datetime) -> Testimony:
    """Return the testimony after a site that does not tell what it has (rule 3)."""
    for key in keyring.in_state(State.REMOVED):
        known = upload(testimony, site, key.kid)
        is_open = known.ended_at is None and not known.key_id
        if is_open and _may_be_there(key, known, testimony):
            testimony = with_upload(testimony, ended(known, now, LEFT_BEHIND))
    return _with_listing(testimony, Listing(client=site.client, at=now, is_told=False))


def is_added(kid: str, testimony: Testimony) -> bool:
    """Whether any server has said that it has the key."""
    return any(each.kid == kid and each.added_at for each in testimony.uploads)


def suspicions(testimony: Testimony) -> tuple[str, ...]:
    """Return what people have to look at when a key was stolen: with it others may be added."""
    told = testimony.listings
    return tuple(_suspicion(each) for each in told if each.strangers or not each.is_told)


def _suspicion(listing: Listing) -> str:
    of = f"the client {listing.client}"
    if listing.strangers:
        names, at = ", ".join(listing.strangers), listing.at.astimezone(UTC).isoformat()
        return f"{of} has credentials that are not ours, as of {at}: {names}"
    return f"{of} may have credentials that are not ours: its server does not tell us; look there"


def _found(known: Upload, key_id: str, now: datetime) -> Upload:
    """Return the record of a key that a listing shows; of one just removed it may be late."""
    if known.ended_at is not None and now < known.ended_at + SETTLES:
        return known
    return replace(added(known, key_id, known.added_at or now), ended_at=None)


def _is_wanted(key: Key, site: Site) -> bool:
    """Whether the server is to be asked for it: a key that proves others cannot be asked for."""
    return key.is_published if site.is_repeatable else key.state is State.STANDBY


def _is_pausing(known: Upload, now: datetime) -> bool:
    """Whether it failed a moment ago; one of the future is of a clock that was ahead."""
    at = known.failed_at
    return at is not None and at <= now < at + _pause(known)


def _pause(known: Upload) -> timedelta:
    return LONGEST_PAUSE if known.failures > _SHORT_PAUSES else FIRST_PAUSE


def _is_to_be_asked(known: Upload, testimony: Testimony, site: Site, now: datetime) -> bool:
    asked_at = known.asked_at or known.added_at
    if asked_at is None:
        return True
    if site.is_repeatable and known.added_at is None:
        return True
    if known.asked >= MOST_ASKED:
        return False
    patience = SETTLES if known.added_at is None else DOUBTED_AFTER
    since = asked_at + patience * (1 << max(known.asked - 1, 0))
    return now >= since and _is_missing(known, testimony, site, since)


def _is_missing(known: Upload, testimony: Testimony, site: Site, since: datetime) -> bool:
    """Whether anything has shown since then that the server does not know the key (rule 2)."""
    if any(_refuses(each, known, site, since) for each in testimony.trials):
        return True
    told = (each for each in testimony.listings if each.client == site.client and each.is_told)
    return not known.key_id and any(each.at >= since for each in told)


def _refuses(trial: Trial, known: Upload, site: Site, since: datetime) -> bool:
    return (
        (trial.client, trial.kid, trial.registration)
        == (site.client, known.kid, site.registration)
        and trial.refused_at is not None
        and trial.refused_at >= since
        and trial.code in site.unknown
        and not trial.active_refused
    )


def _is_to_go(key: Key, known: Upload, testimony: Testimony) -> bool:
    return key.state is State.REMOVED and _may_be_there(key, known, testimony)


def _may_be_there(key: Key, known: Upload, testimony: Testimony) -> bool:
    """Whether the server may have the key: it was asked to, or an administrator brought it."""
    if known.asked_at is not None:
        return True
    return any(each.kid == key.kid for each in testimony.certificates)


def _is_listing_due(keyring: Keyring, testimony: Testimony, site: Site, now: datetime) -> bool:
    """Once a day; after a revocation, and when it would tell what a lost answer did not."""
    if site.is_repeatable:
        return False
    last = next((each for each in testimony.listings if each.client == site.client), None)
    if last is None or not timedelta() <= now - last.at < LISTING_INTERVAL:
        return True
    if not last.is_told:
        return False
    revoked = (key.revoked_at for key in keyring.keys if key.revoked_at is not None)
    nameless = (
        each.asked_at + SETTLES
        for each in testimony.uploads
        if each.registration == site.registration
        and each.asked_at
        and not each.key_id
        and not each.ended_at
    )
    return any(last.at < at <= now for at in (*revoked, *nameless))


def _with_listing(testimony: Testimony, listing: Listing) -> Testimony:
    others = (each for each in testimony.listings if each.client != listing.client)
    return replace(testimony, listings=(*others, listing))
