"""What the rehearsal came to: a row for each party, the verdict, and both as text. Pure.

The rehearsal succeeds only if our rotation lost nothing *and* the naive one beside it did: a load
under which the naive one passes would prove nothing about ours.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rehearsal.record import (
    Margin,
    Party,
    Record,
    Verdict,
    kids_in_order,
    margin_after,
    margin_before,
)

_HEAD: Final = (
    "rotation",
    "party",
    "readers",
    "keys",
    "accepted",
    "rejected",
    "unanswered",
    "before first use",
    "after last use",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one party made of one rotation."""

    rotation: str
    party: Party
    readers: int
    keys: int
    accepted: int
    rejected: int
    unanswered: int
    before: Margin | None
    after: Margin | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All rows, and what is wrong with them; nothing is, if the rehearsal succeeded."""

    rows: tuple[Row, ...]
    complaints: tuple[str, ...]

    def total(self, rotation: str, verdict: Verdict) -> int:
        """Return how many of a rotation's assertions came to that verdict."""
        return sum(getattr(row, verdict.value) for row in self.rows if row.rotation == rotation)


def outcome(
    *, ours: Record, naive: Record, parties: Sequence[Party], faults: Sequence[str]
) -> Outcome:
    """Return what both records come to; ``faults`` is what our rotation could not do."""
    return Outcome(
        rows=(*_rows("ours", ours, parties), *_rows("naive", naive, parties)),
        complaints=(
            *faults,
            *_complaints_about_ours(ours, parties),
            *_complaints_about_naive(naive, parties),
        ),
    )


def table(outcome: Outcome) -> str:
    """Return the rows as columns of text."""
    lines = [_HEAD, *(_cells(row) for row in outcome.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def summary(outcome: Outcome) -> list[str]:
    """Return the result in sentences: ours, its tightest margins, the naive one."""
    ours = [row for row in outcome.rows if row.rotation == "ours"]
    is_seen = outcome.total("naive", Verdict.REJECTED) > 0
    return [
        f"ours:  {_rejected(outcome, 'ours')}",
        f"       tightest margin before a new key signs: {_told(_least(r.before for r in ours))}",
        f"       tightest margin after the old one's last: {_told(_least(r.after for r in ours))}",
        f"naive: {_rejected(outcome, 'naive')}, "
        + ("as it must be" if is_seen else "and that proves nothing"),
    ]


def plain(outcome: Outcome) -> dict[str, Any]:
    """Return everything as JSON has it; durations in seconds."""
    return {
        "ok": not outcome.complaints,
        "complaints": list(outcome.complaints),
        "rows": [_plain_row(row) for row in outcome.rows],
    }


def _rows(rotation: str, record: Record, parties: Sequence[Party]) -> list[Row]:
    return [
        Row(
            rotation=rotation,
            party=party,
            readers=len(
                {each.reader for each in record.signed if each.reader.party == party.name}
            ),
            keys=len(_kids_accepted(record, party)),
            accepted=record.count(Verdict.ACCEPTED, party.name),
            rejected=record.count(Verdict.REJECTED, party.name),
            unanswered=record.count(Verdict.UNANSWERED, party.name),
            before=margin_before(record, party),
            after=margin_after(record, party.name),
        )
        for party in parties
    ]


def _complaints_about_ours(record: Record, parties: Sequence[Party]) -> list[str]:
    lost = Counter(
        f"{each.verdict} by {each.reader.name}, key {each.kid[:8]}: {each.why}"
        for each in record.judged
        if each.verdict is not Verdict.ACCEPTED
    )
    complaints = [f"ours: {count} {what}" for what, count in lost.items()]
    if len(record.signed) != len(record.judged):
        signed, judged = len(record.signed), len(record.judged)
        complaints.append(f"ours: {signed} assertions were signed, and {judged} judged")
    used = {*kids_in_order(record)[:-1]}  # whatever signed last cannot have been withdrawn
    if not any(gone.kid in used for gone in record.withdrawn):
        complaints.append("ours: no key that had signed was withdrawn: this was no rotation")
    for party in parties:
        complaints += _complaints_at(party, record)
    return complaints


def _complaints_at(party: Party, record: Record) -> list[str]:
    complaints = []
    if len(_kids_accepted(record, party)) < 2:  # noqa: PLR2004 - an old one and a new one
        complaints.append("accepted assertions of fewer than two keys: it saw no rotation")
    before, after = margin_before(record, party), margin_after(record, party.name)
    if before is None:
        complaints.append("never held a copy without a new key: nothing was put to the test")
    complaints += [
        f"had a margin of {_told(margin)}: this was luck"
        for margin in (before, after)
        if margin is not None and margin.by <= timedelta()
    ]
    return [f"ours: {party.name} {complaint}" for complaint in complaints]


def _complaints_about_naive(record: Record, parties: Sequence[Party]) -> list[str]:
    if any(record.count(Verdict.REJECTED, party.name) for party in parties):
        return []
    return ["naive: nobody refused the naive rotation, so that this run proves nothing"]


def _kids_accepted(record: Record, party: Party) -> set[str]:
    return {
        each.kid
        for each in record.judged
        if each.reader.party == party.name and each.verdict is Verdict.ACCEPTED
    }


def _least(margins: Iterable[Margin | None]) -> Margin | None:
    known = [margin for margin in margins if margin is not None]
    return min(known, key=lambda margin: margin.by, default=None)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.rotation,
        f"{row.party.name} {row.party.version}",
        str(row.readers),
        str(row.keys),
        str(row.accepted),
        str(row.rejected),
        str(row.unanswered),
        _seconds(row.before),
        _seconds(row.after),
    )


def _plain_row(row: Row) -> dict[str, Any]:
    return {
        "rotation": row.rotation,
        "party": row.party.name,
        "version": row.party.version,
        "readers": row.readers,
        "keys": row.keys,
        "accepted": row.accepted,
        "rejected": row.rejected,
        "unanswered": row.unanswered,
        "margin_before_seconds": None if row.before is None else row.before.by.total_seconds(),
        "margin_after_seconds": None if row.after is None else row.after.by.total_seconds(),
    }


def _rejected(outcome: Outcome, rotation: str) -> str:
    rejected = outcome.total(rotation, Verdict.REJECTED)
    unanswered = outcome.total(rotation, Verdict.UNANSWERED)
    count = rejected + unanswered + outcome.total(rotation, Verdict.ACCEPTED)
    lost = f" ({unanswered} more got no answer)" if unanswered else ""
    return f"{rejected} rejected of {count}{lost}"


def _seconds(margin: Margin | None) -> str:
    return "-" if margin is None else f"{margin.by.total_seconds():+.1f} s"


def _told(margin: Margin | None) -> str:
    if margin is None:
        return "none"
    return f"{_seconds(margin)} (key {margin.kid[:8]} at {margin.reader})"
