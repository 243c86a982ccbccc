"""The scripts: what may happen to a job, and what may not."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest_asyncio
from redis.exceptions import ConnectionError

from fleet.dispatch import Dispatcher
from fleet.events import Event, Kind, Piece, event_data
from fleet.job import MOVES, TERMINAL, HandOver, Job, NewJob, Status, new_job_id
from fleet.journal import Writer
from fleet.ledger import Ledger, connect
from fleet.line import CONNECT_TIMEOUT_S, Line
from fleet.listener import Listener
from fleet.moves.posts import Created
from fleet.moves.routes import Routed
from fleet.moves.runs import Write
from fleet.names import DUE, job_key, log_key, queue_list, waiting_key
from fleet.reader import Reader
from fleet.settings import Settings
from tests.support import Valkey, decision, until

MODELS: Any = (
    {"name": "fast", "url": "http://127.0.0.1:1"},
    {"name": "tool", "url": "http://127.0.0.1:2"},
)
DECISION = decision("fast", "tool")
CLAIMS = count(1)
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


async def created(ledger: Ledger, deadline_s: float = 60, caller: str = "local", **how: Any) -> str:
    job_id = new_job_id()
    request = {"messages": [{"role": "user", "content": "hi"}]}
    fields: dict[str, Any] = {"candidates": ["fast"], **how}
    outcome = await ledger.create(
        NewJob(job_id, request, caller=caller, deadline_s=deadline_s, **fields)
    )
    assert outcome == Created()
    return job_id


async def routed(ledger: Ledger, **how: Any) -> str:
    """A job that waits for `fast`; the only one in the router's line."""
    job_id = await created(ledger, **how)
    job = await ledger.take(name())
    assert job
    assert job.id == job_id
    assert await ledger.route(job, DECISION) is Routed.DONE
    return job_id


async def lengths(ledger: Ledger, lists: list[str]) -> list[int]:
    """How many messages each of the queues' lists holds."""
    return await ledger.line.calls([("LLEN", key) for key in lists])


def name(owner: str = "a") -> str:
    return f"{owner}#{next(CLAIMS)}"


async def claim(ledger: Ledger, owner: str = "a", server: str = "") -> Job | None:
    got = await ledger.claim("fast", owner, name(owner), server)
    return got.job if got else None


async def claimed(ledger: Ledger, job_id: str, owner: str = "a", server: str = "") -> Job:
    job = await claim(ledger, owner, server)
    assert job
    assert job.id == job_id
    return job


async def lost(ledger: Ledger, job_id: str) -> None:
    """Let the lease of a running job run out, and the reaper find it."""
    await asyncio.sleep(0.25)
    assert job_id in await ledger.reap()


def back(reason: str = "test", **how: Any) -> HandOver:
    return HandOver(how.pop("step", 0), reason, [], **how)


async def append(ledger: Ledger, job: Job, seq: int, *words: str) -> int:
    events = [part for word in words for part in ("token", f'{{"content":"{word}"}}')]
    [result] = await ledger.append([Write(job, seq, 0, events)])
    return result


async def test_create_and_route_put_their_messages_into_the_queues(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    lists = [queue_list("router", 3), queue_list("fast", 3)]
    assert await lengths(ledger, lists) == [1, 1]
    assert await ledger.jobs_waiting(["router", "fast"]) == [0, 1]
    job = await ledger.load(job_id)
    assert job
    assert (job.status, job.plan, job.seq) == (Status.ROUTED, ("fast", "tool"), 2)
    assert await ledger.route(job, DECISION) is Routed.LATE


async def test_a_leased_job_is_not_taken_twice_and_a_lost_one_is(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    first = await claimed(ledger, job_id)
    assert await claim(ledger, "b") is None
    assert await append(ledger, first, first.seq, "x") == first.seq + 1
    await lost(ledger, job_id)
    second = await claimed(ledger, job_id, "b")
    assert (first.attempt, second.attempt, second.streamed) == (1, 2, True)
    kinds = [event.kind for event in await ledger.read(job_id, -1)]
    assert kinds == ["queued", "routed", "started", "token", "started"]


async def test_a_worker_that_was_only_late_keeps_its_job_and_is_watched_again(
    ledger: Ledger,
) -> None:
    job_id = await routed(ledger)
    late = await claimed(ledger, job_id)
    await lost(ledger, job_id)
    assert await ledger.renew(late)
    assert await claim(ledger, "b") is None
    assert await ledger.jobs_waiting(["fast"]) == [0]
    await lost(ledger, job_id)
    assert (await claimed(ledger, job_id, "b")).attempt == 2


async def test_an_outage_in_which_no_lease_could_be_renewed_burns_no_attempt(
    ledger: Ledger,
) -> None:
    job_id = await routed(ledger)
    job = await claimed(ledger, job_id)
    assert await ledger.reap() == []
    await asyncio.sleep(0.25)
    await ledger.line.call("HINCRBY", f"{DUE}:looked", "at", -2_500)
    for _ in range(2):
        assert await ledger.reap() == []
    assert await ledger.renew(job)
    await asyncio.sleep(0.25)
    await ledger.line.call("HSET", f"{DUE}:looked", "spared_until", 0)
    await ledger.line.call("ZADD", DUE, 1, job_id)
    assert await ledger.reap() == [job_id]


async def test_an_old_attempt_is_fenced_from_every_write(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    old = await claimed(ledger, job_id)
    await lost(ledger, job_id)
    new = await claimed(ledger, job_id, "b")
    before = await ledger.read(job_id, -1)
    assert await append(ledger, old, new.seq, "ghost") == -1
    assert not await ledger.finish(old, new.seq, Status.COMPLETED, DONE, {})
    assert not await ledger.hand_over(old, new.seq, back(step=1))
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


async def test_whoever_did_not_hear_the_answer_to_a_claim_gets_the_same_job(
    ledger: Ledger,
) -> None:
    first, second = await created(ledger), await created(ledger)
    for router, expected in (("r#1", first), ("r#2", second)):
        heard = [await ledger.take(router) for _ in range(2)]
        assert [job.id for job in heard if job] == [expected, expected]
        assert heard[0]
        await ledger.route(heard[0], DECISION)
    assert await ledger.jobs_waiting(["router", "fast"]) == [0, 2]
    for _ in range(3):
        got = await ledger.claim("fast", "a", "a#first")
        assert got
        assert (got.job.id, got.job.attempt) == (first, 1)
    got = await ledger.claim("fast", "b", "b#first")
    assert got
    assert got.job.id == second
    assert await ledger.finish(got.job, got.job.seq, Status.COMPLETED, DONE, {})
    assert await ledger.claim("fast", "b", "b#first") is None


async def test_a_job_that_kills_its_workers_is_given_up(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    for _ in range(3):
        await claimed(ledger, job_id)
        await lost(ledger, job_id)
    assert await claim(ledger) is None
    events = await ledger.read(job_id, -1)
    assert events[-1].kind == "failed"
    assert events[-1].payload()["error"]["code"] == "too_many_attempts"


async def test_a_job_that_kills_its_routers_is_given_up(ledger: Ledger) -> None:
    job_id = await created(ledger)
    for _ in range(3):
        job = await ledger.take(name())
        assert job
        await ledger.line.call("HSET", job_key(job_id), "lease_until", 1)
        await ledger.line.call("ZADD", DUE, 1, job_id)
        assert await ledger.reap() == [job_id]
    assert await ledger.take(name()) is None
    assert (await ledger.read(job_id, -1))[-1].payload()["error"]["code"] == "too_many_attempts"


async def test_handing_over_in_good_order_burns_no_attempt(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    for _ in range(10):
        job = await claimed(ledger, job_id)
        assert await ledger.hand_over(job, job.seq, back())
    for attempt in (11, 12, 13):
        job = await claimed(ledger, job_id)
        assert job.attempt == attempt
        assert await ledger.hand_over(job, job.seq, back(free=False))
    assert await claim(ledger) is None
    last = await ledger.load(job_id)
    assert last
    assert last.status is Status.FAILED


async def test_a_next_try_comes_when_its_pause_is_over(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    assert await ledger.hand_over(job, job.seq, back(step=1, pause_s=0.2, rounds=1))
    assert await ledger.reap() == []
    assert await ledger.jobs_waiting(["fast", "tool"]) == [0, 0]
    await asyncio.sleep(0.25)
    found = await asyncio.gather(*(ledger.reap() for _ in range(5)))
    assert sorted(found) == [[], [], [], [], [job.id]]
    assert await ledger.jobs_waiting(["fast", "tool"]) == [0, 1]
    assert await lengths(ledger, [queue_list("tool", 3)]) == [1]
    again = await ledger.claim("tool", "b", name())
    assert again
    assert (again.job.id, again.job.rounds) == (job.id, 1)


async def test_a_terminal_state_absorbs_everything(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    assert await ledger.cancel(job.id) == (True, Status.CANCELLED)
    before = await ledger.read(job.id, -1)
    assert await ledger.cancel(job.id) == (False, Status.CANCELLED)
    assert await ledger.expire(job.id) == (False, Status.CANCELLED)
    assert await append(ledger, job, job.seq, "x") == -1
    assert not await ledger.finish(job, job.seq + 1, Status.COMPLETED, DONE, {})
    assert await claim(ledger, "b") is None
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
    waiting = await routed(ledger, deadline_s=0.3)
    taken = await created(ledger, deadline_s=0.3)
    job = await ledger.take(name())
    untaken = await created(ledger, deadline_s=0.3)
    await asyncio.sleep(0.35)
    assert job
    assert await ledger.route(job, DECISION) is Routed.LATE
    assert await ledger.take(name()) is None
    assert await claim(ledger) is None
    for job_id in (waiting, taken, untaken):
        assert [e.kind for e in await ledger.read(job_id, -1)][-1] == "expired"


async def test_a_job_that_nobody_begins_in_time_is_given_up_and_a_begun_one_is_not(
    ledger: Ledger,
) -> None:
    begun = await routed(ledger, start_timeout_s=0.3)
    job = await claimed(ledger, begun)
    assert await ledger.hand_over(job, job.seq, back(same_generation=True))
    tried = await routed(ledger, start_timeout_s=0.1)
    got = [await claim(ledger) for _ in range(2)]
    assert got[1]
    assert got[1].id == tried
    assert got[0]
    assert await ledger.hand_over(got[0], got[0].seq, back(same_generation=True))
    assert await ledger.hand_over(got[1], got[1].seq, back(step=1, pause_s=30))
    late = await routed(ledger, start_timeout_s=0.1)
    await asyncio.sleep(0.35)
    assert {late, tried} <= set(await ledger.reap())
    for job_id in (late, tried):
        record = await ledger.load(job_id)
        assert record
        assert record.status is Status.EXPIRED
    assert (await claimed(ledger, begun)).attempt == 3


async def test_an_unknown_job_is_nobodys(ledger: Ledger) -> None:
    assert await ledger.load("job_x") is None
    assert await ledger.cancel("job_x") is None


async def test_redis_that_forgot_the_scripts_is_told_them_again(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    writer = Writer(ledger)
    writer.start()
    await ledger.line.call("SCRIPT", "FLUSH")
    log = writer.open(job)
    log.add([Piece("text", "hello")])
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
            lambda: claim(ledger, job.owner or "a"),
            lambda: ledger.hand_over(job, job.seq, back(step=1)),
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
            await ledger.line.call("FLUSHDB")
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
        log.add([Piece("text", f" w{n}")])
        await log.drained()
    await until(lambda: len(seen) >= 8, "the reader has caught up")
    own_valkey.kill()
    for n in range(5, 10):
        log.add([Piece("text", f" w{n}")])
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


async def test_a_job_may_be_kept_shortly_and_says_by_which_api_it_came(ledger: Ledger) -> None:
    form = {"instructions": "Be brief."}
    job_id = await created(ledger, keep_s=60, api="responses", form=form, allowed=("fast",))
    job = await ledger.load(job_id)
    assert job
    assert (job.stored, job.api, job.form, job.allowed) == (False, "responses", form, ("fast",))
    assert await ledger.line.call("TTL", job_key(job_id)) > 60
    await ledger.cancel(job_id)
    for key in (job_key(job_id), log_key(job_id)):
        assert 0 < await ledger.line.call("TTL", key) <= 60
    [listed] = await ledger.recent("local", "+inf", 10)
    assert (listed.form, listed.api) == (None, "responses")


async def test_a_job_whose_worker_is_lost_goes_back_into_its_queue_once(ledger: Ledger) -> None:
    job_id = await routed(ledger)
    fast = [queue_list("fast", 3)]
    first = await claimed(ledger, job_id)
    assert await ledger.reap() == []
    await asyncio.sleep(0.12)
    assert await ledger.renew(first)
    await asyncio.sleep(0.12)
    assert await ledger.reap() == []
    assert await lengths(ledger, fast) == [1]
    await asyncio.sleep(0.25)
    found = await asyncio.gather(*(ledger.reap() for _ in range(5)))
    assert sorted(found) == [[], [], [], [], [job_id]]
    assert await lengths(ledger, fast) == [2]
    second = await claimed(ledger, job_id, "b")
    assert second.attempt == 2
    assert await ledger.finish(second, second.seq, Status.COMPLETED, DONE, {})
    assert await ledger.reap() == []


async def test_a_job_that_nobody_looks_at_expires_all_the_same(ledger: Ledger) -> None:
    waiting = await routed(ledger, deadline_s=0.3)
    await asyncio.sleep(0.35)
    assert await ledger.reap() == [waiting]
    job = await ledger.load(waiting)
    assert job
    assert job.status is Status.EXPIRED
    assert await ledger.reap() == []


async def test_nothing_is_due_for_a_job_that_has_ended(ledger: Ledger) -> None:
    finished = await claimed(ledger, await routed(ledger))
    cancelled = await created(ledger)
    await ledger.cancel(cancelled)
    await ledger.finish(finished, finished.seq, Status.COMPLETED, DONE, {})
    assert await ledger.line.call("EXISTS", DUE, f"{DUE}:later", f"{DUE}:load") == 0
    assert await ledger.line.call("KEYS", "fleet:waiting*") == []


async def test_a_line_that_lacks_messages_for_long_gets_them(ledger: Ledger) -> None:
    for _ in range(3):
        await routed(ledger)
    fast, router = queue_list("fast", 3), queue_list("router", 3)
    await ledger.line.call("DEL", router)
    await ledger.line.call("RPOP", fast)
    assert await ledger.reap() == []
    assert await ledger.reap() == []
    turns = f"{waiting_key('fast')}:turns"
    await ledger.line.call("HSET", turns, "lacks_since", 1)
    found = await asyncio.gather(*(ledger.reap() for _ in range(4)))
    assert sorted(len(ids) for ids in found) == [0, 0, 0, 1]
    assert await lengths(ledger, [fast, router]) == [3, 0]
    assert await ledger.reap() == []
    assert await ledger.line.call("HGET", turns, "lacks_since") is None


async def test_messages_of_jobs_that_ended_in_line_do_not_pile_up(ledger: Ledger) -> None:
    await routed(ledger)
    lists = [queue_list("fast", 3), queue_list("fast", 9)]
    for key in lists:
        await ledger.line.call("LPUSH", key, *["of a job that has ended"] * 2_000)
    await ledger.reap()
    assert sum(await lengths(ledger, lists)) == 1


async def test_callers_take_turns_and_each_is_served_in_its_own_order(ledger: Ledger) -> None:
    many = [await created(ledger, caller="many") for _ in range(20)]
    one = await created(ledger, caller="one")
    two = [await created(ledger, caller="two") for _ in range(2)]
    urgent = await created(ledger, caller="many", priority=0)
    order = []
    while job := await ledger.take(name()):
        order.append(job.id)
        await ledger.route(job, DECISION)
    assert order[0] == urgent
    assert order.index(one) <= 3
    assert order.index(two[0]) <= 3
    assert order.index(two[1]) <= 6
    assert [job_id for job_id in order if job_id in many] == many
    served = []
    while job := await claim(ledger):
        served.append(job.id)
    assert served[0] == urgent
    assert served.index(one) <= 3
    assert [job_id for job_id in served if job_id in many] == many
    newcomer = await routed(ledger, caller="new")
    assert (await claimed(ledger, newcomer)).caller == "new"


async def test_whoever_comes_in_the_middle_of_a_turn_stands_before_anothers_second_job(
    ledger: Ledger,
) -> None:
    many = [await created(ledger, caller="many") for _ in range(3)]
    assert await ledger.take(name())
    new = [await created(ledger, caller=f"new-{n}") for n in range(8)]
    order = [job.id for _ in range(10) if (job := await ledger.take(name()))]
    assert set(order[:8]) == set(new)
    assert order[8:] == many[1:]


async def test_a_job_that_has_stood_in_line_before_goes_to_its_front(ledger: Ledger) -> None:
    first = await routed(ledger)
    await routed(ledger)
    job = await claimed(ledger, first)
    assert await ledger.hand_over(job, job.seq, back())
    await claimed(ledger, first)


async def test_a_job_whose_router_was_only_late_stands_in_one_line(ledger: Ledger) -> None:
    job_id = await created(ledger)
    late = await ledger.take(name())
    assert late
    await ledger.line.call("HSET", job_key(job_id), "lease_until", 1)
    await ledger.line.call("ZADD", DUE, 1, job_id)
    assert await ledger.reap() == [job_id]
    assert await ledger.jobs_waiting(["router", "fast"]) == [1, 0]
    assert await ledger.route(late, DECISION) is Routed.DONE
    assert await ledger.jobs_waiting(["router", "fast"]) == [0, 1]


async def test_a_job_that_a_late_worker_hands_over_is_not_served_to_its_old_model(
    ledger: Ledger,
) -> None:
    for pause_s in (0.0, 60.0):
        job_id = await routed(ledger)
        late = await claimed(ledger, job_id)
        await lost(ledger, job_id)
        assert await ledger.hand_over(late, late.seq, back(step=1, pause_s=pause_s))
        assert await claim(ledger, "b") is None
        assert await ledger.jobs_waiting(["fast", "tool"]) == [0, int(not pause_s)]
        await ledger.cancel(job_id)
    assert await ledger.line.call("KEYS", "fleet:waiting*") == []


async def test_a_full_line_and_a_caller_with_too_many_jobs_are_refused(redis_url: str) -> None:
    limits: Any = {"queue_jobs": 3, "caller_jobs": 5}
    settings = Settings(redis_url=redis_url, models=MODELS, limits=limits)
    line = connect(settings)
    ledger = Ledger(line, settings, Dispatcher(settings))

    ids = []

    async def post(caller: str, candidates: tuple[str, ...] = ("fast",)) -> Created:
        ids.append(new_job_id())
        once = ("key-" + caller, f"{ids[-1]} body")
        return await ledger.create(NewJob(ids[-1], {}, caller, candidates, 60, idempotency=once))

    jobs = [await routed(ledger, caller="many") for _ in range(3)]
    assert await post("other") == Created(full=3)
    assert await post("other", ("fast", "tool")) == Created()
    assert await post("other") == Created(existing=f"{ids[1]} body")
    for _ in range(2):
        await created(ledger, caller="many", candidates=["tool"])
    assert await post("many", ("tool",)) == Created(too_many=5)
    assert await post("third", ("tool",)) == Created(full=3)  # the router's line
    extra = await ledger.take(name())
    assert extra
    assert await ledger.route(extra, DECISION) is Routed.FULL
    await ledger.cancel(jobs[0])
    assert await ledger.route(extra, DECISION) is Routed.DONE
    assert await post("many", ("tool",)) == Created()
    await line.aclose()


async def test_a_lost_workers_generation_is_the_next_ones_on_the_same_server(
    ledger: Ledger,
) -> None:
    job_id = await routed(ledger)
    first = await claimed(ledger, job_id, "a", "http://s")
    assert (first.generation, first.place) == (f"{job_id}.1", 0)
    token = ["token", '{"content":"x"}']
    assert await ledger.append([Write(first, first.seq, 300, token)]) == [first.seq + 1]
    await lost(ledger, job_id)
    second = await claimed(ledger, job_id, "b", "http://s")
    assert (second.attempt, second.generation, second.place) == (2, f"{job_id}.1", 300)
    await lost(ledger, job_id)
    third = await claimed(ledger, job_id, "c", "http://elsewhere")
    assert (third.generation, third.place) == (f"{job_id}.3", 0)
    assert await ledger.generations("http://s") == [f"{job_id}.1"]
    assert await ledger.generations_of([job_id]) == {job_id: f"{job_id}.3"}
    await ledger.forget_generations("http://s", [f"{job_id}.1"])
    assert await ledger.generations("http://s") == []
    await ledger.cancel(job_id)
    assert await ledger.generations_of([job_id]) == {}


async def test_a_flood_larger_than_a_script_takes_is_written_in_pieces(ledger: Ledger) -> None:
    job = await claimed(ledger, await routed(ledger))
    writer = Writer(ledger)
    log = writer.open(job)
    for n in range(9_000):
        call = [{"index": 0, "function": {"arguments": str(n % 10)}}]
        log.add([Piece("tool_calls", call)])
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


async def test_a_job_of_a_model_that_a_process_does_not_know_is_left_to_those_who_do(
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
    assert job.status is Status.RUNNING
    assert (await claimed(ledger, job_id)).attempt == 2


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
    assert await ledger.route(deciding, DECISION) is Routed.LATE
    assert [event.kind for event in await ledger.read(job_id, -1)] == ["queued", "cancelled"]
    assert await lengths(ledger, [queue_list("fast", 3)]) == [0]
