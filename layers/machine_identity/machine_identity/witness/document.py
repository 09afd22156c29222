"""The testimony of one identity in the private store, replaced only as it was read (rule 6)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from machine_identity import testimony as testimonies
from machine_identity.errors import ConflictError
from machine_identity.testimony import NewerTestimonyError, Testimony, TestimonyError
from machine_identity.witness.world import Store

_ATTEMPTS: Final = 3
"""A conflict is lost to another process of ours, and what that one wrote is taken in."""


class TestimonyDocument:
    """What the signer saw; every verb may raise AwsError and NewerTestimonyError."""

    __test__ = False

    def __init__(self, store: Store, *, identity: str) -> None:
        self._store = store
        self._key = testimonies.object_key(identity)

    def read(self) -> Testimony:
        """Return what stands there; an empty one for none, or for one that somebody broke."""
        return self._read()[0]

    def change(self, change: Callable[[Testimony], Testimony]) -> Testimony:
        """Write what ``change`` makes of it, with the next revision; nothing if nothing changed.

        Raises ConflictError when others keep writing at the same time.
        """
        for _ in range(_ATTEMPTS):
            standing, tag = self._read()
            after = change(standing)
            if after == standing:
                return standing
            after = replace(after, revision=standing.revision + 1)
            try:
                self._store.write(self._key, testimonies.serialise(after), expected=tag)
            except ConflictError:
                continue
            return after
        raise ConflictError("the testimony is written by others all the time")

    def _read(self) -> tuple[Testimony, str | None]:
        document = self._store.read(self._key)
        if document is None:
            return Testimony(), None
        try:
            return testimonies.parse(document.body), document.tag
        except NewerTestimonyError:
            raise
        except TestimonyError:
            return Testimony(), document.tag
