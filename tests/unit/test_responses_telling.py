"""From a job's log to the events and the object of a response."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from api.responses.asked import Asked
from api.responses.telling import Telling, told_of
from api.responses.wire import ResponseWire
from fleet.events import Event, Kind, event_data, fold, reasoning_event, text_event
from fleet.job import Job, Status

OFFICIAL: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ID = "job_" + "ab" * 16
ASKED = Asked(ID, "auto", {"messages": []}, {"background": True}, {})
WAITED_FOR = Asked(ID, "auto", {"messages": []}, {}, {})


def at(kind: Kind, **fields: Any) -> tuple[Kind, str]:
    return kind, event_data(kind, at=1_795_382_747_444, **fields)


def text(words: str, *logprobs: dict[str, Any]) -> tuple[Kind, str]:
    return Kind.TOKEN, text_event(words, 1, logprobs)


def thought(words: str) -> tuple[Kind, str]:
    return Kind.TOKEN, reasoning_event(words, 1)


def call(index: int, arguments: str, name: str = "", call_id: str = "") -> tuple[Kind, str]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    delta = {"index": index, "function": function} | ({"id": call_id} if call_id else {})
    return Kind.TOKEN, event_data(Kind.TOKEN, tool_calls=[delta], n=1)


BEGUN = [
    at(Kind.QUEUED, id=ID, model="auto"),
    at(Kind.ROUTED, route="fast", model="fast", plan=["fast", "tool"], reasons=[]),
    at(Kind.STARTED, model="fast", attempt=1),
]
AGAIN = [
    at(Kind.ROUTED, route="fast", model="tool", plan=["fast", "tool"], reasons=[]),
    at(Kind.STARTED, model="tool", attempt=2),
    at(Kind.RESTARTED, reason="fast failed", model="tool"),
]
DONE = [
    (
        Kind.USAGE,
        event_data(Kind.USAGE, prompt_tokens=7, completion_tokens=2, timings={"cache_n": 5}),
    ),
    at(Kind.COMPLETED, finish_reason="stop"),
]
FAILED = at(Kind.FAILED, error={"message": "no", "code": "refused", "fault": "caller"}, tried=[])
ENDS = {
    "completed": DONE[-1],
    "incomplete": at(Kind.INCOMPLETE, finish_reason="length", reason="max_output_tokens"),
    "filtered": at(Kind.INCOMPLETE, finish_reason="content_filter", reason="content_filter"),
    "failed": FAILED,
    "cancelled": at(Kind.CANCELLED),
    "expired": at(Kind.EXPIRED, message="too late"),
}


def log(*entries: tuple[Kind, str]) -> list[Event]:
    return [Event(seq, kind, data) for seq, (kind, data) in enumerate(entries)]


def told(events: Iterable[Event], asked: Asked = ASKED) -> list[dict[str, Any]]:
    """What a stream says; every event and every object is one of the SDK's own."""
    telling = Telling(asked)
    seen = []
    for event in events:
        seen += [one.data for one in telling.hear(event)]
        Response.model_validate(telling.object())
    for data in seen:
        OFFICIAL.validate_python(data)
    assert [data["sequence_number"] for data in seen] == list(range(len(seen)))
    return seen


def kinds(seen: Sequence[dict[str, Any]]) -> list[str]:
    return [data["type"].removeprefix("response.") for data in seen]


def accumulated(seen: Sequence[dict[str, Any]]) -> Any:
    """The response that the SDK's accumulator makes of a stream."""
    state: Any = ResponseStreamState(input_tools=[], text_format=omit)
    for data in seen:
        state.handle_event(OFFICIAL.validate_python(data))
    return state._completed_response


def test_a_background_answer_is_told_as_openai_tells_it() -> None:
    seen = told(log(*BEGUN, text("Hel"), text("lo"), *DONE))
    assert kinds(seen) == [
        *("created", "queued", "in_progress"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    shown = seen[-1]["response"]
    assert (shown["status"], shown["model"], shown["completed_at"]) == (
        *("completed", "fast", 1_795_382_747),
    )
    assert shown["usage"]["input_tokens_details"]["cached_tokens"] == 5
    assert shown["usage"]["total_tokens"] == 9
    assert Response.model_validate(shown).output_text == "Hello"


def test_who_waits_for_the_answer_hears_of_no_queue() -> None:
    assert kinds(told(log(*BEGUN, *DONE), WAITED_FOR))[:2] == ["created", "in_progress"]


def test_the_model_is_the_asked_one_until_the_answering_one_is_known() -> None:
    seen = told(log(*BEGUN, text("a"), *AGAIN, text("b"), *DONE))
    models = [data["response"]["model"] for data in seen if "response" in data]
    assert models == ["auto", "auto", "fast", "tool"]


def test_thoughts_text_and_calls_are_items_of_their_own() -> None:
    seen = told(
        log(
            *BEGUN,
            *(thought("Hm"), text("I look."), call(0, "{", "weather", "call_1"), call(0, "}")),
            *(call(1, "{}", "time", "call_2"), *DONE),
        )
    )
    output = seen[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", *["function_call"] * 2]
    assert [item["status"] for item in output] == ["completed"] * 4
    assert output[0]["content"] == [{"type": "reasoning_text", "text": "Hm"}]
    assert [(c["call_id"], c["name"], c["arguments"]) for c in output[2:]] == [
        *(("call_1", "weather", "{}"), ("call_2", "time", "{}")),
    ]
    added = [data for data in seen if data["type"] == "response.output_item.added"]
    assert [data["output_index"] for data in added] == [0, 1, 2, 3]
    assert [item["id"] for item in output] == [data["item"]["id"] for data in added]


def test_a_restart_ends_the_half_told_item_and_the_object_holds_one_answer_only() -> None:
    seen = told(log(*BEGUN, thought("Hm"), text("Ha"), *AGAIN, text("Hello"), *DONE))
    done = [data for data in seen if data["type"] == "response.output_item.done"]
    assert [(data["output_index"], data["item"]["status"]) for data in done] == [
        *((0, "completed"), (1, "incomplete"), (2, "completed")),
    ]
    assert Response.model_validate(seen[-1]["response"]).output_text == "Hello"
    assert accumulated(seen).output_text == "Hello"


def test_a_call_that_comes_again_after_a_restart_has_an_id_of_its_own() -> None:
    first = call(0, "{", "weather", "call_1")
    seen = told(log(*BEGUN, first, *AGAIN, first, call(0, "}"), *DONE))
    done = [data["item"] for data in seen if data["type"] == "response.output_item.done"]
    assert done[0]["call_id"] == "call_1" != done[1]["call_id"]
    assert accumulated(seen).output[0].arguments == "{}"


@pytest.mark.parametrize(
    ("end", "status", "kind"),
    [
        ("completed", "completed", "completed"),
        ("incomplete", "incomplete", "incomplete"),
        ("filtered", "incomplete", "incomplete"),
        ("failed", "failed", "failed"),
        ("expired", "failed", "failed"),
        ("cancelled", "cancelled", "incomplete"),
    ],
)
@pytest.mark.parametrize("before", [BEGUN[:1], BEGUN[:2], BEGUN, [*BEGUN, text("Ha")]])
def test_every_end_is_told_once_and_leaves_no_item_open(
    end: str, status: str, kind: str, before: list[tuple[Kind, str]]
) -> None:
    seen = told(log(*before, ENDS[end]))
    assert kinds(seen)[-1] == kind
    assert sum(word in ("completed", "failed", "incomplete") for word in kinds(seen)) == 1
    shown = seen[-1]["response"]
    assert shown["status"] == status
    items = {item["status"] for item in shown["output"]}
    assert items <= {"completed" if end == "completed" else "incomplete"}
    assert kinds(seen).count("output_item.added") == kinds(seen).count("output_item.done")


def test_half_an_answer_is_not_called_done_where_the_sdk_would_read_it_as_json() -> None:
    class Found(BaseModel):
        a: int

    seen = told(log(*BEGUN, text('{"a'), *AGAIN, text('{"a":1}'), *DONE))
    assert kinds(seen).count("output_text.done") == 1
    state: Any = ResponseStreamState(input_tools=[], text_format=Found)
    for data in seen:
        state.handle_event(OFFICIAL.validate_python(data))
    assert state._completed_response.output_parsed == Found(a=1)


def test_why_there_is_no_whole_answer_is_said() -> None:
    def shown(end: str) -> dict[str, Any]:
        return told_of(ASKED, log(*BEGUN, ENDS[end]))

    assert shown("incomplete")["incomplete_details"] == {"reason": "max_output_tokens"}
    assert shown("cancelled")["incomplete_details"] == {"reason": None}
    assert shown("failed")["error"]["code"] == "invalid_prompt"
    assert shown("failed")["error"]["fleet_code"] == "refused"
    assert shown("expired")["error"]["code"] == "server_error"
    assert shown("expired")["error"]["fleet_code"] == "deadline_exceeded"


def test_an_answer_without_a_word_is_an_empty_message() -> None:
    seen = told(log(*BEGUN, *DONE))
    assert accumulated(seen).output_text == ""
    assert seen[-1]["response"]["output"][0]["content"][0]["text"] == ""


def test_log_probabilities_are_shown_to_whoever_asked() -> None:
    token = {"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "Ho"}]}
    events = log(*BEGUN, text("Hi", token), *DONE)
    sure = Asked(ID, "auto", {"messages": [], "logprobs": True}, {}, {})
    [delta] = [d for d in told(events, sure) if d["type"] == "response.output_text.delta"]
    assert delta["logprobs"][0]["bytes"] == [72, 105]
    part = told_of(sure, events)["output"][0]["content"][0]
    assert part["logprobs"] == delta["logprobs"]
    assert "logprobs" not in told_of(ASKED, events)["output"][0]["content"][0]


pieces = st.one_of(
    st.text(max_size=5).map(text),
    st.text(max_size=5).map(thought),
    st.builds(call, st.integers(0, 2), st.text(max_size=5), st.sampled_from(["", "f"])),
    st.sampled_from([AGAIN[2], AGAIN[1], AGAIN[0]]),
)
logs = st.builds(
    lambda middle, end: log(*BEGUN, *middle, DONE[0], end),
    st.lists(pieces, max_size=12),
    st.sampled_from(list(ENDS.values())),
)


@given(logs)
def test_any_log_makes_events_that_the_sdk_takes(events: list[Event]) -> None:
    seen = told(events)
    whole = accumulated(seen)
    shown = Response.model_validate(seen[-1]["response"])
    if shown.status == "completed":
        assert whole.output_text == shown.output_text == fold(events).content
    for data in seen:
        if data["type"] == "response.output_item.done" and data["item"]["type"] == "message":
            ours = [d for d in seen if d.get("item_id") == data["item"]["id"]]
            deltas = [d["delta"] for d in ours if "delta" in d]
            assert data["item"]["content"][0]["text"] == "".join(deltas)


@given(logs, st.data())
def test_any_batching_and_any_beginning_give_the_same_events(
    events: list[Event], data: st.DataObject
) -> None:
    every = frames(ResponseWire(ASKED).show(events))
    after = data.draw(st.integers(-1, len(every)))
    wire, seen = ResponseWire(ASKED, after), b""
    rest = events
    while rest:
        upto = data.draw(st.integers(1, len(rest)))
        seen, rest = seen + wire.show(rest[:upto]), rest[upto:]
    assert frames(seen) == every[after + 1 :]


def frames(body: bytes) -> list[dict[str, Any]]:
    shown = [part.split("\n") for part in body.decode().split("\n\n") if part]
    decoded = [json.loads(data.removeprefix("data: ")) for _, _, data in shown]
    for (number, kind, _), data in zip(shown, decoded, strict=True):
        assert number == f"id: {data['sequence_number']}"
        assert kind == f"event: {data['type']}"
    return decoded


def test_the_head_waits_for_the_word_where_it_goes_where_somebody_waits() -> None:
    wire = ResponseWire(WAITED_FOR, waits=True)
    wire.show(log(*BEGUN)[:1])
    assert not wire.settled()
    wire.show(log(*BEGUN)[1:])
    assert wire.settled()
    assert wire.headers()["x-fleet-model"] == "fast"


def test_the_last_words_say_where_to_go_on_or_that_there_is_nothing_more() -> None:
    wire = ResponseWire(ASKED)
    wire.show(log(*BEGUN))
    place = f"/v1/responses/resp_{'ab' * 16}?stream=true&starting_after=2"
    assert place in wire.farewell().decode()
    [lost] = frames(wire.lost())
    assert OFFICIAL.validate_python(lost).code == "not_found"


def test_a_job_of_another_api_is_shown_as_far_as_its_fields_exist() -> None:
    tool = {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    request = {"messages": [{"role": "user", "content": "Hi"}], "tools": [tool], "max_tokens": 9}
    choice = {"type": "function", "function": {"name": "time"}}
    request |= {"tool_choice": choice, "response_format": schema, "temperature": 0.5}
    job = Job(ID, Status.COMPLETED, request, metadata={"a": "b"})
    shown = Response.model_validate(told_of(Asked.of(job), log(*BEGUN, *DONE))).to_dict()
    assert shown["id"] == f"resp_{'ab' * 16}"
    assert shown["tools"] == [{"type": "function", "name": "time", "strict": False} | {
        "description": None, "parameters": {"type": "object"}
    }]  # fmt: skip
    assert shown["tool_choice"] == {"type": "function", "name": "time"}
    assert shown["text"] == {
        "format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}
    }
    assert (shown["max_output_tokens"], shown["temperature"], shown["background"]) == (9, 0.5, True)
