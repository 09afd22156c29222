"""Draws the record of a run: all of it in days, and one rollover of it in hours.

A lane a key. A bar is a state, from the instant at which the key came into it to that of the next.
The line under it is what strangers saw, from the first fetch that showed the key to the last, with
every fetch between showing it. Each mark in a bar is an assertion that was accepted.

The picture is a function of the record and carries it as its metadata, so that anybody can draw it
again, byte for byte. Nothing is measured, rounded or left out to look well.
"""

from typing import Final

from local.life.drawing import Group
from local.life.lane import DAY, day, hatch, mark, span
from local.life.panels import EDGE, Lens, Whole
from local.life.record import Life

WIDTH: Final = 960
_COLUMNS: Final = (0, 245, 460, 690)
"""Of the legend, for the widest of the fonts."""


def draw(life: Life) -> str:
    """Return the picture, a document in SVG."""
    whole, lens = Whole(life=life), None
    for rollover in life.rollovers()[:1]:
        lens = Lens(life=life, rollover=rollover, top=whole.bottom + 44)
    height = (whole.bottom + EDGE - 8) if lens is None else lens.bottom + 16
    picture = Group.picture(WIDTH, height)
    _words(picture, life)
    picture.rect("paper", 0.5, 0.5, WIDTH - 1, height - 1, radius=8)
    picture.text("title", EDGE, 44, _title(life))
    picture.text("quiet", EDGE, 66, _subtitle(life))
    _legend(picture.group("legend"), life)
    if lens is not None:
        _window(picture, whole, lens)
        lens.drawn(picture.group("rollover"))
    whole.drawn(picture.group("life"))
    return picture.written()


def _words(picture: Group, life: Life) -> None:
    """Say in words what there is to see, and leave the record for who would draw it again."""
    picture.add("title", {"id": "title"}, _title(life))
    told = (
        f"Key {number}: " + ", ".join(f"{each.state} from {day(each.at)}" for each in key.turns)
        for number, key in enumerate(life.keys, start=1)
    )
    picture.add("desc", {"id": "desc"}, f"{_subtitle(life)} {'. '.join(told)}.")
    picture.add("metadata", {}, life.to_json())


def _title(life: Life) -> str:
    return f"The life of {len(life.keys)} keys over {life.until // DAY} days"


def _subtitle(life: Life) -> str:
    return (
        f"Recorded from a run of the embedded stack: provider {life.provider}, "
        f"a rollover every {span(life.waits.rotation_interval)}; "
        f"{life.accepted:,} assertions accepted, {life.refused:,} refused."
    )


def _legend(group: Group, life: Life) -> None:
    places = [(EDGE + x, y) for y in (98, 122) for x in _COLUMNS]
    entries = (
        ("standby", "standby, signs nothing yet"),
        ("active", "active, signs"),
        ("retired", "retired, signs no more"),
        ("removed", "removed, then deleted"),
        ("standby", f"must not sign for {span(life.waits.publication_interval)}"),
        ("active", "an accepted assertion"),
    )
    for (x, y), (state, words) in zip(places, entries, strict=False):
        group.rect(f"bar {state}", x, y - 11, 28, 14)
        group.text("", x + 36, y, words)
    hatch(group, places[4][0], places[4][1] - 11, 28, 14)
    for count in range(1, 5):
        mark(group, places[5][0] + count * 28 / 5, places[5][1] - 13, 18)
    x, y = places[6]
    group.line("public", x, y - 4, x + 28, y - 4)
    group.dot("fetch", x + 14, y - 4, 2.6)
    group.text("", x + 36, y, "public: in the key set, as a stranger fetched it")


def _window(picture: Group, whole: Whole, lens: Lens) -> None:
    """Show which part of the whole the lens makes large."""
    left, right = (whole.scale.x(at) for at in (lens.scale.begins_at, lens.scale.ends_at))
    wide, top, foot = 14, lens.top - 8, lens.bottom
    outline = (
        (left, whole.top - 10),
        (right, whole.top - 10),
        (right, whole.bottom + 2),
        (WIDTH - wide, top),
        (WIDTH - wide, foot),
        (wide, foot),
        (wide, top),
        (left, whole.bottom + 2),
    )
    picture.path("window", *outline)
