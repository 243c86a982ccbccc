"""A crowd of idle readers: open streams of jobs that do not move, and what they cost."""

import asyncio
import resource
import time
from collections.abc import Sequence
from typing import Any

from cli.bench.drive import Level, measured, open_loop, warm_up
from cli.bench.figures import Tally, crowd_figures
from cli.bench.load import HEADROOM, SEED, Load, arrivals, stub_load
from cli.bench.processes import Meter
from cli.bench.targets import Broken, Fleet, Target
from fleet.errors import ConfigError

#: Readers that come at the same time.
AT_ONCE = 32
#: A reader who has not seen its job routed by then will not.
PATIENCE_S = 60.0
#: Open files that a process needs beside its readers.
_OTHERS = 256
#: The stub says nothing for a quarter of an hour: the only slot is taken, and the others wait.
HELD = stub_load(1, ttft_ms=900_000)


class Crowd:
    """Readers that came to stay, each with a job of its own."""

    def __init__(self, fleet: Fleet, load: Load = HELD) -> None:
        self._fleet = fleet
        self._load = load
        self._readers: set[asyncio.Task[None]] = set()

    async def come(self, count: int) -> None:
        """Let so many come, and wait until each has seen where its job waits.

        Raises:
            Broken: one of them could not stay.
        """
        gate = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with gate:
                await self._one()

        await asyncio.gather(*(one() for _ in range(count)))

    @property
    def lost(self) -> int:
        """Readers whose stream has ended although their job has not."""
        return sum(reader.done() for reader in self._readers)

    async def leave(self) -> None:
        """All of them go."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._readers.clear()

    async def _one(self) -> None:
        routed = asyncio.Event()
        seen = bytearray()

        def take(data: bytes) -> None:
            if not routed.is_set():
                seen.extend(data)
                if b"event: routed\n" in seen:
                    routed.set()

        reader = asyncio.create_task(self._fleet.follow(self._load, take))
        self._readers.add(reader)
        settled = asyncio.create_task(routed.wait())
        try:
            ends = {settled, reader}
            await asyncio.wait(ends, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                await reader
            if not routed.is_set():
                raise Broken("a reader's stream did not say where its job waits")
        finally:
            settled.cancel()


def make_room(readers: int) -> None:
    """Let this process, and those it starts, have a file open for each reader.

    Raises:
        ConfigError: the machine does not allow so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = readers + _OTHERS
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise ConfigError(
            f"--followers {readers}: a process may have {hard} open files here (`ulimit -Hn`), "
            f"and {wanted} are needed"
        )
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def among(
    fleet: Target, crowd: Crowd, count: int, load: Load, levels: Sequence[Level], meter: Meter
) -> dict[str, Any]:
    """The same load without idle readers, among them, and without them again."""
    for level in levels:
        await warm_up(fleet, load, level.streams)
    without = [await alone(fleet, load, level, meter) for level in levels]
    before, began = meter.memory_mb(), time.perf_counter()
    try:
        await crowd.come(count)
        came_s = time.perf_counter() - began
        crowded = [await alone(fleet, load, level, meter) for level in levels]
        there, lost = meter.memory_mb(), crowd.lost
    finally:
        await crowd.leave()
    for tally, level in zip(without, levels, strict=True):
        tally.add(await alone(fleet, load, level, meter))
    return {
        "count": count,
        "lost": lost,
        "came_s": round(came_s, 2),
        "memory": {r: {"before_mb": before[r], "with_mb": there[r]} for r in before},
        "added_mb": round(there["api"] - before["api"], 1),
        "levels": [
            crowd_figures(level.streams, *tallies)
            for level, *tallies in zip(levels, without, crowded, strict=True)
        ],
    }


async def alone(fleet: Target, load: Load, level: Level, meter: Meter) -> Tally:
    """One level, this one way."""
    assert load.reply_s  # noqa: S101 - a stub's load says how long a reply takes
    moments = arrivals(level.requests, level.streams / load.reply_s, SEED)
    async with measured(meter) as tally:
        tally.samples += await open_loop(fleet, load, moments, level.streams * HEADROOM)
    return tally
