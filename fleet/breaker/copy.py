"""This process' copy of a server's breaker, and what it has to tell of that server.

Failures are told at once; successes only while there is a failure to forget, and with the next
failure. What happens while Redis is being told goes out together. So a server that is well costs
Redis nothing, and nobody who has something to tell waits for Redis.
While Redis is away the copy stays as it is.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from fleet.breaker.machine import Event, Failed, Phase, Probe, State, Well
from fleet.breaker.store import Breakers, Seen
from fleet.errors import StoreUnavailable
from fleet.names import breaker_key

log = logging.getLogger(__name__)

#: Events that may wait to be told.
UNTOLD_MOST = 1_000


class Copy:
    """A breaker as this process last heard of it."""

    def __init__(self, server: str, breakers: Breakers, changed: Callable[[], None]) -> None:
        self.state = State()
        self.rules = breakers.rules
        self._server = server
        self._key = breaker_key(server)
        self._breakers = breakers
        #: Called whenever the copy is another.
        self._changed = changed
        #: Redis' clock minus the loop's, milliseconds.
        self._ahead = 0.0
        #: Successes that nobody needed to be told of yet.
        self._well = 0
        self._untold: asyncio.Queue[Event] = asyncio.Queue(UNTOLD_MOST)

    @property
    def closed(self) -> bool:
        """Whether the server may be asked by anybody."""
        return self.state.phase is Phase.CLOSED

    @property
    def due_in_s(self) -> float:
        """Seconds until somebody may probe; 0: now."""
        now = asyncio.get_running_loop().time() * 1000 + self._ahead
        return max(0.0, (self.state.until - now) / 1000)

    def heard(self, message: str | None) -> None:
        """An announcement has come; None: some may have been missed."""
        if message is None:
            self._note(Well(0))  # which changes nothing, and brings the state
            return
        key, _, text = message.partition(" ")
        if key == self._key:
            self._become(State.from_json(text))

    def well(self) -> None:
        """An answer has come."""
        if self.state.spotless:
            self._well = min(self._well + 1, self.rules.window)
        else:
            self._note(Well())

    def note(self, event: Event) -> None:
        """Something else has happened."""
        if isinstance(event, Failed) and not event.probe and not self.closed:
            return  # whoever opened it knew
        if self._well:
            self._note(Well(self._well, earlier=True))
            self._well = 0
        self._note(event)

    async def tell(self) -> None:
        """Tell Redis what happens, in its order; what it does not take is not kept."""
        while True:
            events = [await self._untold.get()]
            while not self._untold.empty():
                events.append(self._untold.get_nowait())
            try:
                await self.change(*_together(events))
            except StoreUnavailable as error:
                log.debug("breaker: %s", error)

    async def change(self, *events: Event) -> None:
        """Tell it now, and wait for it.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        self._see(await self._breakers.change(self._server, *events))

    async def read(self) -> None:
        """Look again. Raises as `change` does."""
        self._see(await self._breakers.read(self._server))

    async def take_probe(self, for_s: float) -> str | None:
        """The probe's name if it is ours now; None if it is somebody else's or not due, and ''
        if none is needed any more. Raises as `change` does.
        """
        token = secrets.token_hex(8)
        await self.change(Probe(token, int(for_s * 1000)))
        if self.closed:
            return ""
        return token if self.state.probe == token else None

    def _note(self, event: Event) -> None:
        with suppress(asyncio.QueueFull):  # Redis is away for long
            self._untold.put_nowait(event)

    def _see(self, seen: Seen) -> None:
        self._ahead = seen.now - asyncio.get_running_loop().time() * 1000
        self._become(seen.state)

    def _become(self, state: State) -> None:
        before, self.state = self.state, state
        if state == before:
            return
        if state.phase is not before.phase:
            self._well = 0
            log.info("breaker of %s: %s (%s)", self._server, state.phase, state.reason)
        self._changed()


def _together(events: list[Event]) -> list[Event]:
    """The same with successes that follow each other as one."""
    gathered: list[Event] = []
    for event in events:
        last = gathered[-1] if gathered else None
        if isinstance(last, Well) and event == replace(last, count=1):
            gathered[-1] = replace(last, count=last.count + 1)
        else:
            gathered.append(event)
    return gathered
