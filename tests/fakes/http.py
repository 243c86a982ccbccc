"""As much HTTP/1.1 as a model server speaks, with the standard library only.

A fake must be able to break a connection at any byte, which no web framework allows.
"""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

T = TypeVar("T")


class Gone(Exception):
    """The client went away before its reply had ended."""


@dataclass(frozen=True)
class Request:
    """One request, with its whole body."""

    method: str
    path: str
    query: dict[str, str]
    #: Names in lower case.
    headers: dict[str, str]
    body: bytes


class Exchange:
    """One request and the means to answer it, properly or not."""

    #: No answer goes on when the connection it is written to is cut.
    outlives = False

    def __init__(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: str,
    ) -> None:
        self.request = request
        self.closing = request.headers.get("connection", "").lower() == "close"
        self._reader = reader
        self._writer = writer
        self._server = server

    async def reply(
        self,
        status: int,
        body: object,
        *,
        kind: str = "application/json; charset=utf-8",
        headers: dict[str, str] | None = None,
    ) -> None:
        """A whole reply: JSON, or text as it is. After an error the connection closes."""
        text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))
        data = text.encode()
        self.closing = self.closing or status >= 400
        self._head(status, {"Content-Type": kind, "Content-Length": len(data), **(headers or {})})
        await self._send(data)

    async def begin(self, headers: dict[str, str] | None = None) -> None:
        """The head of a streamed reply. The connection will close after it, unannounced."""
        streaming = {"X-Accel-Buffering": "no", "Content-Type": "text/event-stream"}
        self._head(200, {**streaming, "Transfer-Encoding": "chunked", **(headers or {})})
        self.closing = True
        await self._send(b"")

    async def chunk(self, data: bytes) -> None:
        """One chunk of a streamed reply; returns when the system has taken it."""
        await self._send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        """The proper end of a streamed reply's body."""
        await self._send(b"0\r\n\r\n")

    def drop(self, *, reset: bool = False) -> None:
        """Close the connection here and now: as a killed process does, or with a reset."""
        self.closing = True
        if reset:
            sock: socket.socket = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()

    def give_up(self) -> None:
        """Close the connection to a client that has left, with whatever was not yet sent."""
        self.closing = True
        self._writer.transport.abort()

    async def unless_gone(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` while the client is there.

        Only for what closes the connection or sends nothing: bytes that arrive meanwhile are lost.

        Raises:
            Gone: as soon as the client is not there any more; `work` is cancelled.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._client_leaves())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Gone
            return working.result()
        except ConnectionError:
            raise Gone from None
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    async def _client_leaves(self) -> None:
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    def _head(self, status: int, headers: dict[str, Any]) -> None:
        last = {"Connection": "close"} if self.closing else {"Keep-Alive": "timeout=5, max=100"}
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", f"Server: {self._server}"]
        lines += [f"{name}: {value}" for name, value in {**headers, **last}.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


Handler = Callable[[Exchange], Awaitable[None]]


async def serve(
    handler: Handler, *, host: str, port: int, server: str, tls: ssl.SSLContext | None = None
) -> None:
    """Listen, say where on stdout, and answer until the process is ended."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # With no buffer of its own, `drain` waits for the client: a slow one slows the stream.
        writer.transport.set_write_buffer_limits(high=0)
        try:
            while (request := await _read_request(reader)) is not None:
                exchange = Exchange(request, reader, writer, server)
                await handler(exchange)
                if exchange.closing:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it left in the middle of a request, or of a short reply
        finally:
            writer.close()

    listener = await asyncio.start_server(connection, host, port, backlog=1024, ssl=tls)
    print(f"listening on {host}:{listener.sockets[0].getsockname()[1]}", flush=True)
    async with listener:
        await listener.serve_forever()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    url = urlsplit(target)
    body = await _read_body(reader, headers)
    return Request(method, url.path, dict(parse_qsl(url.query)), headers, body)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)
