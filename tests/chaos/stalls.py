"""The harness measures with its own loop: when that stands still, what it measures is no figure."""

import asyncio
import time

from tests.chaos.history import Fault

EVERY_S = 0.05
#: A longer pause than this is a stall.
STALL_S = 0.2


async def watch(found: list[Fault]) -> None:
    """Note every stall of this loop, until cancelled."""
    while True:
        began = time.time()
        await asyncio.sleep(EVERY_S)
        if time.time() - began > EVERY_S + STALL_S:
            found.append(Fault("stall", "the harness", began, time.time()))
