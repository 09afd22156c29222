"""What happens in the stack, as it happens: one moment after the other, for whoever looks on.

A moment is what one party of the story did: the gateway took a request, the authorizer decided,
the authorization server judged an assertion. Nothing here is kept, written or logged: a moment
holds what travels between the parties, tokens included, and is for the eyes of the one who runs
the stack.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that one party did."""

    what: str
    details: Mapping[str, Any] = field(repr=False)


type Trace = Callable[[Moment], None]


class Watchers:
    """Passes each moment on to all who watch."""

    def __init__(self) -> None:
        self._watchers: list[Trace] = []

    def __call__(self, moment: Moment) -> None:
        """Tell all of them."""
        for watcher in tuple(self._watchers):
            watcher(moment)

    def add(self, watcher: Trace) -> None:
        """Let ``watcher`` see every moment from now on."""
        self._watchers.append(watcher)
