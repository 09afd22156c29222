import time
from collections import Counter
from functools import partial

import pytest

from bench.rounds import interleaved, order, timed

NAMES = ("a", "b", "c", "d")


def test_everyone_has_one_turn_in_each_round() -> None:
    taken: list[str] = []

    def turn(name: str) -> float:
        taken.append(name)
        return float(len(taken))

    samples = interleaved({name: partial(turn, name) for name in NAMES}, 6)

    for start in range(0, 24, 4):
        assert sorted(taken[start : start + 4]) == list(NAMES)
    places = {name: [n + 1.0 for n, each in enumerate(taken) if each == name] for name in NAMES}
    assert samples == places  # what a turn returned is kept under its name, in order


def test_everyone_is_first_equally_often() -> None:
    firsts = Counter(order(NAMES, number)[0] for number in range(8))

    assert firsts == dict.fromkeys(NAMES, 2)


def test_nobody_always_comes_after_the_same_one() -> None:
    before = {
        name: {order(NAMES, number)[order(NAMES, number).index(name) - 1] for number in range(8)}
        for name in NAMES
    }

    assert all(len(each) > 1 for each in before.values())


def test_what_is_timed_is_done_to_every_piece_once_and_told_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "perf_counter", iter([100.0, 106.0]).__next__)
    done: list[int] = []

    assert timed(done.append, [1, 2, 3]) == 2.0
    assert done == [1, 2, 3]
