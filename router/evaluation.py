"""How often the right route was found: figures of judged lines. Pure.

A line may allow several routes. One that was given an allowed route counts as right, and as a
line of that route; any other one counts as a line of the first route that it allows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleet.request import text_of
from router.examples import Labelled
from router.intervals import percentile

#: Characters up to which a text counts as a short one: see `Figures.p50_ms`.
SHORT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Judged:
    """A line, and the route that it was given."""

    line: Labelled
    route: str
    #: The route that it would have been given if no verdict were too unsure.
    if_sure: str
    took_ms: float

    @property
    def right(self) -> bool:
        """Whether the line allows the route."""
        return self.route in self.line.routes

    @property
    def expected(self) -> str:
        """The route whose line it is."""
        return self.route if self.right else self.line.routes[0]

    @property
    def short(self) -> bool:
        """Whether it is one turn of few characters."""
        texts = [text_of(message.get("content")) for message in self.line.messages]
        return len(texts) == 1 and len(texts[0]) <= SHORT_CHARS


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """How well one route was found."""

    precision: float
    recall: float
    f1: float
    #: Lines of that route.
    n: int


@dataclass(frozen=True, slots=True)
class Share:
    """The part of some lines that was given a right route."""

    n: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Unsure:
    """Lines that went to another route because the verdict was not sure enough."""

    n: int
    #: How many of them are right, and how many the verdict itself would have had right.
    right: int
    right_if_sure: int


@dataclass(frozen=True, slots=True)
class Figures:
    """How often the right route was found."""

    n: int
    accuracy: float
    #: The mean of `f1` over the routes that some line has.
    macro_f1: float
    per_route: Mapping[str, RouteFigures]
    #: Lines by their route, and by the one that they were given.
    confusion: Mapping[str, Mapping[str, int]]
    #: Lines that name no source (language, kind) are in none of these.
    per_source: Mapping[str, Share]
    per_lang: Mapping[str, Share]
    per_kind: Mapping[str, Share]
    unsure: Unsure
    #: Milliseconds of deciding a short text; None if there is none.
    p50_ms: float | None
    p99_ms: float | None
    #: The same of any line.
    p50_all_ms: float
    p99_all_ms: float

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self)


def score(judged: Sequence[Judged]) -> Figures:
    """Sum up. Takes one line at least."""
    routes = per_route(judged)
    short = [each.took_ms for each in judged if each.short]
    times = [each.took_ms for each in judged]
    return Figures(
        n=len(judged),
        accuracy=_share(judged).accuracy,
        macro_f1=round(sum(each.f1 for each in routes.values()) / len(routes), 4),
        per_route=routes,
        confusion=confusion(judged),
        per_source=shares(judged, lambda line: line.source),
        per_lang=shares(judged, lambda line: line.lang),
        per_kind=shares(judged, lambda line: line.kind),
        unsure=_unsure(judged),
        p50_ms=_percentile(short, 50) if short else None,
        p99_ms=_percentile(short, 99) if short else None,
        p50_all_ms=_percentile(times, 50),
        p99_all_ms=_percentile(times, 99),
    )


def per_route(judged: Sequence[Judged]) -> dict[str, RouteFigures]:
    """The figures of each route that some line has."""
    lines = Counter(each.expected for each in judged)
    given = Counter(each.route for each in judged)
    hits = Counter(each.route for each in judged if each.right)
    return {
        route: RouteFigures(
            precision=round(hits[route] / given[route], 4) if given[route] else 0.0,
            recall=round(hits[route] / n, 4),
            f1=round(2 * hits[route] / (n + given[route]), 4),
            n=n,
        )
        for route, n in sorted(lines.items())
    }


def confusion(judged: Iterable[Judged]) -> dict[str, dict[str, int]]:
    """Lines by their route, and by the one that they were given."""
    counts = Counter((each.expected, each.route) for each in judged)
    found: dict[str, dict[str, int]] = {}
    for (expected, route), n in sorted(counts.items()):
        found.setdefault(expected, {})[route] = n
    return found


def shares(judged: Iterable[Judged], by: Callable[[Labelled], str]) -> dict[str, Share]:
    """The part that is right, by something that lines say of themselves."""
    groups: dict[str, list[Judged]] = {}
    for each in judged:
        if name := by(each.line):
            groups.setdefault(name, []).append(each)
    return {name: _share(group) for name, group in sorted(groups.items())}


def _share(judged: Sequence[Judged]) -> Share:
    return Share(len(judged), round(sum(each.right for each in judged) / len(judged), 4))


def _unsure(judged: Iterable[Judged]) -> Unsure:
    moved = [each for each in judged if each.route != each.if_sure]
    return Unsure(
        n=len(moved),
        right=sum(each.right for each in moved),
        right_if_sure=sum(each.if_sure in each.line.routes for each in moved),
    )


def _percentile(times: Sequence[float], percent: float) -> float:
    return round(percentile(times, percent), 3)
