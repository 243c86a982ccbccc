"""Claude by the `anthropic` SDK: the last resort.

Only the worker of such a model imports this module: the SDK costs two seconds and
78 MB at import.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2

from fleet.catalogue import Model
from fleet.errors import (
    ConfigError,
    ModelError,
    NotConnected,
    NotServed,
    ServerFailed,
    ServerStalled,
    ServerUnreachable,
    StreamCut,
)
from fleet.retry_after import wish_of
from workers.backend import Step, Steps
from workers.claude.decoder import MessageDecoder
from workers.claude.form import to_messages
from workers.provider_words import error_of

Event = anthropic.types.RawMessageStreamEvent
SILENT = "Anthropic's API sent nothing for too long (`between_tokens_s`)."


class Claude:
    """Anthropic's Messages API as a backend."""

    #: Nothing is kept there, and the last message must be the user's.
    server = ""
    continues = False
    #: To ask costs money: the next job is the probe.
    probes = False

    def __init__(self, model: Model) -> None:
        key = model.api_key
        if not key:
            raise ConfigError(f"model {model.name!r}: set {model.api_key_env} for its worker")
        self._model = model
        timeouts = model.timeouts
        self._client = anthropic.AsyncAnthropic(
            api_key=key,
            base_url=model.base_url or None,
            max_retries=0,  # attempts are counted once, in the plan
            timeout=httpx2.Timeout(timeouts.between_tokens_s, connect=timeouts.connect_s),
        )

    async def stream(self, request: dict[str, Any], generation: str = "") -> Steps:
        """See `Backend.stream`; nothing is kept."""
        arguments = self._arguments(request)
        decoder, begun = MessageDecoder(), False
        try:
            # `messages.stream` would put the whole message together again at every event.
            async with await self._client.messages.create(**arguments, stream=True) as events:
                heard = aiter(events)
                while (event := await self._next(heard)) is not None:
                    begun = True
                    pieces = decoder.decode(event.to_dict())
                    if event.type == "message_start":  # it tells what the prompt costs
                        yield Step(pieces, usage=decoder.usage)
                    elif pieces:
                        yield Step(pieces)
        except anthropic.AnthropicError as error:
            raise self._translated(error, begun=begun) from error
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise ServerStalled(SILENT) from error
        except (httpx2.HTTPError, ValueError) as error:  # the SDK lets these through in mid-stream
            raise StreamCut(f"Anthropic's stream broke: {error}") from error
        yield Step([], end=decoder.end())

    async def _next(self, events: AsyncIterator[Event]) -> Event | None:
        """The next event; None at the end. What only holds the line is none, and may come for as
        long as a first token may take.
        """
        async with asyncio.timeout(self._model.timeouts.first_token_s):
            return await anext(events, None)

    def check(self, request: dict[str, Any]) -> None:
        """See `Backend.check`."""
        self._arguments(request)

    def _arguments(self, request: dict[str, Any]) -> dict[str, Any]:
        return _with_a_plain_schema(to_messages(request, self._model))

    def _translated(self, error: anthropic.AnthropicError, *, begun: bool) -> ModelError:
        """The SDK's errors in our tree."""
        if isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            return NotConnected("Anthropic's API does not answer.")
        if isinstance(error, anthropic.APITimeoutError):
            return ServerStalled(SILENT)
        if isinstance(error, anthropic.APIConnectionError):
            return StreamCut() if begun else ServerUnreachable("Anthropic's API does not answer.")
        if not isinstance(error, anthropic.APIStatusError):
            return ServerFailed(f"Anthropic's API: {error}")
        return error_of(
            self._model,
            error.status_code,
            error.api_message or error.message,
            kind=error.type or "",
            code=error.error_code or "",
            wish_s=wish_of(error.response.headers),
        )

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

    async def probe(self) -> None:
        """See `Backend.probe`: not without a job."""

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        await self._client.close()


def _with_a_plain_schema(arguments: dict[str, Any]) -> dict[str, Any]:
    """The schema of the answer without what the API does not know: that is told in words.

    Raises:
        NotServed: it cannot be told so.
    """
    output = arguments.get("output_config") or {}
    if "format" not in output:
        return arguments
    try:
        schema = anthropic.transform_schema(output["format"]["schema"])
    except (ValueError, TypeError, AttributeError) as error:
        raise NotServed(f"Claude takes no such schema for its answer: {error}") from error
    return {
        **arguments,
        "output_config": {**output, "format": {**output["format"], "schema": schema}},
    }
