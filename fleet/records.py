"""Reading jobs, their logs and their queues from Redis."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.exceptions import RedisError, ResponseError

from fleet.decision import Memory
from fleet.errors import StoreUnavailable
from fleet.events import Event
from fleet.job import TERMINAL, Glance, Job, Status
from fleet.line import Line
from fleet.names import (
    DUE,
    NEVER_THERE,
    conversation_key,
    job_key,
    jobs_index,
    log_key,
    waiting_key,
)
from fleet.refusal import in_plain_words

log = logging.getLogger(__name__)

#: Entries of a log read in one go.
READ_BATCH = 2_000


@asynccontextmanager
async def store_errors() -> AsyncIterator[None]:
    """The border where redis' errors become ours."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(_reason(error)) from error


def _reason(error: Exception) -> str:
    if meant := in_plain_words(str(error)):
        log.warning("%s (%s)", meant, error)
        return meant
    if isinstance(error, ResponseError):
        log.error("Redis refused a command: %s", error)
        return "Redis refused a command; the log here tells which."
    return f"Redis does not answer: {error}"


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """A hash as Redis answers it: field, value, …"""
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Records:
    """What can be read without moving anything."""

    def __init__(self, line: Line) -> None:
        self.line = line

    async def ping(self) -> None:
        """Return if Redis answers.

        Raises:
            StoreUnavailable: it does not.
        """
        async with store_errors():
            await self.line.call("PING")

    async def ping_writes(self) -> None:
        """Return if Redis takes writes; nothing is written.

        Raises:
            StoreUnavailable: it does not, or does not answer.
        """
        async with store_errors():
            await self.line.call("LPUSHX", NEVER_THERE, "")

    async def load(self, job_id: str) -> Job | None:
        """The record, or None if there is none (any more)."""
        async with store_errors():
            raw = await self.line.call("HGETALL", job_key(job_id))
        return Job.from_hash(job_id, pairs(raw)) if raw else None

    async def peek(self, job_id: str) -> Glance | None:
        """Where the job stands, without its record; None if there is none (any more)."""
        async with store_errors():
            values = await self.line.call("HMGET", job_key(job_id), *Glance._fields)
        status, seq, caller, route, model, confidence, cache = values
        if status is None:
            return None
        sure = float(confidence) if confidence else None
        return Glance(
            Status(status), int(seq), caller or "", route or "", model or "", sure, cache or ""
        )

    async def conversation(self, handle: str) -> Memory | None:
        """What is remembered of a conversation (see `fleet.decision.conversation_handle`)."""
        async with store_errors():
            raw = pairs(await self.line.call("HGETALL", conversation_key(handle)))
        if not raw:
            return None
        sure, held, at = float(raw["confidence"]), int(raw["held"]), int(raw["at"])
        return Memory(raw["route"], raw["model"], sure, held, at)

    async def recent(self, caller: str, before: str, count: int) -> list[Job]:
        """At most `count` jobs of a caller, newest first, made at or before `before` (ms, `+inf`).

        Their requests are left out: nobody's words are read for a list.
        """
        async with store_errors():
            ids = await self.line.call(
                *("ZRANGE", jobs_index(caller), before, "-inf", "BYSCORE", "REV", "LIMIT", 0, count)
            )
        return await self.summaries(ids)

    async def summaries(self, job_ids: Sequence[str]) -> list[Job]:
        """The records of these jobs, as far as there are any, without anybody's words."""
        commands = [("HMGET", job_key(job_id), *Job.SUMMARY) for job_id in job_ids]
        async with store_errors():
            found = zip(job_ids, await self.line.calls(commands), strict=True)
        return [Job.from_summary(job_id, values) for job_id, values in found if values[0]]

    async def jobs_waiting(self, queues: Sequence[str]) -> list[int]:
        """How many jobs wait in each of the queues."""
        async with store_errors():
            return await self.line.calls([("ZCARD", waiting_key(queue)) for queue in queues])

    async def line_of(self, queue: str, first: int, count: int) -> list[str]:
        """The ids of jobs that wait in a queue, from that place on, as they will be served."""
        async with store_errors():
            last = first + count - 1
            return list(await self.line.call("ZRANGE", waiting_key(queue), first, last))

    async def unended_jobs(self, caller: str) -> int:
        """How many jobs of a caller have not ended."""
        async with store_errors():
            return int(await self.line.call("HGET", f"{DUE}:load", caller) or 0)

    async def generations_of(self, job_ids: Sequence[str]) -> dict[str, str]:
        """The generation that each unended job of these goes on with."""
        commands = [("HMGET", job_key(job_id), "status", "generation") for job_id in job_ids]
        async with store_errors():
            found = zip(job_ids, await self.line.calls(commands), strict=True)
        return {
            job_id: generation or ""
            for job_id, (status, generation) in found
            if status is not None and status not in TERMINAL
        }

    async def read_all(self, job_id: str) -> list[Event]:
        """The whole log so far."""
        events: list[Event] = []
        while True:
            batch = await self.read(job_id, events[-1].seq if events else -1)
            events += batch
            if len(batch) < READ_BATCH:
                return events

    async def read(self, job_id: str, after: int) -> list[Event]:
        """The next events of a log with numbers greater than `after`, at most `READ_BATCH`."""
        async with store_errors():
            entries = await self.line.call(
                *("XRANGE", log_key(job_id), after + 1, "+", "COUNT", READ_BATCH)
            )
        return [Event(int(place.split("-")[0]), e[1], e[3]) for place, e in entries]
