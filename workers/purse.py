"""Asking a model that costs money: what it may cost is set aside before, what it has cost is
counted after, however the answer ends.
"""

from contextlib import aclosing

from fleet.catalogue import Model
from fleet.errors import NotConnected
from fleet.insist import insist
from fleet.job import Job
from fleet.settings import Settings
from fleet.spend.book import Book
from workers.backend import Steps
from workers.bill import Bill


class Purse:
    """What pays for the calls of one model."""

    def __init__(self, model: Model, book: Book, settings: Settings) -> None:
        self._model, self._book, self._spend = model, book, settings.spend

    @property
    def hold_ms(self) -> int:
        """How long what is set aside stands without a sign of life."""
        return self._book.hold_ms

    def bill(self, job: Job) -> Bill:
        """An empty one for this attempt."""
        return Bill(job, self._model, self._spend)

    async def reserve(self, bill: Bill) -> None:
        """Set aside what the call may cost, before it is made.

        Raises:
            CapReached: a cap has no room for it; a model that costs nothing may go on.
        """
        await insist(lambda: self._book.reserve(bill.hold))

    async def paid(self, bill: Bill, steps: Steps) -> Steps:
        """The same steps, noted."""
        bill.called = True
        async with aclosing(steps):
            try:
                async for step in steps:
                    bill.note(step)
                    yield step
            except NotConnected:
                bill.called = False
                raise

    async def settle(self, job: Job, bill: Bill) -> None:
        """Put what the call has cost in the place of what was set aside."""
        cost = bill.cost_usd
        await insist(lambda: self._book.settle(job.id, bill.hold, cost, called=bill.called))
