"""What routers do with a job: take it, send it to a model, send it elsewhere."""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from fleet import scripts
from fleet.decision import Decision
from fleet.events import Kind, event_data
from fleet.job import HandOver, Job
from fleet.moves.base import EXPIRED_EVENT, compact
from fleet.moves.ends import Ends
from fleet.names import (
    DECISIONS,
    DUE,
    JOBS_PREFIX,
    LIVE_PREFIX,
    MIX,
    ROUTER_QUEUE,
    claim_key,
    conversation_key,
    job_key,
    live_channel,
    log_key,
    waiting_key,
)
from fleet.records import pairs, store_errors

#: A router that has not decided for so long is taken for dead.
ROUTING_LEASE_MS = 10_000


class Routed(Enum):
    """What became of a decision."""

    DONE = "done"
    #: The job had been routed or ended before, or its time was over.
    LATE = "late"
    #: The model's line has no room.
    FULL = "full"


_ROUTED = {1: Routed.DONE, 0: Routed.LATE, -1: Routed.LATE, -2: Routed.FULL}


class Routes(Ends):
    """The moves of routers."""

    async def take(self, claim: str) -> Job | None:
        """Take the job whose turn it is to be routed; None if none waits.

        `claim` is a name for this call, the same when it is repeated.
        """
        async with store_errors():
            record = await scripts.TAKE(
                self.line,
                [waiting_key(ROUTER_QUEUE), DUE, claim_key(claim), DECISIONS],
                [
                    JOBS_PREFIX,
                    LIVE_PREFIX,
                    ROUTING_LEASE_MS,
                    self._attempts,
                    EXPIRED_EVENT,
                    self._poisoned_event,
                    self._ended_ttl,
                    self._poisoned,
                    self._log_size,
                ],
            )
        return Job.from_hash(record[0], pairs(record[1:])) if record else None

    async def route(
        self, job: Job, decision: Decision, *, model: str = "", notes: Sequence[str] = ()
    ) -> Routed:
        """Write the router's decision and send the job to its model, or to another `model` of
        the plan; `notes` are further reasons.

        A job past its time is ended as expired instead.
        """
        decided = replace(
            decision, model=model or decision.model, reasons=(*decision.reasons, *notes)
        )
        outgoing = self._dispatcher.run(job.id, decided.model, 1, job.priority)
        async with store_errors():
            done = await scripts.ROUTE(
                self.line,
                [
                    job_key(job.id),
                    log_key(job.id),
                    outgoing.list_key,
                    DUE,
                    waiting_key(outgoing.queue),
                    DECISIONS,
                    conversation_key(decided.conversation),
                    MIX,
                ],
                [
                    live_channel(job.id),
                    outgoing.inline,
                    event_data(Kind.ROUTED, **decided.told()),
                    self._settings.limits.queue_jobs,
                    compact({"job": job.id, "caller": job.caller, **decided.as_dict()}),
                    self._log_size,
                    self._memory_s(decided.conversation),
                    decided.held,
                    *decided.fields(),
                ],
            )
        if done == 1:
            await self._dispatcher.sent(outgoing)
        elif done == -1:
            await self.expire(job.id)
        return _ROUTED[done]

    async def divert(self, job: Job, how: HandOver) -> bool:
        """Move a job that nobody runs from its model's line to that of another step of its plan;
        False if it does not stand there any more, or there is no room.
        """
        model = job.plan[how.step]
        outgoing = self._dispatcher.run(job.id, model, job.attempt + 1, job.priority)
        told = {"route": job.route, "model": model, "plan": job.plan, "reasons": [how.reason]}
        order = {
            "channel": live_channel(job.id),
            "seq": str(job.seq),
            "message": outgoing.inline,
            "event": event_data(Kind.ROUTED, **told),
            "room": self._settings.limits.queue_jobs,
        }
        async with store_errors():
            done = await scripts.DIVERT(
                self.line,
                [
                    job_key(job.id),
                    log_key(job.id),
                    outgoing.list_key,
                    DUE,
                    waiting_key(outgoing.queue),
                    waiting_key(self._queues[job.model]),
                ],
                [compact(order), *how.fields(model), "generation", ""],
            )
        if done == 1:
            await self._dispatcher.sent(outgoing)
        return bool(done == 1)
