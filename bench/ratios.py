"""Ratio of minima, and its spread: what can be said about speed on a machine that others share.

Whatever disturbs a run makes it slower and never faster, so the fastest of many rounds is the one
that was disturbed least. The spread is the same ratio in each tenth of the run. The ratio of the
whole always lies within it, and a wide one says that the machine was busy, or changed its pace.

Nothing here knows what was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

PARTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How long one thing takes, in units of another: least to least."""

    value: float
    low: float
    """The smallest ratio of minima of any tenth of the run."""
    high: float
    """And the largest."""

    @classmethod
    def of(cls, samples: Sequence[float], base: Sequence[float]) -> Self:
        """Compare samples that were taken in the same rounds, in the order of the rounds.

        Raises ValueError if they were not, or if there are fewer than ten.
        """
        if len(samples) != len(base) or len(base) < PARTS:
            raise ValueError(f"{len(samples)} and {len(base)} samples: need the same, and {PARTS}")
        parts = [
            min(ours) / min(theirs)
            for ours, theirs in zip(_parts(samples), _parts(base), strict=True)
        ]
        return cls(value=min(samples) / min(base), low=min(parts), high=max(parts))

    def __str__(self) -> str:
        return f"{_short(self.value)} ({_short(self.low)} to {_short(self.high)})"


def _parts(samples: Sequence[float]) -> list[Sequence[float]]:
    edges = [len(samples) * number // PARTS for number in range(PARTS + 1)]
    return [samples[start:end] for start, end in pairwise(edges)]


def _short(ratio: float) -> str:
    """Write three digits at least: more would be noise."""
    return f"{ratio:.3f}" if ratio < 1 else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"  # noqa: PLR2004 - digits
