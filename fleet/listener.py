"""One pub/sub connection for a whole process, with any number of channels on it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fleet.errors import StoreUnavailable
from fleet.settings import Settings

log = logging.getLogger(__name__)

#: Called with a message's text, or with None when messages may have been missed.
Callback = Callable[[str | None], None]

#: A channel that is always subscribed, so that the connection is never without one.
_KEEP = "fleet:live:none"
PING_EVERY_S = 10.0
SILENT_FOR_S = 25.0


class Listener:
    """Delivers messages to callbacks; reconnects by itself and says when it did."""

    def __init__(self, settings: Settings) -> None:
        self._redis: Any = Redis.from_url(
            settings.redis_url,
            decode_responses=True,
            socket_connect_timeout=2,
            socket_keepalive=True,
            socket_timeout=None,
            protocol=2,
        )
        self._pubsub: Any = None
        self._callbacks: dict[str, list[Callback]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        #: Subscriptions to a channel that Redis has not confirmed yet.
        self._unconfirmed: Counter[str] = Counter()
        #: Channels that Redis has been asked for on the present connection.
        self._asked: set[str] = set()
        self._connected = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard = 0.0

    async def start(self) -> None:
        """Connect and begin to listen; returns at once if Redis is away, and keeps trying."""
        self._tasks = [
            asyncio.create_task(self._listen(), name="listener"),
            asyncio.create_task(self._ping(), name="listener-ping"),
        ]

    async def stop(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._pubsub is not None:
            await self._pubsub.aclose()
        await self._redis.aclose()

    async def add(self, channel: str, callback: Callback) -> None:
        """Deliver the channel's messages to `callback` from now on.

        When it returns, Redis has confirmed: no later message is missed in silence.

        Raises:
            StoreUnavailable: Redis does not confirm within two seconds.
        """
        callbacks = self._callbacks.setdefault(channel, [])
        callbacks.append(callback)
        confirmed = self._confirmed.setdefault(channel, asyncio.Event())
        try:
            async with asyncio.timeout(2):
                await self._connected.wait()
                if channel not in self._asked:
                    self._asked.add(channel)
                    self._unconfirmed[channel] += 1
                    await self._pubsub.subscribe(channel)
                await confirmed.wait()
        except (TimeoutError, RedisError, OSError) as error:
            await self.remove(channel, callback)
            raise StoreUnavailable from error
        except BaseException:  # whoever asked has gone
            await self.remove(channel, callback)
            raise

    async def remove(self, channel: str, callback: Callback) -> None:
        """Deliver no more to `callback`."""
        callbacks = self._callbacks.get(channel, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if callbacks or channel not in self._callbacks:
            return
        del self._callbacks[channel]
        self._confirmed.pop(channel, None)
        asked = channel in self._asked
        self._asked.discard(channel)
        try:
            if self._pubsub is not None and asked:
                await self._pubsub.unsubscribe(channel)
        except (RedisError, OSError) as error:
            log.debug("listener: unsubscribe failed with the connection: %s", error)

    async def _listen(self) -> None:
        pause = 0.05
        while True:
            try:
                await self._connect()
                pause = 0.05
                async for message in self._pubsub.listen():
                    self._deliver(message)
            except (RedisError, OSError) as error:
                log.warning("listener: lost Redis, connecting again: %s", error)
            self._connected.clear()
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def _connect(self) -> None:
        if self._pubsub is not None:
            await self._pubsub.aclose()
        self._pubsub = self._redis.pubsub()
        self._asked = set(self._callbacks)
        self._unconfirmed = Counter(self._asked)
        await self._pubsub.subscribe(_KEEP, *self._asked)
        self._heard = asyncio.get_running_loop().time()
        self._connected.set()
        for callbacks in list(self._callbacks.values()):
            for callback in list(callbacks):
                callback(None)

    def _deliver(self, message: dict[str, Any]) -> None:
        self._heard = asyncio.get_running_loop().time()
        kind, channel = message["type"], message["channel"]
        if kind == "message":
            for callback in tuple(self._callbacks.get(channel, ())):
                callback(message["data"])
        elif kind == "subscribe":
            self._unconfirmed[channel] -= 1
            if self._unconfirmed[channel] <= 0:
                del self._unconfirmed[channel]
                if channel in self._confirmed:
                    self._confirmed[channel].set()

    async def _ping(self) -> None:
        """A half-open connection says nothing and fails nothing: ask, and drop it if silent."""
        while True:
            await asyncio.sleep(PING_EVERY_S)
            if not self._connected.is_set():
                continue
            try:
                await self._pubsub.ping()
                if asyncio.get_running_loop().time() - self._heard > SILENT_FOR_S:
                    await self._pubsub.connection.disconnect()
            except (RedisError, OSError) as error:
                log.debug("listener: ping failed: %s", error)
