"""Server-sent events: cursors, and a response that stops when its reader goes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.closing import Closing
from api.following import Batches
from api.wire import Wire
from fleet.errors import FleetError, InvalidRequest

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

OnGone = Callable[[], Awaitable[object]]


def cursor(last_event_id: str | None, starting_after: str | None) -> int:
    """The number that a reader has seen last; -1 for none. The header wins over the query.

    Raises:
        InvalidRequest: it is no number.
    """
    for name, text in (("Last-Event-ID", last_event_id), ("starting_after", starting_after)):
        if text is None or text == "":
            continue
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise InvalidRequest(f"{name}: must be the number of an event, from 0", param=name)
        return int(text)
    return -1


class EventStream(Response):
    """Streams a job's events until the last one, until nobody reads any more, or until this
    process is told to end: then with a word to the reader where it goes on.

    The head waits until the wire is settled, but no longer than `hold_s`; what fails before
    that is an error with its own status. `on_gone` is awaited when the reader went away
    before the end.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        job_id: str,
        batches: Batches,
        wire: Wire,
        *,
        ping_s: float,
        closing: Closing,
        hold_s: float = 0.0,
        headers: Mapping[str, str] | None = None,
        on_gone: OnGone | None = None,
    ) -> None:
        super().__init__(headers={**HEADERS, "x-fleet-job-id": job_id, **(headers or {})})
        del self.headers["content-length"]
        self._batches = batches
        self._wire = wire
        self._ping_s = ping_s
        self._hold_s = hold_s
        self._closing = closing
        self._on_gone = on_gone
        #: Frames that wait for the head to be sent; None: it has been.
        self._held: list[bytes] | None = [wire.greeting]
        self._turn = asyncio.Lock()
        self._send: Send

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, and watch for the reader's going and for our own end."""
        self._send = send
        pump = asyncio.create_task(self._pump())
        watch = asyncio.create_task(gone(receive))
        try:
            ends = {pump, watch, self._closing.told}
            if self._hold_s:
                await asyncio.wait(ends, timeout=self._hold_s, return_when=asyncio.FIRST_COMPLETED)
                if not pump.done() and not watch.done():
                    await self._begin()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                await pump
            elif self._closing.begun:
                pump.cancel()  # between two frames: a frame is sent whole or not at all
                await asyncio.wait({pump})
                await self._begin()
                await self._write(self._wire.farewell(), more=False)
            elif self._on_gone:
                await self._on_gone()
        except FleetError as error:
            error.headers["x-fleet-job-id"] = self.headers["x-fleet-job-id"]
            raise
        finally:
            pump.cancel()
            watch.cancel()
            await asyncio.gather(pump, watch, return_exceptions=True)

    async def _begin(self) -> None:
        """Send the head, and what waits for it."""
        async with self._turn:
            if self._held is None:
                return
            held, self._held = b"".join(self._held), None
            self.headers.update(self._wire.headers())
            head = {"status": self.status_code, "headers": self.raw_headers}
            await self._send({"type": "http.response.start", **head})
            if held:
                await self._send_body(held, more=True)

    async def _write(self, body: bytes, *, more: bool = True) -> None:
        if self._held is None and not self._turn.locked():  # the head is out: nobody else speaks
            if body or not more:
                await self._send_body(body, more=more)
            return
        async with self._turn:
            if self._held is not None:
                self._held.append(body)
            elif body or not more:
                await self._send_body(body, more=more)

    def _send_body(self, body: bytes, *, more: bool) -> Awaitable[None]:
        return self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _pump(self) -> None:
        spoke, ended = time.monotonic(), False
        async with aclosing(self._batches) as batches:
            async for events in batches:
                body = self._wire.show(events)
                if self._held is not None and self._wire.settled():
                    await self._begin()
                if body:
                    await self._write(body)
                    spoke = time.monotonic()
                elif self._held is None and time.monotonic() - spoke >= self._ping_s:
                    await self._write(self._wire.ping)
                    spoke = time.monotonic()
                ended = self._wire.over or bool(events and events[-1].terminal)
                if ended:
                    break
        await self._begin()
        await self._write(b"" if ended else self._wire.lost(), more=False)


async def gone(receive: Receive) -> None:
    """Return when whoever asked has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
