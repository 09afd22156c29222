"""Secret documents in files of one folder, for machines without AWS.

A file is its owner's alone (0600, in a folder of 0700): one that others could read is refused, not
read. A write goes to a file beside it, to the disk, and then takes its place in one step, so what
stands there is always whole. Writers on one machine wait for each other at a lock; a tag is the
digest of the content, which never recurs since every record has a revision.

Not for folders that several machines mount: there the lock may be none.
"""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from machine_identity.client_registration.record import Kept, StoreError
from machine_identity.errors import ConflictError

_OWNER_ONLY: Final = 0o600
_FOLDER: Final = 0o700
_OTHERS: Final = 0o077


class SecretFiles:
    """The documents of one folder, each in a file of its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> Kept | None:
        """Return the document, or None if there is none. Raises StoreError."""
        path = self._path(name)
        with _told(path):
            try:
                with path.open("rb") as file:
                    if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _OTHERS:
                        raise StoreError(f"{path} may be read by others: chmod 600 {path}")
                    content = file.read()
            except FileNotFoundError:
                return None
            return Kept(body=content.decode(), tag=hashlib.sha256(content).hexdigest())

    def write(self, name: str, body: str, *, expected: str | None) -> str:
        """Write if the content that stands there has the tag ``expected`` (None: no file).

        Returns the new tag. Raises ConflictError, or StoreError when the file cannot be written.
        """
        path = self._path(name)
        with self._locked(path):
            standing = self.read(name)
            if (None if standing is None else standing.tag) != expected:
                raise ConflictError(f"{path} was written by somebody else at the same time")
            _replace(path, body.encode())
        return hashlib.sha256(body.encode()).hexdigest()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        with _told(path):
            self._folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            lock = os.open(path.with_suffix(".lock"), flags, _OWNER_ONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)


def _replace(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of the file, or leave the file as it is."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)  # of a run that died; nobody else is here
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, _OWNER_ONLY), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # the new name, too, is on the disk
    finally:
        os.close(folder)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise StoreError(f"{path} cannot be used: {reason}") from error
