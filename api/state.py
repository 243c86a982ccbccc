"""What the API process holds while it lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request

from api.closing import Closing
from api.keyring import Keyring
from fleet.catalogue import Catalogue
from fleet.dispatch import Dispatcher
from fleet.keys import Keys
from fleet.ledger import Ledger, connect
from fleet.listener import Listener
from fleet.outlook import Outlook
from fleet.reader import Reader
from fleet.settings import Settings
from fleet.webhooks.outbox import Outbox

if TYPE_CHECKING:
    from api.embeddings.server import Embedder

#: A worker has text to write and waits; a caller would rather hear that Redis is away.
SILENT_FOR_S, CONNECT_S = 1.5, 1.0
#: While it is away, a request waits no longer than this to hear so.
HURRY_S = 0.1


@dataclass(frozen=True, slots=True)
class State:
    """The connections and settings that routes use."""

    settings: Settings
    ledger: Ledger
    reader: Reader
    closing: Closing
    outbox: Outbox
    #: The embedding models, by name.
    embedders: "dict[str, Embedder]"
    keyring: Keyring
    #: How long jobs would wait.
    outlook: Outlook


@asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[State]:
    """Connect; everything is given back at the end."""
    async with AsyncExitStack() as stack:
        line = connect(settings, silent_for_s=SILENT_FOR_S, connect_s=CONNECT_S, hurry_s=HURRY_S)
        stack.push_async_callback(line.aclose)
        dispatcher = Dispatcher(settings)
        ledger = Ledger(line, settings, dispatcher)
        outbox = Outbox(line, settings, dispatcher)
        listener = Listener(settings)
        await listener.start()
        stack.push_async_callback(listener.stop)
        closing = Closing()
        stack.enter_context(closing.heard())
        embedders = await stack.enter_async_context(_embedders(settings.catalogue))
        keyring = Keyring(Keys(line))
        stack.callback(asyncio.create_task(keyring.watch(), name="first-key").cancel)
        reader, outlook = Reader(ledger, listener), Outlook(line)
        yield State(settings, ledger, reader, closing, outbox, embedders, keyring, outlook)


@asynccontextmanager
async def _embedders(catalogue: Catalogue) -> AsyncIterator["dict[str, Embedder]"]:
    """The embedding models; a fleet without one does without their 6 MB."""
    if not catalogue.embedders:
        yield {}
        return
    from api.embeddings.server import open_embedders

    async with open_embedders(catalogue) as embedders:
        yield embedders


async def _state(request: Request) -> State:  # a plain function would cost a thread
    return cast(State, request.app.state.fleet)


Fleet = Annotated[State, Depends(_state)]
