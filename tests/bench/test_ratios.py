import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ratios import PARTS, Ratio

SECONDS = st.floats(min_value=1e-6, max_value=1e3)


def test_it_is_the_least_of_one_in_units_of_the_least_of_the_other() -> None:
    samples, base = [9.0] * 20, [7.0] * 20
    samples[3], base[17] = 6.0, 2.0

    assert Ratio.of(samples, base).value == 3.0


def test_the_spread_is_the_same_ratio_in_the_tenths_of_the_run() -> None:
    samples, base = [4.0] * 20, [2.0] * 20
    samples[0:2] = [3.0, 9.0]
    samples[18:20] = [10.0, 11.0]

    ratio = Ratio.of(samples, base)

    assert (ratio.low, ratio.high) == (1.5, 5.0)


def test_one_slow_round_is_not_seen_in_a_tenth_of_several() -> None:
    samples = [4.0] * 20
    samples[5] = 1000.0

    assert Ratio.of(samples, [2.0] * 20) == Ratio(value=2.0, low=2.0, high=2.0)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=PARTS, max_size=60))
def test_the_ratio_of_the_whole_always_lies_within_its_spread(
    rounds: list[tuple[float, float]],
) -> None:
    ratio = Ratio.of([ours for ours, _ in rounds], [theirs for _, theirs in rounds])

    assert ratio.low <= ratio.value <= ratio.high


@given(st.lists(SECONDS, min_size=PARTS, max_size=60))
def test_anything_is_once_itself(samples: list[float]) -> None:
    assert Ratio.of(samples, samples) == Ratio(value=1.0, low=1.0, high=1.0)


def test_every_sample_is_in_one_tenth_also_where_ten_does_not_divide_their_number() -> None:
    for place in range(23):
        samples = [2.0] * 23
        samples[place] = 1.0
        assert Ratio.of(samples, [1.0] * 23).low == 1.0


@pytest.mark.parametrize(("ours", "theirs"), [(10, 11), (11, 10), (9, 9), (0, 0)])
def test_too_few_rounds_or_rounds_that_one_was_not_in_are_refused(ours: int, theirs: int) -> None:
    with pytest.raises(ValueError, match="samples"):
        Ratio.of([1.0] * ours, [1.0] * theirs)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0674, "0.067"), (0.9996, "1.000"), (1.0, "1.00"), (9.994, "9.99"), (10.04, "10.0")],
)
def test_it_is_written_with_three_digits_and_its_spread(value: float, text: str) -> None:
    assert str(Ratio(value=value, low=value, high=value)) == f"{text} ({text} to {text})"
