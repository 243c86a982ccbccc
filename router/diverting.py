"""Jobs that wait for a model which nobody asks go to the next one of their plan."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping

from fleet.errors import StoreUnavailable
from fleet.job import Job
from fleet.last_words import last_words, not_asked
from fleet.ledger import Ledger
from fleet.names import NODE_TTL_S
from fleet.settings import Settings
from router.elsewhere import Left, all_failures, ways_on
from router.standing import EVERY_S, Watch

log = logging.getLogger(__name__)

#: Jobs of one line that are looked at in one go.
LOOK_MOST = 500
#: A job without a way on that is not seen for so long beyond its patience has left its line.
FORGOTTEN_S = 60.0


class Diverter:
    """Looks after the lines of models that are left alone, in every router.

    Those are the models whose breakers are open, and those without a living worker for so long
    that it is no restart. Any number of routers may look at once: a move is made where the job
    still stands as it was read. Coming back needs nothing: new plans name the model again.

    A job with no way on waits, for `[breaker] patience_s` if every server of its plan is left
    alone, and for as long as its deadline allows if one is loading, or lacks its workers.
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
        self._rounds = settings.fallback.rounds
        self._clock = clock
        #: When each model had a living worker last, as far as this process knows.
        self._served = {model.name: clock() for model in settings.catalogue.models}
        self._patience_s = settings.breaker.patience_s
        #: When a job was first seen to have no way on.
        self._stuck: dict[str, float] = {}
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
        left = self._left_alone()
        now, oldest = self._clock(), self._patience_s + FORGOTTEN_S
        self._stuck = {job: since for job, since in self._stuck.items() if now - since < oldest}
        return sum([await self._empty(model, left) for model in left])

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

    async def _empty(self, name: str, left: Mapping[str, Left]) -> int:
        model = self._catalogue.get(name)
        if model is None:
            return 0
        first = self._from.pop(name, 0)
        waiting = await self._ledger.line_of(model.queue, first, LOOK_MOST)
        moved = 0
        for job in await self._ledger.summaries(waiting):
            if job.model == name:
                moved += await self._move(job, left)
        if len(waiting) == LOOK_MOST:
            self._from[name] = first + len(waiting) - moved
        if moved:
            log.warning("%s jobs wait no more for %s: %s", moved, name, left[name].why)
        return moved

    async def _move(self, job: Job, left: Mapping[str, Left]) -> bool:
        kept = job.streamed and self._keep_halves  # no other model goes on with it
        ways = [] if kept else ways_on(job, left[job.model], self._serves, self._rounds)
        for how in ways:
            if await self._ledger.divert(job, how):
                return True
        if ways or not left[job.model].workers or self._watch.loading.intersection(job.plan):
            self._stuck.pop(job.id, None)
            return False
        return await self._end(job, left)

    async def _end(self, job: Job, left: Mapping[str, Left]) -> bool:
        """Say that nobody could answer, if that has been so for too long."""
        now = self._clock()
        if now - self._stuck.setdefault(job.id, now) < self._patience_s:
            return False
        tried, shut = all_failures(job, left), self._watch.standing.shut
        spent = [not_asked(name, shut[name]) for name in job.plan if name in shut]
        error = last_words(
            tried,
            self._catalogue,
            plan=job.plan,
            allowed=job.allowed,
            left_out=[*spent, *job.left_out],
        )
        await self._ledger.fail(job.id, error.as_dict(), tried=tried)
        return True
