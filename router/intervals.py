"""Figures from samples, and how far each can be trusted: the textbook's intervals. Pure.

Every value here counts as independent of the others; `router.clusters` is for those that
are not.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

LEVEL = 0.95
#: Chance to see a difference that is there.
POWER = 0.8

Interval = tuple[float, float]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed; nan of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def normal_quantile(level: float) -> float:
    """So many standard deviations to each side hold this part of a normal distribution."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def student_quantile(level: float, freedom: float) -> float:
    """The same for Student's t.

    Exact at one and two degrees of freedom, else the expansion 26.7.5 of Abramowitz and
    Stegun, Handbook of Mathematical Functions (1964): 0.2 % off at three, less beyond.
    """
    p = 0.5 + level / 2
    if freedom <= 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom <= 2:
        return (2 * p - 1) * math.sqrt(1 / (2 * p * (1 - p)))
    z, v = normal_quantile(level), freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / v**power for power, term in enumerate(terms, 1))


def wilson(hits: float, n: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927; Newcombe 1998a, method 3).

    `n` need not be whole: an effective size is as good.
    """
    z = normal_quantile(level)
    share, shrink = hits / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / shrink
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrink
    return (max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach)))


def newcombe(first: float, of_first: Interval, second: float, of_second: Interval) -> Interval:
    """The interval of `second - first` from the interval of each.

    Newcombe (1998), Interval estimation for the difference between independent proportions,
    method 10: the square-and-add of Wilson's intervals.
    """
    difference = second - first
    down = math.hypot(second - of_second[0], of_first[1] - first)
    up = math.hypot(of_second[1] - second, first - of_first[0])
    return (difference - down, difference + up)


def median_rank(n: int, level: float = LEVEL) -> int | None:
    """The rank r such that the r-th smallest and the r-th largest of n hold the median.

    The order-statistic interval (David and Nagaraja, Order Statistics, 2003, 7.1): r is the
    largest rank with P(B <= r - 1) <= (1 - level) / 2 for B binomial of n and 1/2. None
    where even the smallest and the largest value do not hold it surely enough.
    """
    tail = 0.5
    rank = n // 2 + 1
    if n % 2 == 0:
        tail += _halves(n, n // 2) / 2
    while rank > 0 and tail > (1 - level) / 2:
        rank -= 1
        tail -= _halves(n, rank)
    return rank or None


def _halves(n: int, k: int) -> float:
    """The chance of k heads in n throws of a coin."""
    logarithm = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(logarithm - n * math.log(2))


def size_factor(error: float, difference: float, level: float = LEVEL) -> float:
    """How many times the data are needed to tell this difference, at 80 % power.

    A difference shows with that power when it is `z(level) + z(power)` standard errors large
    (Bloom, Minimum detectable effects, Evaluation Review 19, 1995). An error falls with the
    root of the size, so the factor is the square of what it is too large by.
    """
    multiple = normal_quantile(level) + NormalDist().inv_cdf(POWER)
    return (multiple * error / difference) ** 2
