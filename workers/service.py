"""What a worker process holds while it lives: its model, its connections, its background tasks."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from fleet.breaker.store import Breakers
from fleet.catalogue import Model
from fleet.dispatch import Dispatcher
from fleet.insist import insist
from fleet.journal import Writer
from fleet.ledger import Ledger, connect
from fleet.listener import Callback, Listener
from fleet.names import BREAKERS_CHANNEL, CANCELS_CHANNEL, RUN_TASK
from fleet.pool import Handler
from fleet.process import Heartbeat, node_name, wait_for_store
from fleet.reaper import reap_for_ever
from fleet.settings import Settings
from fleet.webhooks.outbox import Outbox
from workers.backend import Backend
from workers.guard import Guard
from workers.health import ServerState
from workers.runner import Runner
from workers.running import Stop

log = logging.getLogger(__name__)

#: How long handing streams back may take at the end.
HAND_BACK_S = 5.0


@asynccontextmanager
async def serve(
    model: Model, settings: Settings, slots: int
) -> AsyncIterator[Mapping[str, Handler]]:
    """Run one model's jobs, `slots` at once, until the process ends; then drain."""
    node = node_name(model.name)
    async with AsyncExitStack() as stack:
        line = connect(settings)
        stack.push_async_callback(line.aclose)
        dispatcher = Dispatcher(settings)
        ledger = Ledger(line, settings, dispatcher)
        outbox = Outbox(line, settings, dispatcher)
        await wait_for_store(ledger)
        backend = make_backend(model)
        stack.push_async_callback(backend.aclose)
        writer = Writer(ledger)
        writer.start()
        stack.push_async_callback(writer.stop)
        breakers = Breakers(line, settings.breaker.rules)
        guard = Guard(model, backend, breakers, enabled=settings.breaker.enabled)
        runner = Runner(model.name, backend, ledger, writer, node, settings, slots, guard)
        runner.start()
        stack.push_async_callback(runner.stop_looking)
        listener = Listener(settings)
        await listener.start()
        stack.push_async_callback(listener.stop)
        await insist(lambda: listener.add(CANCELS_CHANNEL, _canceller(runner)))
        if settings.breaker.enabled:
            await insist(lambda: listener.add(BREAKERS_CHANNEL, guard.heard))
        await guard.start()
        stack.push_async_callback(guard.stop)
        state = ServerState(backend, guard, runner)
        heartbeat = Heartbeat(
            ledger,
            node,
            lambda: {
                "role": "worker",
                "model": model.name,
                "slots": slots,
                "active": runner.active,
                "server": state.last,
                **guard.report(),
            },
        )
        await state.look()
        await heartbeat.start()
        stack.push_async_callback(heartbeat.stop)
        loops = [
            asyncio.create_task(_renew(runner, settings.workers.lease_s / 3), name="leases"),
            asyncio.create_task(state.watch(guard.news), name="server-state"),
            asyncio.create_task(_beat_on(guard.news, heartbeat), name="news"),
            asyncio.create_task(reap_for_ever(ledger, outbox), name="reaper"),
        ]
        stack.callback(lambda: [task.cancel() for task in loops])
        log.info("worker for %s ready: %s streams at once", model.name, slots)
        yield {RUN_TASK: runner.run}
        await _drain(runner, settings.workers.drain_s)


def make_backend(model: Model) -> Backend:
    """The backend of the model's kind."""
    if model.kind == "anthropic":
        from workers.claude.client import Claude  # heavy: only the worker that needs it pays

        return Claude(model)
    if model.kind == "openai":
        from workers.openai_api import OpenAIApi

        return OpenAIApi(model)
    from workers.llama import LlamaServer

    return LlamaServer(model)


def _canceller(runner: Runner) -> Callback:
    def on_message(job_id: str | None) -> None:
        if job_id is not None:  # after a reconnect the leases tell who was cancelled meanwhile
            runner.stop(job_id, Stop.LOST)

    return on_message


async def _beat_on(news: asyncio.Event, heartbeat: Heartbeat) -> None:
    """Report what is new at once."""
    while True:
        await news.wait()
        news.clear()
        await heartbeat.beat()


async def _renew(runner: Runner, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await runner.renew_leases()


async def _drain(runner: Runner, bound_s: float) -> None:
    """Let running streams end; hand back what has not ended in time."""
    runner.drain()
    with suppress(TimeoutError):
        async with asyncio.timeout(bound_s):
            await runner.idle()
    if runner.active:
        log.info("drain: handing back %s streams", runner.active)
        runner.stop_all(Stop.DRAIN)
    with suppress(TimeoutError):  # Redis may be away; then the leases run out
        async with asyncio.timeout(HAND_BACK_S):
            await runner.idle()
