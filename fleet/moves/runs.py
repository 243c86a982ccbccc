"""What workers do with a job: claim it, write its answer, end it or hand it on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from fleet import scripts
from fleet.events import Kind, event_data
from fleet.job import HandOver, Job, Status
from fleet.moves.base import EXPIRED_EVENT, Moves, compact
from fleet.names import (
    BOOK_PREFIX,
    DECISIONS,
    DUE,
    HOLDS,
    JOBS_PREFIX,
    LIVE_PREFIX,
    PACE,
    claim_key,
    conversation_key,
    generations_key,
    job_key,
    live_channel,
    log_key,
    waiting_key,
)
from fleet.records import pairs, store_errors


class Write(NamedTuple):
    """Events of one attempt, to be written with the number that it expects for the first."""

    job: Job
    seq: int
    #: Byte of the server's stream after them; 0 where a stream cannot be resumed.
    place: int
    #: kind, json, …
    events: Sequence[str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A job taken by this process."""

    job: Job
    #: Until the deadline, by Redis' clock.
    seconds_left: float
    #: When it was taken, by the same clock: ms since the epoch.
    at: int = 0


class Runs(Moves):
    """The moves of workers."""

    async def claim(self, model: str, owner: str, claim: str, server: str = "") -> Claim | None:
        """Take the job whose turn it is for this process: the next attempt, with a lease.
        None if none waits.

        `claim` is a name for this call, the same when it is repeated. `server` is what the
        worker calls its model server, if that one keeps generations.
        """
        async with store_errors():
            record = await scripts.CLAIM(
                self.line,
                [
                    waiting_key(self._queues[model]),
                    DUE,
                    claim_key(claim),
                    generations_key(server),
                    DECISIONS,
                ],
                [
                    JOBS_PREFIX,
                    LIVE_PREFIX,
                    owner,
                    self._lease_ms,
                    self._attempts,
                    event_data(Kind.STARTED, model=model, worker=owner),
                    EXPIRED_EVENT,
                    self._poisoned_event,
                    self._ended_ttl,
                    self._poisoned,
                    server,
                    self._log_size,
                ],
            )
        if not record:
            return None
        job = Job.from_hash(record[1], pairs(record[2:]))
        at = int(record[0])
        return Claim(job, seconds_left=(job.deadline_at - at) / 1000, at=at)

    async def append(self, writes: Sequence[Write]) -> list[int]:
        """Write pieces of answers. Gives for each the next number, or -1 if it was refused."""
        commands = [
            scripts.APPEND.command(
                [job_key(write.job.id), log_key(write.job.id)],
                [
                    live_channel(write.job.id),
                    write.job.attempt,
                    write.seq,
                    self._lease_ms,
                    write.place,
                    *write.events,
                ],
            )
            for write in writes
        ]
        async with store_errors():
            try:
                return await self.line.calls(commands)
            except NoScriptError:
                await scripts.APPEND.load(self.line)
                return await self.line.calls(commands)

    async def finish(
        self,
        job: Job,
        seq: int,
        status: Status,
        events: Sequence[str],
        fields: dict[str, Any],
    ) -> bool:
        """End a job that this process runs. `events`: kind, json, …, the terminal one last."""
        order = {
            "channel": live_channel(job.id),
            "attempt": str(job.attempt),
            "seq": str(seq),
            "status": status,
            "ttl_s": self._ended_ttl,
            "model": job.model,
            "log_size": self._log_size,
            "memory_s": self._memory_s(job.conversation),
            "events": len(events),
        }
        flat = [part for key, value in fields.items() for part in (key, json.dumps(value))]
        async with store_errors():
            done = await scripts.FINISH(
                self.line,
                [
                    job_key(job.id),
                    log_key(job.id),
                    DUE,
                    PACE,
                    DECISIONS,
                    conversation_key(job.conversation),
                ],
                [compact(order), *events, *flat],
            )
        return bool(done)

    async def hand_over(self, job: Job, seq: int, how: HandOver) -> bool:
        """Send a job that this process runs back into a line."""
        model = job.plan[how.step]
        outgoing = self._dispatcher.run(job.id, model, job.attempt + 1, job.priority)
        told: dict[str, Any] = {"route": job.route, "model": model, "plan": job.plan}
        told["reasons"] = [how.reason]
        if how.pause_s:
            told["retry_in_s"] = round(how.pause_s, 2)
        told["ended"] = "handed over" if how.same_generation else "failed"
        fields = how.fields(model)
        if not how.same_generation:
            fields += ["generation", "", "begun", int(how.begun)]
        async with store_errors():
            done = await scripts.HAND_OVER(
                self.line,
                [
                    job_key(job.id),
                    log_key(job.id),
                    outgoing.list_key,
                    DUE,
                    waiting_key(outgoing.queue),
                ],
                [
                    live_channel(job.id),
                    job.attempt,
                    seq,
                    outgoing.inline,
                    event_data(Kind.ROUTED, **told),
                    int(how.pause_s * 1000),
                    int(how.free),
                    *fields,
                ],
            )
        if done and not how.pause_s:
            await self._dispatcher.sent(outgoing)
        return bool(done)

    async def renew(self, job: Job, hold: str = "", hold_ms: int = 0) -> bool:
        """Keep the lease of a job that this process runs, and what it has set aside: the hold of
        that id, for so long (see `fleet.spend.book`).
        """
        holds = (HOLDS, BOOK_PREFIX) if hold else ()
        async with store_errors():
            kept = await scripts.RENEW(
                self.line,
                [job_key(job.id), *holds],
                [job.attempt, self._lease_ms, hold_ms, hold],
            )
        return bool(kept)

    async def begin(self, job: Job, server: str) -> str | None:
        """Name the generation for which this attempt asks the model anew; None if the attempt
        has lost the job. A name is used for one question only."""
        name = f"{job.id}.{job.attempt}"
        keys = [job_key(job.id), generations_key(server)]
        async with store_errors():
            ours = await scripts.BEGIN(self.line, keys, [job.attempt, name, self._ended_ttl])
        return name if ours else None

    async def wake(self, model: str) -> None:
        """Send one more message to a model's queue, if jobs wait there."""
        async with store_errors():
            first = await self.line.call("ZRANGE", waiting_key(self._queues[model]), 0, 0)
        for job_id in first:
            await self._enqueue(self._dispatcher.run(job_id, model, 0, 0))

    async def generations(self, server: str) -> list[str]:
        """What a model server may hold for us: the generation of each claim made for it."""
        async with store_errors():
            return list(await self.line.call("SMEMBERS", generations_key(server)))

    async def forget_generations(self, server: str, generations: Sequence[str]) -> None:
        """The server holds these no more."""
        async with store_errors():
            await self.line.call("SREM", generations_key(server), *generations)
