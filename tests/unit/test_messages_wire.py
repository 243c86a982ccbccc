"""A job's log as Anthropic's stream and message: every event as the SDK's types have it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, ParsedMessage, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from api.anthropic import view
from api.anthropic.wire import MessagesWire
from fleet.errors import AllModelsUnavailable, FleetError
from fleet.events import Event

JOB = "job_" + "a" * 32
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)

Told = tuple[str, dict[str, Any]]
BEGIN: list[Told] = [
    ("queued", {}),
    ("routed", {"route": "fast", "model": "fast", "confidence": 0.5}),
    ("started", {"model": "fast"}),
]
USED = {"prompt_tokens": 30, "completion_tokens": 7, "timings": {"cache_n": 20}}
END: list[Told] = [("usage", USED), ("completed", {"finish_reason": "stop"})]


def log(*told: Told) -> list[Event]:
    return [Event(n, kind, json.dumps({"at": n, **data})) for n, (kind, data) in enumerate(told)]


def token(**said: Any) -> Told:
    return "token", said


def call(index: int, part: str, name: str = "", call_id: str = "") -> Told:
    function = {"arguments": part} | ({"name": name} if name else {})
    return token(tool_calls=[{"index": index, "function": function, **_id(call_id)}])


def _id(call_id: str) -> dict[str, str]:
    return {"id": call_id, "type": "function"} if call_id else {}


def frames(body: bytes) -> Iterator[dict[str, Any]]:
    for frame in body.decode().split("\n\n")[:-1]:
        event, data = frame.split("\n")
        said = json.loads(data.removeprefix("data: "))
        assert event == f"event: {said['type']}"
        yield said


def shown(events: Sequence[Event], wire: MessagesWire | None = None) -> list[dict[str, Any]]:
    wire = wire or MessagesWire(JOB)
    said = list(frames(wire.show(events)))
    for data in said:
        if data["type"] != "error":
            nothing_unknown(EVENTS.validate_python(data, strict=True))
    return said


def nothing_unknown(model: BaseModel) -> None:
    assert not model.model_extra, model
    for value in dict(model).values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, BaseModel):
                nothing_unknown(part)


def heard(said: list[dict[str, Any]]) -> Any:
    """The message as the SDK puts it together."""
    snapshot: ParsedMessage[Any] | None = None
    buffers: dict[int, bytes] = {}
    for data in said:
        event = EVENTS.validate_python(data)
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot
    message = snapshot.to_dict()
    assert message.pop("stop_details", None) is None
    return message


def whole(events: Sequence[Event]) -> dict[str, Any]:
    body, _ = view.whole(JOB, events, thinks_aloud=True)
    nothing_unknown(Message.model_validate(body, strict=True))
    return body


ANSWER = log(
    *BEGIN,
    token(reasoning="let me"),
    token(reasoning=" see"),
    token(content="The"),
    token(content=" sky"),
    call(0, "", "look", "c0"),
    call(0, '{"at":'),
    call(0, '"it"}'),
    call(1, "{}", "wait"),
    *END,
)


def test_a_stream_opens_and_closes_its_blocks_in_order() -> None:
    said = shown(ANSWER)
    assert [(d["type"], d.get("index")) for d in said] == [
        ("message_start", None),
        *(("content_block_start", 0), ("content_block_delta", 0), ("content_block_delta", 0)),
        ("content_block_stop", 0),
        *(("content_block_start", 1), ("content_block_delta", 1), ("content_block_delta", 1)),
        ("content_block_stop", 1),
        *(("content_block_start", 2), ("content_block_delta", 2), ("content_block_delta", 2)),
        ("content_block_stop", 2),
        *(("content_block_start", 3), ("content_block_delta", 3), ("content_block_stop", 3)),
        *(("message_delta", None), ("message_stop", None)),
    ]
    assert said[0]["message"]["id"] == "msg_" + "a" * 32
    assert said[0]["message"]["model"] == "fast"


def test_a_stream_and_a_whole_message_say_the_same() -> None:
    message = whole(ANSWER)
    assert message["content"] == [
        {"type": "thinking", "thinking": "let me see", "signature": ""},
        {"type": "text", "text": "The sky"},
        {"type": "tool_use", "id": "c0", "name": "look", "input": {"at": "it"}},
        {"type": "tool_use", "id": "toolu_" + "a" * 32 + "_1", "name": "wait", "input": {}},
    ]
    assert message["usage"] == {
        "input_tokens": 10,
        "output_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 20,
    }
    assert heard(shown(ANSWER)) == message


PIECES = st.one_of(
    st.builds(lambda text: token(content=text), st.text()),
    st.builds(lambda text: token(reasoning=text), st.text()),
    st.builds(lambda n: call(n, "{}", f"t{n}", f"c{n}"), st.integers(0, 2)),
    st.just(("routed", {"model": "tool", "route": "fast"})),
    st.just(("started", {"model": "tool"})),
    st.just(("restarted", {"model": "tool"})),
)
ENDS = st.sampled_from(
    [
        END,
        [("incomplete", {"finish_reason": "length", "reason": "max_output_tokens"})],
        [("cancelled", {})],
        [("failed", {"error": AllModelsUnavailable().as_dict()})],
        [],
    ]
)


@given(st.lists(PIECES, max_size=12), ENDS, st.data())
def test_how_events_come_together_changes_nothing(
    pieces: list[Told], end: list[Told], data: st.DataObject
) -> None:
    events = log(*BEGIN, *pieces, *end)
    one, other = MessagesWire(JOB), MessagesWire(JOB)
    one.headers(), other.headers()
    at_once = one.show(events)
    places = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=6)))
    cuts = zip([0, *places], [*places, len(events)], strict=True)
    assert b"".join(other.show(events[a:b]) for a, b in cuts) == at_once
    for said in frames(at_once):
        assert said["type"] == "error" or EVENTS.validate_python(said, strict=True)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6), st.integers(0, 6))
def test_what_is_said_again_after_a_restart_is_not_heard_twice(parts: list[str], upto: int) -> None:
    tokens = [token(content=part) for part in parts]
    events = log(*BEGIN, *tokens[:upto], ("restarted", {}), *tokens, *END)
    assert heard(shown(events)) == whole(events)


@pytest.mark.parametrize(
    "again",
    [[token(content="No")], END, [call(0, "{}", "look", "c0"), *END]],
)
def test_what_cannot_be_taken_back_ends_the_stream_with_an_error(again: list[Told]) -> None:
    wire = MessagesWire(JOB)
    said = shown(log(*BEGIN, token(content="Yes"), ("restarted", {}), *again, *END), wire)
    assert said[-1] == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": "The model was lost in mid-answer, and its successor begins differently.",
        },
        "request_id": JOB,
    }
    assert "message_stop" not in [data["type"] for data in said]
    assert wire.over
    assert wire.show(log(token(content="more"))) == b""


def test_before_the_head_a_failure_is_the_answer_and_after_it_an_event() -> None:
    failed = log(*BEGIN, ("failed", {"error": AllModelsUnavailable().as_dict()}))
    with pytest.raises(FleetError, match="All models unavailable"):
        MessagesWire(JOB).show(failed)
    headed = MessagesWire(JOB)
    headed.headers()
    assert [data["type"] for data in shown(failed, headed)] == ["error"]


def test_the_head_waits_for_words_and_says_who_has_them() -> None:
    wire = MessagesWire(JOB)
    assert wire.show(log(*BEGIN)) == b""
    assert not wire.settled()
    wire.show(log(("started", {"model": "tool"}), token(content="Hi")))
    assert wire.settled()
    assert wire.headers() == {
        "request-id": JOB,
        "x-fleet-route": "fast",
        "x-fleet-model": "tool",
        "x-fleet-confidence": "0.50",
    }


def test_an_answer_without_words_is_a_message_all_the_same() -> None:
    events = log(*BEGIN, *END)
    assert whole(events)["content"] == []
    assert heard(shown(events)) == whole(events)


@pytest.mark.parametrize(
    ("kind", "finish", "reason"),
    [
        ("completed", "stop", "end_turn"),
        ("completed", "tool_calls", "tool_use"),
        ("incomplete", "length", "max_tokens"),
        ("incomplete", "content_filter", "refusal"),
        ("completed", "of tomorrow", "end_turn"),
    ],
)
def test_the_end_has_a_reason_that_the_sdk_knows(kind: str, finish: str, reason: str) -> None:
    events = log(*BEGIN, token(content="x"), (kind, {"finish_reason": finish}))
    assert whole(events)["stop_reason"] == reason
    assert heard(shown(events))["stop_reason"] == reason


def test_a_call_is_to_be_made_although_the_server_called_it_a_stop() -> None:
    assert whole(ANSWER)["stop_reason"] == heard(shown(ANSWER))["stop_reason"] == "tool_use"


def test_a_call_that_nobody_can_read_is_an_error_but_one_that_was_cut_is_not() -> None:
    spoilt = [*BEGIN, call(0, "{not json", "look", "c0")]
    events = log(*spoilt, *END)
    with pytest.raises(FleetError, match="`look` with arguments"):
        whole(events)
    assert shown(events)[-1]["error"]["type"] == "api_error"
    cut = log(*spoilt, ("incomplete", {"finish_reason": "length"}))
    assert whole(cut)["content"][0]["input"] == {}
    assert shown(cut)[-1]["type"] == "message_stop"


def test_thoughts_are_kept_to_ourselves_where_thinking_was_switched_off() -> None:
    body, _ = view.whole(JOB, ANSWER, thinks_aloud=False)
    said = shown(ANSWER, MessagesWire(JOB, thinks_aloud=False))
    assert [block["type"] for block in body["content"]] == ["text", "tool_use", "tool_use"]
    assert heard(said) == body


def test_a_stream_that_must_end_early_says_why() -> None:
    for last, kind in (
        (MessagesWire.farewell, "overloaded_error"),
        (MessagesWire.lost, "not_found_error"),
    ):
        wire = MessagesWire(JOB)
        [said] = frames(last(wire))
        assert (said["type"], said["error"]["type"]) == ("error", kind)


def test_half_a_character_in_the_arguments_of_a_call_is_marked_not_fatal() -> None:
    events = log(*BEGIN, call(0, '{"x":"\\ud83d"}', "look", "1"), *END)
    shown, _ = view.whole(JOB, events, thinks_aloud=True)
    assert shown["content"][0]["input"] == {"x": "\ufffd"}


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029"])
def test_a_frame_is_a_line_for_those_who_read_text(mark: str) -> None:
    said = MessagesWire(JOB).show(log(*BEGIN, token(content=f"a{mark}b"), *END)).decode()
    told = [json.loads(line[6:]) for line in said.splitlines() if line.startswith("data: ")]
    assert [t["delta"]["text"] for t in told if "text" in t.get("delta", {})] == [f"a{mark}b"]
