"""Figures of many jobs: times, tokens, rates, money. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fleet.rows import Outcome
from router.intervals import percentile
from router.outcomes import Job, failed, fell_over, rating

J = TypeVar("J", bound=Job)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figures:
    """The jobs of one route or of one model. None: nobody has got so far yet."""

    name: str
    jobs: int
    #: Its part of all jobs.
    share: float
    #: Jobs that have ended; the rates are of these.
    ended: int
    average_s: float | None
    median_s: float | None
    first_token_p50_s: float | None
    first_token_p95_s: float | None
    #: Of all streams together, from each one's first token to its end.
    tokens_per_s: float | None
    prompt_tokens: int
    completion_tokens: int
    fall_over_rate: float | None
    failure_rate: float | None
    #: Mean of the ratings, and how many there are.
    rating: float | None
    ratings: int
    #: What they cost; None: nothing that is known.
    cost_usd: float | None


def figures(name: str, jobs: Sequence[Job], of_all: int) -> Figures:
    """Sum up jobs that are a part of so many."""
    outcomes = [job.outcome for job in jobs if job.outcome]
    totals = [o.total_ms / 1000 for o in outcomes if o.total_ms is not None]
    firsts = [o.first_token_ms / 1000 for o in outcomes if o.first_token_ms is not None]
    ratings = [found for job in jobs if (found := rating(job)) is not None]
    costs = [o.cost_usd for o in outcomes if o.cost_usd is not None]
    return Figures(
        name=name,
        jobs=len(jobs),
        share=len(jobs) / of_all if of_all else 0.0,
        ended=len(outcomes),
        average_s=mean(totals),
        median_s=known(percentile(totals, 50)),
        first_token_p50_s=known(percentile(firsts, 50)),
        first_token_p95_s=known(percentile(firsts, 95)),
        tokens_per_s=_tokens_per_s(outcomes),
        prompt_tokens=sum(o.prompt_tokens or 0 for o in outcomes),
        completion_tokens=sum(o.completion_tokens or 0 for o in outcomes),
        fall_over_rate=rate(jobs, fell_over),
        failure_rate=rate(jobs, failed),
        rating=mean(ratings),
        ratings=len(ratings),
        cost_usd=sum(costs) if costs else None,
    )


def figures_by(jobs: Sequence[J], name: Callable[[J], str]) -> tuple[Figures, ...]:
    """The figures of the jobs of each name, the most jobs first."""
    found = (figures(each, own, len(jobs)) for each, own in by_name(jobs, name).items())
    return tuple(sorted(found, key=lambda each: (-each.jobs, each.name)))


def by_name(things: Iterable[T], name: Callable[[T], str]) -> dict[str, list[T]]:
    """The things of each name."""
    named: dict[str, list[T]] = {}
    for thing in things:
        named.setdefault(name(thing), []).append(thing)
    return named


def rate(jobs: Iterable[Job], what: Callable[[Outcome], bool]) -> float | None:
    """The part of the ended jobs of which that holds."""
    return mean([what(job.outcome) for job in jobs if job.outcome])


def mean(values: Sequence[float]) -> float | None:
    """None of nothing."""
    return sum(values) / len(values) if values else None


def known(value: float) -> float | None:
    """None for nan."""
    return None if math.isnan(value) else value


def _tokens_per_s(outcomes: Iterable[Outcome]) -> float | None:
    """The first token ends the wait; the others make the speed. Caches do not generate."""
    streams = [
        (o.completion_tokens - 1, o.total_ms - o.first_token_ms)
        for o in outcomes
        if o.completion_tokens and o.total_ms is not None and o.first_token_ms is not None
        if not o.cache
    ]
    tokens, took_ms = sum(t for t, _ in streams), sum(ms for _, ms in streams)
    return tokens * 1000 / took_ms if tokens and took_ms else None
