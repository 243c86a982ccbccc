"""What a process that delivers webhooks holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fleet.settings import Settings
from fleet.webhooks.outbox import Outbox
from router.webhooks.deliverer import Deliverer
from router.webhooks.resolver import Resolver
from router.webhooks.sender import Sender


@asynccontextmanager
async def delivering(outbox: Outbox, settings: Settings) -> AsyncIterator[Deliverer]:
    """Deliver until the process ends."""
    async with AsyncExitStack() as stack:
        resolver = Resolver()
        stack.callback(resolver.close)
        sender = Sender(settings.webhooks, resolver)
        stack.push_async_callback(sender.aclose)
        deliverer = Deliverer(outbox, sender, settings.webhooks)
        stack.push_async_callback(deliverer.drain)
        stack.callback(asyncio.create_task(deliverer.run(), name="webhooks").cancel)
        yield deliverer
