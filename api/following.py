"""A job's events on their way to a reader, the first of them in hand before the answer begins."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from api.state import State
from fleet.errors import StoreUnavailable
from fleet.events import Event, Kind

#: Seconds that the head of a stream waits for the word where the job goes.
ROUTED_S = 1.0

Batches = AsyncGenerator[list[Event]]
Coming = asyncio.Task[list[Event] | None]


async def following(fleet: State, job_id: str, after: int) -> Batches:
    """The reader's batches; while nothing happens, the deadline is looked after."""
    async with aclosing(fleet.reader.follow(job_id, after)) as batches:
        async for events in batches:
            if not events:
                with suppress(StoreUnavailable):
                    if await fleet.ledger.expire(job_id) is None:
                        return  # the record is gone, and with it everything to come
            yield events


async def begun(batches: Batches) -> Batches:
    """The same batches, the first one in hand: what fails now can still be an HTTP status."""
    return _again([await _next(batches)], None, batches)


async def routed(
    batches: Batches, told: "asyncio.Future[None]", patience_s: float = ROUTED_S
) -> tuple[dict[str, Any], Batches]:
    """What the job's `routed` event says, and the same batches.

    It is empty where that event does not come in time, or before this process is `told` to end.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + patience_s
    hand = [await _next(batches)]
    coming: Coming | None = None
    while hand[-1] is not None and not _is_decided(hand[-1]):
        coming = asyncio.create_task(_next(batches))
        try:
            ends: set[asyncio.Future[Any]] = {coming, told}
            left = max(0.0, until - clock())
            await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            coming.cancel()
            raise
        if not coming.done():
            break
        hand.append(coming.result())
        coming = None
    return _said(hand), _again(hand, coming, batches)


async def end_of(fleet: State, job_id: str, wait: float) -> None:
    """Wait for the end of the job, of the time, or of this process: whichever comes first."""

    async def last() -> None:
        async with aclosing(following(fleet, job_id, -1)) as batches:
            async for _ in batches:
                pass

    end = asyncio.create_task(last())
    try:
        ends = {end, fleet.closing.told}
        await asyncio.wait(ends, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        if end.done():
            await end
    finally:
        end.cancel()
        await asyncio.wait({end})


async def _next(batches: Batches) -> list[Event] | None:
    return await anext(batches, None)


async def _again(
    hand: list[list[Event] | None], coming: Coming | None, batches: Batches
) -> Batches:
    """The batches in hand, the one that is on its way, and the rest."""
    async with aclosing(batches):
        try:
            for events in hand:
                if events is not None:
                    yield events
            if coming and (events := await coming) is not None:
                yield events
        finally:
            if coming:
                coming.cancel()
                await asyncio.wait({coming})
        async for events in batches:
            yield events


def _is_decided(events: list[Event]) -> bool:
    return any(event.kind == Kind.ROUTED or event.terminal for event in events)


def _said(hand: list[list[Event] | None]) -> dict[str, Any]:
    """What is known of where the job went; what came later counts."""
    said: dict[str, Any] = {}
    for event in (event for events in hand for event in events or ()):
        if event.kind == Kind.ROUTED:
            said |= event.payload()
    return said
