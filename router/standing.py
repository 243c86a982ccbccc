"""How the fleet stands, looked up every now and then: who lives, how long one would wait."""

import asyncio
import logging
from collections.abc import Mapping

from fleet.breaker.reports import loading, shut
from fleet.errors import StoreUnavailable
from fleet.ledger import Ledger
from fleet.process import living_nodes
from fleet.settings import Settings
from fleet.spend.book import Book
from fleet.spend.sheet import ALL, of_model, used_up
from router.plan import Standing

log = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY_S = 1.0


class Watch:
    """Keeps `standing` fresh while it runs."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self.standing = Standing()
        #: Models whose servers are left alone, each with the reason; those that are loading.
        self.broken: Mapping[str, str] = {}
        self.loading: frozenset[str] = frozenset()
        self._ledger = ledger
        self._catalogue = settings.catalogue
        self._book, self._spend = Book(ledger.line, settings), settings.spend

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
        models = self._catalogue.enabled
        slots: dict[str, int] = {}
        nodes = await living_nodes(self._ledger)
        for node in nodes:
            name, count = node.get("model"), node.get("slots")
            if isinstance(name, str) and isinstance(count, int):
                slots[name] = slots.get(name, 0) + count
        waiting = await self._ledger.jobs_waiting([model.queue for model in models])
        paces = await self._ledger.paces()
        waits = {
            model.name: jobs * paces.get(model.name, 0.0) / max(1, slots.get(model.name, 1))
            for model, jobs in zip(models, waiting, strict=True)
        }
        self.broken, self.loading = shut(nodes), loading(nodes)
        return Standing(frozenset(slots), waits, await self._used_up() | self.broken)

    async def _used_up(self) -> dict[str, str]:
        """The models of which no call may be made any more today."""
        scopes = [of_model(model.name) for model in self._catalogue.enabled if model.paid]
        if not scopes:
            return {}
        today = await self._book.today(ALL, *scopes)
        return used_up(today.sheet, self._catalogue, self._spend)
