"""The record of one run: each key's states and when it was seen, in JSON and back.

Keys go by their order and times are counted from the first key's beginning in whole minutes, so
that two runs of the same code give the same bytes. Nothing is judged here, and nothing is filled
in: a state that no look came upon is not there.
"""

import json
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Final, Self

MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """The intervals of the run's policy."""

    rotation_interval: timedelta
    publication_interval: timedelta
    retire_interval: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A key came into a state."""

    state: str
    at: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From one look to another, and at every look between them."""

    first: timedelta
    last: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A state of a key, from when to when."""

    state: str
    begins_at: timedelta
    ends_at: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    """One key, by its number, takes over from another, which leaves the set in the end."""

    at: timedelta
    old: int
    new: int
    removed_at: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLife:
    """One key: its states, and when it was seen to be public and to sign."""

    turns: tuple[Turn, ...]
    public: tuple[Span, ...]
    """While the public URL showed it."""
    signed: tuple[Span, ...]
    """While the assertion of each look was its own, and accepted."""
    deleted_at: timedelta | None
    """When KMS deleted it; None if that is still to come."""

    def came_into(self, state: str) -> timedelta | None:
        """Return when it came into a state, or None if it was never seen there."""
        return next((turn.at for turn in self.turns if turn.state == state), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One run."""

    provider: str
    looks: tuple[timedelta, ...]
    """When somebody looked; every span begins and ends with one."""
    waits: Waits
    accepted: int
    """Assertions that the authorization server accepted, those of the canary among them."""
    refused: int
    keys: tuple[KeyLife, ...]
    """In the order in which they were made."""

    @property
    def until(self) -> timedelta:
        """The last look."""
        return self.looks[-1]

    def bars(self, key: KeyLife) -> tuple[Bar, ...]:
        """Return what a key went through; its last state goes on until it is deleted, or now."""
        ends = [*(turn.at for turn in key.turns[1:]), key.deleted_at or self.until]
        return tuple(
            Bar(state=turn.state, begins_at=turn.at, ends_at=end)
            for turn, end in zip(key.turns, ends, strict=True)
        )

    def rollovers(self) -> tuple[Rollover, ...]:
        """Return the rollovers whose old key was also removed in this run, the first one first."""
        began = {key.came_into("active"): number for number, key in enumerate(self.keys)}
        return tuple(
            Rollover(at=at, old=number, new=began[at], removed_at=removed_at)
            for number, key in enumerate(self.keys)
            if (at := key.came_into("retired")) is not None
            and (removed_at := key.came_into("removed")) is not None
            and at in began
        )

    def looks_in(self, spans: tuple[Span, ...]) -> tuple[timedelta, ...]:
        """Return the looks at which that was so of which these are the spans."""
        within = (at for at in self.looks if any(s.first <= at <= s.last for s in spans))
        return tuple(within)

    def to_json(self) -> str:
        """Return the record as one line of JSON; times are whole minutes."""
        return json.dumps(_plain(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote. Raises KeyError, TypeError or ValueError for other text."""
        members = json.loads(text)
        return cls(
            provider=members["provider"],
            looks=tuple(each * MINUTE for each in members["looks"]),
            waits=Waits(**{name: each * MINUTE for name, each in members["waits"].items()}),
            accepted=members["accepted"],
            refused=members["refused"],
            keys=tuple(_key(each) for each in members["keys"]),
        )


def _plain(value: object) -> object:
    match value:
        case timedelta():
            return value // MINUTE
        case tuple():
            return [_plain(each) for each in value]
        case Life() | Waits() | KeyLife() | Turn() | Span():
            return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case _:
            return value


def _key(members: Any) -> KeyLife:  # noqa: ANN401 - any JSON
    deleted = members["deleted_at"]
    return KeyLife(
        turns=tuple(
            Turn(state=each["state"], at=each["at"] * MINUTE) for each in members["turns"]
        ),
        public=_spans(members["public"]),
        signed=_spans(members["signed"]),
        deleted_at=None if deleted is None else deleted * MINUTE,
    )


def _spans(several: Any) -> tuple[Span, ...]:  # noqa: ANN401 - any JSON
    return tuple(
        Span(first=each["first"] * MINUTE, last=each["last"] * MINUTE) for each in several
    )
