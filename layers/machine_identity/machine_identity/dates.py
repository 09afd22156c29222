"""How far our clock is from that of a server, told by the headers of its answer (rule 11).

``Date`` is when the answer was made, in whole seconds (RFC 9110 section 6.6.1); ``Age`` is how
long caches have had it since, as they reckon (RFC 9111 section 5.1). So the server's time is known
as an interval, and ours as the one between the question and the answer: only what lies between
the two is an error, and neither a slow answer nor the fraction of a second counts as one.

Nothing is concluded from it here, and a server that tells no time is not asked again.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_SECOND: Final = timedelta(seconds=1)
_OLDEST: Final = 2**31
"""What a cache says for an age that it cannot represent (RFC 9111 section 1.2.2)."""
_ZERO: Final = timedelta()


def instant(date: str | None, age: str | None = None) -> tuple[datetime, datetime] | None:
    """Return between which two instants the server answered; None if it does not say."""
    try:
        made_at = parsedate_to_datetime(date or "").astimezone(UTC)
        waited = timedelta(seconds=min(int(age or 0), _OLDEST))
        first = made_at + waited
    except (ValueError, OverflowError):
        return None
    return first, first + (_SECOND if age is None else 2 * _SECOND)


def clock_error(
    told: tuple[datetime, datetime] | None, *, asked_at: datetime, answered_at: datetime
) -> timedelta | None:
    """Return by how much our clock is ahead, less than zero if it is behind; None if untold."""
    if told is None:
        return None
    earliest, latest = told
    if asked_at > latest:
        return asked_at - latest
    return min(answered_at - earliest, _ZERO)


def worst(errors: Iterable[timedelta | None]) -> timedelta | None:
    """Return the error that is furthest from none, of those that were told."""
    return max((each for each in errors if each is not None), key=abs, default=None)
