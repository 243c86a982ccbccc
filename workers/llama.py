"""A llama-server as a backend.

A server that keeps generations (`X-Conversation-Id`) goes on when the connection is gone:
another process may read on, and only `drop` stops it. Elsewhere closing the connection is what
frees the server's slot.
"""

import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from fleet.catalogue import Model
from fleet.errors import ModelError, ServerUnreachable, StreamCut
from fleet.hosts import server_name
from fleet.retry_after import wish_of
from fleet.server_words import error_of
from workers.backend import Steps
from workers.control import Control
from workers.insisting import insisting
from workers.upstream import Reading, Upstream

#: llama-server keeps the last so many bytes of a stream.
KEPT_BYTES = 4 * 1024 * 1024
#: Connections that may break, one after the other without news, before a kept stream is lost.
BREAKS_MOST = 3
#: The smallest question: one token.
PROBE: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}


class LlamaServer:
    """One llama-server. `request` is `JobRequest.for_model()`; always asked to stream."""

    continues = True
    probes = True

    def __init__(self, model: Model) -> None:
        self._model = model
        self._upstream = Upstream(model, _error_of)
        self._control = Control(
            self._upstream.host,
            self._upstream.port,
            tls=self._upstream.tls,
            headers=self._upstream.headers,
            patience_s=model.timeouts.connect_s,
        )
        #: Whether it keeps generations; None: not known yet.
        self._keeps: bool | None = None if model.resume else False
        self._name = server_name(model.base_url)

    @property
    def server(self) -> str:
        """See `Backend.server`."""
        return self._name if self._keeps else ""

    def stream(self, request: dict[str, Any], generation: str = "") -> Steps:
        """See `Backend.stream`."""
        payload = json.dumps(self._body(request), separators=(",", ":")).encode()
        named = f"X-Conversation-Id: {generation}\r\n" if generation else ""
        posted = self._upstream.head("POST", "/v1/chat/completions", len(payload), named) + payload
        return self._following(posted, generation, 0)

    def check(self, request: dict[str, Any]) -> None:
        """See `Backend.check`: it takes requests as they are."""

    async def attach(self, generation: str, place: int) -> Steps | None:
        """See `Backend.attach`."""
        if not await self._has(generation, place):
            return None
        asked = self._asking_for(generation, place)
        return self._following(asked, generation, place, kept=True)

    async def drop(self, generation: str) -> None:
        """See `Backend.drop`."""
        await self._control.ask("DELETE", f"{self._upstream.base}/v1/stream?conv_id={generation}")

    async def _following(
        self, opening: bytes, generation: str, place: int, *, kept: bool = False
    ) -> Steps:
        """The steps of a stream; a kept one goes on after a connection that breaks."""
        reading, breaks = Reading(place, self._model.timeouts.first_token_s), 0
        while True:
            try:
                async with aclosing(self._upstream.read(opening, reading, kept=kept)) as steps:
                    async for step in steps:
                        breaks = 0
                        yield step
                return
            except StreamCut:
                breaks, place = breaks + 1, reading.place
                if not generation or breaks > BREAKS_MOST or not await self._has(generation, place):
                    raise
                opening, kept = self._asking_for(generation, place), True

    def prepare(self) -> None:
        """See `Backend.prepare`: connect while the job is being claimed."""
        self._upstream.prepare()

    async def state(self) -> str:
        """See `Backend.state`; `GET /health` says 503 while the model loads."""
        try:
            status, _ = await self._control.ask("GET", f"{self._upstream.base}/health")
            if status != 200:
                self._forget_what_it_can()
            elif self._keeps is None:
                await self._ask_whether_it_keeps()
        except ServerUnreachable:
            self._forget_what_it_can()
            return "down"
        return {200: "ok", 503: "loading"}.get(status, "unknown")

    async def probe(self) -> None:
        """See `Backend.probe`. `/health` alone would do for a server that cannot generate."""
        status, body = await self._control.ask("GET", f"{self._upstream.base}/health")
        if status != 200:
            raise _error_of(_told(body), status, {})
        async with aclosing(self.stream(PROBE)) as steps:
            async for _ in steps:
                pass

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        self._upstream.close()
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
        return await self._control.ask("POST", f"{self._upstream.base}/v1/streams/lookup", asked)

    def _body(self, request: dict[str, Any]) -> dict[str, Any]:
        most = self._model.max_tokens
        wanted = min(request.get("max_tokens") or most, most)
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        named = {"model": self._model.model} if self._model.model else {}
        return {**request, **named, **usage, **insisting(request), "max_tokens": wanted}

    def _asking_for(self, generation: str, place: int) -> bytes:
        return self._upstream.head("GET", f"/v1/stream?conv_id={generation}&from={place}")


def _error_of(body: Any, status: int, headers: Mapping[str, str]) -> ModelError:
    return error_of(body, status, wish_of(headers))


def _told(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
