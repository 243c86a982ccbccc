"""Where a job goes that waits for a model which nobody asks. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from fleet.errors import BreakerOpen, ServerUnreachable, TryLater, codes_of
from fleet.job import HandOver, Job

#: Failures after which a model may be asked again.
PASSING = codes_of(TryLater)


@dataclass(frozen=True, slots=True)
class Left:
    """Why a model is left alone."""

    why: str
    #: Whether it has workers, who leave its server alone.
    workers: bool

    @property
    def code(self) -> str:
        """What the job's record says of it."""
        return (BreakerOpen if self.workers else ServerUnreachable).code


def ways_on(job: Job, left: Left, serves: Callable[[str], bool]) -> list[HandOver]:
    """The ways on for a job that waits for a model which is left alone, the best first: the later
    steps of its plan, then the earlier ones that were not tried. `serves` says which models are
    asked. Each way is noted as a failure of that model, so a job does not go round for ever.
    """
    failed = {failure["model"]: failure["code"] for failure in job.tried}
    later = [
        step
        for step in range(job.step + 1, len(job.plan))
        if failed.get(job.plan[step], TryLater.code) in PASSING
    ]
    earlier = [step for step in range(job.step) if job.plan[step] not in failed]
    failure = {
        "model": job.model,
        "attempt": job.attempt,
        "code": left.code,
        "message": left.why,
    }
    reason = f"{job.model} is not asked for now: {left.why}"
    tried = [*job.tried, failure]
    steps = [step for step in (*later, *earlier) if serves(job.plan[step])]
    return [HandOver(step, reason, tried) for step in steps]
