"""OpenAI's chat completions, asked by OpenAI's own SDK."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.integration.conftest import Fleet
from tests.support import wait_until

WORDS = " w0 w1 w2 w3 w4"
SAY = [{"role": "user", "content": "Hi [[fake n=5]]"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def asking(text: str, **fields: Any) -> dict[str, Any]:
    """The fields of a request for the model `fast`."""
    return {"model": "fast", "messages": [{"role": "user", "content": text}], **fields}


def to(fleet: Fleet) -> dict[str, Any]:
    """How the SDK reaches the fleet; it does not ask twice."""
    return {"base_url": f"{fleet.stack.url}/v1", "api_key": "none", "max_retries": 0, "timeout": 20}


@pytest.fixture
def client(fleet: Fleet) -> Iterator[OpenAI]:
    with OpenAI(**to(fleet)) as client:
        yield client


@pytest.fixture
async def asynchronous(fleet: Fleet) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(**to(fleet)) as client:
        yield client


def chunks(fleet: Fleet, **body: Any) -> list[Any]:
    """What a stream says, frame by frame, as anybody reads it without an SDK."""
    url = "/v1/chat/completions"
    with fleet.stack.client.stream("POST", url, json={**body, "stream": True}) as reply:
        assert reply.status_code == 200, reply.read()
        data = [line.removeprefix("data: ") for line in reply.iter_lines() if line[:5] == "data:"]
    return [said if said == "[DONE]" else json.loads(said) for said in data]


def test_an_answer_in_one_piece(client: OpenAI) -> None:
    reply = client.chat.completions.with_raw_response.create(**asking("Hi [[fake n=5]]"))
    whole = reply.parse()
    ChatCompletion.model_validate(whole.model_dump(), strict=True)
    [choice] = whole.choices
    assert (choice.message.content, choice.finish_reason) == (WORDS, "stop")
    assert choice.message.refusal is None
    assert whole.model == "fast"
    assert whole.usage
    assert whole.usage.completion_tokens == 5
    job_id = reply.headers["x-fleet-job-id"]
    assert whole.id == job_id.replace("job_", "chatcmpl-")
    assert reply.headers["x-fleet-model"] == "fast"


async def test_the_same_by_the_asynchronous_client(asynchronous: AsyncOpenAI) -> None:
    whole = await asynchronous.chat.completions.create(**asking("Hi [[fake n=5]]"))
    assert whole.choices[0].message.content == WORDS
    text = ""
    stream = await asynchronous.chat.completions.create(**asking("Hi [[fake n=5]]"), stream=True)
    async for chunk in stream:
        text += chunk.choices[0].delta.content or ""
    assert text == WORDS


def test_a_stream_has_openais_shape(fleet: Fleet) -> None:
    said = chunks(fleet, **asking("Hi [[fake n=5 tps=50]]"))
    assert said.pop() == "[DONE]"
    for chunk in said:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    assert {(chunk["created"], chunk["id"], chunk["model"]) for chunk in said} == {
        (said[0]["created"], said[0]["id"], "fast")
    }
    deltas = [chunk["choices"][0]["delta"] for chunk in said]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert "".join(delta.get("content", "") for delta in deltas) == WORDS
    assert deltas[-1] == {}
    assert [chunk["choices"][0]["finish_reason"] for chunk in said][-2:] == [None, "stop"]
    assert not any("usage" in chunk for chunk in said)


def test_usage_comes_in_a_chunk_of_its_own_where_it_was_asked_for(fleet: Fleet) -> None:
    said = chunks(fleet, **asking("Hi [[fake n=5]]"), stream_options={"include_usage": True})
    *pieces, last = said[:-1]
    assert [chunk["usage"] for chunk in pieces] == [None] * len(pieces)
    ChatCompletionChunk.model_validate(last, strict=True)
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 5)
    assert last["timings"]["predicted_n"] == 5


def test_the_sdk_puts_a_stream_together_as_the_whole(client: OpenAI) -> None:
    with client.chat.completions.stream(
        **asking("Hi [[fake n=5]]"), stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == WORDS
    assert final.usage
    assert client.chat.completions.retrieve(final.id).choices[0].message.content == WORDS


def test_a_model_calls_a_tool_and_hears_of_it(fleet: Fleet, client: OpenAI) -> None:
    said = chunks(fleet, **asking("Weather? [[fake tool=1]]", tools=TOOLS, tool_choice="auto"))
    for chunk in said[:-1]:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    calls = [c for chunk in said[:-1] for c in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [sorted(call) for call in calls] == [
        ["function", "id", "index", "type"],
        *[["function", "index"]] * (len(calls) - 1),
    ]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city":"Paris"}'
    assert said[-2]["choices"][0]["finish_reason"] == "tool_calls"

    asked: Any = asking("Weather? [[fake tool=1]]", tools=TOOLS)
    [choice] = client.chat.completions.create(**asked).choices
    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")
    assert choice.message.tool_calls
    [call] = choice.message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    back = [*asked["messages"], choice.message, result, *SAY]
    whole = client.chat.completions.create(model="fast", messages=back, tools=TOOLS)  # type: ignore[arg-type]
    assert whole.choices[0].message.content == WORDS
    turns = fleet.fast.stats()["bodies"][-1]["messages"]
    assert [sorted(turn) for turn in turns] == [
        ["content", "role"],
        ["role", "tool_calls"],
        ["content", "role", "tool_call_id"],
        ["content", "role"],
    ]


def test_reasoning_comes_beside_the_answer(fleet: Fleet, client: OpenAI) -> None:
    said = chunks(fleet, **asking("Hi [[fake n=2 reasoning=2]]"))
    deltas = [chunk["choices"][0]["delta"] for chunk in said[:-1]]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == " r0 r1"
    whole = client.chat.completions.create(**asking("Hi [[fake n=2 reasoning=2]]"))
    assert whole.choices[0].message.model_dump()["reasoning_content"] == " r0 r1"


def test_an_answer_that_is_cut_says_so(client: OpenAI) -> None:
    whole = client.chat.completions.create(**asking("Hi [[fake n=5]]", max_completion_tokens=2))
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (
        " w0 w1",
        "length",
    )
    filtered = client.chat.completions.create(**asking("Hi [[fake n=2 finish=content_filter]]"))
    assert filtered.choices[0].finish_reason == "content_filter"


def test_an_unknown_model_is_told_with_those_that_there_are(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there are: auto, fast, tool, large") as caught:
        client.chat.completions.create(model="gpt-9", messages=SAY)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_when_all_models_are_away_the_status_says_so(fleet: Fleet, client: OpenAI) -> None:
    for fake in (fleet.fast, fleet.tool, fleet.large):
        fake.control(fail=500)
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError, match="All models unavailable") as caught:
            client.chat.completions.create(**asking("Hi"), stream=stream)
        assert (caught.value.status_code, caught.value.code) == (503, "all_models_unavailable")
        assert caught.value.response.headers["x-fleet-job-id"].startswith("job_")


def test_a_dead_model_is_passed_by_unseen(fleet: Fleet, client: OpenAI) -> None:
    fleet.fast.control(fail=500)
    reply = client.chat.completions.with_raw_response.create(**asking("Hi [[fake n=5]]"))
    assert reply.parse().choices[0].message.content == WORDS
    assert reply.parse().model == reply.headers["x-fleet-model"] == "tool"


def test_a_reader_who_leaves_ends_the_job(fleet: Fleet, client: OpenAI) -> None:
    stream = client.chat.completions.create(**asking("Hi [[fake n=500 tps=20]]"), stream=True)
    job_id = stream.response.headers["x-fleet-job-id"]
    next(stream)
    stream.close()
    assert fleet.stack.ended(job_id)["status"] == "cancelled"
    wait_until(lambda: fleet.fast.stats()["active"] == 0, "the server's slot is free")


def test_a_reader_may_leave_a_job_that_goes_on_and_come_back(fleet: Fleet, client: OpenAI) -> None:
    stream = client.chat.completions.create(
        **asking("Hi [[fake n=20 tps=40]]"),
        stream=True,
        extra_headers={"x-fleet-on-disconnect": "continue"},
    )
    first = next(iter(stream))
    stream.close()
    whole = client.chat.completions.retrieve(first.id, extra_query={"wait": 20})
    assert whole.choices[0].message.content == "".join(f" w{n}" for n in range(20))
