"""What the arms of an experiment differ in, in sentences. Pure.

Each other arm is compared with the first one: medians of first tokens by a cluster bootstrap,
shares by Newcombe's interval at effective sizes, the routes of a shadow arm by Wilson's
interval of the difference on the same jobs. With several comparisons each interval is made
surer (Bonferroni: 1 - 0.05 / comparisons), so that all hold together with 95 %.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from router import clusters
from router.clusters import Estimate, Groups
from router.intervals import LEVEL, size_factor

Measure = Literal["first_token", "fall_overs", "misroutes"]

#: With fewer conversations in an arm, how they differ is not known well enough to judge.
FEWEST_GROUPS = 10
#: The difference that the data should be able to tell: in first tokens, of the first arm's
#: median, at least a millisecond; in shares, in points.
TELL_TIME = 0.1
TELL_SHARE = 0.05

_WORDS: dict[Measure, tuple[str, str, str]] = {
    "first_token": ("first token", "faster", "slower"),
    "fall_overs": ("fall-overs", "fewer", "more"),
    "misroutes": ("misroutes", "fewer", "more"),
}


@dataclass(frozen=True, slots=True)
class Samples:
    """What one arm and the first arm gave for one measure, by conversation."""

    arm: str
    base: str
    measure: Measure
    first: Groups
    second: Groups
    #: Both speak of the same jobs, in the same order.
    same_jobs: bool = False

    @property
    def groups(self) -> int:
        """Conversations of the arm that has fewer."""
        return min(len(self.first), len(self.second))

    @property
    def jobs(self) -> int:
        """Jobs of the arm that has fewer."""
        return min(self._sizes)

    @property
    def balanced_jobs(self) -> float:
        """Jobs for each of two arms as large as each other that would tell as much."""
        one, two = self._sizes
        return 2 / (1 / one + 1 / two)

    @property
    def _sizes(self) -> tuple[int, int]:
        one, two = (sum(map(len, groups)) for groups in (self.first, self.second))
        return one, two


@dataclass(frozen=True, slots=True)
class Finding:
    """One arm against the first in one measure."""

    arm: str
    base: str
    measure: Measure
    #: The arm's figure less the first arm's: milliseconds, or parts of one. None: too few jobs.
    difference: Estimate | None
    #: Of the single interval.
    level: float
    #: The smallest difference worth telling.
    tell: float | None
    #: Jobs that each arm lacks to tell it. None, as above: nobody knows yet.
    lacking: int | None

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out that there is no difference."""
        ends = self.difference.interval if self.difference else None
        return ends is not None and not ends[0] <= 0 <= ends[1]

    @property
    def sentence(self) -> str:
        """It in words."""
        start = f"arm {self.arm}: {_WORDS[self.measure][0]}"
        if self.difference is None:
            return f"{start}: not enough data yet: {self._too_few}"
        if self.differs:
            return f"{start} {self._told}"
        if self.lacking:
            return (
                f"{start}: not enough data yet: about {self.lacking} more {self._jobs} to tell a "
                f"difference of {self._worth} at 80 % power {self._interval}"
            )
        return f"{start}: no difference; one of {self._worth} would have shown {self._interval}"

    @property
    def _jobs(self) -> str:
        return f"{'rated ' * (self.measure == 'misroutes')}jobs per arm"

    @property
    def _too_few(self) -> str:
        what = "rated conversations" if self.measure == "misroutes" else "conversations"
        return f"at least {FEWEST_GROUPS} {what} are needed in each arm"

    @property
    def _told(self) -> str:
        value = self.difference.value if self.difference else 0.0
        _, less, more = _WORDS[self.measure]
        size = abs(value) if self.measure == "first_token" else abs(value) * 100
        amount = f"{size:.0f} ms" if self.measure == "first_token" else f"{size:.1f} points"
        return f"{amount} {less if value < 0 else more} than arm {self.base} {self._interval}"

    @property
    def _worth(self) -> str:
        if self.measure == "first_token":
            return f"{TELL_TIME:.0%}".replace("%", " %")
        return f"{TELL_SHARE * 100:.0f} points"

    @property
    def _interval(self) -> str:
        """Both ends; of a difference that counts, as its size, the smaller end first."""
        low, high = (self.difference.interval if self.difference else None) or (0.0, 0.0)
        if self.differs and high < 0:
            low, high = -high, -low
        if self.measure == "first_token":
            return f"(95 % CI {low:.0f}..{high:.0f} ms)"
        return f"(95 % CI {low * 100:.1f}..{high * 100:.1f} points)"

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self) | {"differs": self.differs, "sentence": self.sentence}


def judge(samples: Sequence[Samples]) -> tuple[Finding, ...]:
    """A finding for each; only those that have enough conversations count as comparisons."""
    comparisons = sum(each.groups >= FEWEST_GROUPS for each in samples)
    level = 1 - (1 - LEVEL) / max(1, comparisons)
    return tuple(_find(each, level) for each in samples)


def _find(samples: Samples, level: float) -> Finding:
    difference = _difference(samples, level) if samples.groups >= FEWEST_GROUPS else None
    tell = lacking = None
    if difference is not None and (error := clusters.standard_error(difference, level)) is not None:
        tell = _worth_telling(samples)
        lacking = _lacking(samples, error, tell, level)
    return Finding(samples.arm, samples.base, samples.measure, difference, level, tell, lacking)


def _difference(samples: Samples, level: float) -> Estimate | None:
    if samples.measure == "first_token":
        return clusters.median_difference(samples.first, samples.second, level)
    if samples.same_jobs:
        return clusters.paired_difference(samples.first, samples.second, level)
    return clusters.share_difference(samples.first, samples.second, level)


def _worth_telling(samples: Samples) -> float:
    if samples.measure != "first_token":
        return TELL_SHARE
    usual = statistics.median(value for group in samples.first for value in group)
    return max(1.0, usual * TELL_TIME)


def _lacking(samples: Samples, error: float, tell: float, level: float) -> int:
    """Jobs that the smaller arm lacks, to two figures: more would be guesswork."""
    needed = samples.balanced_jobs * size_factor(error, tell, level)
    lacking = needed - samples.jobs
    if lacking <= 0:
        return 0
    step = 10 ** max(0, math.floor(math.log10(lacking)) - 1)
    return int(math.ceil(lacking / step) * step)
