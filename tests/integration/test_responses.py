"""OpenAI's Responses with the real SDK as client, every object and event strictly its own."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from tests.fakes.handle import Fake
from tests.integration.conftest import Fleet
from tests.support import wait_until

TIME: Any = {
    "type": "function",
    "name": "get_time",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
WORDS = " w0 w1 w2"


@pytest.fixture
def client(fleet: Fleet) -> Iterator[OpenAI]:
    with sdk(fleet) as client:
        yield client


def sdk(fleet: Fleet) -> OpenAI:
    """An unmodified client that takes no event and no object but its own."""
    return OpenAI(
        base_url=f"{fleet.stack.url}/v1",
        api_key="any",
        max_retries=0,
        _strict_response_validation=True,
    )


def ask(client: OpenAI, given: Any = "Hi [[fake n=3]]", **fields: Any) -> Any:
    return client.responses.create(**{"model": "fast", "input": given, **fields})


def ended(client: OpenAI, response_id: str) -> Any:
    def look() -> Any:
        seen = client.responses.retrieve(response_id)
        return seen if seen.status not in ("queued", "in_progress") else None

    return wait_until(look, f"{response_id} has ended", 30)


def busy(fake: Fake) -> int:
    return int(fake.stats()["active"])


def last_body(fake: Fake) -> dict[str, Any]:
    body: dict[str, Any] = fake.stats()["bodies"][-1]
    return body


def test_whoever_waits_gets_the_whole_answer(client: OpenAI) -> None:
    raw = client.responses.with_raw_response.create(
        model="fast", input="Hi [[fake n=3]]", instructions="Be brief.", metadata={"a": "b"}
    )
    response = raw.parse()
    assert (response.status, response.output_text, response.model) == ("completed", WORDS, "fast")
    assert response.usage is not None
    assert response.usage.output_tokens == 3
    assert (response.instructions, response.metadata) == ("Be brief.", {"a": "b"})
    assert raw.headers["x-fleet-model"] == "fast"
    assert client.responses.retrieve(response.id) == response


def test_a_stream_tells_the_answer_and_ends_with_the_object(client: OpenAI) -> None:
    events = list(ask(client, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == WORDS
    assert events[-1].response == client.responses.retrieve(events[-1].response.id)


def test_a_background_response_is_queued_at_once_and_completes_by_itself(client: OpenAI) -> None:
    response = ask(client, background=True)
    assert (response.status, response.background, response.output) == ("queued", True, [])
    assert ended(client, response.id).output_text == WORDS


def test_a_background_stream_that_is_dropped_goes_on(client: OpenAI) -> None:
    with ask(client, "Hi [[fake n=20 tps=40]]", background=True, stream=True) as stream:
        events = iter(stream)
        seen = [next(events) for _ in range(6)]
    assert [event.type for event in seen[:3]] == [
        *("response.created", "response.queued", "response.in_progress"),
    ]
    response_id = seen[0].response.id
    rest: list[Any] = list(
        client.responses.retrieve(response_id, stream=True, starting_after=seen[-1].sequence_number)
    )
    assert [e.sequence_number for e in [*seen, *rest]] == list(range(len(seen) + len(rest)))
    assert rest[-1].response.output_text == "".join(f" w{n}" for n in range(20))


def test_a_stream_is_taken_up_again_after_any_event(client: OpenAI) -> None:
    whole = list(ask(client, "Hi [[fake n=4 reasoning=2]]", background=True, stream=True))
    response_id = whole[0].response.id
    for after in range(len(whole)):
        with client.responses.stream(response_id=response_id, starting_after=after) as stream:
            seen: list[Any] = list(stream)
            numbers = [event.sequence_number for event in seen]
            assert numbers == list(range(after + 1, len(whole)))
            assert stream.get_final_response().output_text == " w0 w1 w2 w3"
        rest = client.responses.retrieve(response_id, stream=True, starting_after=after)
        assert list(rest) == whole[after + 1 :]


async def test_the_async_client_reads_the_same(fleet: Fleet) -> None:
    async with AsyncOpenAI(
        base_url=f"{fleet.stack.url}/v1", api_key="any", _strict_response_validation=True
    ) as client:
        one = await client.responses.create(model="fast", input="Hi [[fake n=3]]")
        assert one.output_text == WORDS
        async with client.responses.stream(model="fast", input="Hi [[fake n=3]]") as stream:
            kinds = [event.type async for event in stream]
            assert (await stream.get_final_response()).output_text == WORDS
        assert kinds[-1] == "response.completed"
        later = await client.responses.create(model="fast", input="Hi", background=True)
        events = [e async for e in await client.responses.retrieve(later.id, stream=True)]
        assert events[-1].type == "response.completed"


def test_many_readers_at_once_hear_the_same(client: OpenAI) -> None:
    response_id = ask(client, "Hi [[fake n=20 tps=40]]", background=True).id
    heard: list[list[Any]] = []

    def read() -> None:
        heard.append(list(client.responses.retrieve(response_id, stream=True)))

    readers = [threading.Thread(target=read) for _ in range(5)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    assert len(heard) == 5
    assert all(events == heard[0] for events in heard)
    assert heard[0][-1].type == "response.completed"


def test_a_response_in_the_line_is_cancelled_before_any_model_hears_of_it(
    fleet: Fleet, client: OpenAI
) -> None:
    fillers = [ask(client, "Hi [[fake n=200 tps=20]]", background=True) for _ in range(4)]
    wait_until(lambda: busy(fleet.fast) == 4, "all slots are taken")
    waits = ask(client, background=True)
    wait_until(lambda: fleet.stack.job(waits.id)["status"] == "routed", "it waits for its model")
    assert client.responses.retrieve(waits.id).status == "queued"
    requests = fleet.fast.stats()["requests"]
    assert client.responses.cancel(waits.id).status == "cancelled"
    events = list(client.responses.retrieve(waits.id, stream=True))
    assert [event.type for event in events] == [
        *("response.created", "response.queued", "response.incomplete"),
    ]
    for filler in fillers:
        client.responses.cancel(filler.id)
    wait_until(lambda: busy(fleet.fast) == 0, "the slots are free")
    assert fleet.fast.stats()["requests"] == requests


def test_a_running_response_is_cancelled_and_keeps_what_it_had(
    fleet: Fleet, client: OpenAI
) -> None:
    with ask(client, "Hi [[fake n=200 tps=40]]", background=True, stream=True) as stream:
        events = []
        for event in stream:
            events.append(event)
            if event.type == "response.output_text.delta" and len(events) < 10:
                shown = client.responses.cancel(events[0].response.id)
                assert shown.status == "cancelled"
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.status == "cancelled"
    assert events[-1].response.output_text.startswith(" w0")
    response_id = events[0].response.id
    assert client.responses.cancel(response_id) == client.responses.retrieve(response_id)
    wait_until(lambda: busy(fleet.fast) == 0, "the slot is free")


def test_one_that_has_ended_is_not_changed_by_a_cancel(client: OpenAI) -> None:
    response = ended(client, ask(client, background=True).id)
    assert client.responses.cancel(response.id) == response


def test_one_that_somebody_waits_for_is_not_cancelled_here(client: OpenAI) -> None:
    response = ask(client)
    with pytest.raises(BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(response.id)


def gone_after_a_token(fleet: Fleet, **how: Any) -> str:
    """Drops a stream that is under way; the id of its job."""
    text = "Hi [[fake n=60 tps=40]]"
    with sdk(fleet) as client, ask(client, text, stream=True, **how) as stream:
        for event in stream:
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                break
    return str(response_id)


def test_dropping_a_stream_cancels_it(fleet: Fleet) -> None:
    response_id = gone_after_a_token(fleet)
    fleet.stack.until_status(response_id, "cancelled")
    wait_until(lambda: busy(fleet.fast) == 0, "the slot is free")


def test_who_stops_waiting_cancels_it(fleet: Fleet) -> None:
    body = json.dumps({"model": "fast", "input": "Hi [[fake n=200 tps=20]]"})
    head = f"POST /v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", fleet.stack.port)) as waiting:
        waiting.sendall(f"{head}{body}".encode())
        wait_until(lambda: busy(fleet.fast) == 1, "the model answers")
    wait_until(lambda: busy(fleet.fast) == 0, "the slot is free")
    [job] = fleet.stack.client.get("/v1/jobs", params={"limit": 1}).json()["jobs"]
    assert job["status"] == "cancelled"


@pytest.mark.parametrize(
    "how",
    [
        {"extra_headers": {"x-fleet-on-disconnect": "continue"}},
        {"extra_body": {"on_disconnect": "continue"}},
    ],
)
def test_dropping_a_stream_that_shall_go_on_leaves_it_alone(
    fleet: Fleet, how: dict[str, Any]
) -> None:
    assert fleet.stack.ended(gone_after_a_token(fleet, **how))["status"] == "completed"


def test_a_tool_is_called_and_its_result_goes_on_from_the_response(
    fleet: Fleet, client: OpenAI
) -> None:
    first = ask(client, "What time? [[fake tool=1]]", tools=[TIME], instructions="Be brief.")
    [call] = first.output
    assert (call.type, call.name, call.status) == ("function_call", "get_time", "completed")
    assert call.arguments == '{"city":"Paris"}'
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "noon"}
    then: Any = {"role": "user", "content": "So? [[fake n=3 tool=0]]"}
    second = ask(client, [output, then], previous_response_id=first.id, instructions="Be kind.")
    assert second.output_text == WORDS
    assert second.previous_response_id == first.id
    messages = last_body(fleet.fast)["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "user"]
    assert messages[0]["content"] == "Be kind."
    assert messages[2]["tool_calls"][0]["id"] == messages[3]["tool_call_id"] == call.call_id
    third = ask(client, "And? [[fake n=1]]", previous_response_id=second.id)
    messages = last_body(fleet.fast)["messages"]
    assert [m["role"] for m in messages] == [
        *("user", "assistant", "tool", "user", "assistant", "user"),
    ]
    assert third.status == "completed"
    with pytest.raises(BadRequestError, match="No tool output found for function call"):
        ask(client, "Never mind", previous_response_id=first.id)


def test_a_stream_tells_of_a_call_as_the_sdk_gathers_it(client: OpenAI) -> None:
    asked: Any = {"model": "fast", "input": "What time? [[fake tool=1]]", "tools": [TIME]}
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        [call] = stream.get_final_response().output
    assert kinds.count("response.function_call_arguments.done") == 1
    assert call.type == "function_call"
    assert call.arguments == '{"city":"Paris"}'


def test_the_items_of_an_earlier_response_can_be_referred_to(fleet: Fleet, client: OpenAI) -> None:
    first = ask(client)
    items: Any = [
        {"type": "item_reference", "id": first.output[0].id},
        {"role": "user", "content": "And? [[fake n=1]]"},
    ]
    second = ask(client, items)
    contents = [m["content"] for m in last_body(fleet.fast)["messages"]]
    assert contents == [WORDS, "And? [[fake n=1]]"]
    listed = client.responses.input_items.list(second.id, order="asc").data
    assert listed[0].id == first.output[0].id
    items[0]["id"] = f"msg_{'0' * 32}_0"
    with pytest.raises(BadRequestError, match="there is no item"):
        ask(client, items)


class Found(BaseModel):
    answer: str


def test_a_schema_reaches_the_model_and_is_shown_again(fleet: Fleet, client: OpenAI) -> None:
    with pytest.raises(ValueError, match="Invalid JSON"):  # the fake knows no JSON
        client.responses.parse(model="fast", input="Hi [[fake n=1]]", text_format=Found)
    sent = last_body(fleet.fast)["response_format"]
    assert sent["json_schema"]["name"] == "Found"
    assert sent["json_schema"]["schema"]["required"] == ["answer"]
    text: Any = {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}}
    response = ask(client, text=text)
    assert response.text.format.to_dict() == text["format"]
    ask(client, text={"format": {"type": "json_object"}})
    assert last_body(fleet.fast)["response_format"]["type"] == "json_object"


def test_what_somebody_else_must_do_is_refused_by_name(client: OpenAI) -> None:
    for kind in ("web_search", "file_search", "mcp", "computer_use_preview", "code_interpreter"):
        with pytest.raises(BadRequestError, match=f"tools of type '{kind}'"):
            ask(client, tools=[{"type": kind}])


def test_a_cut_answer_says_why(client: OpenAI) -> None:
    response = ask(client, "Hi [[fake n=9]]", max_output_tokens=2)
    assert (response.status, response.output_text) == ("incomplete", " w0 w1")
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.output[0].status == "incomplete"


def test_a_failure_is_an_error_to_who_waits_and_an_event_to_who_reads(
    fleet: Fleet, client: OpenAI
) -> None:
    for fake in (fleet.fast, fleet.tool, fleet.large):
        fake.control(fail=500)
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, "Hi")
    assert failed.value.code == "all_models_unavailable"
    assert failed.value.response.headers["x-should-retry"] == "false"
    events = list(ask(client, "Hi", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "server_error"
    assert events[-1].response.error.to_dict()["fleet_code"] == "all_models_unavailable"
    later = ended(client, ask(client, "Hi", background=True).id)
    assert (later.status, later.output) == ("failed", [])


def test_one_that_nobody_could_answer_in_time_has_failed(fleet: Fleet, client: OpenAI) -> None:
    text = "Hi [[fake n=100 tps=20]]"
    response_id = ask(client, text, background=True, extra_body={"deadline_s": 0.5}).id
    response = ended(client, response_id)
    assert (response.status, response.error.code) == ("failed", "server_error")
    assert response.error.to_dict()["fleet_code"] == "deadline_exceeded"
    assert response.output[0].status == "incomplete"


def test_a_model_that_is_lost_in_mid_answer_leaves_no_half_in_the_object(
    fleet: Fleet, client: OpenAI
) -> None:
    fleet.fast.control(cut=3, old=1)
    asked: Any = {"model": "fast", "input": "Hi [[fake n=6]]"}
    with client.responses.stream(**asked) as stream:
        events = list(stream)
        final = stream.get_final_response()
    done: list[Any] = [e for e in events if e.type == "response.output_item.done"]
    assert [(e.output_index, e.item.status) for e in done] == [(0, "incomplete"), (1, "completed")]
    assert final.output_text == " w0 w1 w2 w3 w4 w5"
    assert final.model == "tool"
    assert len(client.responses.retrieve(final.id).output) == 1


def test_a_response_that_is_not_stored_cannot_be_found_again(fleet: Fleet, client: OpenAI) -> None:
    response = ask(client, store=False)
    assert (response.output_text, response.to_dict()["store"]) == (WORDS, False)
    calls: list[Callable[[], Any]] = [
        lambda: client.responses.retrieve(response.id),
        lambda: client.responses.delete(response.id),
        lambda: client.responses.cancel(response.id),
        lambda: client.responses.input_items.list(response.id),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            call()
    with pytest.raises(BadRequestError) as unknown:
        ask(client, previous_response_id=response.id)
    assert unknown.value.code == "previous_response_not_found"
    with pytest.raises(BadRequestError, match="background: needs `store`"):
        ask(client, store=False, background=True)


def test_what_is_not_there_is_not_found_in_openais_words(fleet: Fleet) -> None:
    reply = fleet.stack.client.get("/v1/responses/resp_0")
    assert reply.status_code == 404
    assert reply.json()["error"] == {
        "message": "Response with id 'resp_0' not found.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def test_who_goes_on_too_soon_is_told_to_wait(client: OpenAI) -> None:
    first = ask(client, "Hi [[fake n=100 tps=20]]", background=True)
    with pytest.raises(openai.ConflictError, match="wait for its end"):
        ask(client, previous_response_id=first.id)
    client.responses.cancel(first.id)
    assert ask(client, previous_response_id=first.id).status == "completed"


def test_a_deleted_response_is_gone_with_its_words(fleet: Fleet, client: OpenAI) -> None:
    response = ask(client)
    assert fleet.stack.client.delete(f"/v1/responses/{response.id}").json() == {
        "id": response.id,
        "object": "response",
        "deleted": True,
    }
    with pytest.raises(NotFoundError):
        client.responses.retrieve(response.id)
    assert fleet.stack.client.get(f"/v1/jobs/{response.id}").status_code == 404


def test_a_running_response_that_is_deleted_stops_first(fleet: Fleet, client: OpenAI) -> None:
    events = []
    with ask(client, "Hi [[fake n=200 tps=40]]", background=True, stream=True) as stream:
        for event in stream:
            events.append(event)
            if event.type == "response.output_text.delta" and len(events) < 10:
                client.responses.delete(events[0].response.id)
    assert events[-1].response.status == "cancelled"
    wait_until(lambda: busy(fleet.fast) == 0, "the slot is free")
    with pytest.raises(NotFoundError):
        client.responses.retrieve(events[0].response.id)


def test_the_input_is_listed_in_pages(client: OpenAI) -> None:
    turns: Any = [{"role": "user", "content": f"{n} [[fake n=1]]"} for n in range(5)]
    response = ask(client, turns)
    pages: Any = client.responses.input_items.list(response.id, limit=2)
    texts = [item.content[0].text for item in pages]
    assert [text[0] for text in texts] == ["4", "3", "2", "1", "0"]
    first: Any = client.responses.input_items.list(response.id, limit=1, order="asc").data
    assert first[0].content[0].text.startswith("0")


def test_a_job_is_one_object_under_every_name(fleet: Fleet, client: OpenAI) -> None:
    job_id = fleet.stack.post("Hi [[fake n=3]]")
    fleet.stack.ended(job_id)
    response = client.responses.retrieve(job_id.replace("job_", "resp_"))
    assert (response.output_text, response.background) == (WORDS, True)
    then = ask(client, "And? [[fake n=1]]", previous_response_id=response.id)
    contents = [m["content"] for m in last_body(fleet.fast)["messages"]]
    assert contents == ["Hi [[fake n=3]]", WORDS, "And? [[fake n=1]]"]
    assert fleet.stack.job(then.id)["answer"]["content"] == " w0"
    item: Any = client.responses.input_items.list(response.id).data[0]
    assert item.content[0].text == "Hi [[fake n=3]]"


def test_the_same_post_again_is_the_same_response(client: OpenAI) -> None:
    key = {"Idempotency-Key": "responses-once"}
    first = ask(client, background=True, extra_headers=key)
    whole = ended(client, first.id)
    again = ask(client, background=True, extra_headers=key)
    assert again == whole
    with pytest.raises(openai.ConflictError):
        ask(client, "Something else", background=True, extra_headers=key)
    client.responses.delete(first.id)
    anew = ask(client, background=True, extra_headers=key)
    assert ended(client, anew.id).id != first.id


def test_log_probabilities_are_asked_for_and_what_does_nothing_is_named(
    fleet: Fleet, client: OpenAI
) -> None:
    raw = client.responses.with_raw_response.create(
        model="fast",
        input="Hi [[fake n=1]]",
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=2,
        extra_body={"top_k": 7, "priority": 1, "moderation": {"model": "m"}},
    )
    body = last_body(fleet.fast)
    assert (body["logprobs"], body["top_logprobs"], body["top_k"]) == (True, 2, 7)
    ignored = raw.headers["x-fleet-ignored"].split(", ")
    assert ignored == ["moderation", "include.reasoning.encrypted_content"]
    assert fleet.stack.job(raw.parse().id)["priority"] == 1


def test_a_chain_may_not_grow_beyond_what_one_body_may_have(fleet: Fleet, client: OpenAI) -> None:
    first = ask(client, "x" * 700_000)
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client, "x" * 700_000, previous_response_id=first.id)
    assert refused.value.status_code == 413
    assert "earlier turns" in refused.value.message
    turns: Any = [{"role": "user", "content": "Hi"}] * 998
    long = ask(client, turns)
    assert ask(client, previous_response_id=long.id).status == "completed"
    with pytest.raises(BadRequestError, match="messages: at most 1000"):
        ask(client, turns[:2], previous_response_id=long.id)


def test_an_order_for_a_reader_that_goes_is_one_of_two(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="should be 'continue' or 'cancel'"):
        ask(client, extra_headers={"x-fleet-on-disconnect": "stay"})
