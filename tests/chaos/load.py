"""The load: posts orders at a rate, keeps its own list of what was accepted, reads, cancels."""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.chaos.door import Door
from tests.chaos.follower import follow
from tests.chaos.history import Order, Reading, Seen

#: Jobs that may be running: only the latest ones.
RECENT = 300


@dataclass
class Accepted:
    """A job that was answered with 202."""

    id: str
    order: Order
    at: float
    readings: list[Reading] = field(default_factory=list)
    cancel_answer: str = ""


class Load:
    """An open loop: a slow system gets its orders all the same."""

    def __init__(self, door: Door, orders: Iterator[Order], rate: float, hook: str = "") -> None:
        self._door = door
        self._orders = orders
        self._rate = rate
        self._hook = hook
        self._tasks: set[asyncio.Task[None]] = set()
        self.posted = 0
        self.accepted: list[Accepted] = []
        #: Answers to posts that are neither a 202 nor a reason to try again.
        self.refused: list[tuple[str, str]] = []

    @property
    def busy(self) -> int:
        """Posts, readers and cancels under way."""
        return len(self._tasks)

    def streams(self, pid: int) -> int:
        """How many answers its readers see coming from the process with that pid."""
        return sum(
            bool(seen) and seen[-1].entry.kind == "token" and _worker(seen) == pid
            for job in self.accepted[-RECENT:]
            for seen in (reading.seen for reading in job.readings)
        )

    async def run(self, seconds: float) -> None:
        """Post for so long."""
        start = time.monotonic()
        while (due := start + self.posted / self._rate) < start + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.posted += 1
            self._begin(self._order(next(self._orders)))

    async def finish(self, seconds: float) -> None:
        """Wait for what is under way, but no longer than that."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.refused.append(("the load itself", repr(error)))

    async def _order(self, order: Order) -> None:
        headers = {"Idempotency-Key": order.key}
        body = {**order.body, **({"webhook": self._hook} if order.webhook else {})}
        reply = await self._door.ask("POST", "/v1/jobs", json=body, headers=headers)
        if reply.status_code != 202:
            self.refused.append((order.key, f"{reply.status_code} {reply.text}"))
            return
        job = Accepted(reply.json()["id"], order, time.time())
        self.accepted.append(job)
        if order.reader:
            reading = Reading(steady=order.reader == "steady")
            job.readings.append(reading)
            self._begin(follow(self._door, job.id, reading, Random(f"reader {order.key}")))
        if order.cancel_after is not None:
            await asyncio.sleep(order.cancel_after)
            await self._cancel(job)

    async def _cancel(self, job: Accepted) -> None:
        reply = await self._door.ask("POST", f"/v1/jobs/{job.id}/cancel")
        told = reply.json().get("status") if reply.status_code == 200 else None
        job.cancel_answer = told or f"{reply.status_code} {reply.text}"


def _worker(seen: list[Seen]) -> int:
    """The process that has started the answer, as its `started` event names it."""
    started = next((s.entry for s in reversed(seen) if s.entry.kind == "started"), None)
    return int(started.data["worker"].rpartition(":")[2]) if started else 0
