"""The reaper: in every router and worker process, so that one of them is always there."""

import asyncio
import logging
import random

from fleet.errors import StoreUnavailable
from fleet.ledger import Ledger
from fleet.webhooks.outbox import Outbox

log = logging.getLogger(__name__)

#: Seconds between two looks of one process.
EVERY_S = 0.5


async def reap_for_ever(ledger: Ledger, outbox: Outbox) -> None:
    """Look for jobs, and for webhooks, that were left alone, again and again."""
    while True:
        await asyncio.sleep(EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311 - only to spread
        try:
            found = await ledger.reap()
            await outbox.wake()
        except StoreUnavailable as error:
            log.debug("reaper: %s", error)
            continue
        except Exception:  # one odd job must not leave all the others alone
            log.exception("reaper: a look failed")
            continue
        if found:
            log.info("reaper: took care of %s", ", ".join(found))
