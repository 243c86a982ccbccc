"""The heart: one job, from claim to its one terminal event."""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from contextlib import aclosing, suppress
from itertools import count
from typing import Any

from fleet.breaker.reports import shut
from fleet.errors import FleetError, FleetFault, StoreUnavailable, TryNext
from fleet.events import Kind, event_data
from fleet.insist import insist
from fleet.job import HandOver, Job, Status
from fleet.journal import Writer
from fleet.ledger import Ledger
from fleet.moves.runs import Claim
from fleet.process import living_nodes
from fleet.settings import Settings
from fleet.spend.book import Book
from workers.answering import Answering
from workers.backend import Backend, End
from workers.generations import Generations
from workers.guard import Guard
from workers.next_try import NextTry, failure, remembered
from workers.purse import Purse
from workers.running import Running, Stop

log = logging.getLogger(__name__)

#: An answer that ended for one of these is not whole.
CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}


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
        guard: Guard,
    ) -> None:
        self._model = model
        self._backend = backend
        self._ledger = ledger
        self._writer = writer
        self._owner = owner
        self._guard = guard
        self._after_first_token = settings.fallback.after_first_token
        self._next_try = NextTry.of(model, settings)
        known = settings.catalogue.get(model)
        self._purse = (
            Purse(known, Book(ledger.line, settings), settings) if known and known.paid else None
        )
        self._generations = Generations(backend, ledger, settings.workers.lease_s)
        self._answering = Answering(
            model, backend, ledger, self._generations, self._purse, settings
        )
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
                probe = await self._admitted()
                if probe is None:
                    await self._pass_on()
                elif claim := await self._claim():
                    await self._see_to(claim, probe)
                else:
                    self._guard.unused(probe)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _admitted(self) -> str | None:
        """Whether a job may be taken now: None if not; a name if it will be the breaker's probe.

        Who finds the breaker open waits a moment before the message is passed on: it would
        come back at once where no other worker is.
        """
        if self._draining:
            return None
        probe = await self._guard.admit()
        if probe is None:
            await self._guard.hold()
            probe = None if self._draining else await self._guard.admit()
        return probe

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
        self._guard.stir()

    def stop_all(self, reason: Stop) -> None:
        """Stop every stream of this process."""
        for running in self._running.values():
            running.stop(reason)

    async def renew_leases(self) -> None:
        """Keep the leases of all running jobs; a lost one stops its stream."""
        await asyncio.gather(*(self._renew(running) for running in self._running.values()))

    async def _renew(self, running: Running) -> None:
        try:
            if not await self._kept(running):
                running.stop(Stop.LOST)
        except StoreUnavailable as error:
            log.warning("job %s: lease not renewed: %s", running.job.id, error)

    async def _kept(self, running: Running) -> bool:
        if self._purse and running.bill:
            return await self._ledger.renew(running.job, running.bill.hold.id, self._purse.hold_ms)
        return await self._ledger.renew(running.job)

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

    async def _see_to(self, claim: Claim, probe: str) -> None:
        job = claim.job
        running = Running(claim, self._writer.open(job), probe)
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
            end = await self._answered(running)
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

    async def _answered(self, running: Running) -> End:
        """The end of the model's answer, which is in the log's hands. It is paid before anything
        is said of an end: whoever reads of it finds it so.
        """
        try:
            async with running.scope:
                running.streaming = running.stopped_by is None
                try:
                    with self._guard.listening(running):
                        if not running.streaming:
                            raise TimeoutError
                        return await self._stream(running)
                finally:
                    running.streaming = False
        finally:
            await self._settle(running)

    async def _settle(self, running: Running) -> None:
        if self._purse and running.bill:
            await self._purse.settle(running.job, running.bill)

    async def _stream(self, running: Running) -> End:
        add = running.attempt.add
        async with aclosing(await self._answering.steps(running)) as steps:
            async for step in steps:
                if step.pieces:
                    add(step.pieces, step.place)
                    if running.probe:
                        self._guard.well(running.probe)
                        running.probe = ""
                if step.end:
                    return step.end
        raise FleetFault("The backend ended without an end.")

    async def _complete(self, running: Running, end: End) -> bool:
        reason = CUT_SHORT.get(end.finish_reason)
        status = Status.INCOMPLETE if reason else Status.COMPLETED
        told = {"finish_reason": end.finish_reason} | ({"reason": reason} if reason else {})
        usage = {"model": self._model, **end.usage}
        return await self._end(
            running,
            status,
            [
                *(Kind.USAGE, event_data(Kind.USAGE, **usage)),
                *(status.value, event_data(Kind(status.value), **told)),
            ],
            {"usage": usage},
        )

    async def _fail(
        self, running: Running, error: FleetError, tried: list[dict[str, Any]] | None = None
    ) -> None:
        """End the job with an error; `tried` where that is a word on more than this attempt."""
        tried = self._tried(running, error) if tried is None else tried
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
        job, begun = running.job, running.attempt.any
        if begun and self._after_first_token == "fail":
            await self._fail(running, error)
            return
        tried = self._tried(running, error)
        left_alone = await self._left_alone()
        how = self._next_try.after(job, error, tried, begun=begun, shut=left_alone)
        if isinstance(how, FleetError):
            await self._fail(running, how, tried)
            return
        log.warning("job %s: %s; next is %s", job.id, how.reason, job.plan[how.step])
        await self._hand_over(running, how)

    async def _left_alone(self) -> Mapping[str, str]:
        """The models whose servers are left alone, each with the reason."""
        try:
            return shut(await living_nodes(self._ledger))
        except StoreUnavailable:
            return {}

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
        job = running.job
        failed = failure(self._model, job.attempt, error, at=running.now, took_ms=running.took_ms)
        return remembered([*job.tried, failed])
