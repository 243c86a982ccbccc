"""What is done to the fleet. Each fault strikes, lasts, and puts right again what stays broken.

A worker, router or API that dies is started again by the supervisor, as in real life.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from tests.chaos.fleet import APIS, LEASE_S, MODELS, ROUTERS, WORKERS, Fleet, freeze, thaw
from tests.chaos.garbage import make_garbage
from tests.support import until


class Hit(NamedTuple):
    """What a fault has struck."""

    victim: str
    pid: int = 0
    job_id: str = ""
    #: When it struck, if not at once.
    began: float = 0


@dataclass(frozen=True)
class Strike:
    """What a fault works with."""

    fleet: Fleet
    #: Decides victims and durations; seeded for each fault anew.
    rng: Random
    #: How many answers are seen to stream from the process with that pid.
    streams: Callable[[int], int]
    #: The longest time that Redis hangs.
    hang_most_s: float = 4.0

    async def last(self, least: float, most: float) -> None:
        """Let the fault go on for a while."""
        await asyncio.sleep(self.rng.uniform(least, most))


async def kill_worker(strike: Strike) -> Hit:
    """SIGKILL a worker in mid-stream; its jobs have to go on within lease + 1 s."""
    name = strike.rng.choice(WORKERS)
    with suppress(AssertionError):
        await until(lambda: strike.streams(strike.fleet.process(name).pid), f"{name} streams", 2)
    began = time.time()
    pid = strike.fleet.signal(name, signal.SIGKILL)
    await asyncio.sleep(LEASE_S + 1)
    await strike.fleet.alive(name)
    return Hit(name, pid, began=began)


async def drain_worker(strike: Strike) -> Hit:
    """Start a new worker and SIGTERM the old one, as a deployment does."""
    name = strike.rng.choice(WORKERS)
    return Hit(name, await strike.fleet.replace(name))


async def freeze_worker(strike: Strike) -> Hit:
    """SIGSTOP a worker until its leases have run out and others have its jobs, then SIGCONT."""
    name = strike.rng.choice(WORKERS)
    pid = strike.fleet.signal(name, signal.SIGSTOP)
    await strike.last(LEASE_S + 0.7, LEASE_S + 2.5)
    thaw(pid)
    return Hit(name, pid)


async def kill_router(strike: Strike) -> Hit:
    """SIGKILL a router."""
    return await _kill(strike, strike.rng.choice(ROUTERS))


async def kill_api(strike: Strike) -> Hit:
    """SIGKILL an API with all its open streams."""
    return await _kill(strike, strike.rng.choice(APIS))


async def _kill(strike: Strike, name: str) -> Hit:
    pid = strike.fleet.signal(name, signal.SIGKILL)
    await asyncio.sleep(1)
    await strike.fleet.alive(name)
    return Hit(name, pid)


async def rolling_restart(strike: Strike) -> Hit:
    """SIGTERM and start anew, one after the other, everything that is ours."""
    for name in strike.fleet.parts:
        if name in APIS:
            await strike.fleet.restart(name)
        else:
            await strike.fleet.replace(name)
    return Hit("everything")


async def kill_redis(strike: Strike) -> Hit:
    """SIGKILL Redis; after a while it comes back with what its append-only file holds."""
    pid = strike.fleet.valkey.pid
    await asyncio.to_thread(strike.fleet.valkey.kill)
    await strike.last(0.2, 2)
    await asyncio.to_thread(strike.fleet.valkey.start)
    return Hit("redis", pid)


async def hang_redis(strike: Strike) -> Hit:
    """SIGSTOP Redis: connections stay open and nobody answers."""
    pid = strike.fleet.valkey.pid
    freeze(pid)
    await strike.last(1.5, strike.hang_most_s)
    thaw(pid)
    return Hit("redis", pid)


async def fill_redis(strike: Strike) -> Hit:
    """Redis has no memory left: it refuses every write that needs some."""
    with strike.fleet.redis() as redis:
        redis.config_set("maxmemory", 1)
        await strike.last(1, 3)
        redis.config_set("maxmemory", 0)
    return Hit("redis")


async def refuse_writes(strike: Strike) -> Hit:
    """Redis cannot save its snapshot, as on a full disk, and refuses every write (MISCONF)."""
    snapshot = strike.fleet.folder / "dump.rdb"
    snapshot.unlink(missing_ok=True)
    snapshot.mkdir()
    with strike.fleet.redis() as redis:
        redis.config_set("save", "3600 1")
        await _saved(redis, "err")
        await strike.last(1, 3)
        snapshot.rmdir()
        await _saved(redis, "ok")
        redis.config_set("save", "")
    return Hit("redis")


async def _saved(redis: Redis, outcome: str) -> None:
    """Make Redis save, until it ends like this."""
    while True:
        state: Any = redis.info("persistence")
        if not state["rdb_bgsave_in_progress"]:
            if state["rdb_last_bgsave_status"] == outcome:
                return
            with suppress(RedisError):  # it has begun one by itself
                redis.bgsave()
        await asyncio.sleep(0.02)


async def kill_model(strike: Strike) -> Hit:
    """SIGKILL a model's server; it comes back after a while."""
    name = strike.rng.choice(MODELS)
    server = strike.fleet.servers[name]
    assert server.process is not None
    pid = server.process.pid
    server.process.kill()
    await asyncio.to_thread(server.stop)
    await strike.last(0.2, 2)
    await asyncio.to_thread(server.start)
    return Hit(name, pid)


async def freeze_model(strike: Strike) -> Hit:
    """SIGSTOP a model's server: it takes connections and says nothing, in the middle too."""
    name = strike.rng.choice(MODELS)
    process = strike.fleet.servers[name].process
    assert process is not None
    freeze(process.pid)
    await strike.last(2, 4)
    thaw(process.pid)
    return Hit(name, process.pid)


async def hang_model(strike: Strike) -> Hit:
    """A model's server begins answers and then sends no token."""
    return await _misbehave(strike, stall=0)


async def cut_model(strike: Strike) -> Hit:
    """A model's server ends its streams without saying that the answer has ended."""
    way = strike.rng.choice(({"noend": 1}, {"cut": 0}, {"cut": 3}, {"cut": 20}))
    return await _misbehave(strike, **way)


async def _misbehave(strike: Strike, **mode: int) -> Hit:
    name = strike.rng.choice(MODELS)
    server = strike.fleet.servers[name]
    await asyncio.to_thread(server.control, **mode)
    await strike.last(1, 3)
    await asyncio.to_thread(server.control)
    return Hit(name)


async def lose_message(strike: Strike) -> Hit | None:
    """A message vanishes out of a queue: what a kill between BRPOP and `unacked` leaves."""
    crew = strike.rng.choice((ROUTERS, WORKERS[:2], WORKERS[2:]))
    with strike.fleet.redis() as redis:
        pids = [strike.fleet.signal(name, signal.SIGSTOP) for name in crew]
        try:
            lists = strike.fleet.queue_lists()
            taken = await until(lambda: _take_one(redis, lists), "a message", LEASE_S / 2)
        except AssertionError:
            return None  # nothing waits
        finally:
            for pid in pids:
                thaw(pid)
    assert taken
    queue, job_id = taken
    return Hit(queue, job_id=job_id)


def _take_one(redis: Redis, lists: list[str]) -> tuple[str, str] | None:
    for name in lists:
        message = redis.rpop(name)
        if isinstance(message, str):
            start = message.find("job_")
            return name.split("\x06")[0], message[start : start + 36] if start >= 0 else ""
    return None


async def garbage(strike: Strike) -> Hit:
    """Bytes that are no message, a pickle, or a message of 20 MB, pushed into a queue."""
    kind = strike.rng.choice(("bytes", "pickle", "huge"))
    queue = strike.rng.choice([name for name in strike.fleet.queue_lists() if "\x06" not in name])
    with strike.fleet.redis() as redis:
        redis.lpush(queue, make_garbage(kind, queue, strike.fleet.folder))
    await asyncio.sleep(1)
    return Hit(f"{queue} ({kind})")


FaultFunction = Callable[[Strike], Awaitable[Hit | None]]
#: Two lanes of faults go on side by side; what would be in its own way is in one lane.
LANES: Mapping[str, tuple[FaultFunction, ...]] = {
    "processes": (
        *(kill_worker, kill_worker, kill_worker, kill_worker, kill_api, kill_api),
        *(kill_router, drain_worker, freeze_worker, rolling_restart),
    ),
    "surroundings": (
        *(kill_redis, kill_redis, hang_redis, fill_redis, refuse_writes),
        *(kill_model, freeze_model, hang_model, cut_model),
        *(lose_message, lose_message, lose_message, garbage),
    ),
}
NAMES = tuple(dict.fromkeys(fault.__name__ for lane in LANES.values() for fault in lane))
