"""Breakers as many processes share them, and the way out of a line that nobody serves."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from fleet.breaker.machine import Failed, Phase, Probe, Rules, State, Told, Well
from fleet.breaker.store import Breakers
from fleet.dispatch import Dispatcher
from fleet.errors import BreakerOpen, CapReached
from fleet.job import Job, NewJob, Status, new_job_id
from fleet.journal import Writer
from fleet.ledger import Ledger, connect
from fleet.listener import Listener
from fleet.moves.runs import Write
from fleet.names import BREAKERS_CHANNEL, NODE_TTL_S, breaker_key, queue_list
from fleet.settings import Settings
from router.diverting import LOOK_MOST, Diverter
from router.plan import Standing
from router.standing import Watch
from tests.support import decision, until
from workers.guard import Guard, server_of
from workers.runner import Runner

MODELS: Any = [{"name": n, "url": f"http://127.0.0.1:{p}"} for n, p in (("fast", 1), ("tool", 2))]
NAMES = count(1)
BAD = Failed("it broke")


def settings_for(url: str, **tables: Any) -> Settings:
    workers = tables.pop("workers", {"lease_s": 0.2})
    return Settings(redis_url=url, models=MODELS, workers=workers, **tables)


@pytest_asyncio.fixture
async def ledger(redis_url: str) -> AsyncIterator[Ledger]:
    async for each in opened(settings_for(redis_url)):
        yield each


async def opened(settings: Settings) -> AsyncIterator[Ledger]:
    line = connect(settings)
    yield Ledger(line, settings, Dispatcher(settings))
    await line.aclose()


async def test_every_failure_counts_whoever_tells_it(ledger: Ledger) -> None:
    breakers = Breakers(ledger.line, Rules(failures=40, window=40, fewest=40))
    seen = await asyncio.gather(*(breakers.change("s", BAD) for _ in range(40)))
    assert sum(each.state.phase is Phase.OPEN for each in seen) == 1
    state, now = await breakers.read("s")
    assert (state.phase, state.reason) == (Phase.OPEN, "it broke")
    assert 0 < state.until - now <= 1_000
    assert await ledger.line.call("TTL", breaker_key("s")) > 500
    assert (await breakers.read("another")).state == State()


async def test_a_long_pause_is_not_forgotten_before_it_is_over(ledger: Ledger) -> None:
    hour = 3_600_000
    breakers = Breakers(ledger.line, Rules(longest_wish_ms=hour))
    seen = await breakers.change("s", Told("not today", hour))
    assert seen.state.until - seen.state.since == hour
    assert await ledger.line.call("PTTL", breaker_key("s")) > hour


async def test_of_many_who_would_probe_one_does(ledger: Ledger) -> None:
    breakers = Breakers(ledger.line, Rules(first_pause_ms=1))
    await breakers.change("s", BAD, BAD, BAD)
    await asyncio.sleep(0.01)
    probes = [Probe(f"p{n}", 60_000) for n in range(20)]
    seen = await asyncio.gather(*(breakers.change("s", probe) for probe in probes))
    tokens = {each.state.probe for each in seen}
    assert len(tokens) == 1
    closed = await breakers.change("s", Well(probe=tokens.pop()))
    assert closed.state.phase is Phase.CLOSED


async def test_a_change_is_announced_and_what_changes_nothing_is_not_written(
    ledger: Ledger, redis_url: str
) -> None:
    heard: list[str | None] = []
    listener = Listener(settings_for(redis_url))
    await listener.start()
    await listener.add(BREAKERS_CHANNEL, heard.append)
    heard.clear()
    breakers = Breakers(ledger.line, Rules())
    await breakers.change("s", Well(0))
    changed = await breakers.change("s", BAD)
    await until(lambda: heard, "it is announced")
    assert heard == [f"{breaker_key('s')} {changed.state.as_json()}"]
    await listener.stop()


async def routed(ledger: Ledger, *plan: str, caller: str = "local") -> str:
    job_id = new_job_id()
    await ledger.create(NewJob(job_id, {"messages": []}, caller, plan, deadline_s=60))
    job = await ledger.take(f"r#{next(NAMES)}")
    assert job
    await ledger.route(job, decision(*plan))
    return job_id


async def loaded(ledger: Ledger, job_id: str) -> Job:
    job = await ledger.load(job_id)
    assert job
    return job


def watching(ledger: Ledger, settings: Settings, *alive: str, **broken: str) -> Watch:
    """A router's view of the fleet."""
    watch = Watch(ledger, settings)
    watch.broken = broken
    shut = {name: BreakerOpen(why) for name, why in broken.items()}
    watch.standing = Standing(frozenset(alive or ("fast", "tool")), {}, shut)
    return watch


def diverter(ledger: Ledger, settings: Settings, **broken: str) -> Diverter:
    return Diverter(ledger, watching(ledger, settings, **broken), settings)


async def test_jobs_of_a_shut_model_go_on_and_two_routers_move_each_once(
    ledger: Ledger, redis_url: str
) -> None:
    jobs = [await routed(ledger, "fast", "tool", caller=f"c{n}") for n in range(5)]
    alone = await routed(ledger, "fast")
    settings = settings_for(redis_url)
    routers = [diverter(ledger, settings, fast="it is down") for _ in range(2)]
    moved = await asyncio.gather(*(router.look() for router in routers))
    assert sum(moved) == 5
    assert await ledger.jobs_waiting(["fast", "tool"]) == [1, 5]
    assert (await loaded(ledger, alone)).model == "fast"
    for job_id in jobs:
        job = await loaded(ledger, job_id)
        assert (job.status, job.model, job.step) == (Status.ROUTED, "tool", 1)
        assert job.tried == (
            {"model": "fast", "attempt": 0, "code": "breaker_open", "message": "it is down"},
        )
        told = (await ledger.read_all(job_id))[-1]
        assert told.kind == "routed"
        assert told.payload()["reasons"] == ["fast is not asked for now: it is down"]
    [messages] = await ledger.line.calls([("LLEN", queue_list("tool", 3))])
    assert messages == 5
    taken = await ledger.claim("tool", "w", "w#1")
    assert taken
    assert taken.job.id in jobs


async def test_a_job_comes_back_to_an_earlier_model_once_in_each_round(
    ledger: Ledger, redis_url: str
) -> None:
    job_id = await routed(ledger, "fast", "tool")
    settings = settings_for(redis_url, fallback={"rounds": 3})
    fast, tool = (diverter(ledger, settings, **{name: "down"}) for name in ("fast", "tool"))
    assert [await router.look() for router in (fast, tool, fast, tool, fast, tool)] == [1] * 5 + [0]
    job = await loaded(ledger, job_id)
    assert (job.rounds, job.model) == (2, "tool")
    assert [failure["model"] for failure in job.tried] == ["fast", "tool", "fast", "tool", "fast"]


async def test_half_an_answer_that_nobody_goes_on_with_ends_when_its_server_stays_away(
    ledger: Ledger, redis_url: str
) -> None:
    now = 0.0
    settings = settings_for(
        redis_url, fallback={"after_first_token": "fail"}, breaker={"patience_s": 10}
    )
    job_id = await routed(ledger, "fast", "tool")
    claim = await ledger.claim("fast", "w", "w#1")
    assert claim
    said = ["token", '{"content":"half"}']
    await ledger.append([Write(claim.job, claim.job.seq, 0, said)])
    watch = watching(ledger, settings, fast="down")
    router = Diverter(ledger, watch, settings, lambda: now)
    await asyncio.sleep(0.25)
    assert job_id in await ledger.reap()
    assert await router.look() == 0
    now = 20.0
    assert await router.look() == 1
    job = await loaded(ledger, job_id)
    assert job.status is Status.FAILED
    assert await ledger.jobs_waiting(["fast", "tool"]) == [0, 0]


async def test_a_full_line_takes_no_more(redis_url: str) -> None:
    settings = settings_for(redis_url, limits={"queue_jobs": 2})
    async for ledger in opened(settings):
        for n in range(2):
            await routed(ledger, "tool", caller=f"t{n}")
            await routed(ledger, "fast", "tool", caller=f"f{n}")
        assert await diverter(ledger, settings, fast="down").look() == 0
        assert await ledger.jobs_waiting(["fast", "tool"]) == [2, 2]


async def test_a_model_without_workers_is_left_only_after_a_while(
    ledger: Ledger, redis_url: str
) -> None:
    now = 0.0
    settings = settings_for(redis_url)
    router = Diverter(ledger, watching(ledger, settings, "tool"), settings, lambda: now)
    job_id = await routed(ledger, "fast", "tool")
    now = float(NODE_TTL_S)
    assert await router.look() == 0
    now += 1
    assert await router.look() == 1
    job = await loaded(ledger, job_id)
    assert (job.model, job.tried[0]["code"]) == ("tool", "server_unreachable")


async def test_a_job_whose_worker_is_lost_goes_on_as_well(ledger: Ledger, redis_url: str) -> None:
    job_id = await routed(ledger, "fast", "tool")
    claim = await ledger.claim("fast", "w", "w#1")
    assert claim
    router = diverter(ledger, settings_for(redis_url), fast="down")
    assert await router.look() == 0
    await asyncio.sleep(0.25)
    assert job_id in await ledger.reap()
    assert await router.look() == 1
    assert not await ledger.renew(claim.job)
    job = await loaded(ledger, job_id)
    assert (job.status, job.model, job.attempt) == (Status.ROUTED, "tool", 1)


async def test_a_lost_job_with_no_way_on_fails_and_is_told_of_the_cap_that_closed_another(
    ledger: Ledger, redis_url: str
) -> None:
    settings = settings_for(redis_url, breaker={"patience_s": 0})
    job_id = await routed(ledger, "fast", "tool")
    assert await ledger.claim("fast", "w", "w#1")
    watch = watching(ledger, settings, fast="down")
    watch.standing = Standing(
        watch.standing.alive, {}, {"fast": BreakerOpen("down"), "tool": CapReached("used up")}
    )
    await asyncio.sleep(0.25)
    assert job_id in await ledger.reap()
    assert await Diverter(ledger, watch, settings).look() == 1
    job = await loaded(ledger, job_id)
    assert job.status is Status.FAILED
    assert job.error
    assert [(t["model"], t["code"], t["tries"]) for t in job.error["tried"]] == [
        ("fast", "breaker_open", 1),
        ("tool", "cap_reached", 0),
    ]


async def test_jobs_that_have_nowhere_to_go_do_not_hide_those_behind_them(
    ledger: Ledger, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LOOK_MOST > 2
    monkeypatch.setattr("router.diverting.LOOK_MOST", 2)
    for _ in range(4):
        await routed(ledger, "fast")
    await routed(ledger, "fast", "tool")
    router = diverter(ledger, settings_for(redis_url), fast="down")
    assert [await router.look() for _ in range(3)] == [0, 0, 1]


async def test_when_nobody_is_asked_a_job_fails_after_a_while_unless_a_server_is_loading(
    ledger: Ledger, redis_url: str
) -> None:
    now = 0.0
    job_id = await routed(ledger, "fast", "tool")
    settings = settings_for(redis_url, breaker={"patience_s": 10})
    watch = watching(ledger, settings, fast="down", tool="hung")
    watch.loading = frozenset({"tool"})
    router = Diverter(ledger, watch, settings, lambda: now)
    assert await router.look() == 0
    now = 20.0
    assert await router.look() == 0
    watch.loading = frozenset()
    assert await router.look() == 0
    now = 30.0
    assert await router.look() == 1
    job = await loaded(ledger, job_id)
    assert job.status is Status.FAILED
    assert job.error
    assert job.error["code"] == "all_models_unavailable"
    assert [(t["model"], t["code"], t["message"]) for t in job.tried] == [
        ("fast", "breaker_open", "down"),
        ("tool", "breaker_open", "hung"),
    ]


class Drained:
    """A provider's backend, in a process that is told to stop while it claims a job."""

    probes = False
    continues = False
    server = ""
    runner: Runner

    def prepare(self) -> None:
        self.runner.drain()


async def test_a_process_that_stops_with_the_probe_in_hand_gives_it_back(
    ledger: Ledger, redis_url: str
) -> None:
    settings = settings_for(redis_url)
    backend: Any = Drained()
    breakers = Breakers(ledger.line, Rules(first_pause_ms=1))
    model = settings.catalogue["fast"]
    await breakers.change(server_of(model), Told("not now"))
    guard, writer = Guard(model, backend, breakers), Writer(ledger)
    backend.runner = Runner("fast", backend, ledger, writer, "w", settings, 1, guard)
    writer.start()
    await guard.start()
    heard: list[str | None] = []
    listener = Listener(settings)
    await listener.start()
    await listener.add(BREAKERS_CHANNEL, heard.append)
    heard.clear()
    await routed(ledger, "fast", "tool")
    await backend.runner.run("")
    assert await ledger.jobs_waiting(["fast"]) == [1]
    await until(lambda: len(heard) == 2, "the probe was taken and given back")
    seen = await breakers.read(server_of(model))
    assert seen.state.phase is Phase.OPEN
    assert seen.state.until <= seen.now
    await listener.stop()
    await guard.stop()
    await writer.stop()
