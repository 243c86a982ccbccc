"""The first events in hand: what they tell of the route, and that none is lost or late."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest

from api.following import Batches, begun, routed
from fleet.events import Event
from tests.support import until


def event(seq: int, kind: str, **data: object) -> Event:
    return Event(seq, kind, json.dumps({"type": kind, **data}))


QUEUED = event(0, "queued")
ROUTED = event(1, "routed", route="fast", model="fast", confidence=0.75)
MOVED = event(2, "routed", route="fast", model="tool")
STARTED = event(3, "started")
DONE = event(4, "completed")
LONG_S, SHORT_S = 30.0, 0.05


class Log:
    """Batches as a reader would bring them, one for each `put`."""

    def __init__(self, *batches: list[Event]) -> None:
        self.closed = False
        self._queue: asyncio.Queue[list[Event] | None] = asyncio.Queue()
        for batch in batches:
            self._queue.put_nowait(batch)

    def put(self, *events: Event) -> None:
        self._queue.put_nowait(list(events))

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def batches(self) -> AsyncGenerator[list[Event]]:
        try:
            while (batch := await self._queue.get()) is not None:
                yield batch
        finally:
            self.closed = True


@pytest.fixture
async def told() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def rest(log: Log, batches: Batches) -> list[int]:
    """The numbers of all events, up to the end."""
    log.end()
    numbers = [event.seq async for events in batches for event in events]
    assert log.closed
    return numbers


async def test_the_head_waits_for_the_word_where_the_job_goes(told: "asyncio.Future[None]") -> None:
    log = Log([QUEUED], [])
    head = asyncio.create_task(routed(log.batches(), told, LONG_S))
    await asyncio.sleep(SHORT_S)
    assert not head.done()
    log.put(ROUTED, STARTED)
    said, batches = await head
    assert (said["route"], said["model"], said["confidence"]) == ("fast", "fast", 0.75)
    log.put(DONE)
    assert await rest(log, batches) == [0, 1, 3, 4]


async def test_a_job_that_has_moved_on_is_told_as_it_is_now(told: "asyncio.Future[None]") -> None:
    log = Log([QUEUED, ROUTED, MOVED, STARTED, DONE])
    said, batches = await routed(log.batches(), told, LONG_S)
    assert (said["model"], said["confidence"]) == ("tool", 0.75)
    assert await rest(log, batches) == [0, 1, 2, 3, 4]


async def test_without_a_word_in_time_the_head_goes_and_nothing_is_lost(
    told: "asyncio.Future[None]",
) -> None:
    log = Log([QUEUED])
    said, batches = await routed(log.batches(), told, SHORT_S)
    assert said == {}
    assert await anext(batches) == [QUEUED]
    log.put(ROUTED)
    assert await anext(batches) == [ROUTED]
    log.put(STARTED)
    assert await rest(log, batches) == [3]


@pytest.mark.parametrize("batches", [[[QUEUED, DONE]], [[QUEUED], [], [DONE]], []])
async def test_a_job_that_ends_unrouted_is_not_waited_for(
    batches: list[list[Event]], told: "asyncio.Future[None]"
) -> None:
    log = Log(*batches)
    log.end()
    said, again = await routed(log.batches(), told, LONG_S)
    assert said == {}
    assert await rest(log, again) == [event.seq for batch in batches for event in batch]


async def test_a_process_that_ends_waits_for_nothing(told: "asyncio.Future[None]") -> None:
    log = Log([QUEUED])
    head = asyncio.create_task(routed(log.batches(), told, LONG_S))
    await asyncio.sleep(SHORT_S)
    told.set_result(None)
    said, batches = await head
    assert said == {}
    assert await rest(log, batches) == [0]


@pytest.mark.parametrize("read", [0, 1, 2])
async def test_a_reader_that_goes_leaves_nothing_running(
    read: int, told: "asyncio.Future[None]"
) -> None:
    log = Log([QUEUED])
    _, batches = await routed(log.batches(), told, SHORT_S)

    async def follow() -> None:
        seen = 0
        async for _ in batches:
            seen += 1
            if seen == read:
                return

    reader = asyncio.create_task(follow())
    await asyncio.sleep(SHORT_S)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await batches.aclose()
    assert log.closed


async def test_a_head_that_is_given_up_leaves_nothing_running(told: "asyncio.Future[None]") -> None:
    log = Log([QUEUED])
    head = asyncio.create_task(routed(log.batches(), told, LONG_S))
    await asyncio.sleep(SHORT_S)
    head.cancel()
    await asyncio.gather(head, return_exceptions=True)
    await until(lambda: log.closed, "the log is let go")


async def test_the_first_batch_is_in_hand_before_anything_is_answered() -> None:
    async def broken() -> AsyncGenerator[list[Event]]:
        raise OSError("away")
        yield []

    with pytest.raises(OSError, match="away"):
        await begun(broken())
    log = Log([QUEUED], [DONE])
    assert await rest(log, await begun(log.batches())) == [0, 4]
