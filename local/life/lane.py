"""The lane of one key in a picture: its bars, what was seen of it, and what it waits for."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Final

from local.life.drawing import Group, Scale
from local.life.record import Bar, KeyLife, Life, Span

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
_LETTER: Final = 7.2
"""How wide a letter is at the most, on average: fonts differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Where a key is drawn, and on which scale."""

    group: Group
    life: Life
    number: int
    """Of the key, from 0."""
    scale: Scale
    left: float
    """Where the key's name stands."""
    y: float
    height: float

    @property
    def key(self) -> KeyLife:
        """The key whose lane it is."""
        return self.life.keys[self.number]

    @property
    def foot(self) -> float:
        """The lower edge of the bars."""
        return self.y + self.height

    def bars(self) -> None:
        """Draw the key's name and its states, and hatch the wait before it may sign."""
        name = f"key {self.number + 1}"
        self.group.text("key", self.left, self.y + self.height / 2 + 5, name)
        for bar in self.life.bars(self.key):
            if self.scale.overlaps(bar.begins_at, bar.ends_at):
                left, right = self.scale.x(bar.begins_at), self.scale.x(bar.ends_at)
                kind = f"bar {bar.state}"
                drawn = self.group.rect(kind, left, self.y, right - left, self.height)
                drawn.add("title", {}, f"{name}, {_told(bar)}")
                if (plain := self.scale.x(self._plain_from(bar))) > left:
                    hatch(self.group, left, self.y, plain - left, self.height)

    def names(self, *, but: str = "") -> None:
        """Write into each bar what it is, where there is room, but not into those of one state."""
        count = len(self.life.looks_in(self.key.signed))
        for bar in (each for each in self.life.bars(self.key) if each.state != but):
            told = f"active: {count:,} assertions" if bar.state == "active" else bar.state
            left, right = self.scale.x(self._plain_from(bar)), self.scale.x(bar.ends_at)
            fits = (each for each in (told, bar.state) if right - left > _LETTER * len(each) + 8)
            place = (left + right) / 2, self.y + self.height / 2 + 4
            for words in islice(fits, 1):
                self.group.text(f"on-{bar.state}", *place, words, "middle")

    def seen(self, below: float) -> None:
        """Draw under the bars from when to when strangers saw the key in the set."""
        for each in self.key.public:
            if self.scale.overlaps(each.first, each.last):
                left, right = self.scale.x(each.first), self.scale.x(each.last)
                self.group.line("public", left, self.foot + below, right, self.foot + below)

    def looks(self, below: float) -> None:
        """Draw each look: a mark for an assertion of this key, a dot for its being in the set."""
        for at in self._instants(self.key.signed):
            mark(self.group, self.scale.x(at), self.y, self.height)
        for at in self._instants(self.key.public):
            self.group.dot("fetch", self.scale.x(at), self.foot + below, 2.6)

    def wait(self, begins_at: timedelta, interval: timedelta, below: float, words: str) -> None:
        """Draw how long a wait is, as a draughtsman does."""
        ends_at, y = begins_at + interval, self.foot + below
        left, right = self.scale.x(begins_at), self.scale.x(ends_at)
        self.group.line("wait", left, y, right, y)
        for end in filter(self.scale.shows, (begins_at, ends_at)):
            self.group.line("wait", self.scale.x(end), y - 4, self.scale.x(end), y + 4)
        self.group.text("note", left + 8, y + 16, words)

    def _instants(self, spans: tuple[Span, ...]) -> list[timedelta]:
        return [at for at in self.life.looks_in(spans) if self.scale.shows(at)]

    def _plain_from(self, bar: Bar) -> timedelta:
        """Return where a bar's hatched part ends: the wait before a standby key may sign."""
        if bar.state != "standby":
            return bar.begins_at
        return min(bar.begins_at + self.life.waits.publication_interval, bar.ends_at)


def mark(group: Group, x: float, y: float, height: float) -> None:
    """Draw the mark of an assertion."""
    group.line("signature", x, y + 5, x, y + height - 5)


def hatch(group: Group, x: float, y: float, width: float, height: float) -> None:
    """Draw slanting lines in a rectangle, cut where they would leave it."""
    start = x - height
    while (start := start + 4) < x + width:
        over, beyond = max(x - start, 0), max(start + height - x - width, 0)
        group.line("hatch", start + over, y + height - over, start + height - beyond, y + beyond)


def span(duration: timedelta) -> str:
    """Return a duration as one says it: from two days on in days, else in hours and minutes."""
    days, rest = divmod(duration, DAY) if duration >= 2 * DAY else (0, duration)
    parts = ((days, "days"), (rest // HOUR, "h"), (rest % HOUR // MINUTE, "min"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 min"


def day(at: timedelta) -> str:
    """Return an instant as the day of the run that it lies in."""
    return f"day {at / DAY:.1f}"


def _told(bar: Bar) -> str:
    lasted = span(bar.ends_at - bar.begins_at)
    return f"{bar.state}: {day(bar.begins_at)} to {day(bar.ends_at)} ({lasted})"
