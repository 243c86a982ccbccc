"""The calls that a model may be asked in a day."""

from collections.abc import Awaitable, Callable

from fleet.catalogue import Model
from fleet.errors import CapReached

#: Takes one call of a model out of so many: its number today, or 0 if none is left.
Spend = Callable[[str, int], Awaitable[int]]


class Allowance:
    """What `calls_per_day` leaves of today."""

    def __init__(self, model: Model, spend: Spend) -> None:
        self._name, self._allowed = model.name, model.calls_per_day
        self._spend = spend

    async def take(self) -> None:
        """Take one call, before it is made: a call that fails counts too.

        Raises:
            CapReached: none is left.
        """
        if self._allowed and not await self._spend(self._name, self._allowed):
            raise CapReached(f"the {self._allowed} calls of today are used up")
