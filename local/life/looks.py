"""What an outsider can see of the keys at one instant, and what many such looks add up to.

A look is an answer of ``status``, the keys at the public URL, and the key with which an assertion
was accepted. States carry their own time, so looks need only be close enough to miss none; they
are closer where something changes, to show it as it happens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from local.life.record import MINUTE, KeyLife, Span, Turn

CLOSE: Final = timedelta(hours=1)
"""From look to look near a change. An access token lives as long, so that each look needs one."""
APART: Final = timedelta(hours=4)
"""From look to look elsewhere."""
NEAR: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One key in an answer of ``status``."""

    kid: str
    state: str
    since: datetime
    not_before: datetime | None
    """When its next state, or its end, may come at the earliest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was to be seen at one instant."""

    at: datetime
    rows: tuple[Row, ...]
    public: frozenset[str]
    """The keys that the public URL showed."""
    signer: str | None
    """The key of the assertion that brought an access token; None if there was no token."""


def pause_after(look: Look) -> timedelta:
    """Return how long it is to the next look."""
    told = [at for row in look.rows for at in (row.since, row.not_before) if at is not None]
    is_near = any(abs(at - look.at) <= NEAR for at in told)
    is_leaving = any(row.state == "retired" for row in look.rows)
    return CLOSE if is_near or is_leaving else APART


def start_of(looks: Sequence[Look]) -> datetime:
    """Return the instant from which a record counts: the first key's, in its first known state."""
    return min(row.since for row in looks[0].rows)


def key_lives(looks: Sequence[Look]) -> tuple[KeyLife, ...]:
    """Return what became of each key, in the order in which they were made."""
    kids = dict.fromkeys(row.kid for look in looks for row in look.rows)
    return tuple(_key_life(kid, looks) for kid in kids)


def passed(start: datetime, at: datetime) -> timedelta:
    """Return what passed since the start, to the nearest minute: no two runs agree on seconds."""
    return round((at - start) / MINUTE) * MINUTE


def _key_life(kid: str, looks: Sequence[Look]) -> KeyLife:
    start = start_of(looks)
    rows = [row for look in looks for row in look.rows if row.kid == kid]
    states = {row.state: Turn(state=row.state, at=passed(start, row.since)) for row in rows}
    is_gone = all(row.kid != kid for row in looks[-1].rows)
    end = rows[-1].not_before if is_gone else None
    return KeyLife(
        turns=tuple(states.values()),
        public=_spans((passed(start, look.at), kid in look.public) for look in looks),
        signed=_spans((passed(start, look.at), kid == look.signer) for look in looks),
        deleted_at=None if end is None else passed(start, end),
    )


def _spans(seen: Iterable[tuple[timedelta, bool]]) -> tuple[Span, ...]:
    """Join the neighbours among the looks at which something was so."""
    spans: list[Span] = []
    goes_on = False
    for at, is_so in seen:
        if is_so:
            first = spans.pop().first if goes_on else at
            spans.append(Span(first=first, last=at))
        goes_on = is_so
    return tuple(spans)
