"""What a router process holds, and how one job gets its plan."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

from fleet.cache.similar import SimilarQuestions
from fleet.decision import Decision, Memory
from fleet.dispatch import Dispatcher
from fleet.errors import CapReached, FleetError, FleetFault, QueueFull
from fleet.insist import insist
from fleet.job import Job
from fleet.ledger import Ledger, connect
from fleet.moves.routes import Routed
from fleet.names import DELIVER_TASK, ROUTE_TASK, ROUTER_QUEUE, WEBHOOKS_QUEUE
from fleet.pool import Handler
from fleet.process import Heartbeat, node_name, wait_for_store
from fleet.reaper import reap_for_ever
from fleet.settings import Settings
from fleet.webhooks.outbox import Outbox
from router.classifiers import Classifiers
from router.deciding import Decider
from router.diverting import Diverter
from router.semantic import SemanticCache
from router.standing import Watch
from router.webhooks.service import delivering

log = logging.getLogger(__name__)

#: Jobs that one router process decides at once; deciding is quick, Redis is what is waited for.
CONCURRENCY = 16
#: Jobs that shadow arms may be behind; further ones are not scored.
SHADOWS_BEHIND = 256
FULL_LINES = (
    "Every model that could answer has a full line ([limits] queue_jobs): ask again later, or "
    "give the models more slots."
)
#: Characters of the requests of these jobs, together.
SHADOWS_CHARS = 8_000_000


class Router:
    """Reads a job, decides, writes the plan."""

    def __init__(
        self, ledger: Ledger, decider: Decider, watch: Watch, similar: SemanticCache
    ) -> None:
        self._ledger = ledger
        self._similar = similar
        self._decider = decider
        self._watch = watch
        self._unscored: asyncio.Queue[Job] = asyncio.Queue(SHADOWS_BEHIND)
        self._unscored_chars = 0
        #: Names of claims; a process that comes after us under the same name has others.
        self._claims = (f"{secrets.token_hex(8)}#{n}" for n in count(1))

    def report(self) -> dict[str, Any]:
        """What a sign of life says: the models of which no call may be made any more today."""
        shut = self._watch.standing.shut.items()
        return {"spent": [name for name, error in shut if isinstance(error, CapReached)]}

    async def route(self, _woken_by: str) -> None:
        """Give the job whose turn it is its plan, and send it to the first model with room."""
        name = next(self._claims)
        job = await insist(lambda: self._ledger.take(name))
        if job is None:
            return
        try:
            decision = await self._decide(job)
        except FleetError as error:
            await self._fail(job.id, error)
        except Exception:  # a message that is gone must not leave a job that nobody has
            log.exception("job %s: deciding broke", job.id)
            await self._fail(job.id, FleetFault("The router met an error; see its log."))
        else:
            self._watch.decided(decision.model)
            try:
                await self._go_on(job, decision)
            finally:
                self._watch.written(decision.model)

    async def _go_on(self, job: Job, decision: Decision) -> None:
        if await self._similar.answer(job, decision):
            return
        await self._send(job, decision)
        if self._decider.has_shadows:
            self._leave_to_shadows(job)
        await self._similar.remember(job, decision)

    def _leave_to_shadows(self, job: Job) -> None:
        size = _size(job)
        if self._unscored.full() or self._unscored_chars + size > SHADOWS_CHARS:
            return
        self._unscored_chars += size
        self._unscored.put_nowait(job)

    async def _send(self, job: Job, decision: Decision) -> None:
        notes: list[str] = []
        for model in decision.plan:
            send = partial(self._ledger.route, job, decision, model=model, notes=tuple(notes))
            if await insist(send) is not Routed.FULL:
                return
            notes.append(f"the line of {model!r} is full")
        await self._fail(job.id, QueueFull(FULL_LINES))

    async def _fail(self, job_id: str, error: FleetError) -> None:
        await insist(lambda: self._ledger.fail(job_id, error.as_dict()))

    async def _decide(self, job: Job) -> Decision:
        memory, standing = await asyncio.gather(self._memory(job), self._watch.for_job(job))
        return await self._decider.decide(job, memory, standing)

    async def _memory(self, job: Job) -> Memory | None:
        if not self._decider.remembers(job):
            return None
        handle = self._decider.handle(job)
        return await insist(lambda: self._ledger.conversation(handle))

    async def ask_shadows(self) -> None:
        """Off the hot path: one job after the other; what comes too fast is left out."""
        while True:
            job = await self._unscored.get()
            self._unscored_chars -= _size(job)
            try:
                for drawn, decision in await self._decider.shadows(job):
                    await self._ledger.note_shadow(
                        job.id,
                        drawn.experiment,
                        drawn.arm.name,
                        decision.route,
                        decision.confidence,
                        decision.took_ms,
                    )
            except FleetError as error:
                log.warning("job %s: no shadow's opinion: %s", job.id, error)
            except Exception:  # one odd job must not silence the shadows for good
                log.exception("job %s: asking the shadows broke", job.id)


def _size(job: Job) -> int:
    return len(repr(job.request))


@asynccontextmanager
async def serve(settings: Settings, queues: Sequence[str]) -> AsyncIterator[Mapping[str, Handler]]:
    """Do what the queues ask for, until the process ends: decide, deliver webhooks, or both."""
    role = "router" if ROUTER_QUEUE in queues else "webhooks"
    handlers: dict[str, Handler] = {}
    reports: list[Callable[[], dict[str, Any]]] = []
    async with AsyncExitStack() as stack:
        line = connect(settings)
        stack.push_async_callback(line.aclose)
        dispatcher = Dispatcher(settings)
        ledger = Ledger(line, settings, dispatcher)
        outbox = Outbox(line, settings, dispatcher)
        await wait_for_store(ledger)
        stack.callback(asyncio.create_task(reap_for_ever(ledger, outbox)).cancel)
        if WEBHOOKS_QUEUE in queues:
            deliverer = await stack.enter_async_context(delivering(outbox, settings))
            handlers[DELIVER_TASK] = deliverer.deliver
        if ROUTER_QUEUE in queues:
            classifiers = Classifiers(settings)
            router = await stack.enter_async_context(_deciding(ledger, classifiers, settings))
            handlers[ROUTE_TASK] = router.route
            reports += [classifiers.report, router.report]
        heartbeat = Heartbeat(
            ledger,
            node_name(role),
            lambda: {"role": role, **{k: v for tell in reports for k, v in tell().items()}},
        )
        await heartbeat.start()
        stack.push_async_callback(heartbeat.stop)
        log.info("%s ready: %s", role, ", ".join(queues))
        yield handlers


@asynccontextmanager
async def _deciding(
    ledger: Ledger, classifiers: Classifiers, settings: Settings
) -> AsyncIterator[Router]:
    async with AsyncExitStack() as stack:
        decider = Decider(settings, classifiers)
        stack.push_async_callback(decider.aclose)
        watch = Watch(ledger, settings)
        similar = SemanticCache(SimilarQuestions(ledger, settings), settings, classifiers)
        stack.callback(similar.close)
        router = Router(ledger, decider, watch, similar)
        diverter = Diverter(ledger, watch, settings)
        for work in (watch.run(), router.ask_shadows(), diverter.run()):
            stack.callback(asyncio.create_task(work).cancel)
        log.info("router ready: %s", ", ".join(settings.catalogue.addressable))
        yield router
