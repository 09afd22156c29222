"""A file that always holds an assertion that is good for a while: written at once, kept fresh.

Whoever reads the file sees the old content or the new one, never a part of either (a temporary
file beside it is renamed), and nobody but its owner can (0600). An assertion is renewed after half
of its life at the latest; when none can be signed, or the file cannot be written, that is said and
tried again, first after a second, then after twice as long, up to a minute.

It waits in short pieces and looks at the clock after each: a machine that was asleep has a
monotonic clock that slept with it. What stands in the file when all ends is left there.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from machine_identity.client_assertion import SigningError
from machine_identity.errors import SettingsError

FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(minutes=1)
LONGEST_WAIT: Final = timedelta(seconds=10)
"""Without a look at the clock."""


class Stop(Protocol):
    """Says when to end; a ``threading.Event`` does."""

    def is_set(self) -> bool:
        """Whether it is time to end."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds, or until it is time to end, and return whether it is."""
        ...


class Clock(Protocol):
    """Time and chance; the module ``clock`` is one."""

    def now(self) -> datetime:
        """Return the present instant."""
        ...

    def chance(self) -> float:
        """Return a number from 0 up to, but not, 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshFile:
    """Keeps one file fresh."""

    path: Path
    lifetime: timedelta
    """Of an assertion."""
    sign: Callable[[datetime], str]
    """Returns a new one. Raises SigningError, or SettingsError if it can never work."""
    say: Callable[[str], None]
    clock: Clock

    def keep(self, stop: Stop) -> None:
        """Write, and write again, until it is time to end. Raises SettingsError."""
        pause, was_written = FIRST_PAUSE, False
        while not stop.is_set():
            now = self.clock.now()
            try:
                self.renew(now)
            except (SettingsError, SigningError) as error:
                if isinstance(error, SettingsError) and not was_written:
                    raise  # what was wrong from the start stays wrong; later a disk may be full
                wait, pause = self._backed_off(str(error), pause)
            else:
                wait, pause, was_written = self._rest(), FIRST_PAUSE, True
            self._wait_until(now + wait, now, stop)

    def renew(self, now: datetime) -> None:
        """Write an assertion that begins now. Raises SigningError, or SettingsError."""
        write(self.path, self.sign(now))
        until = now + self.lifetime
        self.say(f"an assertion is in {self.path}, good until {until:%Y-%m-%dT%H:%M:%SZ}")

    def _rest(self) -> timedelta:
        """Return how long it is left alone: many that began together do not renew together."""
        return self.lifetime / 2 * (1 - self.clock.chance() / 10)

    def _backed_off(self, why: str, pause: timedelta) -> tuple[timedelta, timedelta]:
        """Say why, and return how long to wait now and how long the next time."""
        wait = pause * (1 + self.clock.chance()) / 2
        self.say(f"no new assertion, the next try is in {wait.total_seconds():.1f} s: {why}")
        return wait, min(2 * pause, LONGEST_PAUSE)

    def _wait_until(self, end: datetime, since: datetime, stop: Stop) -> None:
        now = self.clock.now()
        while since <= now < end and not stop.is_set():  # a clock that went back ends the wait
            stop.wait(min(end - now, LONGEST_WAIT).total_seconds())
            now = self.clock.now()


def write(path: Path, text: str) -> None:
    """Put the text into the file at once, for its owner alone. Raises SettingsError."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None
