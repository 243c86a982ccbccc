"""Questions by their embeddings, beside the jobs that have their answers, in Redis."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fleet import scripts
from fleet.cache.kept import told_again
from fleet.events import Event, Kind
from fleet.job import Job
from fleet.names import DECISIONS, DUE, job_key, live_channel, log_key, similar_key
from fleet.records import Records, store_errors
from fleet.request import last_user_turn
from fleet.settings import Settings


@dataclass(frozen=True, slots=True)
class Alike:
    """A question that was asked before, and how near it is: 1 is the same."""

    job_id: str
    question: str
    similarity: float


class SimilarQuestions:
    """What was asked before. Every call may raise StoreUnavailable."""

    def __init__(self, records: Records, settings: Settings) -> None:
        self._records = records
        self._settings = settings

    async def noted(self, frame: str) -> str:
        """The records of the questions that were asked in this frame (see `note`), one after
        the other, the oldest first.
        """
        async with store_errors():
            return await self._records.line.call("GET", similar_key(frame)) or ""

    async def note(self, job: Job, frame: str, record: str) -> None:
        """Remember a job's question in its frame: what else may change the answer, as a digest.

        `record` begins with the digits of the job's id; all records of a frame are of one size.
        """
        settings = self._settings
        ttl_s = settings.cache_ttl_s + int(settings.limits.deadline_s)
        async with store_errors():
            await scripts.NOTE_SIMILAR(
                self._records.line,
                [job_key(job.id), similar_key(frame)],
                [record, settings.cache.semantic.entries, ttl_s],
            )

    async def questions(self, job_ids: Sequence[str]) -> dict[str, str]:
        """What each of these jobs had asked, as far as it has been answered."""
        commands = [("HMGET", job_key(job_id), "status", "request") for job_id in job_ids]
        async with store_errors():
            found = zip(job_ids, await self._records.line.calls(commands), strict=True)
        return {
            job_id: last_user_turn(json.loads(request))
            for job_id, (status, request) in found
            if status == "completed"
        }

    async def answer(self, job: Job, alike: Alike) -> bool | None:
        """End a job with the answer of another one. False if it had ended or gone on before;
        None if that answer may not be given again (any more).
        """
        log = await self._records.read_all(alike.job_id)
        if not log or log[-1].kind != Kind.COMPLETED:
            return None
        reasons = [f"a question like it was asked before ({alike.similarity:.3f})"]
        async with store_errors():
            done = await scripts.ANSWER_AGAIN(
                self._records.line,
                [job_key(job.id), log_key(job.id), DUE, DECISIONS],
                [
                    json.dumps(self._order(job, alike, reasons)),
                    *_told(log, reasons),
                ],
            )
        return None if done < 0 else bool(done)

    def _order(self, job: Job, alike: Alike, reasons: Sequence[str]) -> dict[str, object]:
        return {
            "channel": live_channel(job.id),
            "source": alike.job_id,
            "similarity": json.dumps(alike.similarity),
            "reasons": json.dumps(reasons),
            "ttl_s": self._settings.store.retention_s,
            "log_size": self._settings.router.log_size,
        }


def _told(log: Sequence[Event], reasons: Sequence[str]) -> list[str]:
    """The log of a job that gets this one's answer; `told_again` begins with `routed`."""
    kind, routed, *rest = told_again(log, "semantic")
    return [kind, json.dumps(json.loads(routed) | {"reasons": reasons}, ensure_ascii=False), *rest]
