import math
from itertools import pairwise

import pytest

from router.intervals import (
    median_rank,
    newcombe,
    normal_quantile,
    percentile,
    size_factor,
    student_quantile,
    wilson,
)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998a, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_textbooks(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),  # Newcombe 1998, table II, method 10
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((0, 20), (10, 10), 0.6791, 1.0),
    ],
)
def test_newcombes_interval_is_the_textbooks(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    one, two = first[0] / first[1], second[0] / second[1]
    ends = newcombe(one, wilson(*first), two, wilson(*second))
    assert ends == pytest.approx((low, high), abs=5e-5)


def test_wilsons_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    n = 50
    covered = []
    for percent in range(2, 99):
        truth = percent / 100
        held = 0.0
        for hits in range(n + 1):
            low, high = wilson(hits, n)
            chance = math.comb(n, hits) * truth**hits * (1 - truth) ** (n - hits)
            held += chance * (low <= truth <= high)
        covered.append(held)
    assert sum(covered) / len(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.88


@pytest.mark.parametrize(
    ("freedom", "expected", "within"),
    [
        (1, 12.706, 1e-3),
        (2, 4.303, 1e-3),
        (3, 3.182, 8e-3),
        (5, 2.571, 1e-3),
        (10, 2.228, 1e-3),
        (30, 2.042, 1e-3),
        (1e9, 1.960, 1e-3),
    ],
)
def test_students_quantile_is_the_tables(freedom: float, expected: float, within: float) -> None:
    assert student_quantile(0.95, freedom) == pytest.approx(expected, abs=within)


@pytest.mark.parametrize(
    ("n", "rank"), [(5, None), (6, 1), (10, 2), (20, 6), (25, 8), (100, 40), (10_000, 4_902)]
)
def test_the_ranks_around_the_median_are_the_tables(n: int, rank: int | None) -> None:
    assert median_rank(n) == rank


@pytest.mark.parametrize("n", range(6, 80))
def test_the_rank_is_the_largest_that_is_sure_enough(n: int) -> None:
    def tail(rank: int) -> float:
        return float(sum(math.comb(n, k) for k in range(rank))) / 2.0**n

    rank = median_rank(n)
    assert rank is not None
    assert tail(rank) <= 0.025 < tail(rank + 1)


def test_a_surer_interval_is_a_wider_one() -> None:
    widths = [high - low for low, high in (wilson(5, 40, level) for level in (0.8, 0.95, 0.99))]
    assert all(narrow < wide for narrow, wide in pairwise(widths))
    assert normal_quantile(0.95) == pytest.approx(1.95996, abs=1e-5)


def test_the_size_for_a_difference_of_means_is_lehrs_rule() -> None:
    """16 for each arm over the squared effect (Lehr 1992), for 5 % and 80 %; really 15.7."""
    n, deviation, difference = 50, 2.0, 1.0
    error = math.sqrt(2 * deviation**2 / n)
    needed = n * size_factor(error, difference)
    assert needed == pytest.approx(15.7 * (deviation / difference) ** 2, rel=0.01)


def test_a_percentile_of_nothing_is_no_number() -> None:
    assert math.isnan(percentile([], 50))
