"""What of a life its future depends on, and nothing else: two lives that are alike go on alike.

Keys have names of their own in each life, so they are numbered in the order of their creation;
revisions only grow, so they are left out; and an instant more than a day ago is only long ago,
because no rule looks back any further, but for since when the active key signs.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from machine_identity import publication
from machine_identity.evidence import Standing
from machine_identity.keyring import Key, Keyring, State
from tests.faults.lives import Life

_DAY: Final = timedelta(days=1)
_KEYRING: Final = "default/keyring.json"

type Age = Callable[[datetime | None], datetime | str | None]


def likeness(life: Life) -> tuple[Any, ...]:
    """Return it, as something that can be compared."""
    world, age = life.world, _ages(life.world.now)
    names = {arn: number for number, arn in enumerate(life.kept_keys())}
    ring = world.keyring() if _KEYRING in world.state.documents else None
    known = () if ring is None else ring.keys
    names_of_kids = {key.kid: names.get(key.arn) for key in known}
    return (
        None if ring is None else _ring(ring, names_of_kids, age),
        tuple(_kms(life, ring, names, age)),
        _published(life, ring, names_of_kids),
        tuple(_trials(life, names_of_kids, age)),
        tuple(_parties(life, names_of_kids, age)),
        tuple(_past(life, names_of_kids, age)),
        names_of_kids.get(life.condemned or ""),
        life.phase,
    )


def _ages(now: datetime) -> Age:
    def age(at: datetime | None) -> datetime | str | None:
        return "long ago" if at is not None and at < now - _DAY else at

    return age


def _ring(ring: Keyring, names: dict[str, int | None], age: Age) -> tuple[Any, ...]:
    intent = None if ring.intent is None else age(ring.intent.written_at)
    return (
        tuple(_key(key, names, age) for key in ring.keys),
        (ring.genesis, intent, ring.rollover_requested_at, ring.rollover_due_at),
        (ring.max_age, ring.longest_max_age, ring.longest_max_age_at),
        (names.get(ring.confirmed_kid or ""), age(ring.searched_at)),
        (ring.issuers, age(ring.rolled_over_at)),
        tuple(age(each.found_at) for each in ring.surplus),
    )


def _key(key: Key, names: dict[str, int | None], age: Age) -> tuple[Any, ...]:
    since = key.since if key.state is State.ACTIVE else age(key.since)
    waits = key.publication_interval, key.retire_interval, key.verified_interval
    ends = age(key.may_sign_until), age(key.disabled_at), key.deletion_at, age(key.revoked_at)
    begins = age(key.created_at), age(key.first_seen_at)
    return names[key.kid], key.state, since, waits, ends, begins


def _kms(
    life: Life, ring: Keyring | None, names: dict[str, int], age: Age
) -> Iterator[tuple[Any, ...]]:
    intent = None if ring is None or ring.intent is None else ring.intent.id
    for arn in names:
        key = life.world.kms.keys[arn]
        is_waited_for = key.intent == intent
        yield (
            key.enabled,
            age(key.disabled_at),
            key.deletion_at,
            age(key.created_at),
            is_waited_for,
        )


def _published(life: Life, ring: Keyring | None, names: dict[str, int | None]) -> object:
    """Return whether what stands there is what the keyring asks for; if not, what it is."""
    documents = life.world.published.documents
    jwks, configuration = (
        documents.get(publication.object_key("default", path))
        for path in (publication.JWKS_PATH, publication.CONFIGURATION_PATH)
    )
    if ring is None or jwks is None or configuration is None:
        return jwks is None, configuration is None
    standing = Standing(jwks=jwks.body, configuration=configuration.body)
    wanted = publication.documents(ring, life.world.policy.max_age)
    kids = publication.standing_keys(standing)
    known = tuple(names.get(kid, "gone") for kid in kids)
    return known, wanted.jwks == jwks.body, wanted.configuration == configuration.body


def _trials(life: Life, names: dict[str, int | None], age: Age) -> Iterator[tuple[Any, ...]]:
    testimony = life.world.testimony()
    yield testimony.fallback, tuple(names.get(kid) for kid in testimony.strangers)
    for each in testimony.trials:
        if each.kid in names:
            seen = age(each.first_success_at), age(each.last_success_at), age(each.refused_at)
            yield each.client, names[each.kid], seen, each.refusals, each.active_refused


def _parties(life: Life, names: dict[str, int | None], age: Age) -> Iterator[tuple[Any, ...]]:
    """Yield what the token function, the providers and the audit have in memory."""
    copy, tried_at = (vars(life.token.signer)[name] for name in ("_copy", "_tried_at"))
    if copy is not None:
        previous = copy.keyring.previous(life.world.now)
        kids = [key.kid for key in (copy.keyring.active, previous) if key is not None]
        yield age(copy.read_at), age(tried_at), _named(kids, names)
    source = vars(life.token.source)
    asker = vars(source["_asker"])
    yield asker["_fell_back_at"], tuple(age(at) for at, _ in asker["_endpoints"].values())
    yield tuple(age(each.token.expires_at) for each in source["_kept"].values())
    for provider in life.providers:
        held = vars(provider)
        yield age(held["_fetched_at"]), held["_is_begun"], _named(held["_keys"], names)
    for kid, (at, _) in life.audit.signed.items():
        yield age(at), _named([kid], names)


def _past(life: Life, names: dict[str, int | None], age: Age) -> Iterator[tuple[Any, ...]]:
    """Yield what the world remembers, to judge by."""
    last: object = None
    for at, kids in life.world.past():
        named = _named(kids, names)
        if named and named != last:
            yield age(at), named
        last = named


def _named(kids: Iterable[str], names: dict[str, int | None]) -> tuple[int | None, ...]:
    """Return the numbers of the keys that are still there."""
    return tuple(sorted((names[kid] for kid in kids if kid in names), key=str))
