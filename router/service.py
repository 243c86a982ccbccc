"""What a router process holds, and how one job gets its plan."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count

from fleet.decision import Decision
from fleet.dispatch import Dispatcher
from fleet.errors import FleetError, FleetFault, QueueFull
from fleet.insist import insist
from fleet.job import Job
from fleet.ledger import Ledger, Routed, connect
from fleet.names import ROUTE_TASK
from fleet.pool import Handler
from fleet.process import Heartbeat, node_name, wait_for_store
from fleet.reaper import reap_for_ever
from fleet.settings import Settings
from router import keywords, policy, signals

log = logging.getLogger(__name__)

#: Jobs that one router process decides at once; deciding is quick, Redis is what is waited for.
CONCURRENCY = 16


class Router:
    """Reads a job, decides, writes the plan."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        #: Names of claims; a process that comes after us under the same name has others.
        self._claims = (f"{secrets.token_hex(8)}#{n}" for n in count(1))
        self._settings = settings
        self._catalogue = settings.catalogue

    async def route(self, _woken_by: str) -> None:
        """Give the job whose turn it is its plan, and send it to the first model with room."""
        name = next(self._claims)
        job = await insist(lambda: self._ledger.take(name))
        if job is None:
            return
        try:
            decision = self.decide(job)
        except FleetError as error:
            await self._fail(job.id, error)
        except Exception:  # a message that is gone must not leave a job that nobody has
            log.exception("job %s: deciding broke", job.id)
            await self._fail(job.id, FleetFault("The router met an error; see its log."))
        else:
            await self._send(job, decision)

    async def _send(self, job: Job, decision: Decision) -> None:
        notes: list[str] = []
        for model in decision.plan:
            send = partial(self._ledger.route, job, decision, model=model, notes=tuple(notes))
            if await insist(send) is not Routed.FULL:
                return
            notes.append(f"the line of {model!r} is full")
        await self._fail(job.id, QueueFull("Every model that could answer has a full line."))

    async def _fail(self, job_id: str, error: FleetError) -> None:
        await insist(lambda: self._ledger.fail(job_id, error.as_dict()))

    def decide(self, job: Job) -> Decision:
        """The decision for a job; pure but for the settings."""
        seen = signals.read(job.asked_model, job.request)
        verdict = keywords.classify(
            seen.user_turns,
            default_route="fast",
            memory_turns=self._settings.router.memory_turns,
            routes=self._catalogue.routes,
        )
        return policy.decide(seen, verdict, self._catalogue)


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[Mapping[str, Handler]]:
    """Route jobs until the process ends."""
    async with AsyncExitStack() as stack:
        line = connect(settings)
        stack.push_async_callback(line.aclose)
        ledger = Ledger(line, settings, Dispatcher(settings))
        await wait_for_store(ledger)
        heartbeat = Heartbeat(ledger, node_name("router"), lambda: {"role": "router"})
        await heartbeat.start()
        stack.push_async_callback(heartbeat.stop)
        reaper = asyncio.create_task(reap_for_ever(ledger), name="reaper")
        stack.callback(reaper.cancel)
        log.info("router ready: %s", ", ".join(settings.catalogue.addressable))
        yield {ROUTE_TASK: Router(ledger, settings).route}
