"""`POST /v1/messages` with Anthropic's own SDK as the client."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool

from tests.integration.conftest import MODEL, Fleet
from tests.stack import Stack
from tests.support import until, wait_until

KEY = "alices-key-0123456789"
TOOL: Any = {
    "name": "get_weather",
    "description": "Looks out of the window.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def client(fleet: Fleet) -> Iterator[Anthropic]:
    with Anthropic(base_url=fleet.stack.url, api_key="none", max_retries=0) as client:
        yield client


def hello(words: str, **fields: Any) -> dict[str, Any]:
    return {
        "model": "fast",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": words}],
        **fields,
    }


def busy(fleet: Fleet) -> int:
    return sum(slot["is_processing"] for slot in fleet.fast.get("/slots").json())


def job_of(message_id: str) -> str:
    return "job_" + message_id.removeprefix("msg_")


def test_the_tokens_of_a_prompt_are_estimated(client: Anthropic) -> None:
    def count(words: str) -> int:
        turns: Any = [{"role": "user", "content": words}]
        counted = client.messages.count_tokens(model="auto", messages=turns, system="Be brief.")
        return counted.input_tokens

    assert count("word" * 100) - count("word") == 99
    with pytest.raises(anthropic.NotFoundError, match="there are: auto, fast"):
        client.messages.count_tokens(model="gpt-9", messages=hello("Hi")["messages"])


def test_a_message_is_an_answered_job(fleet: Fleet, client: Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        **hello("Hi there [[fake n=3 reasoning=2]]", system="Be brief.", metadata={"user_id": "u"}),
        extra_body={"priority": 1, "speed": "fast"},
    )
    message = raw.parse()
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": " r0 r1", "signature": ""},
        {"type": "text", "text": " w0 w1 w2"},
    ]
    assert (message.model, message.stop_reason) == ("fast", "end_turn")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens == 3
    assert raw.headers["x-fleet-model"] == "fast"
    assert raw.headers["x-fleet-ignored"] == "speed"
    job_id = raw.headers["x-fleet-job-id"]
    assert (job_of(message.id), message._request_id) == (job_id, job_id)
    job = fleet.stack.job(message.id)
    assert (job["priority"], job["metadata"]) == (1, {"user_id": "u"})
    asked = fleet.fast.stats()["bodies"][-1]
    assert [turn["role"] for turn in asked["messages"]] == ["system", "user"]


def test_a_stream_tells_the_same_message(fleet: Fleet, client: Anthropic) -> None:
    with client.messages.stream(**hello("Hi [[fake n=4 reasoning=1]]")) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == " w0 w1 w2 w3"
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 4)
    assert message.usage.input_tokens > 0
    assert fleet.stack.job(message.id)["status"] == "completed"


def test_the_beta_client_is_served_as_well(fleet: Fleet, client: Anthropic) -> None:
    betas = ["context-management-2025-06-27"]
    message = client.beta.messages.create(**hello("Hi [[fake n=1]]"), betas=betas)
    assert [block.type for block in message.content] == ["text"]
    runner = client.beta.messages.tool_runner(
        **hello("Weather? [[fake tool=1]]"), tools=[get_weather], max_iterations=1
    )
    assert runner.until_done().stop_reason == "tool_use"


@beta_tool
def get_weather(city: str) -> str:
    """Looks out of the window."""
    return f"It rains in {city}."


def test_an_answer_of_the_length_that_was_allowed_says_so(client: Anthropic) -> None:
    message = client.messages.create(**hello("Hi [[fake n=9]]", max_tokens=2))
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 2)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_tool_goes_round(fleet: Fleet, client: Anthropic, streamed: bool) -> None:
    asked = hello("Weather? [[fake tool=1 reasoning=1]]", tools=[TOOL])
    if streamed:
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**asked)
    assert message.stop_reason == "tool_use"
    call = message.content[-1]
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "Rain [[fake n=2]]"}
    turns: Any = [*asked["messages"], message.to_param(), {"role": "user", "content": [result]}]
    answer = client.messages.create(**{**asked, "messages": turns})
    assert [block.to_dict() for block in answer.content] == [{"type": "text", "text": " w0 w1"}]
    said = fleet.fast.stats()["bodies"][-1]["messages"]
    assert [turn["role"] for turn in said] == ["user", "assistant", "tool"]
    assert said[1]["tool_calls"][0]["id"] == said[2]["tool_call_id"] == call.id
    assert json.loads(said[1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}


async def test_the_asynchronous_sdk_is_served_as_well(fleet: Fleet) -> None:
    async with AsyncAnthropic(base_url=fleet.stack.url, api_key="none", max_retries=0) as client:
        message = await client.messages.create(**hello("Hi [[fake n=2]]"))
        assert message.content[0].to_dict() == {"type": "text", "text": " w0 w1"}
        events = await client.messages.create(**hello("Hi [[fake n=2]]"), stream=True)
        kinds = [event.type async for event in events]
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(**hello("Hi", model="gpt-9"))
    assert [kinds[0], *kinds[-3:]] == [
        *("message_start", "content_block_stop", "message_delta", "message_stop"),
    ]


@pytest.mark.parametrize("streamed", [True, False])
def test_what_fails_before_the_first_word_has_a_status(
    fleet: Fleet, client: Anthropic, streamed: bool
) -> None:
    for fake in (fleet.fast, fleet.tool, fleet.large):
        fake.control(fail=500)
    with pytest.raises(anthropic.InternalServerError) as failed:
        client.messages.create(**hello("Hi", stream=streamed))
    assert failed.value.status_code == 503
    body: Any = failed.value.body
    assert body["error"]["type"] == "overloaded_error"
    assert body["error"]["message"].startswith("All models unavailable. Tried fast: ")
    assert body["request_id"] == failed.value.request_id
    assert fleet.stack.job(body["request_id"])["status"] == "failed"


def test_what_a_model_refuses_is_the_callers(fleet: Fleet, client: Anthropic) -> None:
    fleet.fast.control(fail=400)
    with pytest.raises(anthropic.BadRequestError, match="told to fail"):
        client.messages.create(**hello("Hi"))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "document", "source": {}}]},
                ]
            },
            "messages[0].content[0]: Input tag 'document'",
        ),
        ({"messages": []}, "messages"),
    ],
)
def test_what_cannot_be_had_is_refused(
    client: Anthropic, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(**hello("Hi", **fields))
    body: Any = refused.value.body
    assert set(body) == {"type", "error", "request_id"}
    assert body["error"]["type"] == "invalid_request_error"
    assert told in body["error"]["message"]


def test_a_picture_for_models_without_eyes_is_refused(client: Anthropic) -> None:
    data = base64.b64encode(b"\x89PNG").decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [{"type": "image", "source": source}]
    with pytest.raises(anthropic.BadRequestError, match="see pictures"):
        client.messages.create(**hello("", messages=[{"role": "user", "content": content}]))


@pytest.mark.parametrize("marked", [False, True])
def test_an_answer_that_begins_anew_is_whole_or_an_error(
    fleet: Fleet, client: Anthropic, marked: bool
) -> None:
    fleet.fast.control(cut=3, old=1)
    words = f"Hi [[fake n=6 {'marked=1' if marked else ''}]]"
    with client.messages.stream(**hello(words)) as stream:
        if marked:
            with pytest.raises(anthropic.APIStatusError) as broken:
                stream.get_final_message()
            assert broken.value.type == "overloaded_error"
        else:
            assert stream.get_final_text() == "".join(f" w{n}" for n in range(6))


def test_a_stream_that_breaks_for_good_ends_with_an_error(fleet: Fleet, client: Anthropic) -> None:
    for fake in (fleet.tool, fleet.large):
        fake.control(fail=500)
    fleet.fast.control(error_event=3)
    with (
        client.messages.stream(**hello("Hi [[fake n=6]]")) as stream,
        pytest.raises(anthropic.APIStatusError, match="All models unavailable"),
    ):
        stream.get_final_message()


def test_who_leaves_a_stream_cancels_the_job(fleet: Fleet, client: Anthropic) -> None:
    with client.messages.stream(**hello("Hi [[fake n=1000 tps=50]]", max_tokens=2000)) as stream:
        next(stream.text_stream)
        message_id = stream.current_message_snapshot.id
    fleet.stack.until_status(message_id, "cancelled")
    wait_until(lambda: busy(fleet) == 0, "the slot is free")


def test_who_leaves_a_whole_answer_cancels_the_job(fleet: Fleet, client: Anthropic) -> None:
    asked = hello("Hi [[fake n=1000 tps=50]]", max_tokens=2000)
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=1.0).messages.create(**asked)
    [job] = fleet.stack.client.get("/v1/jobs", params={"limit": 1}).json()["jobs"]
    fleet.stack.until_status(job["id"], "cancelled")


@pytest.mark.parametrize("how", ["header", "field"])
def test_a_job_may_outlive_its_reader(fleet: Fleet, client: Anthropic, how: str) -> None:
    said: Any = (
        {"extra_headers": {"x-fleet-on-disconnect": "continue"}}
        if how == "header"
        else {"extra_body": {"on_disconnect": "continue"}}
    )
    with client.messages.stream(**hello("Hi [[fake n=30 tps=60]]"), **said) as stream:
        next(stream.text_stream)
        message_id = stream.current_message_snapshot.id
    assert fleet.stack.ended(message_id)["status"] == "completed"


def test_a_repeated_request_with_a_key_is_the_same_message(client: Anthropic) -> None:
    again: Any = {"extra_headers": {"Idempotency-Key": "test-messages-once"}}
    first = client.messages.create(**hello("Hi [[fake n=2]]"), **again)
    assert client.messages.create(**hello("Hi [[fake n=2]]"), **again).id == first.id
    with pytest.raises(anthropic.ConflictError) as refused:
        client.messages.create(**hello("Other"), **again)
    assert refused.value.response.headers["x-should-retry"] == "false"


async def test_a_silent_stream_says_ping(door: Stack) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    body = hello("Hi", stream=True)
    async with (
        httpx.AsyncClient(base_url=door.url, headers=headers, timeout=20, trust_env=False) as web,
        web.stream("POST", "/v1/messages", json=body) as reply,
    ):
        assert reply.status_code == 200
        lines = reply.aiter_lines()
        assert [await anext(lines), await anext(lines)] == ["event: ping", 'data: {"type":"ping"}']
        job_id = reply.headers["x-fleet-job-id"]
        told = await web.post(f"/v1/jobs/{job_id}/cancel")
        assert told.json()["status"] == "cancelled"
        rest = [line async for line in lines if line.startswith("data: ")]
    last = json.loads(rest[-1].removeprefix("data: "))
    assert last["error"] == {
        "type": "invalid_request_error",
        "message": "The job was cancelled before its answer was whole.",
    }


@pytest.fixture(scope="module")
def door(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An API with a key, and nobody behind it."""
    config = "[api]\nping_s = 0.2\n[limits]\nbody_bytes = 2000\ncaller_jobs = 1\n" + MODEL.format(
        name="fast", url="http://127.0.0.1:1", slots=1, context=4096
    )
    stack = Stack(
        tmp_path_factory.mktemp("door"),
        valkey.rpartition("/")[0] + "/8",
        config,
        FLEET_API__KEYS=json.dumps({"alice": KEY}),
    )
    stack.start_api()
    wait_until(lambda: listens(stack), "the API listens", 30)
    yield stack
    stack.stop()


def listens(stack: Stack) -> bool:
    try:
        return stack.client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


async def test_the_doors_own_refusals_are_in_the_sdks_words(door: Stack) -> None:
    options: Any = {"base_url": door.url, "max_retries": 0}
    async with AsyncAnthropic(**options, auth_token="wrong") as stranger:
        with pytest.raises(anthropic.AuthenticationError) as refused:
            await stranger.messages.create(**hello("Hi"))
        body: Any = refused.value.body
        assert body["error"]["type"] == "authentication_error"
    async with AsyncAnthropic(**options, api_key=KEY) as alice:
        with pytest.raises(anthropic.RequestTooLargeError):
            await alice.messages.create(**hello("x" * 3000))
        with pytest.raises(anthropic.NotFoundError, match="no such endpoint"):
            await alice.get("/v1/messages/nowhere", cast_to=object)
        first = await alice.messages.create(**hello("Hi"), stream=True)
        with pytest.raises(anthropic.RateLimitError) as busy:
            await alice.messages.create(**hello("Hi"))
        assert int(busy.value.response.headers["retry-after"]) >= 1
        await first.close()
        with httpx.Client(headers={"Authorization": f"Bearer {KEY}"}, trust_env=False) as web:
            jobs = f"{door.url}/v1/jobs?limit=1"
            await until(
                lambda: web.get(jobs).json()["jobs"][0]["status"] == "cancelled",
                "the job of the stream that was left is cancelled",
            )


def test_an_sdk_that_tries_again_makes_no_second_job_of_one_that_failed(
    fleet: Fleet, client: Anthropic
) -> None:
    before = fleet.fast.stats()["requests"]
    with pytest.raises(anthropic.InternalServerError, match="All models"):
        client.with_options(max_retries=2).messages.create(**hello("Hi [[fake fail=500]]"))
    assert fleet.fast.stats()["requests"] == before + 1
