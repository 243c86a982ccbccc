"""What the router's decisions came to: shares, times, fall-overs, misroutes. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleet.rows import Row
from router import clusters
from router.clusters import Estimate
from router.figures import Figures, figures, figures_by, rate
from router.outcomes import Job, answered_by, grouped, right_route
from router.suggestions import Suggestion, suggest

#: More jobs than this answered by external models: local ones are not healthy.
EXTERNAL_LIMIT = 0.01
#: Seconds that an answer should take on average.
AVERAGE_LIMIT_S = 5.0
SLOWEST = 10
#: What each route's share should be: docs/routing-experiments.md.
EXPECTED: Mapping[str, tuple[float, float]] = {
    "fast": (0.6, 0.8),
    "tool": (0.2, 0.4),
    "large": (0.0, 0.05),
}


@dataclass(frozen=True, slots=True)
class Share:
    """A route's part of all jobs, beside the part it should have."""

    route: str
    part: Estimate
    #: None: nothing is expected of it.
    expected: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """`within`, `above`, `below`; with `, few jobs` if chance may have done it."""
        if self.expected is None:
            return ""
        low, high = self.expected
        if low <= self.part.value <= high:
            return "within"
        side = "above" if self.part.value > high else "below"
        least, most = self.part.interval or (0.0, 1.0)
        return f"{side}, few jobs" if least <= high and most >= low else side

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self) | {"verdict": self.verdict}


@dataclass(frozen=True, slots=True)
class Slow:
    """One of the jobs that took longest."""

    job: str
    route: str
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Misroute:
    """Jobs that went one way and should have gone another."""

    taken: str
    right: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Report:
    """All that `fleet route report` shows."""

    jobs: int
    shares: tuple[Share, ...]
    overall: Figures
    routes: tuple[Figures, ...]
    models: tuple[Figures, ...]
    slowest: tuple[Slow, ...]
    #: Of the ended jobs, those that an external model answered.
    external_rate: float | None
    #: Jobs that somebody has said something about, and of these the misrouted ones.
    rated: int
    misrouted: int
    misroutes: tuple[Misroute, ...]
    suggestions: tuple[Suggestion, ...]

    @property
    def alert(self) -> str:
        """What somebody should look at now; empty: nothing."""
        return alert_of(self.external_rate)

    @property
    def quick_enough(self) -> bool | None:
        """Whether the average answer came in the expected time; None: there was no answer."""
        average = self.overall.average_s
        return None if average is None else average < AVERAGE_LIMIT_S

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self) | {
            "shares": [share.as_dict() for share in self.shares],
            "suggestions": [suggestion.as_dict() for suggestion in self.suggestions],
            "alert": self.alert,
            "quick_enough": self.quick_enough,
        }


def report(
    rows: Sequence[Row],
    texts: Iterable[tuple[str, str]] = (),
    *,
    external: Collection[str] = (),
) -> Report:
    """Sum up rows of the decision log.

    Args:
        rows: the jobs.
        texts: what was asked, with the route that feedback has named for it.
        external: names of the models that are not ours.
    """
    spoken = [row for row in rows if row.feedback]
    misroutes = _misroutes(spoken)
    return Report(
        jobs=len(rows),
        shares=_shares(rows),
        overall=figures("all", rows, len(rows)),
        routes=figures_by(rows, lambda row: row.route),
        models=figures_by(rows, answering_model),
        slowest=_slowest(rows),
        external_rate=external_rate(rows, external),
        rated=len(spoken),
        misrouted=sum(each.jobs for each in misroutes),
        misroutes=misroutes,
        suggestions=suggest(texts),
    )


def external_rate(jobs: Iterable[Job], external: Collection[str]) -> float | None:
    """Of the ended jobs, those that an external model answered; None: none has ended."""
    return rate(jobs, lambda outcome: not outcome.cache and outcome.model in external)


def alert_of(external_rate: float | None) -> str:
    """What somebody should look at now; empty: nothing."""
    if external_rate is None or external_rate <= EXTERNAL_LIMIT:
        return ""
    return (
        f"ALERT: external models answered {external_rate:.1%} of the jobs, more than "
        f"{EXTERNAL_LIMIT:.0%}: are the local models' servers up, and is there room in their "
        "lines?"
    )


def answering_model(row: Row) -> str:
    """The model that had the job last; before that is known, the one it was sent to."""
    return (row.outcome and answered_by(row.outcome)) or row.model


def _shares(rows: Sequence[Row]) -> tuple[Share, ...]:
    seen = Counter(row.route for row in rows)
    routes = dict.fromkeys((*EXPECTED, *(route for route, _ in seen.most_common())))
    parts = {route: clusters.share(grouped(rows, _is_of(route))) for route in routes}
    return tuple(Share(route, part, EXPECTED.get(route)) for route, part in parts.items() if part)


def _is_of(route: str) -> Callable[[Row], bool]:
    return lambda row: row.route == route


def _slowest(rows: Iterable[Row]) -> tuple[Slow, ...]:
    took = [
        Slow(row.job, row.route, answering_model(row), row.outcome.total_ms / 1000)
        for row in rows
        if row.outcome and row.outcome.total_ms is not None
    ]
    return tuple(sorted(took, key=lambda slow: (-slow.seconds, slow.job))[:SLOWEST])


def _misroutes(rows: Iterable[Row]) -> tuple[Misroute, ...]:
    ways = Counter((row.route, right_route(row) or row.route) for row in rows)
    found = [Misroute(*way, jobs) for way, jobs in ways.items() if way[0] != way[1]]
    return tuple(sorted(found, key=lambda each: (-each.jobs, each.taken, each.right)))
