"""A llama-server (or any server of OpenAI's chat completions) as a backend.

The way of the tokens is a socket, a C parser for HTTP and nothing else: per token it
costs a quarter of what a general client does (docs/performance.md). Every stream has
its own connection, because llama-server closes it after a streamed reply while it
announces the opposite; and closing it is what frees the server's slot.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httptools
import httpx

from fleet.catalogue import Model
from fleet.errors import ServerStalled, ServerUnreachable, StreamCut, TryNext
from workers.backend import End, Piece
from workers.chunks import ChatDecoder, error_of
from workers.sse import DataLines

#: An error body is read up to this many bytes.
ERROR_BODY_MOST = 65_536
READ_SIZE = 65_536


#: A connection made ahead is kept for so long, seconds.
SPARE_FOR_S = 1.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _hang_up(spare: "asyncio.Task[Streams]") -> None:
    if not spare.cancelled() and spare.exception() is None:
        spare.result()[1].transport.abort()


class _Response:
    """Callbacks of httptools' parser."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.begun = False
        self.complete = False

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


class LlamaServer:
    """One llama-server. `request` is `JobRequest.for_model()`; always asked to stream."""

    def __init__(self, model: Model) -> None:
        self._model = model
        parts = urlsplit(model.base_url)
        self._host, self._tls = parts.hostname or "127.0.0.1", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._path = f"{parts.path}/v1/chat/completions"
        key = os.environ.get(model.api_key_env, "") if model.api_key_env else ""
        self._authorization = f"Authorization: Bearer {key}\r\n" if key else ""
        self._spare: asyncio.Task[Streams] | None = None
        self._control = httpx.AsyncClient(base_url=model.base_url, timeout=2.0)

    async def stream(self, request: dict[str, Any]) -> AsyncGenerator[list[Piece | End]]:
        """See `Backend.stream`."""
        payload = json.dumps(self._body(request), separators=(",", ":")).encode()
        async with self._connection() as (reader, writer):
            writer.write(self._head(len(payload)) + payload)
            response, lines, decoder = _Response(), DataLines(), ChatDecoder()
            patience = self._model.timeouts.first_token_s
            while not decoder.done:
                data = response.feed(await self._read(reader, patience))
                if not response.begun:
                    continue
                if response.status != 200:
                    raise await self._refusal(reader, response, data)
                pieces = [p for line in lines.feed(data) for p in decoder.decode(line)]
                if pieces:
                    patience = self._model.timeouts.between_tokens_s
                    yield pieces
                elif response.complete:
                    raise StreamCut

    def prepare(self) -> None:
        """See `Backend.prepare`: connect while the job is being claimed."""
        if self._spare is None:
            self._spare = asyncio.create_task(self._connect())
            asyncio.get_running_loop().call_later(SPARE_FOR_S, self._drop, self._spare)

    def _drop(self, spare: "asyncio.Task[Streams]") -> None:
        """Close a connection that nobody came for: a server gives idle ones up by itself."""
        if self._spare is spare:
            self._spare = None
            spare.add_done_callback(_hang_up)

    async def state(self) -> str:
        """See `Backend.state`; `GET /health` says 503 while the model loads."""
        try:
            answer = await self._control.get("/health")
        except httpx.HTTPError:
            return "down"
        return {200: "ok", 503: "loading"}.get(answer.status_code, "unknown")

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        if self._spare:
            self._drop(self._spare)
        await self._control.aclose()

    def _body(self, request: dict[str, Any]) -> dict[str, Any]:
        most = self._model.max_tokens
        wanted = min(request.get("max_tokens") or most, most)
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        named = {"model": self._model.model} if self._model.model else {}
        return {**request, **named, **usage, "max_tokens": wanted}

    def _head(self, length: int) -> bytes:
        return (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n"
            f"Accept: text/event-stream\r\nConnection: close\r\n{self._authorization}\r\n"
        ).encode()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Streams]:
        spare, self._spare = self._spare, None
        reader, writer = await (spare or self._connect())
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _connect(self) -> Streams:
        try:
            async with asyncio.timeout(self._model.timeouts.connect_s):
                return await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls or None, limit=READ_SIZE
                )
        except (OSError, TimeoutError) as error:
            raise ServerUnreachable(f"nothing answers at {self._model.base_url}") from error

    async def _read(self, reader: asyncio.StreamReader, patience: float) -> bytes:
        """The next bytes. End of file is no end: only `[DONE]` is."""
        try:
            async with asyncio.timeout(patience):
                data = await reader.read(READ_SIZE)
        except TimeoutError as error:
            raise ServerStalled(f"no token for {patience:g} seconds") from error
        except OSError as error:
            raise StreamCut(f"the connection broke: {error}") from error
        if not data:
            raise StreamCut
        return data

    async def _refusal(
        self, reader: asyncio.StreamReader, response: _Response, body: bytes
    ) -> Exception:
        with suppress(TryNext):  # the end of the connection is an end here
            while not response.complete and len(body) < ERROR_BODY_MOST:
                body += response.feed(await self._read(reader, 5.0))
        try:
            return error_of(json.loads(body), response.status)
        except ValueError:
            return error_of(None, response.status)
