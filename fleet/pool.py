"""A Celery pool that runs tasks as coroutines on one event loop.

A stream waits nearly all of its life, so a thread (or a process) for each is waste:
with this pool one worker process runs as many streams as its model's server has
slots. Celery's consumer keeps the main thread; the loop has a thread of its own.

An application says what to run by an attribute: `app.lifespan`, an async context
manager that yields a handler for each task name, `{"workers.run": run}`. A handler
takes the task's arguments and decides everything itself; what it raises is logged
and shown by Flower, and the message is acknowledged all the same, because the ledger
and not the message is what remembers a job.
"""

import asyncio
import gc
import logging
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any

import uvloop
from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool
from kombu.serialization import loads

log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[None]]
Lifespan = Callable[[], AbstractAsyncContextManager[Mapping[str, Handler]]]

#: Two threads share the interpreter: hand it over fast, or each token waits up to 5 ms.
SWITCH_INTERVAL_S = 0.00005


class AsyncioPool(BasePool):  # type: ignore[misc]
    """Runs tasks on one event loop; `limit` only says how many messages Celery may pull."""

    signal_safe = False
    body_can_be_buffer = True

    def on_start(self) -> None:
        """Start the loop and wait until the application's lifespan has begun."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._finished: deque[Callable[[], None]] = deque()
        # Celery's loop runs what a callback adds only after its next poll, up to a second
        # later. What a readable socket triggers comes before it: so that is our bell.
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._loop = uvloop.new_event_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._handlers: Mapping[str, Handler] = {}
        self._leave: Callable[[], Awaitable[Any]] | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="streams", daemon=True)
        self._thread.start()
        self._call(self._enter(self.app.lifespan))
        gc.collect()
        gc.freeze()  # what stays for ever need not be looked at again and again

    def on_stop(self) -> None:
        """Leave the lifespan (which ends or hands back what runs), then stop the loop."""
        if self._loop.is_closed():
            return
        self._call(self._exit())
        self._deliver()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._bell.close()
        self._ringer.close()

    on_terminate = on_stop

    def register_with_event_loop(self, loop: Any) -> None:
        """Acknowledgements must happen on Celery's own loop; called again after an outage."""
        loop.add_reader(self._bell.fileno(), self._answer)
        self._ring()

    def on_apply(
        self,
        target: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        callback: Callable[[Any], None] | None = None,
        accept_callback: Callable[[int, float], None] | None = None,
        **_: Any,
    ) -> None:
        """Start one task. `args` are those of Celery's `trace_task`."""
        name, _task_id, _request, body, content_type, content_encoding = args
        arguments = _arguments(body, content_type, content_encoding)
        self._loop.call_soon_threadsafe(self._begin, name, arguments, callback)
        if accept_callback:
            accept_callback(threading.get_ident(), time.monotonic())

    def _begin(self, name: str, arguments: list[Any], callback: Any) -> None:
        task = self._loop.create_task(self._one(name, arguments, callback))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _one(self, name: str, arguments: list[Any], callback: Any) -> None:
        started = time.monotonic()
        result: tuple[bool, Any, float]
        try:
            await self._handlers[name](*arguments)
            result = (False, None, time.monotonic() - started)
        except Exception:  # the last line of defence of a process
            log.exception("task %s failed", name)
            result = (True, ExceptionInfo(), time.monotonic() - started)
        if callback:
            self._finished.append(lambda: callback(result))
            if len(self._finished) == 1:
                self._ring()

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # then it rings already
            self._ringer.send(b".")

    def _answer(self, *_: Any) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)
        self._deliver()

    def _deliver(self) -> None:
        """On Celery's thread: acknowledge what has finished."""
        while self._finished:
            self._finished.popleft()()

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _enter(self, lifespan: Lifespan) -> None:
        stack = AsyncExitStack()
        self._handlers = await stack.enter_async_context(lifespan())
        self._leave = stack.aclose

    async def _exit(self) -> None:
        if self._leave:
            await self._leave()
        if self._running:
            await asyncio.wait(self._running, timeout=5)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        return info | {"streams": len(self._running)}


def _arguments(body: Any, content_type: str, content_encoding: str) -> list[Any]:
    """The positional arguments in a message: decoded already, or still as bytes."""
    if isinstance(body, str | bytes | memoryview):
        body = loads(body, content_type, content_encoding, accept={"json", "application/json"})
    arguments: list[Any] = body[0]
    return arguments
