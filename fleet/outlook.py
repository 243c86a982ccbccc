"""Looking at what predictions of waits are made of: one round trip for each job."""

import asyncio
import json
import time
from collections.abc import Iterable, Sequence

from fleet import scripts
from fleet.breaker.reports import shut
from fleet.catalogue import Model
from fleet.line import Line
from fleet.names import MIX, NODES, NODES_PREFIX, PACE, ROUTER_QUEUE, waiting_key
from fleet.records import pairs, store_errors
from fleet.waits import Look, Pace, Place, View

#: Seconds for which it is not looked again who works, and how fast.
FRESH_S = 0.25


class Outlook:
    """Sees how long jobs would wait. One for each process."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._looking: asyncio.Task[Look] | None = None
        self._looked_at = 0.0

    async def view(self, job_id: str, priority: int, caller: str, models: Iterable[Model]) -> View:
        """What a job that this caller posts now would find before it.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        known = list(models)
        lines = [waiting_key(queue) for queue in (ROUTER_QUEUE, *(m.queue for m in known))]
        async with store_errors():
            stand = scripts.STAND(self._line, lines, [job_id, priority, caller])
            (now, router, *found), look = await asyncio.gather(stand, self._fresh())
        places = {
            model.name: _place(int(now), seen) for model, seen in zip(known, found, strict=True)
        }
        undecided = router[0] + router[1]  # those in a router's hands will be sent before it, too
        return View(look, places, undecided)

    async def _fresh(self) -> Look:
        now = time.monotonic()
        if self._looking is None or now - self._looked_at >= FRESH_S:
            self._looked_at = now
            self._looking = asyncio.create_task(self._see(), name="look")
        return await asyncio.shield(self._looking)

    async def _see(self) -> Look:
        return _read(*await scripts.LOOK(self._line, [NODES, PACE, MIX], [NODES_PREFIX]))


def _place(now: int, seen: Sequence[int | str]) -> Place:
    ahead, running, *claims = map(int, seen)
    return Place(ahead, running, [max(0, now - at) / 1000 for at in claims])


def _read(reports: Sequence[str], paces: Sequence[str], mix: Sequence[str]) -> Look:
    nodes = list(map(json.loads, reports))
    slots: dict[str, int] = {}
    for node in nodes:
        model, count = node.get("model"), node.get("slots")
        asks = not node.get("shut") and node.get("server") != "loading"
        if asks and isinstance(model, str) and isinstance(count, int):
            slots[model] = slots.get(model, 0) + count
    counts = {what: int(count) for what, count in pairs(mix).items() if ":" in what}
    known = {model: Pace.read(told) for model, told in pairs(paces).items()}
    spent = {str(name) for node in nodes for name in node.get("spent", ())}
    return Look(slots, known, counts, spent.union(shut(nodes)))
