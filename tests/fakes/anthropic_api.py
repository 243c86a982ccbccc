"""A fake of Anthropic's Messages API: `python -m tests.fakes.anthropic_api --port 0`.

It streams what the official SDK reads, and asks of a request what the real API asks: a key, and
what `tests.fakes.anthropic_rules` has. The answer is " w0 w1 w2 ...". The behaviours are
those of `tests.fakes.mode`; `finish` is the stop reason (`max_tokens`, `refusal`, ...),
`reasoning` a thinking block, and `cut` or `noend` a stream that just stops.
"""

import asyncio
import json
from collections.abc import Iterator
from itertools import chain
from typing import Any
from uuid import uuid4

from tests.fakes.anthropic_rules import mistakes
from tests.fakes.http import Exchange, Gone, serve
from tests.fakes.mode import Mode, UnknownMode
from tests.fakes.model_server import ModelServer, Options, text_of

#: Status and the error type that the API documents for it.
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
BROKEN = b"event: content_block_delta\ndata: {\n\n"


class AnthropicApi(ModelServer):
    """`POST /v1/messages`, and nothing else."""

    async def answer(self, exchange: Exchange) -> None:
        """Answer as the API does."""
        request = exchange.request
        if (request.method, request.path) != ("POST", "/v1/messages"):
            await fail(exchange, 404, f"Not found: {request.path}")
            return
        self.counts["requests"] += 1
        try:
            asked = json.loads(request.body)
            self.bodies.append(asked)
            mode = self.take_mode(text_of(asked.get("messages", ())))
        except (json.JSONDecodeError, UnknownMode) as error:
            await fail(exchange, 400, str(error))
            return
        if mistake := self._mistake(exchange, asked):
            await fail(exchange, *mistake)
        elif mode.refuse:
            exchange.drop(reset=True)
        elif mode.context:
            await fail(exchange, 400, "prompt is too long: 1000001 tokens > 1000000 maximum")
        elif mode.fail is not None:
            await fail(exchange, mode.fail, "told to fail", retry_after=mode.retry_after)
        elif mode.instead:
            await self.say_no_stream(exchange, mode.instead)
        else:
            await self._generate(exchange, mode, asked)

    def _mistake(self, exchange: Exchange, asked: dict[str, Any]) -> tuple[int, str] | None:
        headers = exchange.request.headers
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key or self.options.api_key not in ("", key):
            return 401, "invalid x-api-key"
        wrong = next(mistakes(asked), None)
        return (400, wrong) if wrong else None

    async def _generate(self, exchange: Exchange, mode: Mode, asked: dict[str, Any]) -> None:
        answer = Answer(self, mode, asked)
        try:
            async with self.slot(exchange):
                if asked.get("stream"):
                    await exchange.unless_gone(answer.stream(exchange))
                else:
                    self.counts["tokens"] += answer.length
                    self.counts["completed"] += 1
        except Gone:
            self.counts["client_gone"] += 1
            exchange.give_up()
        else:
            if not asked.get("stream"):
                await exchange.reply(200, answer.whole())


class Answer:
    """One message of the model."""

    def __init__(self, server: AnthropicApi, mode: Mode, asked: dict[str, Any]) -> None:
        self.server = server
        self.mode = mode
        self.asked = asked
        self.length, capped = server.length(mode, asked)
        ordinary = "tool_use" if mode.tool else "max_tokens" if capped else "end_turn"
        self.stop_reason = mode.finish or ordinary
        self.message = {
            "id": f"msg_{uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": asked["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**self._input(), "output_tokens": 1},
        }

    @property
    def _prompt_n(self) -> int:
        return len(text_of(self.asked["messages"]).split())

    def _input(self) -> dict[str, int]:
        """Tokens of the prompt: those of no cache, of one, and for one."""
        cached = self.mode.cached
        fresh = max(0, self._prompt_n - cached)
        caches = {"cache_read_input_tokens": cached, "cache_creation_input_tokens": 0}
        return {"input_tokens": fresh, **caches}

    async def stream(self, exchange: Exchange) -> None:
        """The streamed reply, from `message_start` to `message_stop`."""
        server = self.server
        await exchange.begin({"request-id": f"req_{uuid4().hex}"})
        await exchange.chunk(event("message_start", message=self.message) + event("ping"))
        failure = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
        if await server.send_tokens(exchange, self.mode, self._frames(), BROKEN, failure):
            server.counts["completed"] += 1
            await exchange.chunk(self._last())
            await exchange.end()

    def whole(self) -> dict[str, Any]:
        """The reply to a request without `stream`."""
        text = "".join(f" w{i}" for i in range(self.length))
        usage = {"input_tokens": self._prompt_n, "output_tokens": self.length}
        content = [{"type": "text", "text": text}]
        return self.message | {
            "content": content,
            "stop_reason": self.stop_reason,
            "usage": usage,
        }

    def _frames(self) -> Iterator[bytes]:
        """One frame for each token; a block's start goes with its first, its stop with its last."""
        for index, (block, deltas) in enumerate(self._blocks()):
            start = event("content_block_start", index=index, content_block=block)
            for delta in deltas[:-1]:
                yield start + event("content_block_delta", index=index, delta=delta)
                start = b""
            for delta in deltas[-1:]:
                last = event("content_block_delta", index=index, delta=delta)
                yield start + last + event("content_block_stop", index=index)

    def _blocks(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        if self.mode.reasoning:
            thoughts = (f" r{i}" for i in range(self.mode.reasoning))
            deltas = [{"type": "thinking_delta", "thinking": thought} for thought in thoughts]
            signed = {"type": "signature_delta", "signature": "c2lnbmVk"}
            yield {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
        length = 1 if self.mode.tool else self.length
        texts = (f" w{i}" for i in range(length))
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": t} for t in texts]
        for _ in range(self.mode.tool):
            yield self._tool_call()

    def _tool_call(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        tools = self.asked.get("tools") or [{"name": "get_weather"}]
        block = {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": tools[0]["name"]}
        parts = chain([""], () if self.mode.bare else ('{"city":', ' "Paris"', "}"))
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
        return block | {"input": {}}, deltas

    def _last(self) -> bytes:
        delta = {"stop_reason": self.stop_reason, "stop_sequence": None}
        usage: dict[str, Any] = {**self._input(), "output_tokens": self.length}
        if self.mode.reasoning:
            usage["output_tokens_details"] = {"thinking_tokens": self.mode.reasoning}
        return event("message_delta", delta=delta, usage=usage) + event("message_stop")


def event(kind: str, **fields: Any) -> bytes:
    """One server-sent event in the API's form."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


async def fail(
    exchange: Exchange, status: int, message: str, *, retry_after: int | None = None
) -> None:
    """The API's one form of an error."""
    error = {"type": ERROR_TYPES.get(status, "api_error"), "message": message}
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    body = {"type": "error", "error": error, "request_id": f"req_{uuid4().hex}"}
    await exchange.reply(status, body, headers=headers)


def main() -> None:
    options = Options.from_command_line(__doc__)
    server = AnthropicApi(options)
    asyncio.run(serve(server.handle, host=options.host, port=options.port, server="fake"))


if __name__ == "__main__":
    main()
