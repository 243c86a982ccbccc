"""Sends a load, interleaved, and keeps what came back."""

import asyncio
import contextlib
import gc
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from cli.bench.figures import Sample, Tally
from cli.bench.load import HEADROOM, SEED, Load, arrivals, shares
from cli.bench.processes import Meter
from cli.bench.targets import Target
from router.intervals import percentile

#: A request without an end after so many seconds is lost.
PATIENCE_S = 120.0


class Level(NamedTuple):
    """One level of the load."""

    streams: int
    requests: int
    rounds: int
    #: Each stream begins its next request when the last one has ended.
    closed: bool = False


async def compare(
    direct: Target, fleet: Target, load: Load, level: Level, meter: Meter
) -> tuple[Tally, Tally]:
    """The same arrivals on both ways, in turn, round after round; who begins alternates."""
    reply_s = await warm_up(direct, load, level.streams)
    await warm_up(fleet, load, level.streams)
    rate = math.inf if level.closed else level.streams / (load.reply_s or reply_s)
    cap = level.streams * (1 if level.closed else HEADROOM)
    tallies = {direct.name: Tally(), fleet.name: Tally()}
    for number, count in enumerate(shares(level.requests, level.rounds)):
        moments = arrivals(count, rate, SEED + number)
        for target in (direct, fleet) if number % 2 == 0 else (fleet, direct):
            async with measured(meter) as tally:
                tally.samples += await open_loop(target, load, moments, cap)
            tallies[target.name].add(tally)
    return tallies[direct.name], tallies[fleet.name]


async def warm_up(target: Target, load: Load, streams: int) -> float:
    """Fill connections and caches; gives the usual seconds of a reply."""
    samples = await open_loop(target, load, [0.0] * streams, streams)
    usual = percentile([sample.total_ms for sample in samples if not sample.error], 50)
    return 1.0 if math.isnan(usual) else max(usual / 1000, 0.001)


async def open_loop(target: Target, load: Load, moments: Sequence[float], cap: int) -> list[Sample]:
    """Send a request at each moment, whatever became of those before; at most `cap` at once."""
    gate = asyncio.Semaphore(cap)

    async def one() -> Sample:
        async with gate:
            return await patiently(target, load)

    began, tasks = time.perf_counter(), []
    for moment in moments:
        pause = began + moment - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        tasks.append(asyncio.create_task(one()))
    return list(await asyncio.gather(*tasks))


async def closed_loop(target: Target, load: Load, clients: int, seconds: float) -> list[Sample]:
    """So many clients, each with its next request when the last has ended."""
    samples: list[Sample] = []
    end = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            sample = await patiently(target, load)
            samples.append(sample)
            if sample.error:  # a target that refuses at once would be asked without end
                return

    await asyncio.gather(*(client() for _ in range(clients)))
    return samples


async def patiently(target: Target, load: Load) -> Sample:
    """One request, bounded in time."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await target.ask(load)
    except TimeoutError:
        return Sample(error=f"no end within {PATIENCE_S:g} s")


@contextlib.asynccontextmanager
async def measured(meter: Meter) -> AsyncIterator[Tally]:
    """Time, and processor time of everyone, while samples are taken."""
    tally = Tally()
    with undisturbed():
        before, began, client = meter.cpu_s(), time.perf_counter(), time.process_time()
        yield tally
        tally.elapsed_s = time.perf_counter() - began
        tally.client_s = time.process_time() - client
        tally.cpu_s = {role: used - before[role] for role, used in meter.cpu_s().items()}


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Without the pauses of our own garbage collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
