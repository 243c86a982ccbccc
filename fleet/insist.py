"""Making a move until Redis has taken it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fleet.errors import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Pause before a move that Redis did not take is tried again, seconds: first and longest.
FIRST_S, MOST_S = 0.05, 1.0


async def insist(move: Callable[[], Awaitable[T]]) -> T:
    """Make a move, and again until Redis has answered. Only for moves that bear repeating."""
    pause = FIRST_S
    while True:
        try:
            return await move()
        except StoreUnavailable as error:
            log.warning("Redis does not take a move, trying again: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, MOST_S)
