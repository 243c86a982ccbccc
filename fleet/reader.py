"""The reading side of a log: replay from a cursor, then live, with nothing missed or doubled."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from fleet.errors import StoreUnavailable
from fleet.events import Event, decode_announcement
from fleet.ledger import Ledger
from fleet.listener import Listener
from fleet.names import live_channel
from fleet.records import READ_BATCH

#: Events that a slow reader may be behind before it is sent back to the log.
BEHIND_MOST = 2_000
#: Without any news, look into the log after so many seconds all the same.
RECHECK_S = 5.0
#: Pause between two tries to read the log while Redis is away.
OUTAGE_S = 0.25


class _Inbox:
    """What the channel has brought for one reader. `stale` sends it back to the log."""

    def __init__(self) -> None:
        self.stale = False
        self._events: list[Event] = []
        self._news = asyncio.Event()

    def put(self, message: str | None) -> None:
        if message is None or len(self._events) > BEHIND_MOST:
            self._events.clear()
            self.stale = True
        elif not self.stale:
            self._events += decode_announcement(message)
        self._news.set()

    async def take(self, timeout: float) -> list[Event]:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._news.wait()
        self._news.clear()
        events, self._events = self._events, []
        return events


class Reader:
    """Follows jobs for any number of readers of one process."""

    def __init__(self, ledger: Ledger, listener: Listener) -> None:
        self._ledger = ledger
        self._listener = listener

    async def follow(self, job_id: str, after: int = -1) -> AsyncGenerator[list[Event]]:
        """Batches of events with numbers above `after`, in order, up to the terminal one.

        Subscribe first, then replay, then live; what is not newer than the last event is
        dropped, and a gap in the numbers means: read the log again. An empty batch says
        that nothing has happened for a while. An outage of Redis is waited out.

        Raises:
            StoreUnavailable: Redis does not answer at the very beginning.
        """
        inbox = _Inbox()
        channel = live_channel(job_id)
        await self._listener.add(channel, inbox.put)
        try:
            last = after
            replay = True
            while True:
                if replay or inbox.stale:
                    inbox.stale = False
                    events, replay = await self._replay(job_id, last)
                else:
                    arrived = await inbox.take(RECHECK_S)
                    events = newer(arrived, last)
                    replay = not arrived or not contiguous(events, last)
                    if arrived and (replay or not events):
                        continue
                if events:
                    last = events[-1].seq
                yield events
                if events and events[-1].terminal:
                    return
        finally:
            await self._listener.remove(channel, inbox.put)

    async def _replay(self, job_id: str, last: int) -> tuple[list[Event], bool]:
        """The next events of the log, and whether there is more to replay."""
        try:
            events = await self._ledger.read(job_id, last)
        except StoreUnavailable:
            await asyncio.sleep(OUTAGE_S)
            return [], True
        return events, len(events) == READ_BATCH


def newer(events: list[Event], last: int) -> list[Event]:
    """The events after number `last`."""
    if events and events[0].seq == last + 1:
        return events
    return [event for event in events if event.seq > last]


def contiguous(events: list[Event], last: int) -> bool:
    """Whether the events go on right after number `last`, without a gap."""
    return not events or (
        events[0].seq == last + 1 and events[-1].seq - events[0].seq == len(events) - 1
    )
