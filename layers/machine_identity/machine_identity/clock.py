"""The one door to time and to randomness.

Everything else takes ``now`` and identifiers as arguments; ruff refuses the calls below anywhere
else. Callers write ``clock.now()``, never ``from clock import now``, so that the embedded stack
can move the time of a whole process by replacing one name. Nothing here is switched by a
variable or a header: deployed code cannot be told another time.
"""

import os
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


def unique() -> str:
    """Return an identifier that has never been used before (122 random bits, RFC 9562)."""
    from uuid import uuid4  # noqa: PLC0415 - who never asks for one need not know how

    return str(uuid4())


def chance() -> float:
    """Return a number from 0 up to, but not, 1, each as likely as any other (53 random bits).

    From the system, so that two environments thawed from one snapshot do not draw alike.
    """
    return (int.from_bytes(os.urandom(7)) >> 3) / 2**53
