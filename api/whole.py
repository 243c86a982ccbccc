"""An answer in one piece: when the job has ended, as long as somebody waits for it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api import views
from api.closing import Closing
from api.following import Batches
from api.sse import OnGone, gone
from fleet.errors import FleetError, NotFound, Restarting
from fleet.events import Event


class Shown(NamedTuple):
    """A body, and what the head says of it."""

    body: dict[str, Any]
    headers: dict[str, str]


class Whole(Response):
    """Waits for the job's end and shows all of its events in one body.

    `show` is pure; what it raises is the answer. `on_gone` is awaited when whoever asked went
    away before the end.
    """

    def __init__(
        self,
        job_id: str,
        batches: Batches,
        show: Callable[[Sequence[Event]], Shown],
        *,
        closing: Closing,
        headers: dict[str, str] | None = None,
        on_gone: OnGone | None = None,
    ) -> None:
        super().__init__()
        self._job_id = job_id
        self._batches = batches
        self._show = show
        self._closing = closing
        self._said = {"x-fleet-job-id": job_id, **(headers or {})}
        self._on_gone = on_gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, and watch for the asker's going and for our own end."""
        end = asyncio.create_task(self._all())
        watch = asyncio.create_task(gone(receive))
        try:
            ends: set[asyncio.Future[Any]] = {end, watch, self._closing.told}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                shown = self._show(await end)
                await JSONResponse(shown.body, headers={**self._said, **shown.headers})(
                    scope, receive, send
                )
            else:
                await self._left()
        except FleetError as error:
            error.headers |= self._said
            raise
        finally:
            end.cancel()
            watch.cancel()
            await asyncio.gather(end, watch, return_exceptions=True)

    async def _left(self) -> None:
        """Nobody waits any more. Whoever asked and cannot come back will ask anew, SDKs by
        themselves: then the first job would be answered for nobody.

        Raises:
            Restarting: because this process ends.
        """
        if self._on_gone:
            await self._on_gone()
        if self._closing.begun:
            anew = "ask again" if self._on_gone else f"{views.urls(self._job_id)['self']} goes on"
            raise Restarting(f"This server restarts; {anew}.", retry_after_s=1)

    async def _all(self) -> list[Event]:
        """Every event of the job, up to its end.

        Raises:
            NotFound: the job was forgotten before it.
        """
        events: list[Event] = []
        async with aclosing(self._batches) as batches:
            async for some in batches:
                events += some
        if not events or not events[-1].terminal:
            raise NotFound("the job was deleted before its end")
        return events
