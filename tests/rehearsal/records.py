"""Records of rehearsals that never were, told in seconds."""

from datetime import UTC, datetime, timedelta

from rehearsal.record import (
    Fetched,
    Judged,
    Party,
    Reader,
    Record,
    Signed,
    Verdict,
    Withdrawn,
)

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
SERVER = Party(name="server", version="9.1", holds_copy_for=timedelta(seconds=60))
VERIFIER = Party(name="verifier", version="2.0", holds_copy_for=timedelta())
PARTIES = (SERVER, VERIFIER)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def reader(party: Party = SERVER, number: int = 0) -> Reader:
    return Reader(party=party.name, instance=str(number))


class Told:
    """A record that grows line by line."""

    def __init__(self) -> None:
        self.record = Record()

    def fetched(self, seconds: float, *kids: str, by: Reader | None = None) -> "Told":
        name = (by or reader()).name
        self.record.fetched.append(Fetched(at=at(seconds), reader=name, kids=frozenset(kids)))
        return self

    def used(
        self,
        seconds: float,
        kid: str,
        *,
        by: Reader | None = None,
        verdict: Verdict = Verdict.ACCEPTED,
        why: str = "",
    ) -> "Told":
        by = by or reader()
        self.record.signed.append(
            Signed(at=at(seconds), reader=by, kid=kid, expires_at=at(seconds + 10))
        )
        self.record.judged.append(Judged(reader=by, kid=kid, verdict=verdict, why=why))
        return self

    def withdrawn(self, seconds: float, kid: str) -> "Told":
        self.record.withdrawn.append(Withdrawn(at=at(seconds), kid=kid))
        return self
