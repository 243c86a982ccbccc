"""Estimates from values that come in groups: the turns of one conversation are alike. Pure.

A group is the values of one conversation (or of one caller). Turns of one conversation stay
in one arm and resemble each other, so a hundred jobs of ten conversations say less than a
hundred jobs of a hundred. Each estimate here takes its error from how the groups differ.
"""

import math
import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from random import Random
from typing import Any

from router.intervals import (
    LEVEL,
    Interval,
    median_rank,
    newcombe,
    normal_quantile,
    student_quantile,
    wilson,
)

Groups = Sequence[Sequence[float]]

#: The standard error from so many resamples is within 6 % of that from endlessly many.
RESAMPLES = 500
#: Fixed, so that the same log gives the same report.
SEED = 20_251


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval."""

    value: float
    #: None where there is too little to give one.
    low: float | None
    high: float | None
    #: Jobs, and the conversations they belong to.
    n: int
    groups: int

    @property
    def interval(self) -> Interval | None:
        """Both ends, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self)


def effective_size(groups: Groups, level: float = LEVEL) -> float:
    """How many independent jobs say as much about a share as these do.

    The size divided by the design effect (Rao and Scott, Biometrics 48, 1992), which is the
    variance of the share between groups over that of independent jobs, and corrected for few
    groups (Korn and Graubard, Survey Methodology 24, 1998). Where all values are one, nothing
    tells how alike the jobs of a group are: then a group counts as one job.
    """
    n, value = _size(groups), _mean(groups)
    if len(groups) == 1 or not 0 < value < 1:
        return len(groups)
    variance = _variance(groups)
    return min(n, _size_of_spread(groups, variance, level)) if variance else n


def share(groups: Groups, level: float = LEVEL) -> Estimate | None:
    """The share of ones among ones and zeros, with Wilson's interval at the effective size."""
    if not groups:
        return None
    value, size = _mean(groups), effective_size(groups, level)
    return Estimate(value, *wilson(value * size, size, level), _size(groups), len(groups))


def mean(groups: Groups, level: float = LEVEL) -> Estimate | None:
    """The mean, with Student's interval; none of one group, or where all values are one."""
    if not groups:
        return None
    value, count = _mean(groups), len(groups)
    error = math.sqrt(_variance(groups)) if count > 1 else 0.0
    reach = error * student_quantile(level, count - 1) if error else None
    return _around(value, reach, _size(groups), count)


def median(groups: Groups, level: float = LEVEL) -> Estimate | None:
    """The median, with its order-statistic interval at the effective size."""
    if not groups:
        return None
    ordered = sorted(value for group in groups for value in group)
    value, n = statistics.median(ordered), len(ordered)
    below = [[float(each <= value) for each in group] for group in groups]
    size = n if len(groups) == n else int(effective_size(below, level))
    rank = median_rank(size, level)
    if rank is None:
        return Estimate(value, None, None, n, len(groups))
    place = max(1, rank * n // size)
    return Estimate(value, ordered[place - 1], ordered[n - place], n, len(groups))


def share_difference(first: Groups, second: Groups, level: float = LEVEL) -> Estimate | None:
    """Share of the second less that of the first, with Newcombe's interval."""
    one, two = share(first, level), share(second, level)
    if one is None or two is None or one.interval is None or two.interval is None:
        return None
    ends = newcombe(one.value, one.interval, two.value, two.interval)
    return Estimate(two.value - one.value, *ends, one.n + two.n, one.groups + two.groups)


def paired_difference(first: Groups, second: Groups, level: float = LEVEL) -> Estimate | None:
    """Share of the second less that of the first, where both speak of the same jobs in order.

    A job's difference is -1, 0 or 1. Moved into 0 to 1 it gets Wilson's interval, at the size
    that its spread between groups stands for; a group counts as one job where there is none.
    """
    if not first:
        return None
    groups = [
        [(1 + two - one) / 2 for one, two in zip(*pair, strict=True)]
        for pair in zip(first, second, strict=True)
    ]
    value, count = _mean(groups), len(groups)
    variance = _variance(groups) if count > 1 else 0.0
    size = _size_of_spread(groups, variance, level) if variance else count
    low, high = wilson(value * size, size, level)
    return Estimate(2 * value - 1, 2 * low - 1, 2 * high - 1, _size(groups), count)


def median_difference(
    first: Groups,
    second: Groups,
    level: float = LEVEL,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate | None:
    """Median of the second less that of the first, with a cluster bootstrap's interval.

    Whole groups are drawn with repetition, each arm by itself (Davison and Hinkley, Bootstrap
    Methods and their Application, 1997, 3.8). The spread of the differences is the standard
    error; Student's quantile of the groups makes the interval of it.
    """
    if len(first) < 2 or len(second) < 2:
        return None
    draw = Random(seed)  # noqa: S311 (no secret)
    pairs = zip(
        _resampled_medians(first, resamples, draw),
        _resampled_medians(second, resamples, draw),
        strict=True,
    )
    error = statistics.stdev(two - one for one, two in pairs)
    value = _median(second) - _median(first)
    count = len(first) + len(second)
    reach = error * student_quantile(level, count - 2)
    return _around(value, reach, _size(first) + _size(second), count)


def standard_error(estimate: Estimate, level: float = LEVEL) -> float | None:
    """The error that an interval stands for, as if it were a normal one."""
    if estimate.low is None or estimate.high is None:
        return None
    return (estimate.high - estimate.low) / (2 * normal_quantile(level))


def _resampled_medians(groups: Groups, resamples: int, draw: Random) -> Iterator[float]:
    """The median of each resample: every value counts as often as its group was drawn."""
    pairs = sorted((value, number) for number, group in enumerate(groups) for value in group)
    values = [value for value, _ in pairs]
    owners = [number for _, number in pairs]
    for _ in range(resamples):
        times = [0] * len(groups)
        for number in draw.choices(range(len(groups)), k=len(groups)):
            times[number] += 1
        reached = list(accumulate(map(times.__getitem__, owners)))
        yield values[bisect_left(reached, reached[-1] / 2)]


def _size_of_spread(groups: Groups, variance: float, level: float) -> float:
    """The number of independent jobs whose share would vary so much."""
    n, value = _size(groups), _mean(groups)
    few = student_quantile(level, n - 1) / student_quantile(level, len(groups) - 1)
    return value * (1 - value) / variance * n / (n - 1) * few**2


def _around(value: float, reach: float | None, n: int, groups: int) -> Estimate:
    if reach is None:
        return Estimate(value, None, None, n, groups)
    return Estimate(value, value - reach, value + reach, n, groups)


def _size(groups: Groups) -> int:
    return sum(len(group) for group in groups)


def _mean(groups: Groups) -> float:
    return sum(sum(group) for group in groups) / _size(groups)


def _median(groups: Groups) -> float:
    return statistics.median(value for group in groups for value in group)


def _variance(groups: Groups) -> float:
    """Of the mean, from how the groups differ (the ratio estimator; Cochran 1977, 6.3)."""
    middle, n, count = _mean(groups), _size(groups), len(groups)
    squares = sum((sum(group) - middle * len(group)) ** 2 for group in groups)
    return count / (count - 1) * squares / n**2
