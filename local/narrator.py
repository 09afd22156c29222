"""Prints the story: colours on a terminal only, secrets shortened, everything else in full."""

import json
import os
from collections.abc import Mapping
from typing import Final, TextIO

_SHOWN: Final = 16
_STYLES: Final = {"step": "1;36", "good": "32", "bad": "1;31", "dim": "2", "name": "33"}


class Narrator:
    """Writes to one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = (
            stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        )

    def title(self, text: str) -> None:
        """Begin a part of the story."""
        self._line()
        self._line(self._styled("step", f"── {text} " + "─" * max(0, 76 - len(text))))

    def step(self, numbers: str, who: str, what: str) -> None:
        """Say what one party does now."""
        self._line()
        self._line(f"{self._styled('step', f'{numbers:>5}  {who}')}  {what}")

    def show(self, name: str, value: object) -> None:
        """Show a value under the last step; an object member by member."""
        if isinstance(value, Mapping):
            self._line(f"       {self._styled('name', name)}")
            for member, each in value.items():
                self._line(f"         {member:<22} {plain(each) or '(none)'}")
        else:
            self._line(f"       {self._styled('name', name)}  {plain(value)}")

    def good(self, text: str) -> None:
        """Say that something is as it should be."""
        self._line(f"       {self._styled('good', '✓')} {text}")

    def bad(self, text: str) -> None:
        """Say that something is not."""
        self._line(f"       {self._styled('bad', '✗')} {text}")

    def note(self, text: str) -> None:
        """Add a remark."""
        self._line(f"       {self._styled('dim', text)}")

    def _line(self, text: str = "") -> None:
        print(text, file=self._stream, flush=True)

    def _styled(self, style: str, text: str) -> str:
        return f"\033[{_STYLES[style]}m{text}\033[0m" if self._coloured else text


def plain(value: object) -> str:
    """Return a value as a person reads it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def shortened(secret: str) -> str:
    """Return enough of a secret to know it again, and too little to use it."""
    return f"{secret[:_SHOWN]}… ({len(secret)} characters)"
