"""What each model did, how fast, what it cost, and what that would have cost elsewhere. Pure.

It is of jobs that have ended, whether a router has decided on them or not.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from fleet.comparison import Reference
from fleet.rows import Outcome, Row, Undecided
from router.figures import Figures, by_name, figures, figures_by
from router.outcomes import answered_by
from router.report import alert_of, external_rate

Ended = Row | Undecided

HOUR_MS = 3_600_000
MONTH_MS = 30 * 24 * HOUR_MS
#: A shorter wait says nothing of a prediction: it is mostly the message's way.
SHORTEST_WAIT_MS = 1_000
NOBODY = "(no model)"


@dataclass(frozen=True, slots=True)
class Bill:
    """The money of some jobs, in US dollars. None: of no job is it known."""

    cost_usd: float | None
    #: What the same tokens would have cost at the model that is compared with.
    there_usd: float | None
    #: The difference, of the jobs of which it is known.
    saved_usd: float | None


@dataclass(frozen=True, slots=True)
class Cached:
    """Answers that no model had to generate."""

    #: `hit`, `semantic` or `shared`.
    kind: str
    jobs: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Predictions:
    """How the predicted waits came true, of jobs that waited for a second at least."""

    jobs: int
    #: |predicted - waited| / waited; None: there was no such job.
    median_error: float | None


@dataclass(frozen=True, slots=True)
class Work:
    """All that `fleet report` shows."""

    overall: Figures
    models: tuple[Figures, ...]
    bill: Bill
    #: By the names of `models`.
    bills: dict[str, Bill]
    #: The model that is compared with.
    compared_with: str
    #: What a month would cost at the rate of the hours that were seen (at least one).
    month_usd: float
    seen_h: float
    external_rate: float | None
    caches: tuple[Cached, ...]
    predictions: Predictions

    @property
    def alert(self) -> str:
        """What somebody should look at now; empty: nothing."""
        return alert_of(self.external_rate)

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        return asdict(self) | {"alert": self.alert}


def work(
    jobs: Sequence[Ended], reference: Reference, external: Collection[str], now_ms: int
) -> Work:
    """Sum up jobs; of those that have not ended nothing is said.

    Args:
        jobs: of the decision log.
        reference: what their cost is held against.
        external: names of the models that are not ours.
        now_ms: of Redis' clock.
    """
    ended = [job for job in jobs if job.outcome]
    outcomes = _outcomes(ended)
    bill = _bill(outcomes, reference)
    began = [o.at - (o.total_ms or 0) for o in outcomes]
    seen_ms = max(HOUR_MS, now_ms - min(began, default=now_ms))
    return Work(
        overall=figures("all", ended, len(ended)),
        models=figures_by(ended, _name),
        bill=bill,
        bills={
            name: _bill(_outcomes(own), reference) for name, own in by_name(ended, _name).items()
        },
        compared_with=reference.name,
        month_usd=(bill.cost_usd or 0.0) * MONTH_MS / seen_ms,
        seen_h=seen_ms / HOUR_MS,
        external_rate=external_rate(ended, external),
        caches=_caches(outcomes),
        predictions=_predictions(outcomes),
    )


def _outcomes(jobs: Iterable[Ended]) -> list[Outcome]:
    return [job.outcome for job in jobs if job.outcome]


def _name(job: Ended) -> str:
    return (job.outcome and answered_by(job.outcome)) or NOBODY


def _bill(outcomes: Iterable[Outcome], reference: Reference) -> Bill:
    here = _sum(outcome.cost_usd for outcome in outcomes)
    there = _sum(_there(outcome, reference) for outcome in outcomes)
    return Bill(here, there, None if there is None else there - (here or 0.0))


def _there(outcome: Outcome, reference: Reference) -> float | None:
    asked = None if outcome.cache else outcome.model
    tokens = outcome.prompt_tokens, outcome.completion_tokens
    return reference.cost_usd(asked, outcome.cost_usd, *tokens)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _caches(outcomes: Iterable[Outcome]) -> tuple[Cached, ...]:
    kinds = by_name([o for o in outcomes if o.cache], lambda o: o.cache or "")
    return tuple(
        Cached(
            kind,
            len(own),
            sum(o.prompt_tokens or 0 for o in own),
            sum(o.completion_tokens or 0 for o in own),
        )
        for kind, own in sorted(kinds.items())
    )


def _predictions(outcomes: Iterable[Outcome]) -> Predictions:
    errors = [
        abs(o.predicted_wait_ms - o.wait_ms) / o.wait_ms
        for o in outcomes
        if o.predicted_wait_ms is not None and o.wait_ms is not None
        if o.wait_ms >= SHORTEST_WAIT_MS and not o.cache
    ]
    return Predictions(len(errors), median(errors) if errors else None)
