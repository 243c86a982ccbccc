"""What is said of a job beside its moves."""

from fleet import scripts
from fleet.errors import Conflict
from fleet.job import Job
from fleet.moves.base import Moves, compact
from fleet.names import DECISIONS, EXAMPLES_MOST, FEEDBACK, job_key
from fleet.records import store_errors
from fleet.request import FeedbackRequest, last_user_turn

#: Times that a caller may say something else of one job.
FEEDBACKS_MOST = 20
#: Characters of a text that the router may learn from.
EXAMPLE_CHARACTERS = 600


class Notes(Moves):
    """What the log of decisions is told of jobs."""

    async def note_shadow(
        self,
        job_id: str,
        experiment: str,
        arm: str,
        route: str,
        confidence: float,
        took_ms: float,
    ) -> None:
        """Note what an arm that decides nothing would have said of a job.

        Raises:
            StoreUnavailable: Redis does not answer, or its memory is full.
        """
        if not self._log_size:
            return
        said = {"job": job_id, "experiment": experiment, "arm": arm, "route": route}
        shadow = compact(said | {"confidence": confidence, "took_ms": took_ms})
        async with store_errors():
            await self.line.call(
                *("XADD", DECISIONS, "MAXLEN", "~", self._log_size, "*", "k", "shadow", "d", shadow)
            )

    async def give_feedback(self, job: Job, feedback: FeedbackRequest) -> bool:
        """Keep what a caller says of a job, instead of what it has said before. False if there is
        no such job any more.

        Raises:
            Conflict: it has said something else too often; each time is an entry of the log.
        """
        learns = feedback.route and self._settings.router.keep_feedback_text
        text = last_user_turn(job.request)[:EXAMPLE_CHARACTERS] if learns else ""
        async with store_errors():
            kept = await scripts.GIVE_FEEDBACK(
                self.line,
                [job_key(job.id), DECISIONS, FEEDBACK],
                [
                    compact(feedback.model_dump()),
                    self._log_size,
                    feedback.route or "",
                    text,
                    EXAMPLES_MOST,
                    FEEDBACKS_MOST,
                ],
            )
        if kept < 0:
            raise Conflict(f"feedback on one job may change {FEEDBACKS_MOST} times, no more")
        return bool(kept)
