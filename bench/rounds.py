"""Rounds in which everyone has a turn, so that a slow moment of the machine hits all alike.

Whose turn is first moves on from round to round, and once everyone was first they go backwards for
as many rounds: nobody always comes after the same one, who may leave the caches cold.
"""

import time
from collections.abc import Callable, Mapping, Sequence

type Turn[T] = Callable[[], T]
"""Does its work once and returns what that took."""


def interleaved[T](turns: Mapping[str, Turn[T]], rounds: int) -> dict[str, list[T]]:
    """Return what each turn returned, once for each round, in the order of the rounds."""
    samples: dict[str, list[T]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in order(tuple(turns), number):
            samples[name].append(turns[name]())
    return samples


def order(names: Sequence[str], number: int) -> list[str]:
    """Return who comes after whom in the round of this number."""
    start = number % len(names)
    turned = [*names[start:], *names[:start]]
    return turned[::-1] if number // len(names) % 2 else turned


def timed[T](action: Callable[[T], object], pieces: Sequence[T]) -> float:
    """Return the seconds that ``action`` takes for one piece, on average over all of them."""
    begin = time.perf_counter()
    for piece in pieces:
        action(piece)
    return (time.perf_counter() - begin) / len(pieces)
