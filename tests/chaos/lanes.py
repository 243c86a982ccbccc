"""When which fault is done: endless rounds of all of them, in an order drawn from the seed.

Two lanes go on side by side, so that faults meet each other. Some of those whose recovery is
timed strike alone: nothing else is done a little before and after.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from tests.chaos.faults import LANES, NAMES, FaultFunction, Strike
from tests.chaos.fleet import Fleet
from tests.chaos.history import Fault
from tests.chaos.recovery import CALM_S
from tests.chaos.verifier import REDIS_FAULTS

#: Faults after which the time until the next token is judged, and their share that is alone.
TIMED = frozenset({"kill_worker"}) | REDIS_FAULTS
ALONE = 0.35
#: Seconds of peace before and after a fault that is alone.
BEFORE_S, AFTER_S = CALM_S, 1.5


class UnknownFault(ValueError):
    """There is no fault of that name."""


def check_names(names: Collection[str]) -> None:
    """Raises: UnknownFault."""
    if unknown := sorted(set(names) - set(NAMES)):
        raise UnknownFault(f"{', '.join(unknown)}; there are: {', '.join(NAMES)}")


def rounds(lane: Sequence[FaultFunction], rng: Random) -> Iterator[FaultFunction]:
    """Every fault of the lane, shuffled; and again."""
    while lane:
        yield from rng.sample(lane, len(lane))


class Chaos:
    """Does the faults and keeps the log of them."""

    def __init__(
        self,
        fleet: Fleet,
        seed: int,
        names: Collection[str],
        gap_s: float,
        hang_most_s: float,
        streams: Callable[[int], int],
    ) -> None:
        check_names(names)
        self._fleet = fleet
        self._seed = seed
        self._names = names
        self._gap_s = gap_s
        self._hang_most_s = hang_most_s
        self._streams = streams
        self._busy = {title: asyncio.Lock() for title in LANES}
        self.done: list[Fault] = []

    async def run(self, seconds: float) -> None:
        """Strike for so long; faults under way are seen to their end."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for title, lane in LANES.items():
                wanted = [fault for fault in lane if fault.__name__ in self._names]
                group.create_task(self._lane(title, wanted, until))

    async def _lane(self, title: str, lane: Sequence[FaultFunction], until: float) -> None:
        order = Random(f"{title} {self._seed}")
        for number, fault in enumerate(rounds(lane, order)):
            await asyncio.sleep(order.uniform(0.5, 1.5) * self._gap_s)
            if time.monotonic() > until:
                return
            rng = Random(f"{title} {self._seed} {number}")
            alone = fault.__name__ in TIMED and rng.random() < ALONE
            async with self._turn(title, alone):
                await self._strike(fault, rng)

    @asynccontextmanager
    async def _turn(self, title: str, alone: bool) -> AsyncIterator[None]:
        """This lane's turn; a fault that is to be alone takes that of the other lane, too."""
        async with AsyncExitStack() as turns:
            for other, lock in self._busy.items():
                if alone or other == title:
                    await turns.enter_async_context(lock)
            await asyncio.sleep(BEFORE_S if alone else 0)
            yield
            await asyncio.sleep(AFTER_S if alone else 0)

    async def _strike(self, fault: FaultFunction, rng: Random) -> None:
        began = time.time()
        hit = await fault(Strike(self._fleet, rng, self._streams, self._hang_most_s))
        if hit is None:
            return
        began = hit.began or began
        self.done.append(Fault(fault.__name__, hit.victim, began, time.time(), hit.pid, hit.job_id))
