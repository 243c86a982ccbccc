"""The heart: one job, from claim to its one terminal event."""

import asyncio
import logging
from contextlib import aclosing
from enum import Enum
from typing import Any

from fleet.errors import (
    AllModelsUnavailable,
    ContextExceeded,
    FleetError,
    FleetFault,
    StoreUnavailable,
    TryNext,
)
from fleet.events import Kind, event_data
from fleet.insist import insist
from fleet.job import Job, Status
from fleet.journal import AttemptLog, Writer
from fleet.ledger import Ledger
from fleet.settings import Settings
from workers.backend import Backend, End

log = logging.getLogger(__name__)

#: An answer that ended for one of these is not whole.
CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Stop(Enum):
    """Why a stream is stopped from outside."""

    #: The record says so: the job has ended, or another attempt has it.
    LOST = "lost"
    #: This process shuts down.
    DRAIN = "drain"


class Running:
    """A job that this process runs."""

    def __init__(self, job: Job, attempt: AttemptLog, seconds_left: float) -> None:
        self.job = job
        self.attempt = attempt
        self.stopped_by: Stop | None = None
        self.scope = asyncio.timeout(max(seconds_left, 0.0))
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
    ) -> None:
        self._model = model
        self._backend = backend
        self._ledger = ledger
        self._writer = writer
        self._owner = owner
        self._may_restart = settings.fallback.after_first_token == "restart"
        self._known = {entry.name for entry in settings.models}
        self._running: dict[str, Running] = {}
        #: Jobs whose claim is under way, and what has stopped them meanwhile.
        self._claiming: dict[str, Stop | None] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def active(self) -> int:
        """Streams that run now."""
        return len(self._running)

    async def run(self, job_id: str) -> None:
        """Take the job and see it to its end, or to the next model of its plan."""
        if job_id in self._running or job_id in self._claiming:
            return
        self._claiming[job_id] = None
        self._backend.prepare()
        try:
            claim = await insist(lambda: self._ledger.claim(job_id, self._model, self._owner))
        finally:
            stopped_by = self._claiming.pop(job_id)
        if claim.job is None:
            log.info("job %s not taken: %s", job_id, claim.refusal)
            return
        running = Running(claim.job, self._writer.open(claim.job), claim.seconds_left)
        running.stopped_by = stopped_by
        self._running[job_id] = running
        self._idle.clear()
        try:
            await self._attempt(running)
        finally:
            del self._running[job_id]
            if not self._running:
                self._idle.set()

    async def idle(self) -> None:
        """Return when no stream runs."""
        await self._idle.wait()

    def stop(self, job_id: str, reason: Stop) -> None:
        """Stop the stream of that job if it runs here; closing it frees the server's slot."""
        if running := self._running.get(job_id):
            running.stop(reason)
        elif job_id in self._claiming:
            self._claiming[job_id] = reason

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

    async def _attempt(self, running: Running) -> None:
        try:
            async with running.scope:
                running.streaming = running.stopped_by is None
                if not running.streaming:  # stopped while it was being claimed
                    raise TimeoutError
                try:
                    end = await self._stream(running)
                finally:
                    running.streaming = False
        except TimeoutError:
            await self._interrupted(running)
        except TryNext as error:
            await self._next_model(running, error)
        except FleetError as error:
            await self._fail(running, error)
        except Exception:  # whatever it is, the job must end and its reader must hear of it
            log.exception("job %s: attempt %s broke", running.job.id, running.job.attempt)
            await self._fail(
                running, FleetFault("The worker met an error of its own; see its log.")
            )
        else:
            await self._complete(running, end)

    async def _stream(self, running: Running) -> End:
        add = running.attempt.add
        async with aclosing(self._backend.stream(running.job.request)) as stream:
            async for pieces in stream:
                for piece in pieces:
                    if isinstance(piece, End):
                        return piece
                    add(piece.kind, piece.value)
        raise FleetFault("The backend ended without an end.")

    async def _complete(self, running: Running, end: End) -> None:
        reason = CUT_SHORT.get(end.finish_reason)
        status = Status.INCOMPLETE if reason else Status.COMPLETED
        told = {"finish_reason": end.finish_reason} | ({"reason": reason} if reason else {})
        usage = {"model": self._model, **end.usage}
        await self._end(
            running,
            status,
            [
                *(Kind.USAGE, event_data(Kind.USAGE, **usage)),
                *(status.value, event_data(Kind(status.value), **told)),
            ],
            {"usage": usage},
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
    ) -> None:
        attempt = running.attempt
        await attempt.drained()
        if attempt.lost:
            return
        ended = await insist(
            lambda: self._ledger.finish(running.job, attempt.seq, status, events, fields)
        )
        if not ended:
            log.info("job %s: had ended before attempt %s", running.job.id, running.job.attempt)

    async def _next_model(self, running: Running, error: TryNext) -> None:
        """Fall over to the next model of the plan, or say that there is none."""
        job = running.job
        if running.attempt.any and not self._may_restart:
            await self._fail(running, error)
            return
        later = range(job.step + 1, len(job.plan))
        step = next((i for i in later if job.plan[i] in self._known), None)
        tried = self._tried(running, error)
        if step is None:
            await self._fail(running, _exhausted(tried, error))
            return
        log.warning(
            "job %s: %s failed (%s), next is %s", job.id, self._model, error, job.plan[step]
        )
        await self._hand_over(running, step, f"{self._model} failed: {error}", tried)

    async def _interrupted(self, running: Running) -> None:
        job = running.job
        if running.stopped_by is Stop.DRAIN:
            await self._hand_over(running, job.step, f"{self._owner} shuts down", list(job.tried))
        elif running.stopped_by is None:
            await running.attempt.drained()
            await insist(lambda: self._expired(job))

    async def _expired(self, job: Job) -> None:
        """Our clock says that the deadline is over; Redis' clock may be a hair behind."""
        outcome = await self._ledger.expire(job.id)
        while outcome and outcome[1] is Status.RUNNING:
            await asyncio.sleep(0.01)
            outcome = await self._ledger.expire(job.id)

    async def _hand_over(
        self, running: Running, step: int, reason: str, tried: list[dict[str, Any]]
    ) -> None:
        attempt = running.attempt
        await attempt.drained()
        if not attempt.lost:
            await insist(
                lambda: self._ledger.hand_over(running.job, attempt.seq, step, reason, tried)
            )

    def _tried(self, running: Running, error: FleetError) -> list[dict[str, Any]]:
        if isinstance(error, AllModelsUnavailable):
            return error.tried
        failure = {
            "model": self._model,
            "attempt": running.job.attempt,
            "code": error.code,
            "message": error.message,
        }
        return [*running.job.tried, failure]


def _exhausted(tried: list[dict[str, Any]], last: TryNext) -> FleetError:
    """The last word when every model of the plan has failed."""
    if all(failure["code"] == ContextExceeded.code for failure in tried):
        return last
    return AllModelsUnavailable(tried)
