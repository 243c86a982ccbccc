"""Claude by the `anthropic` SDK: the last resort, under a daily cap of calls.

Only the worker of such a model imports this module: the SDK costs two seconds and
78 MB at import.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx2

from fleet.catalogue import Model
from fleet.errors import (
    CapReached,
    ConfigError,
    ContextExceeded,
    ModelError,
    Refused,
    ServerFailed,
    ServerStalled,
    ServerUnreachable,
    StreamCut,
)
from fleet.events import Piece
from fleet.request import text_of
from workers.backend import End, Step, Steps

#: Anthropic's words for the end of an answer, in OpenAI's.
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "stop",
    "model_context_window_exceeded": "length",
}


class Claude:
    """Anthropic's Messages API as a backend. `spend` takes one call out of today's allowance."""

    #: Nothing is kept there, and the last message must be the user's.
    server = ""
    continues = False

    def __init__(self, model: Model, spend: Callable[[str, int], Awaitable[int]]) -> None:
        key = model.api_key
        if not key:
            raise ConfigError(f"model {model.name!r}: set {model.api_key_env} for its worker")
        self._model = model
        self._spend = spend
        self._client = anthropic.AsyncAnthropic(
            api_key=key,
            base_url=model.base_url or None,
            max_retries=0,  # attempts are counted once, in the plan
            timeout=model.timeouts.between_tokens_s,
        )

    async def stream(self, request: dict[str, Any], generation: str = "") -> Steps:
        """See `Backend.stream`; nothing is kept."""
        allowed = self._model.calls_per_day
        if allowed and not await self._spend(self._model.name, allowed):
            raise CapReached(f"the {allowed} calls of today are used up")
        try:
            async with self._client.messages.stream(**to_messages(request, self._model)) as stream:
                async for text in stream.text_stream:
                    yield Step([Piece("text", text)])
                message = await stream.get_final_message()
        except anthropic.AnthropicError as error:
            raise translated(error) from error
        except httpx2.TimeoutException as error:
            raise ServerStalled("Anthropic's API sent nothing for too long.") from error
        except (httpx2.HTTPError, ValueError) as error:  # the SDK lets these through in mid-stream
            raise StreamCut(f"Anthropic's stream broke: {error}") from error
        if message.stop_reason is None:
            raise StreamCut
        used = message.usage
        end = End(
            FINISH_REASONS.get(message.stop_reason, "stop"),
            {
                "prompt_tokens": used.input_tokens,
                "completion_tokens": used.output_tokens,
                "total_tokens": used.input_tokens + used.output_tokens,
            },
        )
        yield Step([], end=end)

    async def attach(self, generation: str, place: int) -> Steps | None:
        """See `Backend.attach`."""
        return None

    async def drop(self, generation: str) -> None:
        """See `Backend.drop`."""

    def prepare(self) -> None:
        """See `Backend.prepare`; the SDK keeps its connections."""

    async def state(self) -> str:
        """See `Backend.state`: asking costs money, so it is not asked."""
        return "unknown"

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        await self._client.close()


def to_messages(request: dict[str, Any], model: Model) -> dict[str, Any]:
    """Arguments of `messages.stream` for a request in OpenAI's form.

    System and developer turns become `system`; sampling fields that the API does not
    take are left out.
    """
    system, turns = [], []
    for message in request["messages"]:
        text = text_of(message.get("content"))
        if message["role"] in ("system", "developer"):
            system.append(text)
        else:
            role = "assistant" if message["role"] == "assistant" else "user"
            turns.append({"role": role, "content": text})
    arguments: dict[str, Any] = {
        "model": model.model,
        "messages": turns,
        "max_tokens": min(request.get("max_tokens") or model.max_tokens, model.max_tokens),
    }
    if system:
        arguments["system"] = "\n\n".join(system)
    if stop := request.get("stop"):
        arguments["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    return arguments


def translated(error: anthropic.AnthropicError) -> ModelError:
    """The SDK's errors in our tree."""
    if isinstance(error, anthropic.APITimeoutError):
        return ServerStalled("Anthropic's API sent nothing for too long.")
    if isinstance(error, anthropic.APIConnectionError):
        return ServerUnreachable("Anthropic's API does not answer.")
    if not isinstance(error, anthropic.APIStatusError):
        return ServerFailed(f"Anthropic's API: {error}")
    if error.status_code == 400 and "prompt is too long" in error.message:
        return ContextExceeded(error.message)
    if error.status_code in (400, 413, 422):
        return Refused(error.message)
    return ServerFailed(f"Anthropic's API answered {error.status_code}: {error.message}")
