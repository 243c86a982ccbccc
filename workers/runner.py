"""The heart: one job, from claim to its one terminal event."""

import asyncio
import logging
import random
import secrets
from collections.abc import Iterable
from contextlib import aclosing, suppress
from dataclasses import replace
from enum import Enum
from itertools import count
from typing import Any

from fleet.errors import (
    AllModelsUnavailable,
    CapReached,
    ContextExceeded,
    FleetError,
    FleetFault,
    NotServed,
    Refused,
    ServerFailed,
    ServerLoading,
    ServerStalled,
    ServerUnreachable,
    StoreUnavailable,
    StreamCut,
    TryNext,
)
from fleet.events import Event, Kind, event_data, fold
from fleet.insist import insist
from fleet.job import Job, Status
from fleet.journal import AttemptLog, Writer
from fleet.ledger import Claim, HandOver, Ledger
from fleet.settings import Settings
from workers.backend import Backend, End, Step, Steps
from workers.generations import Generations

log = logging.getLogger(__name__)

#: An answer that ended for one of these is not whole.
CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}


#: Failures that may be the job's own doing: so often only, as `max_attempts` says.
BURNING = frozenset({ServerFailed.code, ServerStalled.code, StreamCut.code})
#: Failures after which the same model may be asked again.
PASSING = BURNING | {ServerUnreachable.code, ServerLoading.code}
#: Pause before the plan is tried again, seconds: first, longest.
PAUSE_S, PAUSE_MOST_S = 0.3, 8.0
#: Failures that a record keeps.
TRIED_MOST = 50
LOST = "the worker before was lost"


class Stop(Enum):
    """Why a stream is stopped from outside."""

    #: The record says so: the job has ended, or another attempt has it.
    LOST = "lost"
    #: This process shuts down.
    DRAIN = "drain"


class Running:
    """A job that this process runs."""

    def __init__(self, claim: Claim, attempt: AttemptLog) -> None:
        self.job = claim.job
        #: What the model server calls the answer, if it keeps it.
        self.generation = claim.job.generation
        self.attempt = attempt
        self.stopped_by: Stop | None = None
        self.scope = asyncio.timeout(max(claim.seconds_left, 0.0))
        #: Whether the model is being asked; before and after, there is nothing to interrupt.
        self.streaming = False
        attempt.on_lost = lambda: self.stop(Stop.LOST)

    def stop(self, reason: Stop) -> None:
        """Interrupt the stream now, if it runs."""
        if self.stopped_by is None:
            self.stopped_by = reason
            if self.streaming:
                self.scope.reschedule(asyncio.get_running_loop().time())


class Runner:
    """Runs the jobs of one model in one process."""

    def __init__(
        self,
        model: str,
        backend: Backend,
        ledger: Ledger,
        writer: Writer,
        owner: str,
        settings: Settings,
        slots: int,
    ) -> None:
        self._model = model
        self._backend = backend
        self._ledger = ledger
        self._writer = writer
        self._owner = owner
        self._policy = settings.fallback
        self._max_attempts = settings.workers.max_attempts
        self._known = {entry.name for entry in settings.models}
        known = settings.catalogue.get(model)
        self._price = known.price if known else None
        self._generations = Generations(backend, ledger, settings.workers.lease_s)
        #: By attempt: of one job there may be two here, the older one winding down.
        self._running: dict[tuple[str, int], Running] = {}
        #: Names of claims; a process that comes after us under the same name has others.
        self._claims = (f"{secrets.token_hex(8)}#{n}" for n in count(1))
        #: Celery may hand out more messages than that after an outage of its broker.
        self._slots = asyncio.Semaphore(slots)
        self._draining = False
        #: Calls of `run` under way; how many of them are still claiming; the jobs that were
        #: stopped since the first of those began.
        self._busy = 0
        self._claiming = 0
        self._stopped_meanwhile: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def active(self) -> int:
        """Streams that run now."""
        return len(self._running)

    def start(self) -> None:
        """Begin to look after what the model server keeps."""
        self._generations.start()

    async def stop_looking(self) -> None:
        """The opposite."""
        await self._generations.stop()

    async def run(self, _woken_by: str) -> None:
        """Take the job whose turn it is and see it to its end, or back into a line.

        The message that woke us names the job for which it was sent; any message serves
        any job of its queue.
        """
        self._busy += 1
        self._idle.clear()
        try:
            async with self._slots:
                if self._draining:
                    await self._pass_on()
                elif claim := await self._claim():
                    await self._see_to(claim)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _pass_on(self) -> None:
        """The message that woke us is for somebody else."""
        with suppress(StoreUnavailable):  # then the line will be seen to lack one
            await self._ledger.wake(self._model)

    async def idle(self) -> None:
        """Return when no stream runs."""
        await self._idle.wait()

    def stop(self, job_id: str, reason: Stop) -> None:
        """Stop the stream of that job if it runs here; the server's slot becomes free."""
        here = [running for running in self._running.values() if running.job.id == job_id]
        for running in here:
            running.stop(reason)
        if here:
            return
        if self._claiming:
            self._stopped_meanwhile.add(job_id)
        self._generations.look()

    def drain(self) -> None:
        """Begin nothing any more."""
        self._draining = True

    def stop_all(self, reason: Stop) -> None:
        """Stop every stream of this process."""
        for running in self._running.values():
            running.stop(reason)

    async def renew_leases(self) -> None:
        """Keep the leases of all running jobs; a lost one stops its stream."""
        await asyncio.gather(*(self._renew(running) for running in self._running.values()))

    async def _renew(self, running: Running) -> None:
        try:
            if not await self._ledger.renew(running.job):
                running.stop(Stop.LOST)
        except StoreUnavailable as error:
            log.warning("job %s: lease not renewed: %s", running.job.id, error)

    async def _claim(self) -> Claim | None:
        self._backend.prepare()
        name = next(self._claims)
        self._claiming += 1
        try:
            claim = await insist(
                lambda: self._ledger.claim(self._model, self._owner, name, self._backend.server)
            )
            if claim and claim.job.id in self._stopped_meanwhile:
                return None  # it has ended; its record says so
            return claim
        finally:
            self._claiming -= 1
            if not self._claiming:
                self._stopped_meanwhile.clear()

    async def _see_to(self, claim: Claim) -> None:
        job = claim.job
        running = Running(claim, self._writer.open(job))
        self._running[job.id, job.attempt] = running
        self._generations.use(running.generation)
        whole = False
        try:
            whole = await self._attempt(running)
        finally:
            del self._running[job.id, job.attempt]
            if whole:
                self._generations.over(running.generation)
            else:  # the record tells whether anybody goes on with it
                self._generations.leave(running.generation)

    async def _attempt(self, running: Running) -> bool:
        """One attempt, whatever becomes of it. Returns whether its answer was the job's."""
        if self._draining and running.stopped_by is None:
            running.stopped_by = Stop.DRAIN
        try:
            async with running.scope:
                running.streaming = running.stopped_by is None
                if not running.streaming:
                    raise TimeoutError
                try:
                    end = await self._stream(running)
                finally:
                    running.streaming = False
        except TimeoutError:
            await self._interrupted(running)
        except TryNext as error:
            await self._failed(running, error)
        except FleetError as error:
            await self._fail(running, error)
        except Exception:  # whatever it is, the job must end and its reader must hear of it
            log.exception("job %s: attempt %s broke", running.job.id, running.job.attempt)
            await self._fail(
                running, FleetFault("The worker met an error of its own; see its log.")
            )
        else:
            return await self._complete(running, end)
        return False

    async def _stream(self, running: Running) -> End:
        add = running.attempt.add
        async with aclosing(await self._steps(running)) as steps:
            async for step in steps:
                if step.pieces:
                    add(step.pieces, step.place)
                if step.end:
                    return step.end
        raise FleetFault("The backend ended without an end.")

    async def _steps(self, running: Running) -> Steps:
        """The steps of this attempt: the rest of the one before where there is one, else the
        model is asked (again)."""
        job = running.job
        if job.generation and not job.generation.endswith(f".{job.attempt}"):
            kept = await self._backend.attach(job.generation, job.place)
            if kept is not None:
                log.info("job %s: attempt %s goes on at byte %s", job.id, job.attempt, job.place)
                if job.streamed and not job.place:  # the text so far is of an earlier answer
                    running.attempt.restart(job.restart_reason or LOST)
                return kept
            await self._new_generation(running)
        await self._check_budget(job)
        if not job.streamed:
            return self._backend.stream(job.request, running.generation)
        if self._policy.after_first_token == "continue" and self._backend.continues:
            return self._continued(running)
        return self._again(running)

    async def _check_budget(self, job: Job) -> None:
        """What was left at the post may be spent by now.

        Raises:
            CapReached: it is; a model that costs nothing may go on.
        """
        if self._price is None or not job.budget_usd:
            return
        spent = await insist(lambda: self._ledger.spent_today(job.caller))
        if spent >= job.budget_usd:
            raise CapReached(f"the ${job.budget_usd:g} that this key has for today are spent")

    def _again(self, running: Running) -> Steps:
        job = running.job
        reason = job.restart_reason or LOST
        if self._policy.after_first_token == "fail":
            raise StreamCut(f"{reason}; the configuration says not to begin again")
        running.attempt.restart(reason)
        return self._backend.stream(job.request, running.generation)

    async def _new_generation(self, running: Running) -> None:
        """What the server kept is gone, and with it its name: no two answers may share one."""
        self._generations.leave(running.generation)
        server = self._backend.server
        name = await insist(lambda: self._ledger.begin(running.job, server)) if server else ""
        if name is None:
            running.stopped_by = running.stopped_by or Stop.LOST
            raise TimeoutError
        running.generation = name
        self._generations.use(name)

    async def _continued(self, running: Running) -> Steps:
        """Let the model go on from the text so far, as its own last message; where that cannot
        be, begin again."""
        job = running.job
        events = await insist(lambda: self._ledger.read_all(job.id))
        so_far = fold(events)
        begun = False
        if so_far.content and not so_far.reasoning and not so_far.tool_calls:
            request = with_tokens_left(job.request, tokens_of(events))
            try:
                async with aclosing(continued(self._backend, request, so_far.content)) as steps:
                    async for step in steps:
                        begun = True
                        yield step
                return
            except Refused as error:
                if begun:
                    raise
                log.info("job %s: %s does not go on from a text: %s", job.id, self._model, error)
        async with aclosing(self._again(running)) as steps:
            async for step in steps:
                yield step

    async def _complete(self, running: Running, end: End) -> bool:
        reason = CUT_SHORT.get(end.finish_reason)
        status = Status.INCOMPLETE if reason else Status.COMPLETED
        told = {"finish_reason": end.finish_reason} | ({"reason": reason} if reason else {})
        usage = {"model": self._model, **end.usage}
        fields: dict[str, Any] = {"usage": usage}
        if self._price is not None:
            fields["cost_usd"] = self._price.cost_usd(end.usage)
        return await self._end(
            running,
            status,
            [
                *(Kind.USAGE, event_data(Kind.USAGE, **usage)),
                *(status.value, event_data(Kind(status.value), **told)),
            ],
            fields,
        )

    async def _fail(self, running: Running, error: FleetError) -> None:
        tried = self._tried(running, error)
        shown = error.as_dict()
        await self._end(
            running,
            Status.FAILED,
            [Kind.FAILED, event_data(Kind.FAILED, error=shown, tried=tried)],
            {"error": shown, "tried": tried},
        )

    async def _end(
        self, running: Running, status: Status, events: list[str], fields: dict[str, Any]
    ) -> bool:
        attempt = running.attempt
        await attempt.drained()
        if attempt.lost:
            return False
        ended = await insist(
            lambda: self._ledger.finish(running.job, attempt.seq, status, events, fields)
        )
        if not ended:
            log.info("job %s: had ended before attempt %s", running.job.id, running.job.attempt)
        return ended

    async def _failed(self, running: Running, error: TryNext) -> None:
        """Fall over to the next model of the plan; when there is none, wait and try the plan
        again, or say that nobody could answer."""
        job = running.job
        if running.attempt.any and self._policy.after_first_token == "fail":
            await self._fail(running, error)
            return
        tried = self._tried(running, error)
        reason = f"{self._model} failed: {error}"
        free = error.code not in BURNING
        any_text = running.attempt.any
        failed = HandOver(0, reason, tried, free=free, rounds=job.rounds, begun=any_text)
        hopeless = {failure["model"] for failure in tried if failure["code"] == NotServed.code}
        later = range(job.step + 1, len(job.plan))
        step = next((i for i in later if job.plan[i] in self._known - hopeless), None)
        how = self._next_round(job, failed) if step is None else replace(failed, step=step)
        if how is None or not (free or job.attempt - job.released < self._max_attempts):
            await self._fail(running, _exhausted(tried))
            return
        log.warning("job %s: %s; next is %s", job.id, reason, job.plan[how.step])
        await self._hand_over(running, how)

    def _next_round(self, job: Job, how: HandOver) -> HandOver | None:
        """The beginning of another round through the plan, after a pause; None if there is
        none. A model that is only loading is waited for as long as the job's deadline allows.
        """
        last = {failure["model"]: failure["code"] for failure in how.tried}
        plan = [(i, last.get(name)) for i, name in enumerate(job.plan) if name in self._known]
        loading = next((i for i, code in plan if code == ServerLoading.code), None)
        if loading is not None:
            return replace(how, step=loading, rounds=job.rounds + 1, pause_s=pause_s(job.rounds))
        passing = next((i for i, code in plan if code in PASSING), None)
        if passing is None or job.rounds + 1 >= self._policy.rounds:
            return None
        return replace(how, step=passing, rounds=job.rounds + 1, pause_s=pause_s(job.rounds))

    async def _interrupted(self, running: Running) -> None:
        job = running.job
        if running.stopped_by is Stop.DRAIN:
            how = HandOver(
                job.step,
                f"{self._owner} shuts down",
                job.tried,
                same_generation=True,
                rounds=job.rounds,
            )
            await self._hand_over(running, how)
        elif running.stopped_by is None:
            await running.attempt.drained()
            await insist(lambda: self._expired(job))

    async def _expired(self, job: Job) -> None:
        """Our clock says that the deadline is over; Redis' clock may be a hair behind."""
        outcome = await self._ledger.expire(job.id)
        while outcome and outcome[1] is Status.RUNNING:
            await asyncio.sleep(0.01)
            outcome = await self._ledger.expire(job.id)

    async def _hand_over(self, running: Running, how: HandOver) -> None:
        attempt = running.attempt
        await attempt.drained()
        if not attempt.lost:
            await insist(lambda: self._ledger.hand_over(running.job, attempt.seq, how))

    def _tried(self, running: Running, error: FleetError) -> list[dict[str, Any]]:
        if isinstance(error, AllModelsUnavailable):
            return error.tried
        failure = {
            "model": self._model,
            "attempt": running.job.attempt,
            "code": error.code,
            "message": error.message,
        }
        return [*running.job.tried, failure][-TRIED_MOST:]


def pause_s(rounds: int) -> float:
    """Seconds until the next round through a plan, with some jitter so that jobs spread."""
    longest = min(PAUSE_MOST_S, PAUSE_S * float(2 ** min(rounds, 10)))
    return longest * random.uniform(0.7, 1.0)  # noqa: S311 - only to spread


async def continued(backend: Backend, request: dict[str, Any], so_far: str) -> Steps:
    """The steps after a text that the model takes for the beginning of its own answer.

    llama-server repeats that text before it goes on; it is cut off here.
    """
    turns = [*request["messages"], {"role": "assistant", "content": so_far}]
    left = so_far
    async with aclosing(backend.stream({**request, "messages": turns})) as steps:
        async for step in steps:
            pieces = []
            for piece in step.pieces:
                if left and piece.kind == "text":
                    said = piece.value[: len(left)]
                    if not left.startswith(said):
                        raise Refused("it does not repeat the text that it was given")
                    piece, left = piece._replace(value=piece.value[len(said) :]), left[len(said) :]
                if piece.value:
                    pieces.append(piece)
            if pieces or step.end:
                yield Step(pieces, end=step.end)


def tokens_of(events: Iterable[Event]) -> int:
    """Tokens of the answer so far, as the server sent them."""
    tokens = 0
    for event in events:
        if event.kind == Kind.RESTARTED:
            tokens = 0
        elif event.kind == Kind.TOKEN:
            tokens += event.payload().get("n", 1)
    return tokens


def with_tokens_left(request: dict[str, Any], used: int) -> dict[str, Any]:
    """The request for the rest of an answer of which so many tokens are there."""
    asked = request.get("max_tokens")
    return {**request, "max_tokens": max(1, asked - used)} if asked else request


def _exhausted(tried: list[dict[str, Any]]) -> FleetError:
    """The last word when every model of the plan has failed."""
    if all(failure["code"] == ContextExceeded.code for failure in tried):
        told = (f"{failure['model']}: {failure['message']}" for failure in tried)
        return ContextExceeded(" ".join(dict.fromkeys(told)))
    return AllModelsUnavailable(tried)
