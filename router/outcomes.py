"""What a row of the decision log says about its job. Pure."""

from collections.abc import Callable, Hashable, Iterable
from typing import Protocol

from fleet.job import Status
from fleet.rows import Feedback, Outcome, Row

#: A cancel is the caller's wish, and an answer cut at its limit is an answer.
FAILED = frozenset({Status.FAILED, Status.EXPIRED})
#: In place of a model where an answer came from a cache; no model can have this name.
CACHE = "(cache)"


class Job(Protocol):
    """A job of the decision log."""

    @property
    def outcome(self) -> Outcome | None:
        """None: it has not ended."""

    @property
    def feedback(self) -> tuple[Feedback, ...]:
        """The last one counts."""


def right_route(row: Row) -> str | None:
    """The route that was right by the last word on it; None if nobody has said anything.

    Whoever says something and names no route does not object to the one that was taken.
    """
    return (row.feedback[-1].route or row.route) if row.feedback else None


def rating(job: Job) -> int | None:
    """The rating in the last word on it; None if there is none."""
    return job.feedback[-1].rating if job.feedback else None


def answered_by(outcome: Outcome) -> str:
    """The model that had the job last, or `CACHE`; empty: it came to none."""
    return CACHE if outcome.cache else outcome.model or ""


def fell_over(outcome: Outcome) -> bool:
    """Whether a model failed on the way."""
    return outcome.failed_over > 0


def failed(outcome: Outcome) -> bool:
    """Whether nobody got an answer who wanted one."""
    return outcome.status in FAILED


def group_of(row: Row, by: str = "conversation") -> Hashable:
    """What the row shares its luck with: its conversation, or all of its caller's jobs.

    A job without a conversation stands for itself.
    """
    if by == "caller":
        return row.caller
    return (row.caller, row.conversation) if row.conversation else row.job


def grouped(
    rows: Iterable[Row], value: Callable[[Row], float | None], by: str = "conversation"
) -> list[list[float]]:
    """The values of the rows that have one, by conversation or caller."""
    groups: dict[Hashable, list[float]] = {}
    for row in rows:
        if (found := value(row)) is not None:
            groups.setdefault(group_of(row, by), []).append(float(found))
    return list(groups.values())
