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


def test_a_conversation_too_long_for_every_model_is_the_callers_to_shorten(
    fleet: Fleet, client: OpenAI
) -> None:
    for fake in (fleet.fast, fleet.tool, fleet.large):
        fake.control(context=1)
    with pytest.raises(openai.BadRequestError, match="the model's context") as caught:
        client.chat.completions.create(**asking("Hi"), stream=True)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


def test_a_field_that_cannot_be_honoured_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="must be 1") as caught:
        client.chat.completions.create(**asking("Hi"), n=2)
    assert caught.value.param == "n"


def test_a_field_that_nobody_knows_is_named_and_goes_nowhere(fleet: Fleet, client: OpenAI) -> None:
    reply = client.chat.completions.with_raw_response.create(
        **asking("Hi [[fake n=1]]"),
        user="me",
        store=True,
        extra_body={"id_slot": 3, "priority": 0, "conversation_id": "talk"},
    )
    assert reply.headers["x-fleet-ignored"] == "id_slot"
    assert sorted(fleet.fast.stats()["bodies"][-1]) == [
        *("max_tokens", "messages", "stream", "stream_options"),
    ]
    assert fleet.stack.job(reply.headers["x-fleet-job-id"])["priority"] == 0


def test_how_sure_the_model_was(fleet: Fleet, client: OpenAI) -> None:
    whole = client.chat.completions.create(
        **asking("Hi [[fake n=3]]", logprobs=True, top_logprobs=2)
    )
    assert whole.choices[0].logprobs
    entries = whole.choices[0].logprobs.content or []
    assert "".join(entry.token for entry in entries) == " w0 w1 w2"
    assert [len(entry.top_logprobs) for entry in entries] == [2, 2, 2]
    said = chunks(fleet, **asking("Hi [[fake n=3]]", logprobs=True))
    told = [chunk["choices"][0]["logprobs"] for chunk in said[1:-2]]
    streamed = [entry for one in told for entry in one["content"]]
    assert [(entry["token"], entry["top_logprobs"]) for entry in streamed] == [
        (f" w{n}", []) for n in range(3)
    ]


def test_a_model_lost_in_mid_answer_is_replaced_unseen_by_one_that_says_the_same(
    fleet: Fleet,
) -> None:
    fleet.fast.control(cut=3, old=1)
    said = chunks(fleet, **asking("Hi [[fake n=6]]"))
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in said[:-1])
    assert (text, said[-1]) == ("".join(f" w{n}" for n in range(6)), "[DONE]")
    assert {chunk["model"] for chunk in said[:-1]} == {"fast"}


def test_one_that_says_other_words_ends_the_stream_but_not_the_job(
    fleet: Fleet, client: OpenAI
) -> None:
    fleet.fast.control(cut=3, old=1, marked=1)
    fleet.tool.control(marked=1, tps=40)
    stream = client.chat.completions.create(**asking("Hi [[fake n=20]]"), stream=True)
    with pytest.raises(openai.APIError, match="the job goes on: /v1/jobs/job_") as caught:
        list(stream)
    assert caught.value.code == "answer_restarted"
    job = fleet.stack.ended(stream.response.headers["x-fleet-job-id"])
    assert (job["status"], job["model"]) == ("completed", "tool")


def test_a_failure_in_mid_answer_raises_in_the_sdk(fleet: Fleet, client: OpenAI) -> None:
    for fake in (fleet.fast, fleet.tool, fleet.large):
        fake.control(error_event=2)
    stream = client.chat.completions.create(**asking("Hi [[fake n=5]]"), stream=True)
    with pytest.raises(openai.APIError, match="All models unavailable") as caught:
        list(stream)
    assert caught.value.code == "all_models_unavailable"


def test_the_same_key_and_body_is_the_same_job(fleet: Fleet, client: OpenAI) -> None:
    key = {"Idempotency-Key": f"once-{id(client)}"}
    asked = asking("Hi [[fake n=5 tps=50 marked=1]]")
    stream = client.chat.completions.create(**asked, stream=True, extra_headers=key)
    first = next(iter(stream))
    stream.close()  # who has a key comes back, so the job goes on
    whole = client.chat.completions.create(**asked, extra_headers=key)
    assert whole.id == first.id
    again = client.chat.completions.create(**asked, stream=True, extra_headers=key)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in again)
    assert text == whole.choices[0].message.content
    with pytest.raises(openai.ConflictError, match="Idempotency-Key") as caught:
        client.chat.completions.create(**asking("Other words"), extra_headers=key)
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_an_answer_that_is_not_whole_yet_is_a_conflict(fleet: Fleet, client: OpenAI) -> None:
    stream = client.chat.completions.create(**asking("Hi [[fake n=500 tps=20]]"), stream=True)
    first = next(iter(stream))
    with pytest.raises(openai.ConflictError, match="has not ended") as caught:
        client.chat.completions.retrieve(first.id)
    assert caught.value.response.headers["retry-after"] == "1"
    fleet.stack.client.post(f"/v1/jobs/{first.id}/cancel")
    with pytest.raises(openai.APIError) as ended:
        list(stream)
    assert ended.value.code == "cancelled"
    with pytest.raises(openai.ConflictError, match="cancelled") as final:
        client.chat.completions.retrieve(first.id)
    assert final.value.response.headers["x-should-retry"] == "false"


def test_what_is_not_there_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no job"):
        client.chat.completions.retrieve("chatcmpl-" + "0" * 32)


def test_the_job_is_the_same_by_every_name(fleet: Fleet, client: OpenAI) -> None:
    posted = fleet.stack.post("Hi [[fake n=5]]")
    fleet.stack.ended(posted)
    for name in (posted, posted.replace("job_", "chatcmpl-")):
        assert client.chat.completions.retrieve(name).choices[0].message.content == WORDS
    whole = client.chat.completions.create(**asking("Hi [[fake n=5]]"))
    kinds = [kind for _, kind, _ in fleet.stack.events(whole.id)]
    assert kinds[-1] == "completed"


def test_the_models_are_listed_with_what_they_can_do(client: OpenAI) -> None:
    listed = {model.id: model.model_dump() for model in client.models.list()}
    names = ["auto", "fast", "tool", "large", "gpt-4o", "openai/gpt-4o-mini"]
    assert list(listed) == names
    assert (listed["auto"]["kind"], listed["auto"]["context"]) == ("auto", 32768)
    assert (listed["fast"]["kind"], listed["fast"]["context"]) == ("model", 4096)
    assert listed["fast"]["capabilities"] == {
        "chat": True,
        "tools": True,
        "images": False,
        "embeddings": False,
    }
    assert listed["gpt-4o"]["alias_of"] == "auto"
    for name in names:
        assert client.models.retrieve(name).model_dump() == listed[name]
    with pytest.raises(openai.NotFoundError, match="there are: auto, fast") as caught:
        client.models.retrieve("gpt-9")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("name", ["gpt-4o", "openai/gpt-4o-mini"])
def test_an_alias_is_as_good_as_what_it_means(fleet: Fleet, client: OpenAI, name: str) -> None:
    whole = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hi"}])
    job = fleet.stack.job(whole.id)
    assert job["asked_model"] == {"gpt-4o": "auto", "openai/gpt-4o-mini": "fast"}[name]
    assert whole.model in ("fast", "tool", "large")


def test_what_open_webui_sends(fleet: Fleet) -> None:
    bearer = {"Authorization": "Bearer none"}
    listed = fleet.stack.client.get("/v1/models", headers=bearer).json()
    assert "auto" in [model["id"] for model in listed["data"]]
    body = {
        "stream": True,
        "model": "fast",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": ""},
            *SAY,
        ],
        "stream_options": {"include_usage": True},
        "metadata": {"chat_id": "c", "session_id": "s"},
    }
    url = "/v1/chat/completions"
    with fleet.stack.client.stream("POST", url, json=body, headers=bearer) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = list(reply.iter_lines())
    assert lines[-2:] == ["data: [DONE]", ""]
    assert "x-fleet-ignored" not in reply.headers


def test_what_langchain_sends(fleet: Fleet) -> None:
    said = chunks(
        fleet,
        **asking("Weather? [[fake tool=1]]"),
        temperature=0.7,
        n=1,
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        parallel_tool_calls=False,
        stream_options={"include_usage": True},
        stop=None,
        logprobs=False,
    )
    assert said[-1] == "[DONE]"
    assert said[-2]["usage"]["total_tokens"] > 0
    asked = fleet.fast.stats()["bodies"][-1]
    assert asked["tool_choice"]["function"]["name"] == "get_weather"


def test_what_curl_sends_without_a_content_type(fleet: Fleet) -> None:
    reply = fleet.stack.client.post(
        "/v1/chat/completions",
        content=json.dumps(asking("Hi [[fake n=5]]")),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert reply.json()["choices"][0]["message"]["content"] == WORDS
    assert reply.headers["x-fleet-job-id"]


def test_an_empty_question_is_asked(client: OpenAI) -> None:
    whole = client.chat.completions.create(
        model="auto",
        messages=[
            {"role": "developer", "content": "Say hello."},
            {"role": "user", "content": ""},
        ],
    )
    assert whole.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_an_sdk_that_tries_again_makes_no_second_job_of_one_that_failed(
    fleet: Fleet, client: OpenAI, stream: bool
) -> None:
    before = fleet.fast.stats()["requests"]
    with pytest.raises(openai.InternalServerError, match="All models") as failed:
        client.with_options(max_retries=2).chat.completions.create(
            **asking("Hi [[fake fail=500]]"), stream=stream
        )
    assert failed.value.response.headers["x-should-retry"] == "false"
    assert fleet.fast.stats()["requests"] == before + 1


def test_rivals_of_no_token_may_be_asked_for_without_log_probabilities(client: OpenAI) -> None:
    said = client.chat.completions.create(**asking("Hi [[fake n=5]]"), top_logprobs=0)
    assert said.choices[0].message.content == WORDS
