"""Where a job goes when a model has failed it: the next model of its plan, another round through
the plan after a pause, or nowhere. Pure.

Only a `TryNext` gets here: what is the caller's own mistake is tried by nobody else.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from fleet.catalogue import Catalogue
from fleet.errors import (
    PASSING,
    BreakerOpen,
    Broken,
    ContextExceeded,
    FleetError,
    NotServed,
    ServerLoading,
    TryNext,
    codes_of,
)
from fleet.job import HandOver, Job
from fleet.last_words import last_words, too_small
from fleet.settings import Settings

#: Failures after which the same model is never asked again.
FOR_GOOD = codes_of(NotServed) | codes_of(ContextExceeded)
#: Pause before the plan is tried again, seconds: first, longest.
PAUSE_S, PAUSE_MOST_S = 0.3, 8.0
#: Failures that a record keeps, and characters of what each says.
TRIED_MOST = 50
MESSAGE_MOST = 600
NOBODY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NextTry:
    """What the next try of any job of a model depends on beside the job."""

    model: str
    catalogue: Catalogue
    #: Rounds through a plan, and attempts at a job, at most.
    rounds: int
    max_attempts: int

    @classmethod
    def of(cls, model: str, settings: Settings) -> "NextTry":
        """As the settings say."""
        most = settings.workers.max_attempts
        return cls(model, settings.catalogue, settings.fallback.rounds, most)

    def after(
        self,
        job: Job,
        error: TryNext,
        tried: Sequence[dict[str, Any]],
        *,
        begun: bool,
        shut: Mapping[str, str] = NOBODY,
    ) -> HandOver | FleetError:
        """Where the job goes after this failure, or the error with which it ends.

        Args:
            job: as it stands.
            error: the failure.
            tried: every failure so far, this one last.
            begun: whether the attempt has brought text.
            shut: models whose servers are left alone, each with the reason: they are passed over
                where another one is asked.
        """
        reason = f"{self.model} failed: {error}"
        free = not isinstance(error, Broken)
        failed = HandOver(0, reason, tried, free=free, rounds=job.rounds, begun=begun)
        left = free or job.attempt - job.released < self.max_attempts
        how = self._next(job, failed, shut) if left else None
        return how or last_words(
            tried, self.catalogue, plan=job.plan, allowed=job.allowed, left_out=job.left_out
        )

    def _next(self, job: Job, how: HandOver, shut: Mapping[str, str]) -> HandOver | None:
        """The next model of this round, else another round."""
        open_to = [i for i, name in enumerate(job.plan) if self._may(name, how.tried)]
        later = [i for i in open_to if i > job.step]
        if not later:
            return self._next_round(job, how, open_to, shut)
        step = next((i for i in later if job.plan[i] not in shut), later[0])
        at = how.tried[-1]["at"]
        passed = [
            failure(name, job.attempt, BreakerOpen(shut[name]), at=at, took_ms=0)
            for name in (job.plan[i] for i in later if i < step)
        ]
        return replace(how, step=step, tried=remembered([*how.tried, *passed]))

    def _next_round(
        self, job: Job, how: HandOver, open_to: Sequence[int], shut: Mapping[str, str]
    ) -> HandOver | None:
        """The beginning of another round through the plan, after a pause; None if there is
        none. A model that is only loading is waited for as long as the job's deadline allows.
        """
        last = {failure["model"]: failure["code"] for failure in how.tried}
        plan = [(i, last.get(job.plan[i])) for i in open_to]
        again = replace(how, rounds=job.rounds + 1, pause_s=pause_s(job.rounds))
        loading = next((i for i, code in plan if code == ServerLoading.code), None)
        if loading is not None:
            return replace(again, step=loading)
        passing = [i for i, code in plan if code in PASSING]
        if not passing or job.rounds + 1 >= self.rounds:
            return None
        asked = (i for i in passing if job.plan[i] not in shut)
        return replace(again, step=next(asked, passing[0]))

    def _may(self, name: str, tried: Sequence[dict[str, Any]]) -> bool:
        """Whether a model may still be asked: this process knows it, it has not said no for good,
        and its context is larger than what the conversation was too long for.
        """
        model = self.catalogue.get(name)
        if model is None or model.context <= too_small(tried, self.catalogue):
            return False
        return all(f["code"] not in FOR_GOOD for f in tried if f["model"] == name)


def failure(
    model: str, attempt: int, error: FleetError, *, at: int, took_ms: int
) -> dict[str, Any]:
    """An entry of `Job.tried`; `at` is when the attempt failed, ms by Redis' clock."""
    told: dict[str, Any] = {
        "model": model,
        "attempt": attempt,
        "code": error.code,
        "message": error.message[:MESSAGE_MOST],
        "at": at,
        "took_ms": took_ms,
    }
    if isinstance(error, ContextExceeded) and error.needs:
        told["needs"] = error.needs
    if error.retry_after_s is not None:
        told["retry_after_s"] = error.retry_after_s
    return told


def remembered(tried: Sequence[dict[str, Any]], most: int = TRIED_MOST) -> list[dict[str, Any]]:
    """The last `most` failures, and each model's last one however old it is: that one says
    whether the model may be asked again.
    """
    last = {entry["model"]: place for place, entry in enumerate(tried)}
    spare = [i for i, entry in enumerate(tried) if last[entry["model"]] != i]
    dropped = set(spare[: max(0, len(tried) - most)])
    return [entry for i, entry in enumerate(tried) if i not in dropped]


def pause_s(rounds: int) -> float:
    """Seconds until the next round through a plan, with some jitter so that jobs spread."""
    longest = min(PAUSE_MOST_S, PAUSE_S * float(2 ** min(rounds, 10)))
    return longest * random.uniform(0.7, 1.0)  # noqa: S311 - only to spread
