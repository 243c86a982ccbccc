"""Server-sent events: frames, cursors, and a response that stops when its reader goes."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api import views
from api.closing import Closing
from fleet.errors import InvalidRequest
from fleet.events import Event

#: Told once: how soon a browser comes back after a broken connection, in ms.
RETRY = b"retry: 1000\n\n"
#: The last words of a stream that ends before its job: this process ends, another one follows.
FAREWELL = "retry: 500\n: the server restarts; come back to {} with Last-Event-ID\n\n"
PING = b": ping\n\n"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def frame(event: Event) -> str:
    """One event on the wire."""
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {event.data}\n\n"


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
    """Streams batches of a job's events until the last one, until nobody reads any more, or
    until this process is told to end: then with a word to the reader where it goes on.

    `on_gone` is awaited when the reader went away before the end.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        job_id: str,
        batches: AsyncGenerator[list[Event]],
        *,
        headers: Mapping[str, str],
        ping_s: float,
        closing: Closing,
        on_gone: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        super().__init__(headers={**HEADERS, "x-fleet-job-id": job_id, **headers})
        del self.headers["content-length"]
        self._job_id = job_id
        self._batches = batches
        self._ping_s = ping_s
        self._closing = closing
        self._on_gone = on_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, and watch for the reader's going and for our own end."""
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        pump = asyncio.create_task(self._pump(send))
        watch = asyncio.create_task(_gone(receive))
        try:
            ends = {pump, watch, self._closing.told}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                await pump
            elif self._closing.begun:
                pump.cancel()  # between two frames: a frame is sent whole or not at all
                await asyncio.wait({pump})
                await send(self._farewell())
            elif self._on_gone:
                await self._on_gone()
        finally:
            pump.cancel()
            watch.cancel()
            await asyncio.gather(pump, watch, return_exceptions=True)

    def _farewell(self) -> Message:
        body = FAREWELL.format(views.urls(self._job_id)["events"]).encode()
        return {"type": "http.response.body", "body": body, "more_body": False}

    async def _pump(self, send: Send) -> None:
        async def write(body: bytes, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": more})

        await write(RETRY)
        spoke = time.monotonic()
        async with aclosing(self._batches) as batches:
            async for events in batches:
                if events:
                    await write("".join(map(frame, events)).encode())
                elif time.monotonic() - spoke >= self._ping_s:
                    await write(PING)
                else:
                    continue
                spoke = time.monotonic()
        await write(b"", more=False)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
