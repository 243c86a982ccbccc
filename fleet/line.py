"""One connection to Redis for all coroutines of a process.

Commands go out as they come and answers come back in order, so a process needs one
connection, no pool and no waiting for a free one: a call costs a third of the CPU of
the general client, and commands of many streams share packets. The bytes are packed
and parsed by hiredis. Pub/sub has a connection of its own (`fleet/listener.py`).

A call that Redis does not answer in time breaks the connection, and with it every call
under way: none of them may be taken for done or for undone, so every script that we
send bears being sent again.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis
from redis import exceptions as refusals
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url

CONNECT_TIMEOUT_S = 2.0
#: Redis has been silent for so long, with a call under way: it is taken for gone.
SILENT_FOR_S = 5.0
NO_WORD = "no word from it in time"


class Line:
    """Calls Redis; connects when needed, and again after an outage.

    A Redis that is dead refuses at once; one that hangs lets its callers wait for
    `silent_for_s`. Once it is known to hang, a call waits for `hurry_s` only (None: for
    as long as the next try to connect takes), while that try goes on.

    Raises:
        ValueError: the address is none.
    """

    def __init__(
        self,
        url: str,
        *,
        silent_for_s: float = SILENT_FOR_S,
        connect_s: float = CONNECT_TIMEOUT_S,
        hurry_s: float | None = None,
    ) -> None:
        self._address: dict[str, Any] = dict(parse_url(url))
        self._silent_for_s, self._connect_s, self._hurry_s = silent_for_s, connect_s, hurry_s
        #: Whether Redis did not answer, or let us in, in time when it was last asked.
        self._hangs = False
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None

    async def call(self, *command: str | int | float | bytes) -> Any:
        """One command; its answer, with text decoded.

        Raises:
            redis.exceptions.ResponseError: Redis refused it (`NoScriptError`: it has
                forgotten a script).
            redis.exceptions.ConnectionError: Redis is away. If only the connection was
                lost, the command has been sent a second time before.
        """
        try:
            return await (await self._ready()).send(command)
        except refusals.ConnectionError:
            return await (await self._ready()).send(command)

    async def calls(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Several commands at once; their answers. Raises as `call` does, without a second try."""
        wire = await self._ready()
        return await asyncio.gather(*(wire.send(command) for command in commands))

    async def aclose(self) -> None:
        """Hang up."""
        if self._connecting:
            self._connecting.cancel()
        if self._wire:
            self._wire.hang_up()
            self._wire = None

    async def _ready(self) -> "_Wire":
        wire = self._wire
        if wire is not None and not wire.lost:
            return wire
        if wire is not None and wire.silent:
            self._wire, self._hangs = None, True
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._attempt(), name="redis-connect")
            self._connecting.add_done_callback(_heard)
        try:
            async with asyncio.timeout(self._hurry_s if self._hangs else None):
                return await asyncio.shield(self._connecting)
        except TimeoutError as error:
            raise refusals.ConnectionError(NO_WORD) from error

    async def _attempt(self) -> "_Wire":
        """One try to connect, for all who wait."""
        try:
            async with asyncio.timeout(self._connect_s):
                self._wire = await self._connect()
        except OSError as error:  # TimeoutError is one
            self._hangs = isinstance(error, TimeoutError)
            raise refusals.ConnectionError(str(error) or NO_WORD) from error
        self._hangs = False
        return self._wire

    async def _connect(self) -> "_Wire":
        loop, address = asyncio.get_running_loop(), self._address

        def new() -> _Wire:
            return _Wire(self._silent_for_s)

        if address.get("connection_class") is UnixDomainSocketConnection:
            _, wire = await loop.create_unix_connection(new, address["path"])
        else:
            host, port = address.get("host", "127.0.0.1"), address.get("port", 6379)
            _, wire = await loop.create_connection(new, host, port, ssl=_tls(address))
        try:
            if password := address.get("password"):
                user = address.get("username")
                await wire.send(("AUTH", user, password) if user else ("AUTH", password))
            if db := address.get("db"):
                await wire.send(("SELECT", db))
        except BaseException:
            wire.hang_up()
            raise
        return wire


def _heard(connecting: "asyncio.Task[_Wire]") -> None:
    """Whoever waited may have gone; how the try has ended is told to the next one."""
    if not connecting.cancelled():
        connecting.exception()


def _tls(address: dict[str, Any]) -> ssl.SSLContext | None:
    if address.get("connection_class") is not SSLConnection:
        return None
    context = ssl.create_default_context(cafile=address.get("ssl_ca_certs"))
    if address.get("ssl_cert_reqs") in ("none", "CERT_NONE"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate := address.get("ssl_certfile"):
        context.load_cert_chain(certificate, address.get("ssl_keyfile"))
    return context


def _refusal(text: str) -> refusals.RedisError:
    if text.startswith("READONLY"):
        return refusals.ReadOnlyError(text)
    if text.startswith("NOSCRIPT"):
        return refusals.NoScriptError(text)
    if text.startswith(("NOAUTH", "WRONGPASS")):
        return refusals.AuthenticationError(text)
    return refusals.ResponseError(text)


class _Wire(asyncio.Protocol):
    """The bytes of one connection."""

    def __init__(self, silent_for_s: float) -> None:
        self.lost = False
        #: Lost because Redis said nothing for too long.
        self.silent = False
        self._silent_for_s = silent_for_s
        self._reader = hiredis.Reader(
            encoding="utf-8",
            errors="replace",
            replyError=_refusal,
            protocolError=refusals.InvalidResponse,
        )
        self._transport: asyncio.Transport
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None

    def send(self, command: Sequence[Any]) -> "asyncio.Future[Any]":
        """Send a command; the future brings its answer."""
        future = self._loop.create_future()
        if self.lost:
            future.set_exception(refusals.ConnectionError("Redis has closed the connection"))
            return future
        self._waiting.append((future, self._loop.time()))
        self._transport.write(_packed(command))
        if self._watch is None:
            self._watch = self._loop.call_later(self._silent_for_s, self._look)
        return future

    def hang_up(self) -> None:
        """Close; calls under way fail."""
        self._transport.abort()
        self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio: pass each answer to the call that waits for it."""
        reader = self._reader
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not False:
                future, _ = self._waiting.popleft()
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                    if isinstance(answer, refusals.ReadOnlyError):
                        self.hang_up()  # it is a replica now: look up the address again
                        return
                else:
                    future.set_result(answer)
        except (refusals.InvalidResponse, IndexError):  # bytes that are no answer, or one too many
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio: whatever was under way has an unknown end."""
        self.lost = True
        if self._watch:
            self._watch.cancel()
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(refusals.ConnectionError("Redis has closed the connection"))

    def _look(self) -> None:
        """Is the oldest call under way for too long?"""
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0][1] + self._silent_for_s - self._loop.time()
        if left <= 0:
            self.silent = True
            self.hang_up()
        else:
            self._watch = self._loop.call_later(left, self._look)


def _packed(command: Sequence[Any]) -> bytes:
    try:
        packed: bytes = hiredis.pack_command(tuple(command))
    except UnicodeEncodeError:  # half of a surrogate pair in a model's text
        packed = hiredis.pack_command(tuple(_replaced(part) for part in command))
    return packed


def _replaced(part: Any) -> Any:
    return part.encode("utf-8", "replace") if isinstance(part, str) else part
