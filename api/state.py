"""What the API process holds while it lives."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from fleet.dispatch import Dispatcher
from fleet.ledger import Ledger, connect
from fleet.listener import Listener
from fleet.reader import Reader
from fleet.settings import Settings


@dataclass(frozen=True, slots=True)
class State:
    """The connections and settings that routes use."""

    settings: Settings
    ledger: Ledger
    reader: Reader


@asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[State]:
    """Connect; everything is given back at the end."""
    async with AsyncExitStack() as stack:
        line = connect(settings)
        stack.push_async_callback(line.aclose)
        ledger = Ledger(line, settings, Dispatcher(settings))
        listener = Listener(settings)
        await listener.start()
        stack.push_async_callback(listener.stop)
        yield State(settings, ledger, Reader(ledger, listener))


async def _state(request: Request) -> State:  # a plain function would cost a thread
    return cast(State, request.app.state.fleet)


Fleet = Annotated[State, Depends(_state)]
