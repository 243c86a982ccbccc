"""OpenAI's SDK as it is, against a real small model: every way of asking, each way of reading."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionMessage,
    ChatCompletionMessageFunctionToolCall,
)
from openai.types.responses import Response

from tests.e2e.conftest import GREEDY, SLOTS_OF_LARGE, TOOLS, WEATHER, asks_for_weather
from tests.stack import Stack
from tests.support import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

Ask = Callable[..., Awaitable[Any]]

QUESTION = [{"role": "user", "content": "What is 2+2?"}]
SCHEMA = {
    "type": "object",
    "properties": {"result": {"type": "string", "maxLength": 12}},
    "required": ["result"],
    "additionalProperties": False,
}
#: The same is asked in many ways, and the real model shall answer each.
ANEW = {"x-fleet-cache": "no"}
KINDS = ("plain", "tools", "json_schema", "logprobs")
Kind = Literal["plain", "tools", "json_schema", "logprobs"]


@pytest.fixture(scope="module")
def sync_client(real_fleet: Stack) -> Iterator[OpenAI]:
    """The SDK, told an address and nothing else."""
    with OpenAI(
        base_url=f"{real_fleet.url}/v1", api_key="none", max_retries=0, default_headers=ANEW
    ) as client:
        yield client


@pytest.fixture
async def async_client(real_fleet: Stack) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{real_fleet.url}/v1", api_key="none", max_retries=0, default_headers=ANEW
    ) as client:
        yield client


class Both:
    """One way of asking for both kinds of client: calls in a thread, or awaited."""

    def __init__(self, client: OpenAI | AsyncOpenAI) -> None:
        self.client: Any = client
        self._async = isinstance(client, AsyncOpenAI)

    async def call(self, path: str, *args: Any, **fields: Any) -> Any:
        """Call `responses.create` and the like."""
        method = self.client
        for name in path.split("."):
            method = getattr(method, name)
        if self._async:
            return await method(*args, **fields)
        return await asyncio.to_thread(method, *args, **fields)

    async def read(self, stream: Any, most: int | None = None) -> list[Any]:
        """The events of a stream: all of them, or the first and then away."""
        seen = []
        if self._async:
            async for event in stream:
                seen.append(event)
                if len(seen) == most:
                    break
            await stream.close()
            return seen
        return await asyncio.to_thread(_read, stream, most)


def _read(stream: Any, most: int | None) -> list[Any]:
    seen = []
    with stream:
        for event in stream:
            seen.append(event)
            if len(seen) == most:
                break
    return seen


@pytest.fixture(params=["sync", "async"])
async def sdk(
    request: pytest.FixtureRequest, sync_client: OpenAI, async_client: AsyncOpenAI
) -> Both:
    return Both(sync_client if request.param == "sync" else async_client)


def chat_fields(kind: Kind) -> dict[str, Any]:
    """What is asked of chat completions."""
    if kind == "tools":
        asked = {"model": "tool", "messages": asks_for_weather("Paris"), "tools": TOOLS}
        return {**asked, "max_tokens": 60, **GREEDY}
    fields = {"model": "fast", "messages": QUESTION, "max_tokens": 32, **GREEDY}
    if kind == "json_schema":
        form = {"name": "answer", "schema": SCHEMA, "strict": True}
        fields |= {
            "max_tokens": 40,
            "response_format": {"type": "json_schema", "json_schema": form},
        }
    elif kind == "logprobs":
        fields |= {"logprobs": True, "top_logprobs": 2}
    return fields


def check_call(message: ChatCompletionMessage) -> None:
    """It is the one call that was asked for."""
    calls = message.tool_calls or []
    assert [call.type for call in calls] == ["function"]
    assert isinstance(calls[0], ChatCompletionMessageFunctionToolCall)
    assert calls[0].id
    function = calls[0].function
    assert (function.name, json.loads(function.arguments)) == (WEATHER["name"], {"city": "Paris"})


def check_completion(kind: Kind, seen: ChatCompletion) -> None:
    """Hold a whole completion against what was asked."""
    (choice,) = seen.choices
    assert seen.id.startswith("chatcmpl-")
    assert seen.model == ("tool" if kind == "tools" else "fast")
    if kind == "tools":
        assert choice.finish_reason == "tool_calls"
        check_call(choice.message)
        return
    assert choice.finish_reason in ("stop", "length")
    assert choice.message.content
    if kind == "json_schema":
        assert set(json.loads(choice.message.content)) == {"result"}
    if kind == "logprobs":
        assert choice.logprobs
        assert choice.logprobs.content
        tokens = choice.logprobs.content
        assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)
        assert "".join(token.token for token in tokens).startswith(choice.message.content)


@pytest.mark.parametrize("kind", KINDS)
async def test_chat_completions_in_one_piece(sdk: Both, kind: Kind) -> None:
    seen = await sdk.call("chat.completions.create", **chat_fields(kind))
    check_completion(kind, seen)
    assert seen.usage
    assert seen.usage.total_tokens == seen.usage.prompt_tokens + seen.usage.completion_tokens
    assert 0 < seen.usage.completion_tokens <= 60


@pytest.mark.parametrize("kind", KINDS)
async def test_chat_completions_streamed_are_the_same_answer(sdk: Both, kind: Kind) -> None:
    fields = chat_fields(kind)
    stream = await sdk.call(
        "chat.completions.create", **fields, stream=True, stream_options={"include_usage": True}
    )
    chunks = await sdk.read(stream)
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    seen = state.get_final_completion()
    check_completion(kind, seen)
    whole = await sdk.call("chat.completions.create", **fields)
    assert (seen.choices[0].message.content or "") == (whole.choices[0].message.content or "")
    assert seen.choices[0].finish_reason == whole.choices[0].finish_reason


def test_the_sdks_own_chat_stream_gathers_the_call(sync_client: OpenAI) -> None:
    with sync_client.chat.completions.stream(**chat_fields("tools")) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    check_call(final.choices[0].message)


# Responses ----------------------------------------------------------------------------------


def response_fields(kind: Kind) -> dict[str, Any]:
    """What is asked of responses: the same, in their words."""
    if kind == "tools":
        asked = {"model": "tool", "input": as_items(asks_for_weather("Paris"))}
        return {
            **asked,
            "tools": [{"type": "function", "strict": False, **WEATHER}],
            "max_output_tokens": 60,
            "temperature": 0,
        }
    fields = {"model": "fast", "input": QUESTION[0]["content"], "max_output_tokens": 32}
    fields |= {"temperature": 0}
    if kind == "json_schema":
        form = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
        fields |= {"max_output_tokens": 40, "text": {"format": form}}
    elif kind == "logprobs":
        fields |= {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}
    return fields


def as_items(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A conversation with calls, as Responses take it."""
    items: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "tool":
            output = {"call_id": message["tool_call_id"], "output": message["content"]}
            items.append({"type": "function_call_output", **output})
        elif calls := message.get("tool_calls"):
            items += (
                {"type": "function_call", "call_id": call["id"], **call["function"]}
                for call in calls
            )
        else:
            items.append({"role": message["role"], "content": message["content"]})
    return items


def check_response(kind: Kind, seen: Response) -> None:
    """Hold a response that has ended against what was asked."""
    assert seen.id.startswith("resp_")
    assert seen.status in ("completed", "incomplete")
    assert seen.usage
    assert seen.usage.output_tokens > 0
    if kind == "tools":
        (item,) = seen.output
        assert item.type == "function_call"
        assert (item.name, json.loads(item.arguments)) == (WEATHER["name"], {"city": "Paris"})
        return
    assert seen.output_text
    if kind == "json_schema":
        assert set(json.loads(seen.output_text)) == {"result"}
    if kind == "logprobs":
        (message,) = seen.output
        assert message.type == "message"
        (part,) = message.content
        assert part.type == "output_text"
        assert part.logprobs
        assert all(len(token.top_logprobs) == 2 for token in part.logprobs)


def check_events(events: list[Any], first: int = 0) -> Response:
    """Hold a stream against the rules of all of them; gives the response at its end."""
    assert [event.sequence_number for event in events] == list(range(first, first + len(events)))
    ended = [event for event in events if event.type in ENDS]
    assert ended == events[-1:], [event.type for event in events]
    response: Response = events[-1].response
    return response


ENDS = ("response.completed", "response.incomplete", "response.failed")


@pytest.mark.parametrize("kind", KINDS)
async def test_responses_in_one_piece(sdk: Both, kind: Kind) -> None:
    seen = await sdk.call("responses.create", **response_fields(kind))
    check_response(kind, seen)
    again = await sdk.call("responses.retrieve", seen.id)
    assert again.output == seen.output


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_responses_streamed(sdk: Both, kind: Kind, background: bool) -> None:
    fields = response_fields(kind)
    stream = await sdk.call("responses.create", **fields, stream=True, background=background)
    events = await sdk.read(stream)
    seen = check_events(events)
    assert events[0].type == "response.created"
    check_response(kind, seen)
    texts = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(texts) == seen.output_text
    arguments = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    called = [item.arguments for item in seen.output if item.type == "function_call"]
    assert "".join(arguments) == "".join(called)


@pytest.mark.parametrize("kind", KINDS)
async def test_responses_in_the_background(sdk: Both, real_fleet: Stack, kind: Kind) -> None:
    seen = await sdk.call("responses.create", **response_fields(kind), background=True)
    assert seen.status == "queued"
    assert seen.background
    real_fleet.ended(seen.id)
    check_response(kind, await sdk.call("responses.retrieve", seen.id))


def test_the_sdks_own_response_stream_gathers_the_answer(sync_client: OpenAI) -> None:
    fields = response_fields("plain")
    with sync_client.responses.stream(**fields) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "response.output_text.done" in kinds
    assert final.output_text


@pytest.mark.parametrize("kind", KINDS)
async def test_a_background_response_is_resumed_after_every_event(sdk: Both, kind: Kind) -> None:
    fields = response_fields(kind)
    stream = await sdk.call("responses.create", **fields, background=True, stream=True)
    events = await sdk.read(stream)
    whole = check_events(events)
    for event in events[:-1]:
        after = event.sequence_number
        rest = await sdk.read(await resumed(sdk, whole.id, after))
        assert check_events(rest, after + 1).output == whole.output
        assert [e.to_dict() for e in rest] == [e.to_dict() for e in events[after + 1 :]]


async def resumed(sdk: Both, response_id: str, after: int) -> Any:
    """The stream of a response from behind that event on."""
    return await sdk.call("responses.retrieve", response_id, stream=True, starting_after=after)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_live_background_response_is_left_and_resumed_after_every_event(
    sdk: Both, kind: Kind
) -> None:
    fields = response_fields(kind)
    stream = await sdk.call("responses.create", **fields, background=True, stream=True)
    seen = await sdk.read(stream, 1)
    response_id = seen[0].response.id
    while seen[-1].type not in ENDS:
        stream = await resumed(sdk, response_id, seen[-1].sequence_number)
        seen += await sdk.read(stream, 1)
    check_response(kind, check_events(seen))
    whole = await sdk.call("responses.retrieve", response_id)
    assert whole.output == seen[-1].response.output


# Cancel in each state -----------------------------------------------------------------------


def long(model: str = "large") -> dict[str, Any]:
    """A response that takes a while."""
    story = "Tell me a very long story about the sea."
    return {"model": model, "input": story, "max_output_tokens": 600, "background": True}


async def test_a_response_that_no_router_has_seen_is_cancelled(
    sdk: Both, real_fleet: Stack
) -> None:
    router = real_fleet.processes["router"]
    router.send_signal(signal.SIGSTOP)
    try:
        waiting = await sdk.call("responses.create", **long())
        assert real_fleet.job(waiting.id)["status"] == "queued"
        assert (await sdk.call("responses.cancel", waiting.id)).status == "cancelled"
    finally:
        router.send_signal(signal.SIGCONT)
    seen = await sdk.call("responses.retrieve", waiting.id)
    assert (seen.status, seen.output) == ("cancelled", [])


async def test_a_response_that_waits_for_a_slot_is_cancelled(sdk: Both, real_fleet: Stack) -> None:
    running = [await sdk.call("responses.create", **long()) for _ in range(SLOTS_OF_LARGE)]
    real_fleet.until_status(running[0].id, "running")
    waiting = await sdk.call("responses.create", **long())
    assert (await sdk.call("responses.retrieve", waiting.id)).status == "queued"
    assert (await sdk.call("responses.cancel", waiting.id)).status == "cancelled"
    seen = await sdk.call("responses.retrieve", waiting.id)
    assert (seen.status, seen.output) == ("cancelled", [])
    for response in running:
        assert (await sdk.call("responses.cancel", response.id)).status == "cancelled"


async def test_a_response_that_runs_is_cancelled_and_keeps_what_it_said(
    sdk: Both, real_fleet: Stack
) -> None:
    stream = await sdk.call("responses.create", **long(), stream=True)
    seen = await sdk.read(stream, 12)
    response_id = seen[0].response.id
    assert seen[-1].type == "response.output_text.delta"
    cancelled = await sdk.call("responses.cancel", response_id)
    assert cancelled.status == "cancelled"
    assert cancelled.output_text
    again = await sdk.call("responses.cancel", response_id)
    assert (again.status, again.output_text) == ("cancelled", cancelled.output_text)
    wait_until(lambda: busy(real_fleet, "large") == 0, "the slot is free")


async def test_a_response_that_has_ended_stays_as_it_is_when_cancelled(sdk: Both) -> None:
    stream = await sdk.call(
        "responses.create", **response_fields("plain"), background=True, stream=True
    )
    ended = check_events(await sdk.read(stream))
    seen = await sdk.call("responses.cancel", ended.id)
    assert (seen.status, seen.output_text) == (ended.status, ended.output_text)


async def test_a_response_in_the_foreground_is_not_for_cancelling(sdk: Both) -> None:
    seen = await sdk.call("responses.create", **response_fields("plain"))
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        await sdk.call("responses.cancel", seen.id)


async def test_whoever_leaves_a_stream_in_the_foreground_ends_it(
    sdk: Both, real_fleet: Stack
) -> None:
    stream = await sdk.call("responses.create", **{**long(), "background": False}, stream=True)
    seen = await sdk.read(stream, 8)
    real_fleet.until_status(seen[0].response.id, "cancelled")


async def test_whoever_leaves_a_stream_of_chat_completions_ends_it(
    sdk: Both, real_fleet: Stack
) -> None:
    story = [{"role": "user", "content": long()["input"]}]
    stream = await sdk.call(
        "chat.completions.create", model="large", messages=story, max_tokens=600, stream=True
    )
    seen = await sdk.read(stream, 8)
    real_fleet.until_status(seen[0].id, "cancelled")
    wait_until(lambda: busy(real_fleet, "large") == 0, "the slot is free")


def busy(fleet: Stack, model: str) -> int:
    """Streams at work in the workers of a model."""
    active: int = fleet.client.get("/health").json()["models"][model]["active"]
    return active


# Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["chat.completions.create", "responses.create"])
async def test_an_unknown_model_is_the_sdks_not_found(sdk: Both, api: str) -> None:
    asked = {"messages": QUESTION} if "chat" in api else {"input": "Hi"}
    with pytest.raises(openai.NotFoundError) as refused:
        await sdk.call(api, model="gpt-nobody", **asked)
    assert refused.value.code == "model_not_found"


async def test_a_response_that_is_not_there_is_the_sdks_not_found(sdk: Both) -> None:
    with pytest.raises(openai.NotFoundError, match="not found"):
        await sdk.call("responses.retrieve", "resp_" + "0" * 32)


def test_many_at_once_come_whole(sync_client: OpenAI, real_fleet: Stack) -> None:
    with ExitStack() as open_streams:
        streams = [
            open_streams.enter_context(
                sync_client.responses.create(**response_fields("plain"), stream=True)
            )
            for _ in range(6)
        ]
        answers = [check_events(list(stream)) for stream in streams]
    assert len({answer.id for answer in answers}) == 6
    assert len({answer.output_text for answer in answers}) == 1
