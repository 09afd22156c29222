"""A store that is asked the time by the way: each document bears the date of its answer (rule 11).

What its dates say is collected, and judged by nobody here.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from machine_identity import dates
from machine_identity.aws.s3 import Document
from machine_identity.rotation.world import Store


class DatedStore:
    """A Store, and how far our clock was ahead at each of its answers."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self.clock_errors: list[timedelta | None] = []

    def read(self, key: str) -> Document | None:
        """Return the document, if there is one. Raises AwsError."""
        asked_at = self._clock()
        document = self._store.read(key)
        told = None if document is None else dates.instant(document.date)
        error = dates.clock_error(told, asked_at=asked_at, answered_at=self._clock())
        self.clock_errors.append(error)
        return document

    def has_history(self, key: str) -> bool:
        """Return whether the document was ever there. Raises AwsError."""
        return self._store.has_history(key)

    def write(
        self, key: str, body: bytes, *, expected: str | None, cache_control: str | None = None
    ) -> str:
        """Replace the version ``expected``. Raises ConflictError, AwsError."""
        return self._store.write(key, body, expected=expected, cache_control=cache_control)
