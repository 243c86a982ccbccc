"""When which fault is done: endless rounds of all of them, in an order drawn from the seed."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random

from tests.chaos.faults import LANES, NAMES, FaultFunction, Strike
from tests.chaos.fleet import Fleet
from tests.chaos.history import Fault


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
            began = time.time()
            hit = await fault(Strike(self._fleet, rng, self._streams, self._hang_most_s))
            began = hit.began or began
            self.done.append(
                Fault(fault.__name__, hit.victim, began, time.time(), hit.pid, hit.job_id)
            )
