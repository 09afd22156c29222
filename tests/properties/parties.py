"""Those who have our key set: providers, and copies in nobody's hands that anybody may be given.

Each is as unlucky as its bound allows: it fetches a moment before the set changes, through copies
that are as old as may be, and keeps what it got as long as it may.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The key set from an instant on; None if the bucket held none that can be served."""

    at: datetime
    kids: frozenset[str] | None
    max_age: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """An old set in the hands of a provider that got it at the last moment."""

    kids: frozenset[str]
    until: datetime
    needs_bound: timedelta
    """The promise is about this copy as long as the bound in force is at least that."""


@dataclass(slots=True, kw_only=True)
class Provider:
    """An authorization server: what it has of our key set, and when it asks for it anew."""

    cache: timedelta
    honours_max_age: bool
    refetches: bool
    lag: timedelta
    """How old a copy the caches on the way give it."""
    held: Shown | None = None
    fetched_at: datetime | None = None

    def accepts(self, kid: str, now: datetime, fetch: Callable[[timedelta], Shown]) -> bool:
        """Whether an assertion by that key is accepted at this instant."""
        if self._is_stale(now):
            self._fetch(now, fetch)
        if self.refetches and not self._has(kid):
            self._fetch(now, fetch)
        return self._has(kid)

    def _has(self, kid: str) -> bool:
        """Whether the key is in its copy; one that could get no set has none to judge by."""
        return self.held is None or self.held.kids is None or kid in self.held.kids

    def _fetch(self, now: datetime, fetch: Callable[[timedelta], Shown]) -> None:
        shown = fetch(self.lag)
        if shown.kids is not None or self._is_stale(now):
            self.held, self.fetched_at = shown, now

    def _is_stale(self, now: datetime) -> bool:
        life = self.held.max_age if self.honours_max_age and self.held else self.cache
        return self.fetched_at is None or now > self.fetched_at + life
