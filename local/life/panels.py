"""The two panels of the picture: the whole run in days, and one rollover of it in hours.

Each lays out its lanes on a scale of its own, and knows where it ends.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from local.life.drawing import Group, Scale
from local.life.lane import DAY, HOUR, Lane, span
from local.life.record import Life, Rollover

LEFT: Final = 88
RIGHT: Final = 930
EDGE: Final = 30
"""Of the paper, to what is on it."""
AROUND: Final = timedelta(hours=8)
"""What the lens shows before a rollover, and after the end of its last wait."""
_MOST_TICKS: Final = 16
_STEPS: Final = (1, 2, 4, 6, 10, 12, 24, 30, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The whole run, in days."""

    life: Life
    top: float = 154
    pitch: float = 42

    @property
    def scale(self) -> Scale:
        """What of the run it shows, and where."""
        return Scale(begins_at=timedelta(), ends_at=self.life.until, left=LEFT, right=RIGHT)

    @property
    def foot(self) -> float:
        """Its lower edge, where the axis is."""
        return self.top + self.pitch * len(self.life.keys)

    @property
    def bottom(self) -> float:
        """Where the writing on its axis ends."""
        return self.foot + 24

    def drawn(self, group: Group) -> None:
        """Draw all of it."""
        axis = _Axis(scale=self.scale, top=self.top, foot=self.foot, unit=DAY, words="days")
        axis.drawn(group)
        lanes = [self._lane(group, number) for number in range(len(self.life.keys))]
        for lane in lanes:
            lane.bars()
            lane.names()
            lane.seen(below=6)
        for each in self.life.rollovers():
            _handover(group, self.scale.x(each.at), lanes[each.old].foot, lanes[each.new].y)

    def _lane(self, group: Group, number: int) -> Lane:
        return Lane(
            group=group.group(f"key-{number + 1}"),
            life=self.life,
            number=number,
            scale=self.scale,
            left=EDGE,
            y=self.top + self.pitch * number,
            height=20,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """One rollover, in hours."""

    life: Life
    rollover: Rollover
    top: float
    pitch: float = 72

    @property
    def scale(self) -> Scale:
        """What of the run it shows, and where."""
        begins_at, ends_at = self.rollover.at - AROUND, self.rollover.removed_at + AROUND
        return Scale(begins_at=begins_at, ends_at=ends_at, left=LEFT, right=RIGHT)

    @property
    def keys(self) -> tuple[int, ...]:
        """The keys that are more than a memory while it lasts."""
        scale = self.scale
        return tuple(
            number
            for number, key in enumerate(self.life.keys)
            for bar in self.life.bars(key)[:1]
            if scale.overlaps(bar.begins_at, key.came_into("removed") or self.life.until)
        )

    @property
    def foot(self) -> float:
        """Its lower edge, where the axis is."""
        return self.top + 54 + self.pitch * len(self.keys)

    @property
    def bottom(self) -> float:
        """Where the writing on its axis ends."""
        return self.foot + 34

    def drawn(self, group: Group) -> None:
        """Draw all of it."""
        old, new = self.rollover.old + 1, self.rollover.new + 1
        words = f"Day {self.rollover.at // DAY}, hour by hour: key {new} takes over from key {old}"
        group.text("heading", EDGE, self.top + 20, words)
        axis = _Axis(
            scale=self.scale,
            top=self.top + 46,
            foot=self.foot,
            unit=HOUR,
            words="hours",
            zero=self.rollover.at,
        )
        axis.drawn(group)
        lanes = {number: self._lane(group, place) for place, number in enumerate(self.keys)}
        for lane in lanes.values():
            lane.bars()
            lane.names(but="active")  # whose marks tell
            lane.seen(below=7)
            lane.looks(below=7)
            self._waits(lane)
        at, from_, to = self.rollover.at, lanes[self.rollover.old], lanes[self.rollover.new]
        _handover(group, self.scale.x(at), from_.foot, to.y)

    def _lane(self, group: Group, place: int) -> Lane:
        number = self.keys[place]
        return Lane(
            group=group.group(f"rollover-key-{number + 1}"),
            life=self.life,
            number=number,
            scale=self.scale,
            left=EDGE,
            y=self.top + 46 + self.pitch * place,
            height=26,
        )

    def _waits(self, lane: Lane) -> None:
        """Write under a key what it waits for, or has waited for."""
        waits, at = self.life.waits, self.rollover.at
        standby_at = lane.key.came_into("standby") or timedelta()
        publication, retire = waits.publication_interval, waits.retire_interval
        if lane.number == self.rollover.old:
            words = f"retire interval, {span(retire)}: public, though it signs no more (rule 3)"
            lane.wait(at, retire, 21, words)
        elif lane.number == self.rollover.new:
            words = f"public for {span(at - standby_at)} before it signs (rule 1)"
            lane.wait(standby_at, at - standby_at, 21, words)
        else:
            words = f"publication interval, {span(publication)}: public, must not sign (rule 1)"
            lane.wait(standby_at, publication, 21, words)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """A scale made visible, in whole units from an instant."""

    scale: Scale
    top: float
    foot: float
    unit: timedelta
    words: str
    zero: timedelta = timedelta()

    def drawn(self, group: Group) -> None:
        scale, zero = self.scale, self.zero
        shown = (scale.ends_at - scale.begins_at) / self.unit
        fit = (step for step in _STEPS if shown / step <= _MOST_TICKS)
        step = next(fit, _STEPS[-1]) * self.unit
        group.line("axis", scale.left, self.foot, scale.right, self.foot)
        first, last = -((zero - scale.begins_at) // step), (scale.ends_at - zero) // step
        for count in range(first, last + 1):
            x = scale.x(zero + count * step)
            group.line("grid", x, self.top - 10, x, self.foot)
            group.line("axis", x, self.foot, x, self.foot + 4)
            group.text("quiet", x, self.foot + 18, _count(count * step // self.unit), "middle")
        group.text("quiet", EDGE, self.foot + 18, self.words)


def _count(number: int) -> str:
    return f"{number}".replace("-", "\N{MINUS SIGN}")


def _handover(group: Group, x: float, top: float, foot: float) -> None:
    group.line("handover", x, top, x, foot - 6)
    group.path("head", (x - 4, foot - 7), (x + 4, foot - 7), (x, foot))
