"""Whether a series of measurements grows: pure, and not moved by single peaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

#: What is compared: the median of the last fifth with that of the first.
PART = 5


@dataclass(frozen=True)
class Tolerance:
    """How much more may be measured at the end than at the beginning."""

    #: As a part of the beginning.
    share: float
    #: And so much beside it.
    more: float


@dataclass(frozen=True)
class Trend:
    """A series at its beginning and at its end."""

    name: str
    first: float
    last: float
    allowed: float

    @property
    def grown(self) -> bool:
        """Whether the end is over what is allowed."""
        return self.last > self.allowed


def trend(name: str, series: Sequence[float], tolerance: Tolerance) -> Trend:
    """Compare the end of a series with its beginning."""
    part = max(1, len(series) // PART)
    first, last = median(series[:part]), median(series[-part:])
    return Trend(name, first, last, first * (1 + tolerance.share) + tolerance.more)
