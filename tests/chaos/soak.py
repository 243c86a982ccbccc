"""A long load without faults: memory, descriptors and keys must stay where they are."""

import asyncio
import contextlib
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from tests.chaos.fleet import Fleet
from tests.chaos.load import Load
from tests.chaos.orders import Mix, orders
from tests.chaos.run import Say
from tests.chaos.trend import Tolerance, Trend, trend

#: The shortest retention there is, so that keys come and go while we look.
RETENTION_S = 60
#: A decision log that is full before we look.
LOG_SIZE = 1_000
#: A record may outlive its job by its deadline; after both, all that is kept is in balance.
#: (One with a webhook stays longer than we look.)
MIX = Mix(deadline_s=50, webhooks=0)
WARM_UP_S = 150.0
SAMPLE_S = 2.0
#: What may grow by how much. Streams come and go with the load, so descriptors need a few.
TOLERANCES = {
    "MB of memory": Tolerance(share=0.05, more=3),
    "descriptors": Tolerance(share=0.05, more=6),
    "keys": Tolerance(share=0.10, more=50),
    "MB used": Tolerance(share=0.10, more=1),
}

Series = dict[tuple[str, str], list[float]]


@dataclass(frozen=True)
class Soaked:
    """What came of it."""

    jobs: int
    refused: tuple[tuple[str, str], ...]
    samples: int
    trends: tuple[Trend, ...] = field(default=())

    @property
    def wrong(self) -> bool:
        """Whether something grew, or was not accepted."""
        return bool(self.refused) or any(t.grown for t in self.trends)

    def __str__(self) -> str:
        lines = [f"{self.jobs} jobs, {self.samples} samples, {len(self.refused)} posts refused"]
        lines += [
            f"  {t.name:32} {t.first:10.1f} -> {t.last:10.1f}  (at most {t.allowed:.1f})"
            + ("  GROWN" if t.grown else "")
            for t in self.trends
        ]
        return "\n".join(lines)


async def soak(folder: Path, seed: int, seconds: float, rate: float, say: Say) -> Soaked:
    """Load for so long; the first part is for warming up and is not looked at."""
    fleet = Fleet(folder, MIX.deadline_s, RETENTION_S, LOG_SIZE)
    series: Series = defaultdict(list)
    try:
        await fleet.start()
        async with contextlib.aclosing(fleet.door()) as door:
            load = Load(door, orders(seed, MIX), rate)
            watching = asyncio.create_task(_watch(fleet, series, say))
            await load.run(seconds)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await load.finish(MIX.deadline_s)
    finally:
        await fleet.stop()
    trends = tuple(
        trend(f"{name}: {what}", values, TOLERANCES[what])
        for (name, what), values in series.items()
    )
    samples = max((len(values) for values in series.values()), default=0)
    return Soaked(len(load.accepted), tuple(load.refused), samples, trends)


async def _watch(fleet: Fleet, series: Series, say: Say) -> None:
    start = time.monotonic()
    with fleet.redis() as redis:
        for number in range(1, 1_000_000):
            await asyncio.sleep(max(0.0, start + number * SAMPLE_S - time.monotonic()))
            seen = sample(fleet, redis)
            if time.monotonic() - start > WARM_UP_S:
                for key, value in seen.items():
                    series[key].append(value)
            if number % 10 == 0:
                keys, used = seen["redis", "keys"], seen["redis", "MB used"]
                say(f"{number * SAMPLE_S:5.0f} s  {keys:.0f} keys, {used:.1f} MB used")


def sample(fleet: Fleet, redis: Redis) -> dict[tuple[str, str], float]:
    """Every measurement, now."""
    seen: dict[tuple[str, str], float] = {}
    for name, pid in fleet.pids().items():
        seen[name, "MB of memory"] = resident(pid)
        seen[name, "descriptors"] = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    memory: Any = redis.info("memory")
    size: Any = redis.dbsize()
    return seen | {("redis", "keys"): size, ("redis", "MB used"): memory["used_memory"] / 1e6}


def resident(pid: int) -> float:
    """A process' resident memory, in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1000
