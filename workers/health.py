"""Cheap looks at the model's server."""

import asyncio
import logging
import random

from fleet.errors import ServerUnreachable
from workers.backend import Backend
from workers.guard import Guard
from workers.runner import Runner

log = logging.getLogger(__name__)


class ServerState:
    """What the model's server last said of itself."""

    #: Seconds between two looks: while it is fine, and while it is not; some more or less, so
    #: that the workers of one server do not look together.
    CALM_S, WORRIED_S = 5.0, 0.5
    JITTER = 0.2

    def __init__(self, backend: Backend, guard: Guard, runner: Runner) -> None:
        self._backend = backend
        self._guard = guard
        self._runner = runner
        self.last = "unknown"

    async def look(self) -> bool:
        """Ask the server; returns whether its state has changed.

        A server that is away while no job asks it counts as a failure, so that no job has to
        find out. That it says it is well counts for nothing but a sooner probe: to say so is
        easy.
        """
        before, self.last = self.last, await self._backend.state()
        if self.last == "down" and not self._runner.active:
            self._guard.failed(ServerUnreachable())
        elif self.last == "ok" and before in ("down", "loading"):
            self._guard.risen()
        return before != self.last

    async def watch(self, changed: asyncio.Event) -> None:
        """Keep looking; say at once when something has changed."""
        while True:
            usual = self.CALM_S if self.last in ("ok", "unknown") else self.WORRIED_S
            spread = random.uniform(1 - self.JITTER, 1 + self.JITTER)  # noqa: S311 - only to spread
            await asyncio.sleep(usual * spread)
            if await self.look():
                log.info("model server is %s", self.last)
                changed.set()
