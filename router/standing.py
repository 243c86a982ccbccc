"""How the fleet stands: who lives, and how long one job would wait for each model."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from fleet.breaker.reports import loading, shut
from fleet.errors import BreakerOpen, CapReached, StoreUnavailable
from fleet.job import Job
from fleet.ledger import Ledger
from fleet.outlook import Outlook
from fleet.process import living_nodes
from fleet.settings import Settings
from fleet.spend.book import Book
from fleet.waits import View
from router.plan import Standing

log = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY_S = 1.0


class Watch:
    """Keeps `standing` fresh while it runs; who waits is looked up for each job."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.standing = Standing()
        #: Models whose servers are left alone, each with the reason; those that are loading.
        self.broken: Mapping[str, str] = {}
        self.loading: frozenset[str] = frozenset()
        self._ledger = ledger
        self._catalogue = settings.catalogue
        self._book = Book(ledger.line, settings)
        self._outlook = Outlook(ledger.line)
        #: Jobs that this process has decided to send to each model, and those of them that stand
        #: in its line by now: the others are what a view does not see yet.
        self._decided: Counter[str] = Counter()
        self._written: Counter[str] = Counter()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                self.standing = await self._look()
            except StoreUnavailable:
                self.standing = Standing()
            except Exception:  # an odd report must not leave an old standing for good
                log.exception("how the fleet stands cannot be told")
                self.standing = Standing()
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> Standing:
        nodes = await living_nodes(self._ledger)
        alive = frozenset(n["model"] for n in nodes if isinstance(n.get("model"), str))
        self.broken, self.loading = shut(nodes), loading(nodes)
        spent = {name: CapReached(why) for name, why in (await self._book.used_up()).items()}
        left_alone = {name: BreakerOpen(why) for name, why in self.broken.items()}
        return Standing(alive, shut={**spent, **left_alone})

    async def for_job(self, job: Job) -> Callable[[], Standing]:
        """What gives the standing for one job, counting those that were sent since this call."""
        written = Counter(self._written)
        models = self._catalogue.only(job.allowed).enabled
        try:
            view = await self._outlook.view(job.id, job.priority, job.caller, models)
        except StoreUnavailable:
            return lambda: self.standing
        except Exception:  # an odd report must keep no job from its plan
            log.exception("job %s: how long it would wait cannot be told", job.id)
            return lambda: self.standing
        view = replace(view, undecided=0)  # this one is being decided
        return lambda: self._standing(view, written)

    def _standing(self, view: View, written: Counter[str]) -> Standing:
        """The last look, and what was seen of workers for this job: one may have come since."""
        standing = replace(self.standing, waits=self._waits(view, written))
        if standing.alive is None:
            return standing
        return replace(standing, alive=standing.alive.union(view.look.slots))

    def _waits(self, view: View, written: Counter[str]) -> dict[str, float]:
        waits = {
            model: view.wait_s(model, self._decided[model] - written[model])
            for model in view.places
        }
        return {model: wait for model, wait in waits.items() if wait is not None}

    def decided(self, model: str) -> None:
        """A job will be sent to that model, by this process."""
        self._decided[model] += 1

    def written(self, model: str) -> None:
        """That job stands in line, or went elsewhere."""
        self._written[model] += 1
