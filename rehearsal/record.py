"""What happened in the rehearsal, as it is written down, and what follows from it. Pure.

Three kinds of entries: an assertion was signed for a reader, a reader answered, a reader fetched
the key set. From them follow the tally of each party and its margins:

- *before*: how long before the first assertion by a new key its reader had that key in its own
  copy, or was free to fetch it (it has kept its copy for as long as it ever does without asking
  again). Below zero, the reader can only refuse.
- *after*: how long after the last assertion by an old key had expired the key left the set.

Nothing here asks a clock, and nothing holds an assertion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """What became of an assertion."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNANSWERED = "unanswered"
    """Nobody judged it: no answer came, or one about something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Somebody else's code that reads our key set."""

    name: str
    version: str
    holds_copy_for: timedelta
    """How long after a fetch it does not fetch again, not even for a key that it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One instance of a party, with a copy of the key set that is its own."""

    party: str
    instance: str

    @property
    def name(self) -> str:
        """How the reader is told from all others."""
        return f"{self.party}-{self.instance}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """An assertion was signed, to be judged by ``reader``."""

    at: datetime
    reader: Reader
    kid: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A reader answered, or did not."""

    reader: Reader
    kid: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The key set was served to the reader of that name."""

    at: datetime
    reader: str
    kids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A key was taken out of the set."""

    at: datetime
    kid: str


@dataclass(slots=True, kw_only=True)
class Record:
    """All that happened to one identity; threads append to it."""

    signed: list[Signed] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    fetched: list[Fetched] = field(default_factory=list)
    withdrawn: list[Withdrawn] = field(default_factory=list)

    def count(self, verdict: Verdict, party: str | None = None) -> int:
        """Return how many assertions came to that verdict, at one party or in all."""
        return sum(
            each.verdict is verdict and party in {None, each.reader.party} for each in self.judged
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """By how much something was in time; at which reader, and with which key."""

    by: timedelta
    reader: str
    kid: str


def kids_in_order(record: Record) -> tuple[str, ...]:
    """Return the keys that signed, in the order in which they first did."""
    return tuple(dict.fromkeys(each.kid for each in sorted(record.signed, key=_at)))


def margin_before(record: Record, party: Party) -> Margin | None:
    """Return the least margin before the first use of a key; None if no copy was without one."""
    margins = []
    for reader, signed in _by_reader(record, party.name).items():
        for first in _first_uses(signed):
            ready_at = _ready_at(first, _before(record.fetched, first), party.holds_copy_for)
            if ready_at is not None:
                by = first.at - ready_at
                margins.append(Margin(by=by, reader=reader.name, kid=first.kid))
    return min(margins, key=lambda margin: margin.by, default=None)


def margin_after(record: Record, party: str) -> Margin | None:
    """Return the least time from the end of what a key signed to its withdrawal, or None."""
    margins = []
    for gone in record.withdrawn:
        own = [
            each for each in record.signed if (each.reader.party, each.kid) == (party, gone.kid)
        ]
        if own:
            last = max(own, key=lambda each: each.expires_at)
            by = gone.at - last.expires_at
            margins.append(Margin(by=by, reader=last.reader.name, kid=gone.kid))
    return min(margins, key=lambda margin: margin.by, default=None)


def _ready_at(first: Signed, copies: Sequence[Fetched], hold: timedelta) -> datetime | None:
    """Return since when the reader could verify: it had the key, or was free to fetch it.

    None for a reader that never had a copy without the key: nothing stood in its way.
    """
    without = [place for place, copy in enumerate(copies) if first.kid not in copy.kids]
    if not without:
        return None
    later = copies[without[-1] + 1 :]
    return later[0].at if later else copies[without[-1]].at + hold


def _before(fetched: Sequence[Fetched], first: Signed) -> list[Fetched]:
    """Return what the reader had fetched when the key was used first, in order."""
    own = [each for each in fetched if each.reader == first.reader.name and each.at <= first.at]
    return sorted(own, key=_at)


def _first_uses(signed: Sequence[Signed]) -> list[Signed]:
    firsts: dict[str, Signed] = {}
    for each in sorted(signed, key=_at):
        firsts.setdefault(each.kid, each)
    return list(firsts.values())


def _by_reader(record: Record, party: str) -> dict[Reader, list[Signed]]:
    readers: dict[Reader, list[Signed]] = {}
    for each in record.signed:
        if each.reader.party == party:
            readers.setdefault(each.reader, []).append(each)
    return readers


def _at(entry: Signed | Fetched) -> datetime:
    return entry.at
