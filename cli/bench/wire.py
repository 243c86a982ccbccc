"""One HTTP/1.1 connection, cheap enough not to disturb what it measures."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import httptools

from fleet.errors import ConfigError

#: A server may be about to close a connection that was idle for longer (uvicorn: 5 s).
_FRESH_S = 2.0


class Place(NamedTuple):
    """Where a server listens."""

    host: str
    port: int
    #: Path that its base address has, without a slash at its end.
    path: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read an address.

        Raises:
            ConfigError: it is none, or one of a protocol that the bench does not speak.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ConfigError(f"{url!r}: the bench speaks http://HOST:PORT only")
        return cls(parts.hostname, parts.port or 80, parts.path.rstrip("/"))

    def request(self, method: str, path: str, body: bytes, *headers: str) -> bytes:
        """The bytes of a request."""
        lines = [
            f"{method} {self.path}{path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            *headers,
            *((f"Content-Length: {len(body)}",) if body else ()),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """A connection; carries one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[int] | None = None
        self._take: Callable[[bytes], None] = _ignore
        self._idle_since = time.monotonic()

    @classmethod
    async def open(cls, place: Place) -> "Connection":
        """Connect."""
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(cls, place.host, place.port))[1]

    @property
    def fresh(self) -> bool:
        """Whether another request may be sent on it."""
        transport = self._transport
        open_still = transport is not None and not transport.is_closing()
        return open_still and time.monotonic() - self._idle_since < _FRESH_S

    async def ask(self, request: bytes, take: Callable[[bytes], None]) -> int:
        """Send a request and hand its answer's body on as it comes. Gives the status.

        Raises:
            OSError: the connection broke before the answer's end.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        self._parser = httptools.HttpResponseParser(self)
        self._answer, self._take = asyncio.get_running_loop().create_future(), take
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer, self._take = None, _ignore

    def close(self) -> None:
        """Break it off."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by descent

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._broken(f"no HTTP: {error}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._broken(str(exc or "the connection was cut"))

    def on_body(self, data: bytes) -> None:
        """The parser found a part of the body."""
        self._take(data)

    def on_message_complete(self) -> None:
        """The parser found the end of the answer."""
        self._idle_since = time.monotonic()
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._parser.get_status_code())

    def _broken(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(why))


class Pool:
    """Connections to one place that are used again."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._idle: list[Connection] = []

    async def take(self) -> Connection:
        """The connection that was given back last, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.fresh:
                return connection
            connection.close()
        return await Connection.open(self._place)

    def give(self, connection: Connection) -> None:
        """Keep a connection whose answer came to its end."""
        self._idle.append(connection)

    def close(self) -> None:
        """Close all that are kept."""
        while self._idle:
            self._idle.pop().close()


def _ignore(data: bytes) -> None:
    """Nobody asked."""
