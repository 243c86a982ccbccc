"""Estimates from grouped values: the textbook's where groups are single, honest where not."""

from collections.abc import Callable
from random import Random

import pytest

from router import clusters
from router.clusters import Estimate, Groups
from router.intervals import wilson


def single(*values: float) -> list[list[float]]:
    return [[value] for value in values]


def talks(draw: Random, count: int, base_ms: float = 300.0) -> list[list[float]]:
    """First tokens of conversations whose turns resemble each other: a skewed wait for each."""
    groups = []
    for _ in range(count):
        own = draw.lognormvariate(0, 0.3)
        turns = 1 + int(draw.expovariate(0.4))
        groups.append([base_ms * own * draw.lognormvariate(0, 0.3) for _ in range(turns)])
    return groups


def coin_talks(draw: Random, count: int) -> list[list[float]]:
    """Fall-overs of conversations, 10 % in all; some conversations are far worse off."""
    groups = []
    for _ in range(count):
        chance = draw.betavariate(0.5, 4.5)
        groups.append([float(draw.random() < chance) for _ in range(1 + draw.randrange(8))])
    return groups


def coverage(
    make: Callable[[Random], Estimate | None], truth: float, seed: int, runs: int
) -> float:
    draw = Random(seed)
    held = 0
    for _ in range(runs):
        estimate = make(draw)
        assert estimate is not None
        assert estimate.interval is not None
        held += estimate.interval[0] <= truth <= estimate.interval[1]
    return held / runs


def test_single_values_give_wilsons_interval() -> None:
    found = clusters.share(single(*[1.0] * 15, *[0.0] * 133))
    assert found is not None
    assert found.interval == pytest.approx(wilson(15, 148))
    assert (found.n, found.groups) == (148, 148)


def test_single_values_give_students_interval_of_the_mean() -> None:
    """Student's own sleep data (1908), drug 2 less drug 1: 0.70 to 2.46."""
    gains = (1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4)
    found = clusters.mean(single(*gains))
    assert found is not None
    assert found.value == pytest.approx(1.58)
    assert found.interval == pytest.approx((0.70, 2.46), abs=5e-3)


def test_single_values_give_the_order_statistics_around_the_median() -> None:
    found = clusters.median(single(*range(1, 21)))
    assert found == Estimate(10.5, 6, 15, 20, 20)


def test_turns_that_are_all_alike_count_as_one() -> None:
    groups = [[1.0] * 10] * 10 + [[0.0] * 10] * 10
    assert 16 < clusters.effective_size(groups) < 20


def test_where_nothing_ever_happened_a_conversation_counts_as_one_job() -> None:
    found = clusters.share([[0.0] * 50] * 20)
    assert found is not None
    assert found.interval == pytest.approx(wilson(0, 20))


@pytest.mark.parametrize(
    "estimate", [clusters.share, clusters.mean, clusters.median], ids=lambda each: each.__name__
)
def test_of_nothing_there_is_no_figure(estimate: Callable[[Groups], Estimate | None]) -> None:
    assert estimate([]) is None
    assert clusters.share_difference([], single(1.0)) is None
    assert clusters.median_difference(single(1.0), single(1.0)) is None


def test_one_value_has_no_interval() -> None:
    for found in (clusters.mean(single(4.0)), clusters.median(single(4.0))):
        assert found == Estimate(4.0, None, None, 1, 1)
        assert clusters.standard_error(found) is None


def test_a_share_holds_the_truth_in_spite_of_clusters() -> None:
    held = coverage(lambda draw: clusters.share(coin_talks(draw, 60)), 0.1, seed=1, runs=1_000)
    assert held == pytest.approx(0.95, abs=0.025)


def test_without_the_correction_the_same_shares_would_miss_it() -> None:
    def naive(draw: Random) -> Estimate | None:
        return clusters.share(single(*(value for group in coin_talks(draw, 60) for value in group)))

    assert coverage(naive, 0.1, seed=1, runs=1_000) < 0.9


def test_a_median_holds_the_truth_in_spite_of_clusters() -> None:
    held = coverage(lambda draw: clusters.median(talks(draw, 60)), 300.0, seed=2, runs=1_000)
    assert held == pytest.approx(0.95, abs=0.025)


def test_a_mean_holds_the_truth_in_spite_of_clusters() -> None:
    held = coverage(lambda draw: clusters.mean(coin_talks(draw, 150)), 0.1, seed=3, runs=1_000)
    assert held == pytest.approx(0.95, abs=0.025)


def test_a_difference_of_shares_holds_the_truth_in_spite_of_clusters() -> None:
    held = coverage(
        lambda draw: clusters.share_difference(coin_talks(draw, 60), coin_talks(draw, 60)),
        0.0,
        seed=4,
        runs=600,
    )
    assert held == pytest.approx(0.95, abs=0.03)


def test_a_difference_of_medians_holds_the_truth_in_spite_of_clusters() -> None:
    held = coverage(
        lambda draw: clusters.median_difference(
            talks(draw, 50), talks(draw, 50, base_ms=400.0), resamples=100
        ),
        100.0,
        seed=5,
        runs=300,
    )
    assert held == pytest.approx(0.95, abs=0.03)


def test_the_same_values_give_the_same_interval() -> None:
    first, second = talks(Random(6), 30), talks(Random(7), 30)
    found = clusters.median_difference(first, second)
    assert found == clusters.median_difference(first, second)
    assert found != clusters.median_difference(first, second, seed=1)
