"""Where a new job would stand, and what a job takes: what the scripts say, and what comes true."""

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest_asyncio

from fleet.dispatch import Dispatcher
from fleet.events import Kind, event_data
from fleet.job import HandOver, NewJob, Status, new_job_id
from fleet.ledger import Ledger, connect
from fleet.moves.routes import Routed
from fleet.names import PACE, waiting_key
from fleet.outlook import FRESH_S, Outlook
from fleet.process import Heartbeat
from fleet.settings import Settings
from fleet.waits import View
from router.standing import Watch
from tests.support import decision

MODELS: Any = (
    {"name": "fast", "url": "http://127.0.0.1:1"},
    {"name": "tool", "url": "http://127.0.0.1:2"},
)
LINES = ("router", "fast")


@pytest_asyncio.fixture
async def ledger(redis_url: str) -> AsyncIterator[Ledger]:
    settings = Settings(redis_url=redis_url, models=MODELS)
    line = connect(settings)
    yield Ledger(line, settings, Dispatcher(settings))
    await line.aclose()


async def post(ledger: Ledger, caller: str = "a", priority: int = 3, job_id: str = "") -> str:
    job_id = job_id or new_job_id()
    new = NewJob(job_id, {}, caller, ["fast"], 60, priority=priority, asked_model="auto")
    assert not (await ledger.create(new)).refused
    return job_id


async def route(ledger: Ledger) -> None:
    job = await ledger.take(new_job_id())
    assert job
    assert await ledger.route(job, decision("fast", "tool")) is Routed.DONE


async def view(ledger: Ledger, caller: str = "a", priority: int = 3, job_id: str = "job_0") -> View:
    models = Settings(models=MODELS).catalogue.enabled
    return await Outlook(ledger.line).view(job_id, priority, caller, models)


async def test_a_job_gets_the_place_that_it_was_told(ledger: Ledger) -> None:
    rolled = random.Random(7)
    for number in range(300):
        caller, priority = rolled.choice("aaaaabbc"), rolled.choice((0, 3, 3, 3, 9))
        job_id = new_job_id()
        told = await view(ledger, caller, priority, job_id)
        await post(ledger, caller, priority, job_id)
        rank = await ledger.line.call("ZRANK", waiting_key("router"), job_id)
        assert rank == told.undecided, number
        if rolled.random() < 0.8:
            before = await ledger.line.call("ZRANGE", waiting_key("router"), 0, 0)
            job = await ledger.load(before[0])
            assert job
            told = await view(ledger, job.caller, job.priority, job.id)
            await route(ledger)
            rank = await ledger.line.call("ZRANK", waiting_key("fast"), job.id)
            assert rank == told.places["fast"].ahead, number
        if rolled.random() < 0.4:
            await ledger.claim("fast", "a", new_job_id())


async def test_of_a_crowd_with_one_turn_half_stands_before_a_new_caller(ledger: Ledger) -> None:
    for number in range(120):
        await post(ledger, f"caller-{number}")
    assert (await view(ledger, "another")).undecided == 60


async def test_who_is_in_a_routers_hands_is_counted_until_it_is_decided(ledger: Ledger) -> None:
    for _ in range(2):
        await post(ledger)
    taken = await ledger.take(new_job_id())
    assert taken
    assert (await view(ledger)).undecided == 2
    assert await ledger.route(taken, decision("fast")) is Routed.DONE
    assert (await view(ledger)).undecided == 1
    lost = await ledger.take(new_job_id())
    assert lost
    await ledger.fail(lost.id, {})
    assert (await view(ledger)).undecided == 0


async def running(ledger: Ledger) -> Any:
    await post(ledger)
    await route(ledger)
    claim = await ledger.claim("fast", "a", new_job_id())
    assert claim
    return claim.job


async def finish(ledger: Ledger, job: Any, status: Status = Status.COMPLETED) -> None:
    events = [status.value, event_data(Kind(status), finish_reason="stop")]
    assert await ledger.finish(job, job.seq, status, events, {})


async def paced(ledger: Ledger) -> list[float]:
    told = await ledger.line.call("HGET", PACE, "fast")
    return list(map(float, told.split())) if told else []


async def took(ledger: Ledger, ms: int, status: Status = Status.COMPLETED) -> None:
    """A job runs for so long, by its claim."""
    job = await running(ledger)
    await ledger.line.call("ZINCRBY", f"{waiting_key('fast')}:running", -ms, job.id)
    await finish(ledger, job, status)


async def test_what_runs_is_seen_from_its_claim_until_it_ends_or_goes_elsewhere(
    ledger: Ledger,
) -> None:
    first, second, third = [await running(ledger) for _ in range(3)]
    await ledger.line.call("ZINCRBY", f"{waiting_key('fast')}:running", -5_000, first.id)
    seen = (await view(ledger)).places["fast"]
    assert seen.running == 3
    assert 5.0 <= seen.ages_s[0] < 6.0
    assert seen.ages_s[1] < 1.0
    assert await ledger.hand_over(first, first.seq, HandOver(1, "a test", ()))
    await ledger.cancel(second.id)
    await finish(ledger, third)
    assert (await view(ledger)).places["fast"].running == 0


async def test_the_pace_is_a_mean_that_the_first_job_does_not_rule_and_failures_do_not_touch(
    ledger: Ledger,
) -> None:
    for ms in (10_000, 2_000, 3_000):
        await took(ledger, ms)
    mean, variance, count = await paced(ledger)
    assert (count, round(mean, -2)) == (3, 5_000)
    assert 12_000_000 < variance < 13_500_000
    await took(ledger, 60_000, Status.FAILED)
    await took(ledger, 3_600_000, Status.FAILED)
    assert await paced(ledger) == [mean, variance, count]
    for _ in range(100):
        await took(ledger, 1_000)
    mean, *_ = await paced(ledger)
    assert 1_000 <= mean < 1_400


async def test_how_jobs_spread_is_counted_and_old_counts_fade(ledger: Ledger) -> None:
    outlook = Outlook(ledger.line)
    models = Settings(models=MODELS).catalogue.enabled
    for _ in range(300):
        await post(ledger)
        await route(ledger)
        await ledger.claim("fast", "a", new_job_id())
    seen = (await outlook.view("job_0", 3, "a", models)).look
    assert seen.shares("auto", ["fast", "tool"]) == {"fast": 1.0}
    assert 100 < sum(seen.mix.values()) < 256


async def test_many_posts_share_one_look(ledger: Ledger) -> None:
    outlook = Outlook(ledger.line)
    models = Settings(models=MODELS).catalogue.enabled
    views = await asyncio.gather(*(outlook.view("job_0", 3, "a", models) for _ in range(20)))
    assert len({id(one.look) for one in views}) == 1
    await asyncio.sleep(FRESH_S)
    later = await outlook.view("job_0", 3, "a", models)
    assert later.look is not views[0].look


async def test_workers_that_do_not_ask_their_server_have_no_slots_to_give(ledger: Ledger) -> None:
    said: dict[str, dict[str, Any]] = {
        "fast:1": {"model": "fast", "slots": 2, "server": "ok", "shut": ""},
        "fast:2": {"model": "fast", "slots": 4, "server": "down", "shut": "it is down"},
        "tool:1": {"model": "tool", "slots": 8, "server": "down", "shut": "it is down"},
        "large:1": {"model": "large", "slots": 16, "server": "loading", "shut": ""},
        "router:1": {"role": "router", "spent": ["claude"]},
    }
    nodes = [Heartbeat(ledger, name, partial(dict, told)) for name, told in said.items()]
    for node in nodes:
        await node.beat()
    look = (await view(ledger)).look
    assert look.slots == {"fast": 2}
    assert set(look.shut) == {"tool", "claude"}
    assert (await view(ledger)).wait_s("tool") is None


async def test_a_worker_that_has_come_since_the_last_look_is_not_away(ledger: Ledger) -> None:
    watch: Any = Watch(ledger, Settings(models=MODELS))
    for name in ("tool", "fast"):
        report = {"role": "worker", "model": name, "slots": 1, "server": "ok"}
        await Heartbeat(ledger, name, partial(dict, report)).beat()
        if name == "tool":
            watch.standing = await watch._look()
    assert watch.standing.alive == {"tool"}
    job_id = await post(ledger)
    job = await ledger.load(job_id)
    assert job
    standing = (await watch.for_job(job))()
    assert standing.alive == {"fast", "tool"}


async def test_what_an_older_version_noted_of_paces_is_in_nobodys_way(ledger: Ledger) -> None:
    await ledger.line.call("HSET", "fleet:pace", "fast", "1234")
    assert (await view(ledger)).look.paces == {}
    await post(ledger)
    await route(ledger)
    claim = await ledger.claim("fast", "w", new_job_id())
    assert claim
    done = [Kind.COMPLETED, event_data(Kind.COMPLETED, finish_reason="stop")]
    assert await ledger.finish(claim.job, claim.job.seq, Status.COMPLETED, done, {})
    assert list((await view(ledger)).look.paces) == ["fast"]
    assert await ledger.line.call("DEL", "fleet:pace") == 1
