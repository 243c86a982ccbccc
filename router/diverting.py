"""Jobs that wait for a model which nobody asks go to the next one of their plan."""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from fleet.errors import StoreUnavailable
from fleet.job import Job
from fleet.ledger import Ledger
from fleet.names import NODE_TTL_S
from fleet.settings import Settings
from router.elsewhere import Left, ways_on
from router.standing import EVERY_S, Watch

log = logging.getLogger(__name__)

#: Jobs of one line that are looked at in one go.
LOOK_MOST = 500


class Diverter:
    """Looks after the lines of models that are left alone, in every router.

    Those are the models whose breakers are open, and those without a living worker for so long
    that it is no restart. Any number of routers may look at once: a move is made where the job
    still stands as it was read. Coming back needs nothing: new plans name the model again.
    """

    def __init__(
        self,
        ledger: Ledger,
        watch: Watch,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._watch = watch
        self._catalogue = settings.catalogue
        self._keep_halves = settings.fallback.after_first_token == "fail"
        self._clock = clock
        #: When each model had a living worker last, as far as this process knows.
        self._served = {model.name: clock() for model in settings.catalogue.models}
        #: Where the next look into a line begins: before it stand jobs that have nowhere to go.
        self._from: dict[str, int] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311 - only to spread
            try:
                await self.look()
            except StoreUnavailable as error:
                log.debug("diverter: %s", error)
            except Exception:  # one odd job must not keep all others in their lines
                log.exception("diverter: a look failed")

    async def look(self) -> int:
        """Move what can be moved now, of each line up to `LOOK_MOST` jobs; how many were."""
        moved = 0
        for model, left in self._left_alone().items():
            moved += await self._empty(model, left)
        return moved

    def _left_alone(self) -> dict[str, Left]:
        alive = self._watch.standing.alive
        if not alive:  # nobody is, or nobody knows
            return {}
        now = self._clock()
        self._served |= dict.fromkeys(alive, now)
        gone = {
            name: Left("nobody works for it", workers=False)
            for name, seen in self._served.items()
            if now - seen > NODE_TTL_S
        }
        broken = {name: Left(why, workers=True) for name, why in self._watch.broken.items()}
        return gone | broken

    def _serves(self, name: str) -> bool:
        standing = self._watch.standing
        return name in (standing.alive or ()) and name not in standing.shut

    async def _empty(self, name: str, left: Left) -> int:
        model = self._catalogue.get(name)
        if model is None:
            return 0
        first = self._from.pop(name, 0)
        waiting = await self._ledger.line_of(model.queue, first, LOOK_MOST)
        moved = 0
        for job in await self._ledger.summaries(waiting):
            moved += await self._move(job, left)
        if len(waiting) == LOOK_MOST:
            self._from[name] = first + len(waiting) - moved
        if moved:
            log.warning("%s jobs that waited for %s go elsewhere: %s", moved, name, left.why)
        return moved

    async def _move(self, job: Job, left: Left) -> bool:
        if job.streamed and self._keep_halves:
            return False  # no other model goes on with it
        for how in ways_on(job, left, self._serves):
            if await self._ledger.divert(job, how):
                return True
        return False
