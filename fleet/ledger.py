"""The ledger: every job's record and log in Redis, moved only by the scripts in `lua/`."""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from fleet import scripts
from fleet.cache.kept import Kept
from fleet.callers import (
    NANO,
    UNLIMITED,
    Allowance,
    Caller,
    rate_limited,
    refuse_what_never_fits,
)
from fleet.decision import Decision
from fleet.dispatch import Dispatcher, Outgoing
from fleet.errors import (
    ConfigError,
    Conflict,
    FleetFault,
    StoreUnavailable,
    TooManyAttempts,
)
from fleet.events import Kind, event_data
from fleet.job import HandOver, Job, NewJob, Status
from fleet.line import Line
from fleet.names import (
    BOOK_PREFIX,
    CANCELS_CHANNEL,
    DECISIONS,
    DUE,
    EXAMPLES_MOST,
    FEEDBACK,
    HOLDS,
    JOBS_PREFIX,
    LIVE_PREFIX,
    MIX,
    PACE,
    ROUTER_QUEUE,
    WEBHOOKS_FAILED,
    bucket_key,
    claim_key,
    conversation_key,
    generations_key,
    idempotency_key,
    job_key,
    jobs_index,
    live_channel,
    log_key,
    queue_lists,
    waiting_key,
)
from fleet.records import Records, pairs, store_errors
from fleet.request import FeedbackRequest, last_user_turn
from fleet.settings import Settings

log = logging.getLogger(__name__)

#: Times that a caller may say something else of one job.
FEEDBACKS_MOST = 20
#: Jobs that one look for what is due takes on.
REAP_MOST = 200
#: A job that somebody is told to end is looked at again after so long.
REAP_AGAIN_MS = 5_000
#: A line that has more jobs than messages for so long has lost some.
LACKS_MS = 5_000
#: A router that has not decided for so long is taken for dead.
ROUTING_LEASE_MS = 10_000
#: Statuses in which nobody runs the job; `lost`: it is running, and its lease has run out.
WAITING = ",queued,routed,lost,"
UNENDED = ",queued,routed,running,"
#: Routes whose answers are of their moment, and are not given again.
LIVE_ROUTES = ",tool,"
#: Characters of a text that the router may learn from.
EXAMPLE_CHARACTERS = 600
EXPIRED_EVENT = event_data(
    Kind.EXPIRED,
    message="Nobody could answer before the job's deadline, or begin it in time. Its `attempts` "
    "tell who tried; a longer `deadline_s` or `start_timeout_s` gives them more.",
)


def connect(settings: Settings, **patience: float) -> Line:
    """The line to the store; `patience` as `Line` takes it.

    Raises:
        ConfigError: `redis_url` is not an address.
    """
    try:
        return Line(settings.redis_url, **patience)
    except ValueError as error:
        raise ConfigError(f"redis_url: {error}") from None


class Write(NamedTuple):
    """Events of one attempt, to be written with the number that it expects for the first."""

    job: Job
    seq: int
    #: Byte of the server's stream after them; 0 where a stream cannot be resumed.
    place: int
    #: kind, json, …
    events: Sequence[str]


class Routed(Enum):
    """What became of a decision."""

    DONE = "done"
    #: The job had been routed or ended before, or its time was over.
    LATE = "late"
    #: The model's line has no room.
    FULL = "full"


_ROUTED = {1: Routed.DONE, 0: Routed.LATE, -1: Routed.LATE, -2: Routed.FULL}


@dataclass(frozen=True, slots=True)
class Created:
    """What became of a post."""

    #: Where its answer comes from instead of a model; see `Job.cache`.
    cache: str = ""
    #: The stored idempotency value of an earlier post; the job is that one then.
    existing: str = ""
    #: Jobs of the caller that have not ended: as many as it may have. Nothing was made then.
    too_many: int = 0
    #: Jobs in the shortest line that could take it, when all are full. Nothing was made then.
    full: int = 0
    #: Webhooks of the caller that are not delivered: as many as it may have. Nothing was made then.
    untold: int = 0
    #: Whether it was to be refused because every model is too busy. Nothing was made then.
    too_busy: bool = False
    #: Of what the caller has too little now (`requests`, `tokens`, `money`, `calls`), and the
    #: seconds until it will have enough. Nothing was made then.
    short: str = ""
    wait_s: float = 0.0
    #: What the caller has left; no limits, no headers.
    left: Allowance = UNLIMITED

    @property
    def refused(self) -> bool:
        """Whether nothing was made, and nothing found."""
        return bool(self.too_many or self.full or self.untold or self.too_busy or self.short)


#: What `lua/create.lua` and `lua/charge.lua` say there is too little of.
_SHORT = {-3: "requests", -4: "tokens", -5: "money", -7: "calls"}
#: … that comes back when the day turns: told with the time.
_OF_THE_DAY = (-5, -7)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job taken by this process."""

    job: Job
    #: Until the deadline, by Redis' clock.
    seconds_left: float
    #: When it was taken, by the same clock: ms since the epoch.
    at: int = 0


class Ledger(Records):
    """Every move of a job. Each is one script, one round trip."""

    def __init__(self, line: Line, settings: Settings, dispatcher: Dispatcher) -> None:
        super().__init__(line)
        self._dispatcher = dispatcher
        self._settings = settings
        self._ended_ttl = settings.store.retention_s
        self._unended_ttl = settings.store.retention_s + int(settings.limits.deadline_s)
        self._lease_ms = int(settings.workers.lease_s * 1000)
        self._attempts = settings.workers.max_attempts
        self._log_size = settings.router.log_size
        poisoned = TooManyAttempts(
            f"The job was given up: {self._attempts} attempts at it died or failed."
        ).as_dict()
        self._poisoned = json.dumps(poisoned)
        self._poisoned_event = event_data(Kind.FAILED, error=poisoned)
        queues = [ROUTER_QUEUE, *(model.queue for model in settings.catalogue.models)]
        self._lines = [waiting_key(queue) for queue in queues]
        self._lists = [key for queue in queues for key in queue_lists(queue)]
        self._zone = settings.spend.zone
        self._queues = {model.name: model.queue for model in settings.catalogue.models}

    async def create(self, new: NewJob) -> Created:
        """Write a new job and send it to the router."""
        outgoing = self._dispatcher.route(new.id, new.priority)
        digest, value = new.idempotency or ("", "")
        async with store_errors():
            done, result, *left, cache = await scripts.CREATE(
                self.line,
                [
                    job_key(new.id),
                    log_key(new.id),
                    jobs_index(new.caller),
                    idempotency_key(digest),
                    outgoing.list_key,
                    DUE,
                    waiting_key(ROUTER_QUEUE),
                    bucket_key(new.caller),
                    BOOK_PREFIX,
                    *(waiting_key(self._queues[name]) for name in new.candidates),
                ],
                [
                    _json(self._order(new, value, outgoing)),
                    *(new.cache.events if new.cache else ()),
                    *new.fields(),
                    *self._webhook_fields(new),
                ],
            )
        allowance = Allowance(new.rpm, new.tpm, *left)
        if done == -1:
            return Created(too_many=result, left=allowance)
        if done == -2:
            return Created(full=result, left=allowance)
        if done == -6:
            return Created(untold=result, left=allowance)
        if done in _OF_THE_DAY:
            wait_s = self._zone.left_s(result)
            return Created(short=_SHORT[done], wait_s=wait_s, left=allowance)
        if done == -8:
            return Created(too_busy=True, left=allowance)
        if done in _SHORT:
            return Created(short=_SHORT[done], wait_s=result / 1000, left=allowance)
        if not done:
            earlier = result.partition(" ")[0]
            await self._dispatcher.sent(self._dispatcher.route(earlier, new.priority))
            return Created(existing=result, left=allowance, cache=cache)
        if not cache:
            await self._dispatcher.sent(outgoing)
        return Created(left=allowance, cache=cache)

    def _order(self, new: NewJob, idempotency: str, outgoing: Outgoing) -> dict[str, Any]:
        """What `lua/create.lua` is told of a new job beside what the record keeps."""
        limits, store = self._settings.limits, self._settings.store
        kept = {"cache": self._kept(new.cache)} if new.cache else {}
        return kept | {
            "channel": live_channel(new.id),
            "ttl_s": self._unended_ttl,
            "index_size": store.index_size,
            "retention_ms": store.retention_s * 1000,
            "idempotency": idempotency,
            "message": outgoing.inline,
            "event": event_data(Kind.QUEUED, id=new.id, model=new.asked_model),
            "deadline_s": new.deadline_s,
            "start_timeout_s": new.start_timeout_s or 0,
            "caller": new.caller,
            "priority": new.priority,
            "caller_jobs": min(limits.caller_jobs, new.concurrent or limits.caller_jobs),
            "queue_jobs": limits.queue_jobs,
            "rpm": new.rpm,
            "tpm": new.tpm,
            "tokens": new.tokens,
            "budget": round(new.budget_usd * NANO),
            "paid_calls": new.paid_calls,
            "offset_ms": self._zone.offset_ms(time.time() * 1000),
            "free": json.dumps(new.free) if new.free else "",
            "webhooks": self._settings.webhooks.pending if new.webhook else 0,
            "if_busy": new.if_busy,
            "too_busy": new.too_busy,
        }

    def _kept(self, kept: Kept) -> dict[str, Any]:
        """What the script is told of an answer that there may be already."""
        return {
            "key": kept.key,
            "ttl_s": self._settings.cache_ttl_s,
            "never": LIVE_ROUTES,
            "followers": self._settings.cache.followers,
            "source": kept.source,
            "leader": kept.leader,
            "events": len(kept.events),
            "seen": kept.seen,
            "ended_s": self._ended_ttl,
            "decisions": DECISIONS,
            "log_size": self._log_size,
        }

    async def charge(self, caller: Caller, tokens: int) -> dict[str, str]:
        """Take one request and its tokens out of what a caller has in a minute, for what makes
        no job. Gives what the head of the answer says of what is left.

        Raises:
            InvalidRequest: no minute has so many tokens.
            RateLimited: it has too little left; with the headers, and when it will have enough.
        """
        refuse_what_never_fits(caller, tokens)
        code, wait_ms, *left = await self._charge(caller, tokens)
        allowance = Allowance(caller.rpm, caller.tpm, *left)
        if code:
            error = rate_limited(caller, _SHORT[code], wait_ms / 1000, tokens)
            error.headers |= allowance.headers()
            raise error
        return allowance.headers()

    async def allowance(self, caller: Caller) -> Allowance:
        """What a caller has left in this minute."""
        _, _, *left = await self._charge(caller, -1)
        return Allowance(caller.rpm, caller.tpm, *left)

    async def _charge(self, caller: Caller, tokens: int) -> list[int]:
        if not caller.rpm and not caller.tpm:
            return [0, 0, 0, 0]
        async with store_errors():
            told: list[int] = await scripts.CHARGE(
                self.line, [bucket_key(caller.name)], [caller.rpm, caller.tpm, tokens]
            )
        return told

    def _webhook_fields(self, new: NewJob) -> list[str | int]:
        """What the record keeps of a webhook: the scripts send the message when the job ends."""
        if not new.webhook:
            return []
        outgoing = self._dispatcher.deliver(new.id)
        return [
            *("webhook", new.webhook),
            *("webhook_state", "pending"),
            *("webhook_keep_s", self._settings.webhooks.keep_s),
            *("webhook_list", outgoing.list_key),
            *("webhook_message", outgoing.inline),
        ]

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
                    _json({"job": job.id, "caller": job.caller, **decided.as_dict()}),
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
                [_json(order), *events, *flat],
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
        fields: list[str | int] = [
            *("model", model),
            *("step", how.step),
            *("rounds", how.rounds),
            *("tried", json.dumps(how.tried)),
            *("restart_reason", how.reason),
        ]
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
                [
                    _json(order),
                    *("model", model),
                    *("step", how.step),
                    *("rounds", how.rounds),
                    *("tried", json.dumps(how.tried)),
                    *("restart_reason", how.reason),
                    *("generation", ""),
                ],
            )
        if done == 1:
            await self._dispatcher.sent(outgoing)
        return bool(done == 1)

    async def cancel(self, job_id: str) -> tuple[bool, Status] | None:
        """End a job as cancelled, whatever it was doing, and stop the worker that runs it.

        Returns whether this call ended it, and its status now; None if there is no such job.
        """
        return await self._close(job_id, Status.CANCELLED, event_data(Kind.CANCELLED), UNENDED)

    async def delete(self, job_id: str, caller: str) -> bool:
        """Forget a caller's job, with its words; cancel it first if it has not ended. False if
        there is no such job (any more).
        """
        async with store_errors():
            done, *heir = await scripts.DELETE(
                self.line,
                [
                    job_key(job_id),
                    log_key(job_id),
                    DUE,
                    DECISIONS,
                    jobs_index(caller),
                    FEEDBACK,
                    WEBHOOKS_FAILED,
                ],
                [
                    live_channel(job_id),
                    CANCELS_CHANNEL,
                    event_data(Kind.CANCELLED),
                    self._log_size,
                ],
            )
        await self._wake_heir(heir)
        return bool(done)

    async def expire(self, job_id: str) -> tuple[bool, Status] | None:
        """End a job as expired if its deadline has passed. Returns as `cancel` does."""
        return await self._close(
            job_id, Status.EXPIRED, EXPIRED_EVENT, UNENDED, only_past_deadline=True
        )

    async def fail(
        self,
        job_id: str,
        error: dict[str, Any],
        allowed: str = WAITING,
        tried: Sequence[dict[str, Any]] = (),
    ) -> None:
        """End a job that no plan can be made for, that no model is asked for (`tried`: all that
        were tried), or (`UNENDED`) that nobody can go on with.
        """
        event = event_data(Kind.FAILED, error=error, tried=tried)
        fields = ("error", json.dumps(error), *(("tried", json.dumps(tried)) if tried else ()))
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
            done, now, *heir = await scripts.CLOSE(
                self.line,
                [job_key(job_id), log_key(job_id), DUE, DECISIONS],
                [
                    live_channel(job_id),
                    CANCELS_CHANNEL,
                    status,
                    event,
                    self._ended_ttl,
                    int(only_past_deadline),
                    allowed,
                    self._log_size,
                    *fields,
                ],
            )
        await self._wake_heir(heir)
        return None if done < 0 else (bool(done), Status(now))

    async def _wake_heir(self, heir: Sequence[str]) -> None:
        """Send the message for a job that has taken the place of one that was followed: `heir`
        is its id, model ('' before it is routed) and priority, or empty. If we cannot, its line
        will be seen to lack one.
        """
        if heir:
            job_id, model, priority = heir
            with suppress(StoreUnavailable):
                await self._wake_for(job_id, model, 0, int(priority))

    def _memory_s(self, conversation: str) -> int:
        """Seconds for which a conversation is remembered; 0: not at all."""
        return self._settings.router.conversation_s if conversation else 0

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
        shadow = _json(said | {"confidence": confidence, "took_ms": took_ms})
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
                    _json(feedback.model_dump()),
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

    async def reap(self) -> list[str]:
        """End the jobs whose time is over; put those whose worker was lost (its lease has run
        out), or whose next try is due, into their line; send the messages that lines lack. Any
        process may, any number of them at once.

        Returns the ids of the jobs that were found.
        """
        countable = int(self._settings.broker_is_store)
        async with store_errors():
            found = await scripts.REAP(
                self.line,
                [DUE, *self._lines],
                [JOBS_PREFIX, REAP_MOST, REAP_AGAIN_MS, LACKS_MS, countable, *self._lists],
            )
        due = [found[i : i + 5] for i in range(0, len(found), 5)]
        for job_id, what, model, attempt, priority in due:
            if what == "late":
                await self.expire(job_id)
            elif what == "odd":
                odd = FleetFault("The job's record is not one of this version.")
                await self.fail(job_id, odd.as_dict(), UNENDED)
            else:
                await self._wake_for(job_id, model, int(attempt), int(priority))
        return [job_id for job_id, *_ in due]

    async def _wake_for(self, job_id: str, model: str, attempt: int, priority: int) -> None:
        """Send a message for a job to the line in which it stands."""
        if not model:
            await self._enqueue(self._dispatcher.route(job_id, priority))
        elif model not in self._queues:  # somebody with a newer catalogue may know it
            log.warning("job %s: no model %s in the catalogue of this process", job_id, model)
        else:
            await self._enqueue(self._dispatcher.run(job_id, model, attempt + 1, priority))

    async def _enqueue(self, outgoing: Outgoing) -> None:
        if outgoing.inline:
            async with store_errors():
                await scripts.PUSH(self.line, [outgoing.list_key], [outgoing.inline])
        await self._dispatcher.sent(outgoing)

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


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
