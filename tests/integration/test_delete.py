"""A job that is deleted: nothing of it stays, and whoever worked on it harms nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fleet.dispatch import Dispatcher
from fleet.job import HandOver, Job, NewJob, Status, new_job_id
from fleet.ledger import Ledger, connect
from fleet.listener import Listener
from fleet.moves.posts import Created
from fleet.moves.routes import Routed
from fleet.moves.runs import Write
from fleet.names import CANCELS_CHANNEL, FEEDBACK
from fleet.reader import Reader
from fleet.request import FeedbackRequest
from fleet.settings import Settings
from tests.support import decision, until

DONE = ["completed", '{"type":"completed","finish_reason":"stop"}']


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings.model_validate(
        {"redis_url": redis_url, "models": [{"name": "fast", "url": "http://127.0.0.1:1"}]}
    )


@pytest_asyncio.fixture
async def ledger(settings: Settings) -> AsyncIterator[Ledger]:
    line = connect(settings)
    yield Ledger(line, settings, Dispatcher(settings))
    await line.aclose()


async def created(ledger: Ledger, idempotency: tuple[str, str] | None = None) -> str:
    job_id = new_job_id()
    request = {"messages": [{"role": "user", "content": "hi"}]}
    value = idempotency and (idempotency[0], f"{job_id} {idempotency[1]}")
    new = NewJob(job_id, request, "alice", ["fast"], 60, idempotency=value)
    assert not (await ledger.create(new)).existing
    return job_id


async def brought_to(ledger: Ledger, status: Status) -> tuple[str, Job | None]:
    """A job in that status, and what its worker holds."""
    job_id = await created(ledger)
    if status is Status.QUEUED:
        return job_id, None
    taken = await ledger.take("a#1")
    assert taken
    assert await ledger.route(taken, decision("fast")) is Routed.DONE
    if status is Status.ROUTED:
        return job_id, None
    claim = await ledger.claim("fast", "a", "a#2", "server")
    assert claim
    if status is Status.COMPLETED:
        assert await ledger.finish(claim.job, claim.job.seq, status, DONE, {})
    return job_id, claim.job


async def traces(ledger: Ledger, job_id: str) -> list[str]:
    """Keys that hold the job, or whose members name it."""
    found = []
    for key in await ledger.line.call("KEYS", "fleet:*"):
        kind = await ledger.line.call("TYPE", key)
        if kind == "zset" and await ledger.line.call("ZSCORE", key, job_id) is not None:
            found.append(key)
        if job_id in key:
            found.append(key)
    return found


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ROUTED, Status.RUNNING, Status.COMPLETED])
async def test_nothing_of_it_stays_whatever_it_was_doing(ledger: Ledger, status: Status) -> None:
    job_id, _ = await brought_to(ledger, status)
    assert await traces(ledger, job_id)
    assert await ledger.delete(job_id, "alice")
    assert await traces(ledger, job_id) == []
    assert await ledger.recent("alice", "+inf", 10) == []
    assert await ledger.line.call("HGET", "fleet:due:load", "alice") is None
    assert not await ledger.delete(job_id, "alice")


async def test_a_worker_that_goes_on_with_it_brings_nothing_back(ledger: Ledger) -> None:
    job_id, job = await brought_to(ledger, Status.RUNNING)
    assert job
    assert await ledger.delete(job_id, "alice")
    assert await ledger.append([Write(job, job.seq, 0, ["token", "{}"])]) == [-1]
    assert not await ledger.renew(job)
    assert not await ledger.hand_over(job, job.seq, HandOver(0, "why", []))
    assert not await ledger.finish(job, job.seq, Status.COMPLETED, DONE, {})
    assert await ledger.cancel(job_id) is None
    assert await ledger.generations_of([job_id]) == {}
    assert await traces(ledger, job_id) == []


async def test_its_worker_and_its_readers_are_told(ledger: Ledger, settings: Settings) -> None:
    job_id, _ = await brought_to(ledger, Status.RUNNING)
    listener, stopped = Listener(settings), list[str | None]()
    await listener.start()
    await listener.add(CANCELS_CHANNEL, stopped.append)
    reader, kinds = Reader(ledger, listener), list[str]()

    async def read() -> None:
        async for events in reader.follow(job_id):
            kinds.extend(event.kind for event in events)

    reading = asyncio.create_task(read())
    await until(lambda: kinds, "the reader follows")
    assert await ledger.delete(job_id, "alice")
    async with asyncio.timeout(5):
        await reading
    assert kinds == ["queued", "routed", "started", "cancelled"]
    await until(lambda: job_id in stopped, "its worker is told to stop")
    await listener.stop()


async def test_what_the_router_might_have_learnt_from_it_goes_too(ledger: Ledger) -> None:
    job_id, _ = await brought_to(ledger, Status.COMPLETED)
    job = await ledger.load(job_id)
    assert job
    assert await ledger.give_feedback(job, FeedbackRequest(route="fast"))
    assert await ledger.line.call("XLEN", FEEDBACK) == 1
    assert await ledger.delete(job_id, "alice")
    assert await ledger.line.call("XLEN", FEEDBACK) == 0


async def test_its_idempotency_key_is_free_again(ledger: Ledger) -> None:
    job_id = await created(ledger, ("digest", "body"))
    other = NewJob(new_job_id(), {}, "alice", ["fast"], 60, idempotency=("digest", "x y"))
    assert await ledger.create(other) == Created(existing=f"{job_id} body")
    assert await ledger.delete(job_id, "alice")
    assert await created(ledger, ("digest", "another body"))
