"""The scripts: what may happen to a job, and what may not."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest_asyncio
from redis.exceptions import ConnectionError

from fleet.dispatch import Dispatcher
from fleet.events import Event, Kind, event_data
from fleet.job import MOVES, TERMINAL, Job, Status, new_job_id
from fleet.journal import Writer
from fleet.ledger import Ledger, connect
from fleet.line import CONNECT_TIMEOUT_S, Line
from fleet.listener import Listener
from fleet.names import DUE, job_key, queue_list
from fleet.reader import Reader
from fleet.settings import Settings
from tests.support import Valkey, until

MODELS: Any = (
    {"name": "fast", "url": "http://127.0.0.1:1"},
    {"name": "tool", "url": "http://127.0.0.1:2"},
)
DECISION = {"route": "fast", "model": "fast", "plan": ["fast", "tool"], "reasons": ["a test"]}
DONE = [Kind.COMPLETED, event_data(Kind.COMPLETED, finish_reason="stop")]


def settings_for(url: str) -> Settings:
    workers: Any = {"lease_s": 0.2, "max_attempts": 3}
    return Settings(redis_url=url, models=MODELS, workers=workers)


@pytest_asyncio.fixture
async def ledger(redis_url: str) -> AsyncIterator[Ledger]:
    settings = settings_for(redis_url)
    line = connect(settings)
    yield Ledger(line, settings, Dispatcher(settings))
    await line.aclose()


async def created(ledger: Ledger, deadline_s: float = 60) -> str:
    job_id = new_job_id()
    request = {"messages": [{"role": "user", "content": "hi"}]}
    await ledger.create(
        job_id,
        request,
        caller="local",
        asked_model="auto",
        priority=3,
        deadline_s=deadline_s,
        metadata={},
    )
    return job_id


async def routed(ledger: Ledger, **how: Any) -> str:
    job_id = await created(ledger, **how)
    job = await ledger.load(job_id)
    assert job
    assert await ledger.route(job, DECISION)
    return job_id


async def claimed(ledger: Ledger, job_id: str, owner: str = "a") -> Job:
    claim = await ledger.claim(job_id, "fast", owner)
    assert claim.job, claim.refusal
    return claim.job


async def append(ledger: Ledger, job: Job, seq: int, *words: str) -> int:
    events = [part for word in words for part in ("token", f'{{"content":"{word}"}}')]
    [result] = await ledger.append([(job, seq, events)])
    return result


async def test_create_and_route_put_their_messages_into_the_queues(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    lists = [queue_list("router", 3), queue_list("fast", 3)]
    assert await ledger.list_lengths(lists) == [1, 1]
    job = await ledger.load(job_id)
    assert job
    assert (job.status, job.plan, job.seq) == (Status.ROUTED, ("fast", "tool"), 2)
    assert not await ledger.route(job, DECISION)


async def test_a_leased_job_is_not_taken_twice_and_a_lost_one_is(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    first = await claimed(ledger, job_id)
    assert (await ledger.claim(job_id, "fast", "b")).refusal == "leased"
    assert (await ledger.claim(job_id, "tool", "b")).refusal == "elsewhere"
    assert await append(ledger, first, first.seq, "x") == first.seq + 1
    await asyncio.sleep(0.25)
    second = await claimed(ledger, job_id, "b")
    assert (first.attempt, second.attempt) == (1, 2)
    kinds = [event.kind for event in await ledger.read(job_id, -1)]
    assert kinds == ["queued", "routed", "started", "token", "restarted", "started"]


async def test_an_old_attempt_is_fenced_from_every_write(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    old = await claimed(ledger, job_id)
    await asyncio.sleep(0.25)
    new = await claimed(ledger, job_id, "b")
    before = await ledger.read(job_id, -1)
    assert await append(ledger, old, new.seq, "ghost") == -1
    assert not await ledger.finish(old, new.seq, Status.COMPLETED, DONE, {})
    assert not await ledger.hand_over(old, new.seq, 1, "ghost", [])
    assert not await ledger.renew(old)
    assert await ledger.read(job_id, -1) == before
    assert await ledger.renew(new)


async def test_a_write_repeated_after_a_lost_answer_changes_nothing(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    assert await append(ledger, job, job.seq, "a", "b") == job.seq + 2
    assert await append(ledger, job, job.seq, "a", "b") == job.seq + 2
    assert await append(ledger, job, job.seq, "c") == -1
    assert await ledger.finish(job, job.seq + 2, Status.COMPLETED, DONE, {})
    assert await ledger.finish(job, job.seq + 2, Status.COMPLETED, DONE, {})
    events = await ledger.read(job.id, -1)
    assert [event.kind for event in events][-3:] == ["token", "token", "completed"]
    assert [event.seq for event in events] == list(range(len(events)))


async def test_a_worker_that_did_not_hear_its_claim_may_claim_again(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    first = await claimed(ledger, job_id, "a")
    again = await claimed(ledger, job_id, "a")
    assert again.attempt == first.attempt + 1


async def test_a_job_that_kills_its_workers_is_given_up(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    for _ in range(3):
        await claimed(ledger, job_id)
        await asyncio.sleep(0.25)
    assert (await ledger.claim(job_id, "fast", "b")).refusal == "poisoned"
    events = await ledger.read(job_id, -1)
    assert events[-1].kind == "failed"
    assert events[-1].payload()["error"]["code"] == "too_many_attempts"


async def test_handing_over_in_good_order_burns_no_attempt(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    for _ in range(10):
        job = await claimed(ledger, job_id)
        assert await ledger.hand_over(job, job.seq, 0, "drain", [])
    assert (await claimed(ledger, job_id)).attempt == 11


async def test_a_terminal_state_absorbs_everything(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    assert await ledger.cancel(job.id) == (True, Status.CANCELLED)
    before = await ledger.read(job.id, -1)
    assert await ledger.cancel(job.id) == (False, Status.CANCELLED)
    assert await ledger.expire(job.id) == (False, Status.CANCELLED)
    assert await append(ledger, job, job.seq, "x") == -1
    assert not await ledger.finish(job, job.seq + 1, Status.COMPLETED, DONE, {})
    assert (await ledger.claim(job.id, "fast", "b")).refusal == "ended"
    await ledger.fail(job.id, {"code": "x"})
    assert await ledger.read(job.id, -1) == before
    assert before[-1].kind == "cancelled"


async def test_many_ends_at_once_leave_exactly_one(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    await asyncio.gather(
        *(ledger.cancel(job.id) for _ in range(10)),
        *(ledger.finish(job, job.seq, Status.COMPLETED, DONE, {}) for _ in range(10)),
    )
    events = await ledger.read(job.id, -1)
    assert sum(event.terminal for event in events) == 1
    assert events[-1].terminal


async def test_an_expired_job_can_be_neither_routed_nor_claimed(ledger: Ledger) -> None:
    unrouted = await created(ledger, deadline_s=0.05)
    waiting = await routed(ledger, deadline_s=0.05)
    await asyncio.sleep(0.1)
    job = await ledger.load(unrouted)
    assert job
    assert not await ledger.route(job, DECISION)
    assert (await ledger.claim(waiting, "fast", "a")).refusal == "expired"
    for job_id in (unrouted, waiting):
        assert [e.kind for e in await ledger.read(job_id, -1)][-1] == "expired"


async def test_an_unknown_job_is_nobodys(ledger: Ledger) -> None:
    assert await ledger.load("job_x") is None
    assert (await ledger.claim("job_x", "fast", "a")).refusal == "gone"
    assert await ledger.cancel("job_x") is None


async def test_a_daily_allowance_is_never_exceeded_by_a_crowd(ledger: Ledger) -> None:
    numbers = await asyncio.gather(*(ledger.spend_call("claude", 20) for _ in range(100)))
    assert sorted(n for n in numbers if n) == list(range(1, 21))


async def test_redis_that_forgot_the_scripts_is_told_them_again(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    writer = Writer(ledger)
    writer.start()
    await ledger.line.call("SCRIPT", "FLUSH")
    log = writer.open(job)
    log.add("text", "hello")
    await log.drained()
    await ledger.line.call("SCRIPT", "FLUSH")
    assert await ledger.finish(job, log.seq, Status.COMPLETED, DONE, {})
    await writer.stop()
    assert [e.kind for e in await ledger.read(job.id, job.seq - 1)] == ["token", "completed"]


async def test_the_scripts_move_a_job_only_as_the_table_allows(ledger: Ledger) -> None:
    async def reach(status: Status) -> str:
        if status is Status.QUEUED:
            return await created(ledger)
        job_id = await routed(ledger)
        if status is Status.ROUTED:
            return job_id
        job = await claimed(ledger, job_id)
        if status in TERMINAL:
            event = [status.value, event_data(Kind(status.value))]
            assert await ledger.finish(job, job.seq, status, event, {})
        return job_id

    async def now(job_id: str) -> Job:
        job = await ledger.load(job_id)
        assert job
        return job

    async def try_everything(job_id: str, which: int) -> None:
        job = replace(await now(job_id), plan=("fast", "tool"))
        moves: list[Callable[[], Awaitable[Any]]] = [
            lambda: ledger.route(job, DECISION),
            lambda: ledger.claim(job_id, "fast", job.owner or "a"),
            lambda: ledger.hand_over(job, job.seq, 1, "test", []),
            lambda: ledger.finish(job, job.seq, Status.COMPLETED, DONE, {}),
            lambda: ledger.cancel(job_id),
            lambda: ledger.fail(job_id, {"code": "x"}),
            lambda: append(ledger, job, job.seq, "x"),
        ]
        await moves[which]()

    seen: dict[Status, set[Status]] = {status: set() for status in Status}
    for status in Status:
        for which in range(7):
            job_id = await reach(status)
            await try_everything(job_id, which)
            after = (await now(job_id)).status
            if after is not status:
                seen[status].add(after)
    for status, moves in seen.items():
        assert moves <= MOVES[status], status
    assert seen[Status.QUEUED] >= {Status.ROUTED, Status.CANCELLED, Status.FAILED}
    assert seen[Status.ROUTED] >= {Status.RUNNING, Status.CANCELLED}
    assert seen[Status.RUNNING] >= {Status.ROUTED, Status.COMPLETED, Status.CANCELLED}


async def test_a_writer_and_readers_through_a_restart_of_redis(own_valkey: Valkey) -> None:
    settings = settings_for(own_valkey.url)
    line = connect(settings)
    ledger = Ledger(line, settings, Dispatcher(settings))
    listener = Listener(settings)
    await listener.start()
    reader = Reader(ledger, listener)
    job = await claimed(ledger, await routed(ledger))
    writer = Writer(ledger)
    writer.start()
    log = writer.open(job)
    seen: list[Event] = []

    async def follow() -> None:
        async for events in reader.follow(job.id):
            seen.extend(events)

    following = asyncio.create_task(follow())
    for n in range(5):
        log.add("text", f" w{n}")
        await log.drained()
    await until(lambda: len(seen) >= 8, "the reader has caught up")
    own_valkey.kill()
    for n in range(5, 10):
        log.add("text", f" w{n}")
    assert not following.done()
    await asyncio.to_thread(own_valkey.start)
    await log.drained()
    assert await ledger.finish(job, log.seq, Status.COMPLETED, DONE, {})
    async with asyncio.timeout(15):
        await following
    assert [event.seq for event in seen] == list(range(len(seen)))
    text = "".join(e.payload().get("content", "") for e in seen if e.kind == "token")
    assert text == "".join(f" w{n}" for n in range(10))
    assert seen[-1].kind == "completed"
    await writer.stop()
    await listener.stop()
    await line.aclose()


async def test_every_key_of_a_job_expires(ledger: Ledger) -> None:
    job_id = await created(ledger)
    assert 0 < await ledger.line.call("TTL", job_key(job_id)) <= 86_400 + 3_600
    await ledger.cancel(job_id)
    assert 0 < await ledger.line.call("TTL", job_key(job_id)) <= 86_400


async def test_a_job_whose_worker_is_lost_goes_back_into_its_queue_once(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    fast = [queue_list("fast", 3)]
    first = await claimed(ledger, job_id)
    assert await ledger.reap() == []
    await asyncio.sleep(0.12)
    assert await ledger.renew(first)
    await asyncio.sleep(0.12)
    assert await ledger.reap() == []
    assert await ledger.list_lengths(fast) == [1]
    await asyncio.sleep(0.25)
    found = await asyncio.gather(*(ledger.reap() for _ in range(5)))
    assert sorted(found) == [[], [], [], [], [job_id]]
    assert await ledger.list_lengths(fast) == [2]
    second = await claimed(ledger, job_id, "b")
    assert second.attempt == 2
    assert await ledger.finish(second, second.seq, Status.COMPLETED, DONE, {})
    assert await ledger.reap() == []


async def test_a_job_that_nobody_looks_at_expires_all_the_same(ledger: Ledger) -> None:
    waiting = await routed(ledger, deadline_s=0.05)
    await asyncio.sleep(0.1)
    assert await ledger.reap() == [waiting]
    job = await ledger.load(waiting)
    assert job
    assert job.status is Status.EXPIRED
    assert await ledger.reap() == []


async def test_nothing_is_due_for_a_job_that_has_ended(ledger: Ledger) -> None:
    cancelled = await created(ledger)
    finished = await claimed(ledger, await routed(ledger))
    await ledger.cancel(cancelled)
    await ledger.finish(finished, finished.seq, Status.COMPLETED, DONE, {})
    assert await ledger.line.call("EXISTS", DUE, f"{DUE}:messages") == 0


async def test_a_job_whose_message_was_lost_is_sent_again_and_the_others_are_not(
    ledger: Ledger,
) -> None:
    lost, waiting = await routed(ledger), await routed(ledger)
    fast = queue_list("fast", 3)
    assert lost in await ledger.line.call("RPOP", fast)
    for job_id in (lost, waiting):
        await ledger.line.call("ZADD", f"{DUE}:messages", 1, job_id)
    assert await ledger.reap() == [lost]
    assert await ledger.list_lengths([fast]) == [2]
    unrouted = await created(ledger)
    await ledger.line.call("DEL", queue_list("router", 3))
    await ledger.line.call("ZADD", f"{DUE}:messages", 1, unrouted)
    assert await ledger.reap() == [unrouted]
    assert await ledger.list_lengths([queue_list("router", 3)]) == [1]


async def test_a_flood_larger_than_a_script_takes_is_written_in_pieces(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    writer = Writer(ledger)
    log = writer.open(job)
    for n in range(9_000):
        log.add("tool_calls", [{"index": 0, "function": {"arguments": str(n % 10)}}])
    writer.start()
    async with asyncio.timeout(10):
        await log.drained()
    assert log.seq == job.seq + 9_000
    await writer.stop()


async def test_a_reader_who_leaves_while_subscribing_leaves_nothing_behind(
    redis_url: str, ledger: Ledger
) -> None:
    listener = Listener(settings_for(redis_url))
    await listener.start()
    reader = Reader(ledger, listener)
    job_id = await created(ledger)

    async def follow() -> None:
        async for _ in reader.follow(job_id):
            pass

    for turns in range(30):
        task = asyncio.create_task(follow())
        for _ in range(turns % 6):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not listener._callbacks
    following = asyncio.create_task(follow())
    await ledger.cancel(job_id)
    async with asyncio.timeout(5):
        await following
    await listener.stop()


async def test_a_running_job_whose_model_has_left_the_catalogue_ends(
    redis_url: str, ledger: Ledger
) -> None:
    job_id = await routed(ledger)
    await claimed(ledger, job_id)
    await asyncio.sleep(0.25)
    without = Settings(redis_url=redis_url, models=MODELS[1:])
    other = Ledger(ledger.line, without, Dispatcher(without))
    assert await other.reap() == [job_id]
    job = await ledger.load(job_id)
    assert job
    assert job.status is Status.FAILED
    assert "no such model" in (job.error or {})["message"]


async def test_callers_of_a_silent_redis_are_refused_together() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = Line(f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0")
        began = asyncio.get_running_loop().time()
        calls = (line.call("PING") for _ in range(6))
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, ConnectionError) for result in results)
        assert asyncio.get_running_loop().time() - began < 2 * CONNECT_TIMEOUT_S + 1
        await line.aclose()


async def test_a_cancel_while_the_router_decides_wins(ledger: Ledger) -> None:
    job_id = await created(ledger)
    deciding = await ledger.load(job_id)
    assert deciding
    assert await ledger.cancel(job_id) == (True, Status.CANCELLED)
    assert not await ledger.route(deciding, DECISION)
    assert [event.kind for event in await ledger.read(job_id, -1)] == ["queued", "cancelled"]
    assert await ledger.list_lengths([queue_list("fast", 3)]) == [0]
