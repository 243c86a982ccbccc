"""A llama-server (or any server of OpenAI's chat completions) as a backend.

The way of the tokens is a socket, a C parser for HTTP and nothing else: per token it
costs a quarter of what a general client does (docs/performance.md). Every stream has
its own connection, because llama-server closes it after a streamed reply while it
announces the opposite. A server that keeps generations (`X-Conversation-Id`) goes on
when the connection is gone: another process may read on, and only `drop` stops it.
Elsewhere closing the connection is what frees the server's slot.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from fleet.catalogue import Model
from fleet.errors import ServerStalled, ServerUnreachable, StreamCut, TryNext
from fleet.events import Piece
from fleet.hosts import is_loopback
from workers.backend import End, Step, Steps
from workers.chunks import ChatDecoder, error_of
from workers.control import Control
from workers.insisting import insisting
from workers.sse import DataLines

#: An error body is read up to this many bytes.
ERROR_BODY_MOST = 65_536
READ_SIZE = 65_536


#: llama-server keeps the last so many bytes of a stream.
KEPT_BYTES = 4 * 1024 * 1024
#: Connections that may break, one after the other without news, before a kept stream is lost.
BREAKS_MOST = 3
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


def _step(parts: list[Piece | End], place: int) -> Step:
    last = parts[-1]
    if isinstance(last, End):
        return Step([part for part in parts if isinstance(part, Piece)], place, last)
    return Step(cast(list[Piece], parts), place)


class LlamaServer:
    """One llama-server. `request` is `JobRequest.for_model()`; always asked to stream."""

    continues = True

    def __init__(self, model: Model) -> None:
        self._model = model
        parts = urlsplit(model.base_url)
        self._host, self._tls = parts.hostname or "127.0.0.1", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._base = parts.path
        self._authorization = f"Authorization: Bearer {model.api_key}\r\n" if model.api_key else ""
        self._spare: asyncio.Task[Streams] | None = None
        self._control = Control(
            self._host,
            self._port,
            tls=self._tls,
            headers=self._authorization,
            patience_s=model.timeouts.connect_s,
        )
        #: Whether it keeps generations; None: not known yet.
        self._keeps: bool | None = None if model.resume else False
        here = f"{socket.gethostname()} " if is_loopback(self._host) else ""
        self._name = here + model.base_url

    @property
    def server(self) -> str:
        """See `Backend.server`."""
        return self._name if self._keeps else ""

    def stream(self, request: dict[str, Any], generation: str = "") -> Steps:
        """See `Backend.stream`."""
        payload = json.dumps(self._body(request), separators=(",", ":")).encode()
        named = f"X-Conversation-Id: {generation}\r\n" if generation else ""
        posted = self._head("POST", "/v1/chat/completions", len(payload), named) + payload
        return self._following(posted, generation, 0)

    async def attach(self, generation: str, place: int) -> Steps | None:
        """See `Backend.attach`."""
        if not await self._has(generation, place):
            return None
        asked = self._asking_for(generation, place)
        return self._following(asked, generation, place, kept=True)

    async def drop(self, generation: str) -> None:
        """See `Backend.drop`."""
        await self._control.ask("DELETE", f"{self._base}/v1/stream?conv_id={generation}")

    async def _following(
        self, opening: bytes, generation: str, place: int, *, kept: bool = False
    ) -> Steps:
        """The steps of a stream; a kept one goes on after a connection that breaks."""
        decoder, breaks = ChatDecoder(), 0
        patience = self._model.timeouts.first_token_s
        while True:
            try:
                async with self._connection() as (reader, writer):
                    writer.write(opening)
                    response, lines = _Response(), DataLines(place)
                    while True:
                        data = response.feed(await self._read(reader, patience))
                        if not response.begun:
                            continue
                        if response.status != 200:
                            raise await self._refusal(reader, response, data, kept=kept)
                        parts: list[Piece | End] = []
                        for payload, after in lines.feed(data):
                            brought = decoder.decode(payload)
                            parts += brought
                            if brought or not decoder.ending:
                                place = after  # whoever goes on here must still hear of the end
                        if parts:
                            breaks, patience = 0, self._model.timeouts.between_tokens_s
                            yield _step(parts, place)
                        if decoder.done:
                            return
                        if response.complete:
                            raise StreamCut
            except StreamCut:
                breaks += 1
                if not generation or breaks > BREAKS_MOST or not await self._has(generation, place):
                    raise
                opening, kept = self._asking_for(generation, place), True

    def prepare(self) -> None:
        """See `Backend.prepare`: connect while the job is being claimed."""
        if self._spare is None:
            self._spare = asyncio.create_task(self._connect())
            asyncio.get_running_loop().call_later(SPARE_FOR_S, self._drop_spare, self._spare)

    def _drop_spare(self, spare: "asyncio.Task[Streams]") -> None:
        """Close a connection that nobody came for: a server gives idle ones up by itself."""
        if self._spare is spare:
            self._spare = None
            spare.add_done_callback(_hang_up)

    async def state(self) -> str:
        """See `Backend.state`; `GET /health` says 503 while the model loads."""
        try:
            status, _ = await self._control.ask("GET", f"{self._base}/health")
            if status != 200:
                self._forget_what_it_can()
            elif self._keeps is None:
                await self._ask_whether_it_keeps()
        except ServerUnreachable:
            self._forget_what_it_can()
            return "down"
        return {200: "ok", 503: "loading"}.get(status, "unknown")

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        if self._spare:
            self._drop_spare(self._spare)
        await self._control.aclose()

    def _forget_what_it_can(self) -> None:
        """Another server, or another version of it, may come back."""
        if self._model.resume:
            self._keeps = None

    async def _ask_whether_it_keeps(self) -> None:
        status, _ = await self._lookup([])
        if status in (200, 404):
            self._keeps = status == 200

    async def _has(self, generation: str, place: int) -> bool:
        """Whether the server still has the generation, and its stream from that byte on."""
        try:
            status, body = await self._lookup([generation])
            [known] = json.loads(body) if status == 200 else [{}]
        except (ServerUnreachable, ValueError, TypeError):
            return False
        return 0 <= int(known.get("total_bytes", -1)) <= place + KEPT_BYTES

    async def _lookup(self, generations: list[str]) -> tuple[int, bytes]:
        """What the server says of these generations; 404: it knows of none at all."""
        asked = json.dumps({"conversation_ids": generations}).encode()
        return await self._control.ask("POST", f"{self._base}/v1/streams/lookup", asked)

    def _body(self, request: dict[str, Any]) -> dict[str, Any]:
        most = self._model.max_tokens
        wanted = min(request.get("max_tokens") or most, most)
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        named = {"model": self._model.model} if self._model.model else {}
        return {**request, **named, **usage, **insisting(request), "max_tokens": wanted}

    def _asking_for(self, generation: str, place: int) -> bytes:
        return self._head("GET", f"/v1/stream?conv_id={generation}&from={place}")

    def _head(self, method: str, path: str, length: int = 0, more: str = "") -> bytes:
        return (
            f"{method} {self._base}{path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n{more}"
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
            raise ServerUnreachable(
                f"the server of {self._model.name!r} does not answer"
            ) from error

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
        self, reader: asyncio.StreamReader, response: _Response, body: bytes, *, kept: bool
    ) -> Exception:
        if kept:
            return StreamCut("The model's server does not go on with a kept stream.")
        with suppress(TryNext):  # the end of the connection is an end here
            while not response.complete and len(body) < ERROR_BODY_MOST:
                body += response.feed(await self._read(reader, 5.0))
        try:
            return error_of(json.loads(body), response.status)
        except ValueError:
            return error_of(None, response.status)
