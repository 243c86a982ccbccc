"""A fake llama-server: `python -m tests.fakes.llama_server --port 0 --slots 2 --name fast`.

Heads, chunks, frames and error bodies are those of a real one (build b1-7e4c0a9, read off the
wire): the head first; a chunk with the role and the first token; a chunk for each further
token; one with the reason for the end and the timings; `data: [DONE]`. Like the real one it
closes the connection after a streamed reply although its head announced keep-alive.

A streamed answer that was asked for with a header `X-Conversation-Id` is kept, as by the real
one: it goes on when its client leaves, `GET /v1/stream` reads it from any byte, now or later,
`POST /v1/streams/lookup` describes it, `DELETE /v1/stream` stops it. Unlike there, it is kept
whole and for ever, waits for no slow reader, and frees its slot while it reads its prompt, too.

With `--embeddings` it answers `POST /v1/embeddings`: see `tests.fakes.vectors`.

The answer is " w0 w1 w2 ...". If the conversation ends with words of the assistant, it goes on
from there; like the real one it says those again, together with the first token after them.
`tests.fakes.mode` lists the behaviours that can be asked for.
"""

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from tests.fakes import vectors
from tests.fakes.http import Exchange, Gone, serve
from tests.fakes.mode import Mode, UnknownMode
from tests.fakes.model_server import ModelServer, Options, Sink, text_of
from tests.fakes.streams import Stream, Streams, offset_of

BUILD = "b1-7e4c0a9"
CHAT_PATHS = ("/v1/chat/completions", "/chat/completions")
#: What the real one answers without a key, too.
PUBLIC_PATHS = ("/health", "/v1/health", "/v1/models", "/models")
DONE = b"data: [DONE]\n\n"
BROKEN = b'data: {"choices":[{"delta":{"content":\n\n'


class LlamaServer(ModelServer):
    """The endpoints of a llama-server that a worker or a supervisor asks."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        more = ("lookups", "attached", "deletes", "stopped", "continued")
        self.counts |= dict.fromkeys(more, 0)
        self.streams = Streams()
        self._conversations: deque[str] = deque(maxlen=self.bodies.maxlen)

    def stats(self) -> dict[str, Any]:
        """The counters, the last requests, and the conversations that those named, or ""."""
        return {**super().stats(), "conversations": list(self._conversations)}

    async def answer(self, exchange: Exchange) -> None:
        """Answer as llama-server does."""
        request = exchange.request
        if request.method == "POST" and request.path in CHAT_PATHS and self._may(exchange):
            await self._chat(exchange)
        elif request.method == "POST" and request.path == "/v1/embeddings" and self._may(exchange):
            await self._embed(exchange)
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
            case "/v1/streams/lookup" if self._keeps and exchange.request.method == "POST":
                await self._look_up(exchange)
            case "/v1/stream" if self._keeps:
                await self._kept(exchange)
            case _:
                await not_found(exchange)

    @property
    def _keeps(self) -> bool:
        return not self.mode.old

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

    async def _look_up(self, exchange: Exchange) -> None:
        self.counts["lookups"] += 1
        try:
            names = json.loads(exchange.request.body).get("conversation_ids")
        except json.JSONDecodeError as error:
            wrong = {"message": f"invalid body: {error}", "type": "invalid_request_error"}
            await exchange.reply(400, {"error": wrong})
        else:
            known = names if isinstance(names, list) else []
            await exchange.reply(200, self.streams.described(map(str, known)))

    async def _kept(self, exchange: Exchange) -> None:
        name = exchange.request.query.get("conv_id")
        if not name:
            await refuse(exchange, "Missing conversation id in path")
        elif exchange.request.method == "DELETE":
            self.counts["deletes"] += 1
            self._remove(name)
            await exchange.reply(204, "", kind="application/json")
        else:
            await self._attach(exchange, self.streams.get(name))

    def _remove(self, name: str) -> None:
        self.counts["stopped"] += self.streams.remove(name)

    async def _attach(self, exchange: Exchange, stream: Stream | None) -> None:
        offset = offset_of(exchange.request.query.get("from", "0"))
        if stream is None:
            await not_found(exchange)
        elif offset is None:
            await refuse(exchange, "Invalid 'from' offset")
        elif self.mode.behind:
            await refuse(exchange, "Stream offset lost, please restart")
        else:
            self.counts["attached"] += 1
            with self._until_gone(exchange):
                await exchange.unless_gone(self._send_after(exchange, stream, offset))

    async def _send_after(self, exchange: Exchange, stream: Stream, offset: int) -> None:
        await exchange.begin()
        async for data in stream.after(offset):
            await exchange.chunk(data)
        await self._end(exchange, stream)

    async def _send_all(self, exchange: Exchange, stream: Stream) -> None:
        """What whoever asked is sent: chunk by chunk, up to where its connection is cut."""
        await stream.begun.wait()
        await exchange.begin()
        sent = 0
        async for fresh in stream.news():
            for data in fresh:
                if sent == stream.cut:
                    exchange.drop()
                    return
                await exchange.chunk(data)
                sent += 1
        await self._end(exchange, stream)

    async def _end(self, exchange: Exchange, stream: Stream) -> None:
        if stream.lost:
            exchange.drop()
        else:
            await exchange.end()

    async def _chat(self, exchange: Exchange) -> None:
        self.counts["requests"] += 1
        name = exchange.request.headers.get("x-conversation-id", "")
        if self._keeps:  # before the request is read: even a wrong one ends an older one
            self._remove(name)
        try:
            asked = json.loads(exchange.request.body)
            self.bodies.append(asked)
            self._conversations.append(name)
            words = text_of(asked.get("messages", ()))
            mode = self.take_mode(words)
        except (json.JSONDecodeError, UnknownMode) as error:
            await fail(exchange, 500, str(error), "server_error")
            return
        if wrong := _cannot_be_meant(asked):
            await refuse(exchange, wrong)
        elif not await self._refuse(exchange, mode, len(words.split())):
            await self._say(exchange, name if not mode.old else "", Answer(self, mode, asked))

    async def _embed(self, exchange: Exchange) -> None:
        self.counts["requests"] += 1
        asked = json.loads(exchange.request.body)
        self.bodies.append(asked)
        texts = vectors.texts(asked.get("input", ""))
        mode = self.take_mode("\n".join(texts))
        longest = max((len(text.split()) for text in texts), default=0)
        if not self.options.embeddings:
            text = "This server does not support embeddings. Start it with `--embeddings`"
            await fail(exchange, 501, text, "not_supported_error")
        elif wrong := vectors.wrong(asked):
            await refuse(exchange, wrong)
        elif longest > self.options.ctx_size:
            text = (
                f"input ({longest} tokens) is larger than the max context size "
                f"({self.options.ctx_size} tokens). skipping"
            )
            more = {"n_prompt_tokens": longest, "n_ctx": self.options.ctx_size}
            await fail(exchange, 400, text, "exceed_context_size_error", **more)
        elif not await self._refuse(exchange, mode, longest):
            with self._until_gone(exchange):
                await self._reply_with_vectors(exchange, mode, asked)

    async def _reply_with_vectors(
        self, exchange: Exchange, mode: Mode, asked: dict[str, Any]
    ) -> None:
        async with self.slot(exchange):
            ttft = self.options.ttft_ms if mode.ttft is None else mode.ttft
            await exchange.unless_gone(asyncio.sleep(3600 if mode.stall == 0 else ttft / 1000))
            self.counts["completed"] += 1
        if mode.malformed == 0:
            await exchange.reply(200, {"object": "list", "data": []})
        else:
            await exchange.reply(200, vectors.reply(asked, self.options.name))

    async def _say(self, exchange: Exchange, name: str, answer: "Answer") -> None:
        self.counts["continued"] += bool(answer.given)
        if name and answer.streamed:
            await self._keep(exchange, name, answer)
        else:
            await self._generate(exchange, answer)

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
        elif mode.instead:
            with self._until_gone(exchange):
                await self.say_no_stream(exchange, mode.instead)
        else:
            return False
        return True

    async def _keep(self, exchange: Exchange, name: str, answer: "Answer") -> None:
        async def write(stream: Stream) -> None:
            async with self.slot():
                await answer.stream(stream)

        stream = self.streams.open(name, write)
        with self._until_gone(exchange):
            await exchange.unless_gone(self._send_all(exchange, stream))

    async def _generate(self, exchange: Exchange, answer: "Answer") -> None:
        with self._until_gone(exchange):
            async with self.slot(exchange):
                if answer.streamed:
                    await exchange.unless_gone(answer.stream(exchange))
                else:  # the real one, too, goes on when its client has left
                    await asyncio.sleep(answer.seconds)
                    self.counts["tokens"] += answer.length
                    self.counts["completed"] += 1
            if not answer.streamed:
                await exchange.reply(200, answer.whole())

    @contextmanager
    def _until_gone(self, exchange: Exchange) -> Iterator[None]:
        try:
            yield
        except Gone:
            self.counts["client_gone"] += 1
            exchange.give_up()


class Answer:
    """One answer of the model, in llama-server's frames."""

    def __init__(self, server: LlamaServer, mode: Mode, asked: dict[str, Any]) -> None:
        self.server = server
        self.mode = mode
        self.asked = asked
        self.calls_tool = bool(mode.tool) and not server.options.no_tools
        self.streamed = bool(asked.get("stream"))
        #: Rivals of each token whose log probabilities are told; 0: none are told at all.
        self.rivals = asked.get("top_logprobs", 20) if asked.get("logprobs") else 0
        #: The assistant's own words at the end of the conversation.
        self.given = _given(asked)
        #: The answer's tokens in those, and how much of the next one.
        self.had, self.part = _had(self.given)
        self.length, capped = server.length(mode, asked, self.had)
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

    async def stream(self, sink: Sink) -> None:
        """The streamed reply, from its head to its end."""
        server = self.server
        await sink.begin()
        error = {"error": {"code": 500, "message": "told to fail", "type": "server_error"}}
        failure = _data(error)
        if await server.send_tokens(sink, self.mode, self._frames(), BROKEN, failure):
            server.counts["completed"] += 1
            await sink.chunk(self._last())
            await sink.chunk(DONE)
            await sink.end()

    def whole(self) -> dict[str, Any]:
        """The reply to a request without `stream`."""
        message = {"role": "assistant", "content": "".join(self._texts())}
        choice = {"finish_reason": self.finish, "index": 0, "message": message}
        common = {**self.common, "object": "chat.completion"}
        return {"choices": [choice], **common, "usage": self._usage(), "timings": self._timings()}

    def _frames(self) -> Iterator[bytes]:
        role = self._frame({"role": "assistant", "content": None})
        for count, delta in enumerate(self._deltas()):
            if count == self.mode.forget:
                self.server.streams.lose_all()
            yield role + self._frame(delta)
            role = b""

    def _deltas(self) -> Iterator[dict[str, Any]]:
        for i in range(self.mode.reasoning):
            yield {"reasoning_content": f" r{i}"}
        if self.calls_tool:
            yield from self._tool_call()
        else:
            for text in self._texts():
                yield {"content": text}

    def _texts(self) -> Iterator[str]:
        """What was given comes again, together with the first token that is new."""
        given, part = self.given, self.part
        mark = f"#{secrets.token_hex(3)}" if self.mode.marked else ""
        for i in range(self.had, self.had + self.length):
            yield given + f" w{i}{mark}"[part:]
            given, part = "", 0
        if given:
            yield given

    def _tool_call(self) -> Iterator[dict[str, Any]]:
        tools = self.asked.get("tools") or [{"function": {"name": "get_weather"}}]
        function = {"name": tools[0]["function"]["name"], "arguments": "{"}
        call = {"index": 0, "id": f"call_{uuid4().hex}", "type": "function", "function": function}
        yield {"tool_calls": [call]}
        for part in ('"city":', '"Paris"', "}"):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}

    def _frame(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = _choice(delta, finish)
        if self.rivals and delta.get("content"):
            choice["logprobs"] = _logprobs(delta["content"], self.rivals)
        return _data({"choices": [choice], **self.common})

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


async def refuse(exchange: Exchange, message: str) -> None:
    """A request that cannot be meant."""
    await fail(exchange, 400, message, "invalid_request_error")


async def not_found(exchange: Exchange) -> None:
    """What is said of a path that there is not, and of a stream that is not kept."""
    await fail(exchange, 404, "File Not Found", "not_found_error")


def _cannot_be_meant(asked: Mapping[str, Any]) -> str:
    """What is said of a request that no model is asked for; empty: it is in order."""
    last = asked.get("messages", [])[-2:]
    if len(last) == 2 and all(message.get("role") == "assistant" for message in last):
        return "Cannot have 2 or more assistant messages at the end of the list."
    if asked.get("logprobs") and asked.get("tools") and asked.get("stream"):
        return "logprobs is not supported with tools + stream"
    if asked.get("top_logprobs") is not None and not asked.get("logprobs"):
        return "top_logprobs requires logprobs to be set to true"
    return ""


def _logprobs(text: str, rivals: int) -> dict[str, Any]:
    """How sure the model was of a token, which is its own first rival."""
    token = {"id": 1000, "token": text, "bytes": list(text.encode()), "logprob": -0.5}
    others = [{**token, "id": 1000 + n, "logprob": -0.5 - n} for n in range(rivals)]
    return {"content": [{**token, "top_logprobs": others}]}


def _given(asked: Mapping[str, Any]) -> str:
    """The words of the assistant at the end of a conversation: they are to be continued."""
    last = asked.get("messages", [])[-1:]
    return text_of(message for message in last if message.get("role") == "assistant")


def _had(given: str) -> tuple[int, int]:
    """How many tokens of the answer were said, and how many characters of the next one."""
    rest, count = given, 0
    while rest.startswith(token := f" w{count}"):
        rest, count = rest.removeprefix(token), count + 1
    return (count, len(rest)) if token.startswith(rest) else (0, 0)


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
