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
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import uvloop
from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool
from celery.worker import state
from celery.worker.strategy import default as default_strategy
from kombu.serialization import loads

log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[None]]
Lifespan = Callable[[], AbstractAsyncContextManager[Mapping[str, Handler]]]

#: Two threads share the interpreter: hand it over fast, or each token waits up to 5 ms.
SWITCH_INTERVAL_S = 0.00005


@dataclass(slots=True, eq=False)
class Call:
    """One task on its way. Celery's callback and the result come in either order."""

    name: str
    arguments: list[Any]
    callback: Callable[[Any], None] | None = None
    #: Whether it failed, what Celery shows of it, seconds.
    result: tuple[bool, Any, float] | None = None


class AsyncioPool(BasePool):  # type: ignore[misc]
    """Runs tasks on one event loop; `limit` only says how many messages Celery may pull."""

    signal_safe = False
    body_can_be_buffer = True

    def on_start(self) -> None:
        """Start the loop and wait until the application's lifespan has begun."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._begun: dict[str, Call] = {}
        self._finished: deque[Call] = deque()
        self._tying = threading.Lock()
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
        self._begin_lifespan()
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

    def begin(self, name: str, task_id: str, body: Any, content: tuple[str, str]) -> None:
        """Start a task as soon as its message is in hand; `on_apply` follows in a moment."""
        call = Call(name, _arguments(body, *content))
        self._begun[task_id] = call
        self._loop.call_soon_threadsafe(self._start, call)

    def forget(self, task_id: str) -> None:
        """Celery has not passed on a task that has begun; it ends without a callback."""
        self._begun.pop(task_id, None)

    def on_apply(
        self,
        target: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        callback: Callable[[Any], None] | None = None,
        accept_callback: Callable[[int, float], None] | None = None,
        **_: Any,
    ) -> None:
        """Tie Celery's record of a task to the call. `args` are those of `trace_task`."""
        name, task_id, _request, body, *content = args
        if task_id not in self._begun:
            self.begin(name, task_id, body, (content[0], content[1]))
        call = self._begun.pop(task_id)
        if accept_callback:
            accept_callback(threading.get_ident(), time.monotonic())
        with self._tying:
            call.callback = callback
            ended = call.result is not None
        if ended:
            self._finish(call)

    def _start(self, call: "Call") -> None:
        task = self._loop.create_task(self._one(call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _one(self, call: "Call") -> None:
        started = time.monotonic()
        failed, value = False, None
        try:
            await self._handlers[call.name](*call.arguments)
        except Exception:  # the last line of defence of a process
            log.exception("task %s failed", call.name)
            failed, value = True, ExceptionInfo()
        with self._tying:
            call.result = (failed, value, time.monotonic() - started)
            tied = call.callback is not None
        if tied:
            self._finish(call)

    def _finish(self, call: "Call") -> None:
        self._finished.append(call)
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
            call = self._finished.popleft()
            if call.callback:
                call.callback(call.result)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _begin_lifespan(self) -> None:
        """Wait for the lifespan's beginning, but not deaf to a signal to stop."""
        entering = asyncio.run_coroutine_threadsafe(self._enter(self.app.lifespan), self._loop)
        while True:
            try:
                entering.result(timeout=0.2)
                return
            except FutureTimeout:
                state.maybe_shutdown()

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
    """The positional arguments in a message: decoded already, or still as bytes.

    A body that is no task's has none; its handler then fails, and the message is gone.
    """
    if isinstance(body, str | bytes | memoryview):
        body = loads(body, content_type, content_encoding, accept={"json", "application/json"})
    arguments = body[0] if isinstance(body, list | tuple) and body else None
    return list(arguments) if isinstance(arguments, list | tuple) else []


def begin_at_once(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """A task strategy (`Task.Strategy`): start the task, then do Celery's own bookkeeping.

    Celery makes a request object, checks revocations and tells Flower before it hands a
    task to the pool: a third of a millisecond in which the task could have begun. A
    message that Celery then finds fault with has begun all the same; what may run and
    what may not is decided by the ledger.
    """
    book = default_strategy(task, app, consumer, **options)
    pool = consumer.pool

    def received(message: Any, body: Any, *rest: Any, **more: Any) -> Any:
        if body is None:
            content = (message.content_type, message.content_encoding)
            pool.begin(task.name, message.headers["id"], message.body, content)
        try:
            return book(message, body, *rest, **more)
        except (ValueError, TypeError):  # whoever wrote it, it must not end the worker
            log.exception("a message that calls no task was dropped")
            message.reject()
            return None
        finally:
            pool.forget(message.headers["id"])

    return received
