"""The way of the tokens: a socket, a C parser for HTTP and nothing else.

Per token it costs a quarter of what a general client does (docs/performance.md). Every stream
has its own connection, because llama-server closes it after a streamed reply while it announces
the opposite. Closing it is what stops a server that keeps nothing.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from fleet.catalogue import Model
from fleet.errors import (
    ModelError,
    NotConnected,
    ServerFailed,
    ServerStalled,
    StreamCut,
    TryNext,
)
from fleet.events import Piece
from workers.backend import End, Step, Steps
from workers.chunks import ChatDecoder
from workers.sse import DataLines

#: An error body is read up to this many bytes, for so many seconds.
ERROR_BODY_MOST, ERROR_BODY_S = 65_536, 5.0
READ_SIZE = 65_536
#: What some say with a 200 where a stream was asked for.
NO_STREAMS = ("text/html", "application/json")
#: A connection made ahead is kept for so long, seconds.
SPARE_FOR_S = 1.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: The error for an error's body, status and headers.
ErrorOf = Callable[[Any, int, Mapping[str, str]], ModelError]


def _hang_up(spare: "asyncio.Task[Streams]") -> None:
    if not spare.cancelled() and spare.exception() is None:
        spare.result()[1].transport.abort()


class _Response:
    """Callbacks of httptools' parser."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.begun = False
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.begun = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True

    def feed(self, data: bytes) -> bytes:
        """The body bytes in `data`."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise StreamCut(f"The model's server sent no HTTP: {error}") from error
        body = bytes(self.body)
        self.body.clear()
        return body

    @property
    def status(self) -> int:
        return self.parser.get_status_code()


def _check_that_it_streams(response: _Response) -> None:
    """A page of some proxy, or a whole body, is no answer.

    Raises:
        ServerFailed: it says that it is no stream.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in NO_STREAMS:
        raise ServerFailed(f"The server answered 200 with {kind}, not with a stream; see its `url`")


def _step(parts: list[Piece | End], place: int) -> Step:
    last = parts[-1]
    if isinstance(last, End):
        return Step([part for part in parts if isinstance(part, Piece)], place, last)
    return Step(cast(list[Piece], parts), place)


class Reading:
    """How far an answer was read; it may go on in another connection."""

    def __init__(self, place: int, patience_s: float) -> None:
        self.decoder = ChatDecoder()
        #: The byte of the server's stream up to which all was heard.
        self.place = place
        #: How long the next chunk may take, and the timeout that says so.
        self.patience_s = patience_s
        self.timeout = "first_token_s"


class Upstream:
    """Connections to a model's server, and what is read from them."""

    def __init__(self, model: Model, error_of: ErrorOf, more_headers: str = "") -> None:
        self._model = model
        self._error_of = error_of
        parts = urlsplit(model.base_url)
        self.host, self.tls = parts.hostname or "127.0.0.1", parts.scheme == "https"
        self.port = parts.port or (443 if self.tls else 80)
        self.base = parts.path
        self._named = parts.netloc.rpartition("@")[2]
        key = f"Authorization: Bearer {model.api_key}\r\n" if model.api_key else ""
        #: Those that go with every request.
        self.headers = key + more_headers
        self._spare: asyncio.Task[Streams] | None = None

    def head(self, method: str, path: str, length: int = 0, more: str = "") -> bytes:
        """The head of a request."""
        return (
            f"{method} {self.base}{path} HTTP/1.1\r\nHost: {self._named}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n{more}"
            f"Accept: text/event-stream\r\nConnection: close\r\n{self.headers}\r\n"
        ).encode()

    async def read(self, opening: bytes, reading: Reading, *, kept: bool = False) -> Steps:
        """The steps of the stream that a request opens, to its announced end.

        Raises:
            StreamCut: it ended before. TryNext, Refused: as the server says.
        """
        decoder, now, heard = reading.decoder, asyncio.get_running_loop().time, True
        async with self._connection() as (reader, writer):
            writer.write(opening)
            response, lines, answered = _Response(), DataLines(reading.place), False
            while True:
                if heard:  # comments, as some send to hold a line, are no sign of an answer
                    until = now() + reading.patience_s
                data = response.feed(await self._read(reader, until, reading))
                if not response.begun:
                    continue
                if not answered:
                    if response.status != 200:
                        raise await self._refusal(reader, response, data, kept=kept)
                    _check_that_it_streams(response)
                    answered = True
                parts: list[Piece | End] = []
                payloads = lines.feed(data)
                heard = bool(payloads)
                for payload, after in payloads:
                    brought = decoder.decode(payload)
                    parts += brought
                    if brought or not decoder.ending:
                        reading.place = after  # whoever goes on here must still hear of the end
                if parts:
                    reading.patience_s = self._model.timeouts.between_tokens_s
                    reading.timeout = "between_tokens_s"
                    yield _step(parts, reading.place)
                if decoder.done:
                    return
                if response.complete:
                    raise StreamCut

    def prepare(self) -> None:
        """Connect ahead of a request that may follow in a moment."""
        if self._spare is None:
            self._spare = asyncio.create_task(self._connect())
            asyncio.get_running_loop().call_later(SPARE_FOR_S, self._drop_spare, self._spare)

    def close(self) -> None:
        """Hang up what was connected ahead."""
        if self._spare:
            self._drop_spare(self._spare)

    def _drop_spare(self, spare: "asyncio.Task[Streams]") -> None:
        """Close a connection that nobody came for: a server gives idle ones up by itself."""
        if self._spare is spare:
            self._spare = None
            spare.add_done_callback(_hang_up)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Streams]:
        spare, self._spare = self._spare, None
        reader, writer = await (spare or self._connect())
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _connect(self) -> Streams:
        """A connection; over TLS only to whoever has a certificate for that name."""
        try:
            async with asyncio.timeout(self._model.timeouts.connect_s):
                return await asyncio.open_connection(
                    self.host, self.port, ssl=self.tls or None, limit=READ_SIZE
                )
        except ssl.SSLCertVerificationError as error:
            raise NotConnected(
                f"the server of {self._model.name!r} is not trusted: {error.verify_message}"
            ) from error
        except (OSError, TimeoutError) as error:
            raise NotConnected(f"the server of {self._model.name!r} does not answer") from error

    async def _read(self, reader: asyncio.StreamReader, until: float, reading: Reading) -> bytes:
        """The next bytes. End of file is no end: only `[DONE]` is."""
        try:
            async with asyncio.timeout_at(until):
                data = await reader.read(READ_SIZE)
        except TimeoutError as error:
            raise ServerStalled(
                f"no token for {reading.patience_s:g} seconds (`{reading.timeout}`)"
            ) from error
        except OSError as error:
            raise StreamCut(f"the connection broke: {error}") from error
        if not data:
            raise StreamCut
        return data

    async def _refusal(
        self, reader: asyncio.StreamReader, response: _Response, body: bytes, *, kept: bool
    ) -> Exception:
        if kept:
            return StreamCut("The model's server does not go on with a kept stream.")
        reading = Reading(0, ERROR_BODY_S)
        until = asyncio.get_running_loop().time() + ERROR_BODY_S
        with suppress(TryNext):  # the end of the connection is an end here
            while not response.complete and len(body) < ERROR_BODY_MOST:
                body += response.feed(await self._read(reader, until, reading))
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        return self._error_of(told, response.status, response.headers)
