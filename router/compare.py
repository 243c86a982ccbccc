"""The arms of an experiment side by side, and what can be said of their differences. Pure.

What stays in one arm, a conversation or a caller, is what is drawn and counted: see
`router.clusters`. The differences are told in `router.findings`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fleet.rows import Outcome, Row
from router import clusters
from router.clusters import Estimate, Groups
from router.findings import Finding, Measure, Samples, judge
from router.outcomes import failed, fell_over, group_of, grouped, rating, right_route


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Jobs that the deciding arm sent one way and the shadow arm another."""

    decided: str
    shadow: str
    jobs: int


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """One arm. None: there is nothing to measure it by; a shadow arm answers no job."""

    name: str
    shadow: bool
    jobs: int
    #: Conversations, or callers.
    groups: int
    #: Each route's part of the arm's jobs, the largest first.
    routes: dict[str, float]
    first_token_ms: Estimate | None
    total_ms: Estimate | None
    fall_overs: Estimate | None
    failures: Estimate | None
    #: Of the jobs that somebody has said something about.
    misroutes: Estimate | None
    rating: Estimate | None
    #: Shadow arms: jobs of which it says what the deciding arm says.
    agreement: Estimate | None
    disagreements: tuple[Disagreement, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that `fleet route compare` shows."""

    experiment: str
    #: What stays in one arm: `conversation` or `caller`.
    by: str
    arms: tuple[ArmFigures, ...]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self) | {"findings": [finding.as_dict() for finding in self.findings]}


@dataclass(frozen=True, slots=True)
class _Arm:
    """An arm's rows, each with the route that the arm said."""

    name: str
    shadow: bool
    said: tuple[tuple[Row, str], ...]


def compare(
    rows: Iterable[Row], experiment: str, order: Sequence[str] = (), *, by: str = "conversation"
) -> Comparison:
    """Put the arms of an experiment side by side.

    Args:
        rows: the decision log; rows of other experiments are passed over.
        experiment: its name.
        order: names of arms as they are to stand; others follow by name. The first arm
            that decides is what the others are compared with.
        by: what stays in one arm, `conversation` or `caller`.
    """
    arms = _arms(rows, experiment, order)
    samples: list[Samples] = []
    if deciding := [arm for arm in arms if not arm.shadow]:
        base, *others = deciding
        samples += [each for arm in others for each in _side_by_side(base, arm, by)]
        samples += [_on_the_same_jobs(base, arm, by) for arm in arms if arm.shadow]
    return Comparison(experiment, by, tuple(_figures(arm, by) for arm in arms), judge(samples))


def experiments_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """Names of the experiments that the rows took part in."""
    names = {shadow.experiment for row in rows for shadow in row.shadows}
    return tuple(sorted((names | {row.experiment for row in rows}) - {""}))


def _arms(rows: Iterable[Row], experiment: str, order: Sequence[str]) -> list[_Arm]:
    said: dict[tuple[str, bool], list[tuple[Row, str]]] = {}
    for row in rows:
        if row.experiment == experiment:
            said.setdefault((row.arm, False), []).append((row, row.route))
        for shadow in row.shadows:
            if shadow.experiment == experiment:
                said.setdefault((shadow.arm, True), []).append((row, shadow.route))
    places = {name: place for place, name in enumerate(order)}
    ordered = sorted(said, key=lambda key: (places.get(key[0], len(order)), key))
    return [_Arm(name, shadow, tuple(said[name, shadow])) for name, shadow in ordered]


def _figures(arm: _Arm, by: str) -> ArmFigures:
    rows = [row for row, _ in arm.said]
    answered = [] if arm.shadow else rows
    routes = Counter(route for _, route in arm.said)
    differing = Counter((row.route, route) for row, route in arm.said if row.route != route)
    agreed = [[1.0 - miss for miss in group] for group in _wrong(arm, lambda row: row.route, by)]
    return ArmFigures(
        name=arm.name,
        shadow=arm.shadow,
        jobs=len(rows),
        groups=len({group_of(row, by) for row in rows}),
        routes={route: jobs / len(rows) for route, jobs in routes.most_common()},
        first_token_ms=clusters.median(grouped(answered, _first_token, by)),
        total_ms=clusters.median(grouped(answered, _total, by)),
        fall_overs=clusters.share(grouped(answered, _of_ended(fell_over), by)),
        failures=clusters.share(grouped(answered, _of_ended(failed), by)),
        misroutes=clusters.share(_wrong(arm, right_route, by)),
        rating=clusters.mean(grouped(answered, rating, by)),
        agreement=clusters.share(agreed) if arm.shadow else None,
        disagreements=tuple(Disagreement(*way, jobs) for way, jobs in differing.most_common()),
    )


def _side_by_side(base: _Arm, arm: _Arm, by: str) -> Iterable[Samples]:
    """Two arms that decide, each its own jobs."""
    of_ended = _of_ended(fell_over)
    mine, theirs = ([row for row, _ in each.said] for each in (base, arm))
    pairs: dict[Measure, tuple[Groups, Groups]] = {
        "first_token": (grouped(mine, _first_token, by), grouped(theirs, _first_token, by)),
        "fall_overs": (grouped(mine, of_ended, by), grouped(theirs, of_ended, by)),
        "misroutes": (_wrong(base, right_route, by), _wrong(arm, right_route, by)),
    }
    return [Samples(arm.name, base.name, measure, *pair) for measure, pair in pairs.items()]


def _on_the_same_jobs(base: _Arm, arm: _Arm, by: str) -> Samples:
    """A shadow arm and the first arm, on the jobs that the first arm decided.

    Both have said something about the same jobs, so each job is compared with itself.
    """
    decided = {row.job for row, _ in base.said}
    both = _Arm(arm.name, True, tuple(each for each in arm.said if each[0].job in decided))
    taken = _Arm(base.name, True, tuple((row, row.route) for row, _ in both.said))
    mine, theirs = _wrong(taken, right_route, by), _wrong(both, right_route, by)
    return Samples(arm.name, base.name, "misroutes", mine, theirs, same_jobs=True)


def _wrong(arm: _Arm, right: Callable[[Row], str | None], by: str) -> list[list[float]]:
    """One for each job whose right route the arm did not say, zero for the others."""
    said = {row.job: route for row, route in arm.said}

    def missed(row: Row) -> float | None:
        route = right(row)
        return None if route is None else float(said[row.job] != route)

    return grouped((row for row, _ in arm.said), missed, by)


def _first_token(row: Row) -> float | None:
    return row.outcome.first_token_ms if row.outcome else None


def _total(row: Row) -> float | None:
    return row.outcome.total_ms if row.outcome else None


def _of_ended(what: Callable[[Outcome], bool]) -> Callable[[Row], float | None]:
    return lambda row: float(what(row.outcome)) if row.outcome else None
