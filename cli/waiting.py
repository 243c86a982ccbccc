"""Says now and then why a job that is followed does not move."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable

from cli.client import FleetClient
from cli.sse import Frame
from cli.wording import waiting_line

#: Seconds without an event after which one wonders, and between two lines about it.
QUIET_S = 3.0
AGAIN_S = 10.0


class Waiting:
    """Hears what happens to a job; says why nothing does while nobody works on it."""

    def __init__(self, client: FleetClient, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._waits = True
        self._model: str | None = None
        self._heard_at = time.monotonic()
        self._said_at = -math.inf

    def heard(self, frame: Frame) -> None:
        """One event came."""
        self._heard_at = time.monotonic()
        self._waits = frame.kind in ("queued", "routed")
        if frame.kind == "routed":
            self._model = frame.payload().get("model")

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Keep an eye on it meanwhile."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()

    async def _watch(self) -> None:
        while True:
            pause = self._due() - time.monotonic()
            if pause <= 0 and self._waits:
                await self._tell()
            else:
                await asyncio.sleep(pause if pause > 0 else QUIET_S)

    def _due(self) -> float:
        return max(self._heard_at + QUIET_S, self._said_at + AGAIN_S)

    async def _tell(self) -> None:
        last = self._heard_at
        health = await self._client.health()
        if self._heard_at == last:  # else something happened while we asked
            self._said_at = time.monotonic()
            self._say(waiting_line(self._model, health))
