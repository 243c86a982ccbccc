"""Where a job goes when a model has failed it: the next model of its plan, another round through
the plan after a pause, or nowhere. Pure.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fleet.errors import (
    AllModelsUnavailable,
    Broken,
    ContextExceeded,
    FleetError,
    NotServed,
    ServerLoading,
    TryLater,
    TryNext,
    codes_of,
)
from fleet.job import HandOver, Job
from fleet.settings import Settings

#: Failures after which the same model may be asked again.
PASSING = codes_of(TryLater)
#: Pause before the plan is tried again, seconds: first, longest.
PAUSE_S, PAUSE_MOST_S = 0.3, 8.0


@dataclass(frozen=True, slots=True)
class NextTry:
    """What the next try of any job of a model depends on beside the job."""

    model: str
    #: Models that this process knows.
    known: frozenset[str]
    #: Rounds through a plan, and attempts at a job, at most.
    rounds: int
    max_attempts: int

    @classmethod
    def of(cls, model: str, settings: Settings) -> "NextTry":
        """As the settings say."""
        known = frozenset(entry.name for entry in settings.models)
        return cls(model, known, settings.fallback.rounds, settings.workers.max_attempts)

    def after(
        self, job: Job, error: TryNext, tried: Sequence[dict[str, Any]], *, begun: bool
    ) -> HandOver | FleetError:
        """Where the job goes after this failure, or the error with which it ends.

        Args:
            job: as it stands.
            error: the failure.
            tried: every failure so far, this one last.
            begun: whether the attempt has brought text.
        """
        reason = f"{self.model} failed: {error}"
        free = not isinstance(error, Broken)
        failed = HandOver(0, reason, tried, free=free, rounds=job.rounds, begun=begun)
        hopeless = {failure["model"] for failure in tried if failure["code"] == NotServed.code}
        later = range(job.step + 1, len(job.plan))
        step = next((i for i in later if job.plan[i] in self.known - hopeless), None)
        how = self._next_round(job, failed) if step is None else replace(failed, step=step)
        if how is None or not (free or job.attempt - job.released < self.max_attempts):
            return exhausted(tried)
        return how

    def _next_round(self, job: Job, how: HandOver) -> HandOver | None:
        """The beginning of another round through the plan, after a pause; None if there is
        none. A model that is only loading is waited for as long as the job's deadline allows.
        """
        last = {failure["model"]: failure["code"] for failure in how.tried}
        plan = [(i, last.get(name)) for i, name in enumerate(job.plan) if name in self.known]
        again = replace(how, rounds=job.rounds + 1, pause_s=pause_s(job.rounds))
        loading = next((i for i, code in plan if code == ServerLoading.code), None)
        if loading is not None:
            return replace(again, step=loading)
        passing = next((i for i, code in plan if code in PASSING), None)
        if passing is None or job.rounds + 1 >= self.rounds:
            return None
        return replace(again, step=passing)


def pause_s(rounds: int) -> float:
    """Seconds until the next round through a plan, with some jitter so that jobs spread."""
    longest = min(PAUSE_MOST_S, PAUSE_S * float(2 ** min(rounds, 10)))
    return longest * random.uniform(0.7, 1.0)  # noqa: S311 - only to spread


def exhausted(tried: Sequence[dict[str, Any]]) -> FleetError:
    """The last word when every model of the plan has failed."""
    if all(failure["code"] == ContextExceeded.code for failure in tried):
        told = (f"{failure['model']}: {failure['message']}" for failure in tried)
        return ContextExceeded(" ".join(dict.fromkeys(told)))
    return AllModelsUnavailable(list(tried))
