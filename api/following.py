"""A job's events on their way to a reader."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from api.state import State
from fleet.errors import StoreUnavailable
from fleet.events import Event

Batches = AsyncGenerator[list[Event]]


async def following(fleet: State, job_id: str, after: int) -> Batches:
    """The reader's batches; while nothing happens, the deadline is looked after."""
    async with aclosing(fleet.reader.follow(job_id, after)) as batches:
        async for events in batches:
            if not events:
                with suppress(StoreUnavailable):
                    if await fleet.ledger.expire(job_id) is None:
                        return  # the record is gone, and with it everything to come
            yield events


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
