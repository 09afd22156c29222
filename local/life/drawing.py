"""What a picture in SVG is made of: shapes, text, a scale of time, and the style for both modes.

Self-contained: no script, no font and no image from elsewhere. Colours are classes, and a reader
whose system is dark gets the dark ones; the paper is part of the picture, since the page around it
may be of the other mode. The elements are built and not written, so that text cannot break out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self
from xml.etree import ElementTree as ET  # nosec B405 # it writes XML and reads none

_FONT: Final = 'system-ui, -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif'
_ALIKE: Final = """
text { font-family: FONT; font-size: 13px }
.title { font-size: 20px; font-weight: 600 }
.heading { font-size: 15px; font-weight: 600 }
.key { font-weight: 600 }
.note { paint-order: stroke; stroke-width: 4; stroke-linejoin: round }
.bar { stroke-width: 1 }
.removed { stroke-dasharray: 3 3 }
.public { stroke-width: 2.5; stroke-linecap: round }
.wait { stroke-width: 1.2; fill: none }
.signature { stroke-width: 1.4; stroke-linecap: round }
.handover { stroke-width: 1.6; fill: none }
""".replace("FONT", _FONT)
_COLOURS: Final = (
    # selector, property, light, dark
    (".paper", "fill", "#ffffff", "#0d1117"),
    (".paper, .window", "stroke", "#d1d9e0", "#3d444d"),
    (".window", "fill", "#f6f8fa", "#151b23"),
    ("text", "fill", "#1f2328", "#f0f6fc"),
    (".quiet", "fill", "#59636e", "#9198a1"),
    (".grid", "stroke", "#e3e8ed", "#232a33"),
    (".axis", "stroke", "#818b98", "#656c76"),
    (".standby", "fill", "#d6e8ff", "#132c4f"),
    (".standby", "stroke", "#54a0f7", "#3372c4"),
    (".active", "fill", "#0969da", "#1f6feb"),
    (".active", "stroke", "#0969da", "#1f6feb"),
    (".retired", "fill", "#f5c04a", "#d29922"),
    (".retired", "stroke", "#c08a10", "#e3b341"),
    (".removed", "fill", "none", "none"),
    (".removed", "stroke", "#afb8c1", "#565e68"),
    (".on-standby", "fill", "#0a3069", "#b6d8ff"),
    (".on-active", "fill", "#ffffff", "#ffffff"),
    (".on-retired", "fill", "#3b2a00", "#1c1200"),
    (".on-removed", "fill", "#59636e", "#9198a1"),
    (".note", "stroke", "#f6f8fa", "#151b23"),
    (".hatch", "stroke", "#0550ae", "#79c0ff"),
    (".public", "stroke", "#1a7f5a", "#3fb68b"),
    (".fetch", "fill", "#1a7f5a", "#3fb68b"),
    (".signature", "stroke", "#ffffff", "#ffffff"),
    (".wait, .handover", "stroke", "#1f2328", "#f0f6fc"),
    (".head", "fill", "#1f2328", "#f0f6fc"),
)
STYLE: Final = (
    _ALIKE
    + "".join(f"{where} {{ {what}: {light} }}\n" for where, what, light, _ in _COLOURS)
    + "@media (prefers-color-scheme: dark) {\n"
    + "".join(f"{where} {{ {what}: {dark} }}\n" for where, what, _, dark in _COLOURS)
    + "}\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where an instant lies between left and right."""

    begins_at: timedelta
    ends_at: timedelta
    left: float
    right: float

    def x(self, at: timedelta) -> float:
        """Return the place of an instant; one that lies outside is put on the edge."""
        inside = min(max(at, self.begins_at), self.ends_at)
        share = (inside - self.begins_at) / (self.ends_at - self.begins_at)
        return self.left + share * (self.right - self.left)

    def shows(self, at: timedelta) -> bool:
        """Whether an instant lies inside."""
        return self.begins_at <= at <= self.ends_at

    def overlaps(self, begins_at: timedelta, ends_at: timedelta) -> bool:
        """Whether some part of a span of time lies inside."""
        return begins_at < self.ends_at and ends_at > self.begins_at


@dataclass(frozen=True, slots=True)
class Group:
    """An element that shapes are put into, one upon the other."""

    element: ET.Element

    @classmethod
    def picture(cls, width: float, height: float) -> Self:
        """Return an empty picture with its style."""
        members = {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {number(width)} {number(height)}",
            "role": "img",
            "aria-labelledby": "title desc",
        }
        picture = cls(ET.Element("svg", members))
        picture.add("style", {}, STYLE)
        return picture

    def group(self, name: str) -> "Group":
        """Return a new group inside this one; ``name`` is its ID."""
        return Group(self.add("g", {"id": name}))

    def rect(  # noqa: PLR0913, PLR0917 - a rectangle is that
        self, kind: str, x: float, y: float, width: float, height: float, radius: float = 0
    ) -> "Group":
        """Draw a rectangle, which may be given a title."""
        place = {"x": x, "y": y, "width": width, "height": height}
        corners = {"rx": number(radius)} if radius else {}
        numbers = {name: number(each) for name, each in place.items()}
        return Group(self.add("rect", {"class": kind, **numbers, **corners}))

    def line(self, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
        """Draw a straight line."""
        place = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
        self.add("line", {"class": kind, **{name: number(n) for name, n in place.items()}})

    def dot(self, kind: str, x: float, y: float, radius: float) -> None:
        """Draw a filled circle."""
        place = {"cx": number(x), "cy": number(y), "r": number(radius)}
        self.add("circle", {"class": kind, **place})

    def path(self, kind: str, *points: tuple[float, float]) -> None:
        """Draw a closed figure."""
        corners = " L ".join(f"{number(x)} {number(y)}" for x, y in points)
        self.add("path", {"class": kind, "d": f"M {corners} Z"})

    def text(self, kind: str, x: float, y: float, words: str, anchor: str = "start") -> None:
        """Write words; the anchor is start, middle or end."""
        place = {"x": number(x), "y": number(y), "text-anchor": anchor}
        self.add("text", {"class": kind, **place}, words)

    def add(self, name: str, members: Mapping[str, str], words: str | None = None) -> ET.Element:
        """Append an element, and return it."""
        element = ET.SubElement(self.element, name, dict(members))
        element.text = words
        return element

    def written(self) -> str:
        """Return the document, an element a line."""
        ET.indent(self.element)
        # In ASCII, so that no terminal and no locale can change it.
        written: bytes = ET.tostring(self.element, encoding="us-ascii", xml_declaration=False)
        return written.decode() + "\n"


def number(value: float) -> str:
    """Return a coordinate, to a hundredth and no longer than it must be."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
