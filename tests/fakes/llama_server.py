"""A fake llama-server: `python -m tests.fakes.llama_server --port 0 --slots 2 --name fast`.

Heads, chunks, frames and error bodies are those of a real one (build b1-7e4c0a9, read off the
wire): the head first; a chunk with the role and the first token; a chunk for each further
token; one with the reason for the end and the timings; `data: [DONE]`. Like the real one it
closes the connection after a streamed reply although its head announced keep-alive.

The answer is " w0 w1 w2 ...". `tests.fakes.mode` lists the behaviours that can be asked for.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from tests.fakes.http import Exchange, Gone, serve
from tests.fakes.mode import Mode, UnknownMode
from tests.fakes.model_server import ModelServer, Options, text_of

BUILD = "b1-7e4c0a9"
CHAT_PATHS = ("/v1/chat/completions", "/chat/completions")
#: What the real one answers without a key, too.
PUBLIC_PATHS = ("/health", "/v1/health", "/v1/models", "/models")
DONE = b"data: [DONE]\n\n"
BROKEN = b'data: {"choices":[{"delta":{"content":\n\n'


class LlamaServer(ModelServer):
    """The endpoints of a llama-server that a worker or a supervisor asks."""

    async def answer(self, exchange: Exchange) -> None:
        """Answer as llama-server does."""
        request = exchange.request
        if request.method == "POST" and request.path in CHAT_PATHS and self._may(exchange):
            await self._chat(exchange)
        elif self.mode.refuse:
            exchange.drop(reset=True)
        elif self.mode.loading:
            await fail(exchange, 503, "Loading model", "unavailable_error")
        elif not self._may(exchange):
            await fail(exchange, 401, "Invalid API Key", "authentication_error")
        else:
            await self._look(exchange)

    def _may(self, exchange: Exchange) -> bool:
        key = self.options.api_key
        given = exchange.request.headers.get("authorization")
        return not key or given == f"Bearer {key}" or exchange.request.path in PUBLIC_PATHS

    async def _look(self, exchange: Exchange) -> None:
        match exchange.request.path:
            case "/health" | "/v1/health":
                await exchange.reply(200, {"status": "ok"})
            case "/v1/models" | "/models":
                await exchange.reply(200, self._models())
            case "/props":
                await exchange.reply(200, self._props())
            case "/slots" if exchange.request.query.get("fail_on_no_slot") and self._full:
                await fail(exchange, 503, "no slot available", "unavailable_error")
            case "/slots":
                await exchange.reply(200, self._slots())
            case "/metrics":
                await exchange.reply(200, self._metrics(), kind="text/plain; version=0.0.4")
            case _:
                await fail(exchange, 404, "File Not Found", "not_found_error")

    @property
    def _full(self) -> bool:
        return len(self.busy) == self.options.slots

    def _models(self) -> dict[str, Any]:
        model = {
            "id": self.options.name,
            "aliases": [self.options.name],
            "tags": [],
            "object": "model",
            "created": int(time.time()),
            "owned_by": "llamacpp",
            "meta": {"n_ctx": self.options.ctx_size, "n_ctx_train": self.options.ctx_size},
        }
        return {"object": "list", "data": [model]}

    def _props(self) -> dict[str, Any]:
        tools = not self.options.no_tools
        return {
            "default_generation_settings": {"n_ctx": self.options.ctx_size},
            "total_slots": self.options.slots,
            "model_alias": self.options.name,
            "model_path": f"/models/{self.options.name}.gguf",
            "modalities": {"vision": False, "video": False, "audio": False},
            "chat_template_caps": {
                "supports_parallel_tool_calls": tools,
                "supports_string_content": True,
                "supports_system_role": True,
                "supports_tool_calls": tools,
                "supports_tools": tools,
            },
            "build_info": BUILD,
            "is_sleeping": False,
        }

    def _slots(self) -> list[dict[str, Any]]:
        return [
            {
                "id": slot,
                "n_ctx": self.options.ctx_size,
                "speculative": False,
                "is_processing": slot in self.busy,
            }
            for slot in range(self.options.slots)
        ]

    def _metrics(self) -> str:
        values = {
            "tokens_predicted_total": self.counts["tokens"],
            "requests_processing": self.counts["active"],
            "requests_deferred": self.counts["queued"],
        }
        return "".join(f"llamacpp:{name} {value}\n" for name, value in values.items())

    async def _chat(self, exchange: Exchange) -> None:
        self.counts["requests"] += 1
        try:
            asked = json.loads(exchange.request.body)
            self.bodies.append(asked)
            words = text_of(asked.get("messages", ()))
            mode = self.take_mode(words)
        except (json.JSONDecodeError, UnknownMode) as error:
            await fail(exchange, 500, str(error), "server_error")
            return
        if not await self._refuse(exchange, mode, len(words.split())):
            await self._generate(exchange, mode, asked)

    async def _refuse(self, exchange: Exchange, mode: Mode, prompt_n: int) -> bool:
        """Whether the request was answered without the model."""
        limit = self.options.ctx_size
        if mode.refuse:
            exchange.drop(reset=True)
        elif mode.loading:
            await fail(exchange, 503, "Loading model", "unavailable_error")
        elif mode.fail is not None:
            kind = "invalid_request_error" if mode.fail < 500 else "server_error"
            await fail(exchange, mode.fail, "told to fail", kind, retry_after=mode.retry_after)
        elif mode.context or prompt_n > limit:
            tokens = max(prompt_n, limit + 1)
            text = (
                f"request ({tokens} tokens) exceeds the available context size "
                f"({limit} tokens), try increasing it"
            )
            more = {"n_prompt_tokens": tokens, "n_ctx": limit}
            await fail(exchange, 400, text, "exceed_context_size_error", **more)
        else:
            return False
        return True

    async def _generate(self, exchange: Exchange, mode: Mode, asked: dict[str, Any]) -> None:
        answer = Answer(self, mode, asked)
        try:
            async with self.slot(exchange):
                if asked.get("stream"):
                    await exchange.unless_gone(answer.stream(exchange))
                else:  # the real one, too, goes on when its client has left
                    await asyncio.sleep(answer.seconds)
                    self.counts["tokens"] += answer.length
                    self.counts["completed"] += 1
        except Gone:
            self.counts["client_gone"] += 1
            exchange.give_up()
        else:
            if not asked.get("stream"):
                await exchange.reply(200, answer.whole())


class Answer:
    """One answer of the model, in llama-server's frames."""

    def __init__(self, server: LlamaServer, mode: Mode, asked: dict[str, Any]) -> None:
        self.server = server
        self.mode = mode
        self.asked = asked
        self.calls_tool = bool(mode.tool) and not server.options.no_tools
        self.length, capped = server.length(mode, asked)
        ordinary = "tool_calls" if self.calls_tool else "length" if capped else "stop"
        self.finish = mode.finish or ordinary
        self.started = time.monotonic()
        self.common = {
            "created": int(time.time()),
            "id": f"chatcmpl-{uuid4().hex}",
            "model": server.options.name,
            "system_fingerprint": BUILD,
            "object": "chat.completion.chunk",
        }

    @property
    def seconds(self) -> float:
        """How long the whole answer takes."""
        options = self.server.options
        ttft = options.ttft_ms if self.mode.ttft is None else self.mode.ttft
        tps = options.tps if self.mode.tps is None else self.mode.tps
        return float(ttft / 1000 + (self.length / tps if tps else 0))

    async def stream(self, exchange: Exchange) -> None:
        """The streamed reply, from its head to its end."""
        server = self.server
        await exchange.begin()
        error = {"error": {"code": 500, "message": "told to fail", "type": "server_error"}}
        failure = _data(error)
        if await server.send_tokens(exchange, self.mode, self._frames(), BROKEN, failure):
            server.counts["completed"] += 1
            await exchange.chunk(self._last())
            await exchange.chunk(DONE)
            await exchange.end()

    def whole(self) -> dict[str, Any]:
        """The reply to a request without `stream`."""
        message = {"role": "assistant", "content": words("w", self.length)}
        choice = {"finish_reason": self.finish, "index": 0, "message": message}
        common = {**self.common, "object": "chat.completion"}
        return {"choices": [choice], **common, "usage": self._usage(), "timings": self._timings()}

    def _frames(self) -> Iterator[bytes]:
        role = self._frame({"role": "assistant", "content": None})
        for delta in self._deltas():
            yield role + self._frame(delta)
            role = b""

    def _deltas(self) -> Iterator[dict[str, Any]]:
        for i in range(self.mode.reasoning):
            yield {"reasoning_content": f" r{i}"}
        if self.calls_tool:
            yield from self._tool_call()
        else:
            for i in range(self.length):
                yield {"content": f" w{i}"}

    def _tool_call(self) -> Iterator[dict[str, Any]]:
        tools = self.asked.get("tools") or [{"function": {"name": "get_weather"}}]
        function = {"name": tools[0]["function"]["name"], "arguments": "{"}
        call = {"index": 0, "id": f"call_{uuid4().hex}", "type": "function", "function": function}
        yield {"tool_calls": [call]}
        for part in ('"city":', '"Paris"', "}"):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}

    def _frame(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _data({"choices": [_choice(delta, finish)], **self.common})

    def _last(self) -> bytes:
        """The reason for the end; timings, and beside them the usage where it was asked for."""
        if (self.asked.get("stream_options") or {}).get("include_usage"):
            counted = {"usage": self._usage(), "timings": self._timings()}
            return self._frame({}, self.finish) + _data({"choices": [], **self.common, **counted})
        choice = _choice({}, self.finish)
        return _data({"choices": [choice], **self.common, "timings": self._timings()})

    @property
    def _prompt_n(self) -> int:
        return len(text_of(self.asked.get("messages", ())).split())

    def _usage(self) -> dict[str, Any]:
        return {
            "completion_tokens": self.length,
            "prompt_tokens": self._prompt_n,
            "total_tokens": self._prompt_n + self.length,
            "prompt_tokens_details": {"cached_tokens": 0},
        }

    def _timings(self) -> dict[str, Any]:
        predicted_ms = max(0.001, (time.monotonic() - self.started) * 1000)
        return {
            "cache_n": 0,
            "prompt_n": self._prompt_n,
            "prompt_ms": 1.0,
            "prompt_per_token_ms": 1.0 / max(1, self._prompt_n),
            "prompt_per_second": self._prompt_n * 1000.0,
            "predicted_n": self.length,
            "predicted_ms": predicted_ms,
            "predicted_per_token_ms": predicted_ms / max(1, self.length),
            "predicted_per_second": self.length * 1000 / predicted_ms,
        }


async def fail(
    exchange: Exchange,
    status: int,
    message: str,
    kind: str,
    *,
    retry_after: int | None = None,
    **more: int,
) -> None:
    """llama-server's one form of an error."""
    error = {"code": status, "message": message, "type": kind, **more}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    await exchange.reply(status, {"error": error}, headers=headers)


def words(letter: str, count: int) -> str:
    """The text of an answer of that many tokens."""
    return "".join(f" {letter}{i}" for i in range(count))


def _choice(delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    return {"finish_reason": finish, "index": 0, "delta": delta}


def _data(value: object) -> bytes:
    return f"data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


def main() -> None:
    options = Options.from_command_line(__doc__)
    server = LlamaServer(options)
    asyncio.run(serve(server.handle, host=options.host, port=options.port, server="llama.cpp"))


if __name__ == "__main__":
    main()
