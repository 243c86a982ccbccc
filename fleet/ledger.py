"""The ledger: every job's record and log in Redis, moved only by the scripts in `lua/`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError

from fleet import scripts
from fleet.dispatch import Dispatcher, Outgoing
from fleet.errors import ConfigError, ServerUnreachable, TooManyAttempts
from fleet.events import Kind, event_data
from fleet.job import Job, Status
from fleet.line import Line
from fleet.names import (
    CANCELS_CHANNEL,
    DUE,
    JOBS_INDEX,
    calls_prefix,
    idempotency_key,
    job_key,
    live_channel,
    log_key,
)
from fleet.records import Records, pairs, store_errors
from fleet.settings import Settings

#: Jobs that one look for what is due takes on.
REAP_MOST = 200
#: A lost job whose new message finds no worker is looked at again after a lease and so long.
REAP_AGAIN_MS = 5_000
#: Statuses in which nobody runs the job yet.
WAITING = ",queued,routed,"
UNENDED = ",queued,routed,running,"
EXPIRED_EVENT = event_data(Kind.EXPIRED, message="Nobody could answer before the job's deadline.")


def connect(settings: Settings) -> Line:
    """The line to the store.

    Raises:
        ConfigError: `redis_url` is not an address.
    """
    try:
        return Line(settings.redis_url)
    except ValueError as error:
        raise ConfigError(f"redis_url: {error}") from None


@dataclass(frozen=True, slots=True)
class Created:
    """What became of a post. `existing` holds the stored idempotency value of an earlier one."""

    ahead: int = 0
    existing: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job taken by this process, or the reason why it was not."""

    job: Job | None
    refusal: str = ""
    #: Until the deadline, by Redis' clock.
    seconds_left: float = 0.0


class Ledger(Records):
    """Every move of a job. Each is one script, one round trip."""

    def __init__(self, line: Line, settings: Settings, dispatcher: Dispatcher) -> None:
        super().__init__(line)
        self._dispatcher = dispatcher
        self._settings = settings
        self._ended_ttl = settings.store.retention_s
        self._unended_ttl = settings.store.retention_s + int(settings.limits.deadline_s)
        self._lease_ms = int(settings.workers.lease_s * 1000)
        attempts = settings.workers.max_attempts
        poisoned = TooManyAttempts(
            f"The job was given up: {attempts} workers died while they ran it."
        ).as_dict()
        self._poisoned = json.dumps(poisoned)
        self._poisoned_event = event_data(Kind.FAILED, error=poisoned)

    async def create(
        self,
        job_id: str,
        request: dict[str, Any],
        *,
        caller: str,
        asked_model: str,
        priority: int,
        deadline_s: float,
        metadata: dict[str, str],
        idempotency: tuple[str, str] | None = None,
    ) -> Created:
        """Write a new job and send it to the router.

        `idempotency` is the hashed key and the value to keep under it.
        """
        outgoing = self._dispatcher.route(job_id, priority)
        digest, value = idempotency or ("", "")
        fields: list[str | int] = [
            *("request", json.dumps(request, separators=(",", ":"))),
            *("asked_model", asked_model),
            *("caller", caller),
            *("priority", priority),
            *("metadata", json.dumps(metadata)),
        ]
        async with store_errors():
            done, result = await scripts.CREATE(
                self.line,
                [
                    job_key(job_id),
                    log_key(job_id),
                    JOBS_INDEX,
                    idempotency_key(digest),
                    outgoing.list_key,
                    DUE,
                ],
                [
                    live_channel(job_id),
                    self._unended_ttl,
                    self._settings.store.index_size,
                    self._settings.store.retention_s * 1000,
                    value,
                    outgoing.inline,
                    event_data(Kind.QUEUED, id=job_id, model=asked_model),
                    deadline_s,
                    *fields,
                ],
            )
        if not done:
            earlier = result.partition(" ")[0]
            await self._dispatcher.sent(self._dispatcher.route(earlier, priority))
            return Created(existing=result)
        await self._dispatcher.sent(outgoing)
        return Created(ahead=result)

    async def route(self, job: Job, decision: dict[str, Any]) -> bool:
        """Write the router's decision and send the job to the first model of its plan.

        A job past its deadline is ended as expired instead.

        `decision`: route, model, plan, reasons and whatever else the event should tell.
        """
        outgoing = self._dispatcher.run(job.id, decision["model"], 1, job.priority)
        async with store_errors():
            done = await scripts.ROUTE(
                self.line,
                [job_key(job.id), log_key(job.id), outgoing.list_key, DUE],
                [
                    live_channel(job.id),
                    outgoing.inline,
                    event_data(Kind.ROUTED, **decision),
                    *("model", decision["model"]),
                    *("route", decision["route"]),
                    *("plan", json.dumps(decision["plan"])),
                    *("reasons", json.dumps(decision["reasons"], ensure_ascii=False)),
                    *("step", 0),
                ],
            )
        if done > 0:
            await self._dispatcher.sent(outgoing)
        elif done < 0:
            await self.expire(job.id)
        return bool(done > 0)

    async def claim(self, job_id: str, model: str, owner: str) -> Claim:
        """Take a job for this process: the next attempt, with a lease."""
        async with store_errors():
            word, now, *record = await scripts.CLAIM(
                self.line,
                [job_key(job_id), log_key(job_id), DUE],
                [
                    live_channel(job_id),
                    model,
                    owner,
                    self._lease_ms,
                    self._settings.workers.max_attempts,
                    event_data(Kind.STARTED, model=model, worker=owner),
                    event_data(Kind.RESTARTED, model=model),
                    EXPIRED_EVENT,
                    self._poisoned_event,
                    self._ended_ttl,
                    self._poisoned,
                ],
            )
        if word != "taken":
            return Claim(None, word)
        job = Job.from_hash(job_id, pairs(record))
        return Claim(job, seconds_left=(job.deadline_at - int(now)) / 1000)

    async def append(self, writes: Sequence[tuple[Job, int, Sequence[str]]]) -> list[int]:
        """Write pieces of answers: for each a job of this process, the number it expects, and
        its events (kind, json, …). Gives for each the next number, or -1 if it was refused.
        """
        commands = [
            scripts.APPEND.command(
                [job_key(job.id), log_key(job.id)],
                [live_channel(job.id), job.attempt, seq, self._lease_ms, *events],
            )
            for job, seq, events in writes
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
        flat = [part for key, value in fields.items() for part in (key, json.dumps(value))]
        async with store_errors():
            done = await scripts.FINISH(
                self.line,
                [job_key(job.id), log_key(job.id), DUE],
                [
                    live_channel(job.id),
                    job.attempt,
                    seq,
                    status,
                    self._ended_ttl,
                    len(events) // 2,
                    *events,
                    *flat,
                ],
            )
        return bool(done)

    async def hand_over(
        self, job: Job, seq: int, step: int, reason: str, tried: list[dict[str, Any]]
    ) -> bool:
        """Send a job that this process runs to the model at `step` of its plan."""
        model = job.plan[step]
        outgoing = self._dispatcher.run(job.id, model, job.attempt + 1, job.priority)
        told = {"route": job.route, "model": model, "plan": job.plan, "reasons": [reason]}
        async with store_errors():
            done = await scripts.HAND_OVER(
                self.line,
                [job_key(job.id), log_key(job.id), outgoing.list_key, DUE],
                [
                    live_channel(job.id),
                    job.attempt,
                    seq,
                    outgoing.inline,
                    event_data(Kind.ROUTED, **told),
                    *("model", model),
                    *("step", step),
                    *("tried", json.dumps(tried)),
                    *("restart_reason", json.dumps(reason)),
                ],
            )
        if done:
            await self._dispatcher.sent(outgoing)
        return bool(done)

    async def cancel(self, job_id: str) -> tuple[bool, Status] | None:
        """End a job as cancelled, whatever it was doing, and stop the worker that runs it.

        Returns whether this call ended it, and its status now; None if there is no such job.
        """
        return await self._close(job_id, Status.CANCELLED, event_data(Kind.CANCELLED), UNENDED)

    async def expire(self, job_id: str) -> tuple[bool, Status] | None:
        """End a job as expired if its deadline has passed. Returns as `cancel` does."""
        return await self._close(
            job_id, Status.EXPIRED, EXPIRED_EVENT, UNENDED, only_past_deadline=True
        )

    async def fail(self, job_id: str, error: dict[str, Any], allowed: str = WAITING) -> None:
        """End a job that no plan can be made for, or (`UNENDED`) that nobody can go on with."""
        event = event_data(Kind.FAILED, error=error, tried=[])
        fields = ("error", json.dumps(error))
        await self._close(job_id, Status.FAILED, event, allowed, fields=fields)

    async def _close(
        self,
        job_id: str,
        status: Status,
        event: str,
        allowed: str,
        *,
        only_past_deadline: bool = False,
        fields: tuple[str, ...] = (),
    ) -> tuple[bool, Status] | None:
        async with store_errors():
            done, now = await scripts.CLOSE(
                self.line,
                [job_key(job_id), log_key(job_id), DUE],
                [
                    live_channel(job_id),
                    CANCELS_CHANNEL,
                    status,
                    event,
                    self._ended_ttl,
                    int(only_past_deadline),
                    allowed,
                    *fields,
                ],
            )
        return None if done < 0 else (bool(done), Status(now))

    async def reap(self) -> list[str]:
        """End the jobs whose deadline has passed, and send those whose worker was lost (its
        lease has run out), or whose message was, to their queue again. Any process may, any
        number of them at once.

        Returns the ids of the jobs that were found.
        """
        async with store_errors():
            found = await scripts.REAP(
                self.line, [DUE], [job_key(""), REAP_MOST, self._lease_ms + REAP_AGAIN_MS]
            )
        due = [found[i : i + 5] for i in range(0, len(found), 5)]
        for job_id, what, model, attempt, priority in due:
            if what == "late":
                await self.expire(job_id)
            elif what == Status.QUEUED:
                await self._enqueue(self._dispatcher.route(job_id, int(priority)))
            elif not self._dispatcher.knows(model):
                gone = ServerUnreachable(f"{model}: no such model in the catalogue any more")
                await self.fail(job_id, gone.as_dict(), UNENDED)
            else:
                outgoing = self._dispatcher.run(job_id, model, int(attempt) + 1, int(priority))
                await self._enqueue(outgoing)
        return [job_id for job_id, *_ in due]

    async def _enqueue(self, outgoing: Outgoing) -> None:
        if outgoing.inline:
            async with store_errors():
                await self.line.call("LPUSH", outgoing.list_key, outgoing.inline)
        await self._dispatcher.sent(outgoing)

    async def renew(self, job: Job) -> bool:
        """Keep the lease of a job that this process runs."""
        async with store_errors():
            kept = await scripts.RENEW(self.line, [job_key(job.id)], [job.attempt, self._lease_ms])
        return bool(kept)

    async def spend_call(self, model: str, per_day: int) -> int:
        """Take one call out of a daily allowance: its number today, or 0 if none is left."""
        async with store_errors():
            number: int = await scripts.SPEND_CALL(self.line, [calls_prefix(model)], [per_day])
        return number
