"""Where a job goes that waits for a model which nobody asks. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.errors import PASSING, BreakerOpen, ServerUnreachable
from fleet.job import HandOver, Job


@dataclass(frozen=True, slots=True)
class Left:
    """Why a model is left alone."""

    why: str
    #: Whether it has workers, who leave its server alone.
    workers: bool = True

    def failure(self, model: str, attempt: int) -> dict[str, Any]:
        """What a job's record says of it."""
        code = (BreakerOpen if self.workers else ServerUnreachable).code
        return {"model": model, "attempt": attempt, "code": code, "message": self.why}


def ways_on(job: Job, left: Left, serves: Callable[[str], bool], rounds: int = 1) -> list[HandOver]:
    """The ways on for a job that waits for a model which is left alone, the best first: the later
    steps of its plan, then the earlier ones that were not tried, then another round: those that
    may have come back. `serves` says which models are asked. Each way is noted as a failure of
    that model, and there are so many `rounds`, so a job does not go round for ever.
    """
    failed = {failure["model"]: failure["code"] for failure in job.tried}
    hopeless = {name for name, code in failed.items() if code not in PASSING}
    later = [i for i in range(job.step + 1, len(job.plan)) if job.plan[i] not in hopeless]
    earlier = [i for i in range(job.step) if job.plan[i] not in failed]
    again = [i for i in range(job.step) if failed.get(job.plan[i]) in PASSING]
    reason = f"{job.model} is not asked for now: {left.why}"
    tried = [*job.tried, left.failure(job.model, job.attempt)]
    ways = [(step, job.rounds) for step in (*later, *earlier)]
    if job.rounds + 1 < rounds:
        ways += [(step, job.rounds + 1) for step in again]
    return [
        HandOver(step, reason, tried, rounds=number)
        for step, number in ways
        if serves(job.plan[step])
    ]


def all_failures(job: Job, left: Mapping[str, Left]) -> list[dict[str, Any]]:
    """All that was tried for a job that has no way on, with the models that are left alone."""
    failures = [left[name].failure(name, job.attempt) for name in job.plan if name in left]
    return [*job.tried, *(each for each in failures if each not in job.tried)]
