"""Events: encoding, merging, folding."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fleet.events import (
    Event,
    Kind,
    Piece,
    decode_announcement,
    event_data,
    fold,
    reasoning_event,
    text_event,
)
from fleet.journal import merged

CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "x"}}
SURE = st.lists(st.fixed_dictionaries({"logprob": st.floats(-9, 0)}), max_size=2).map(tuple)
pieces = st.lists(
    st.one_of(
        st.builds(Piece, st.just("text"), st.text(), SURE),
        st.builds(Piece, st.just("reasoning"), st.text(), st.just(())),
        st.builds(Piece, st.just("tool_calls"), st.just([CALL]), st.just(())),
    ),
    min_size=1,
)


@given(st.text())
def test_any_text_survives_an_event_in_one_line(text: str) -> None:
    data = text_event(text, 1)
    assert "\n" not in data
    assert json.loads(data) == {"type": "token", "content": text, "n": 1}
    assert json.loads(reasoning_event(text, 2))["reasoning"] == text


@given(pieces)
def test_merging_pieces_loses_nothing_and_keeps_the_order(run: list[Piece]) -> None:
    flat = merged(run)
    kinds, datas = flat[::2], flat[1::2]
    assert set(kinds) == {"token"}
    events = [Event(n, "token", data) for n, data in enumerate(datas)]
    answer = fold(events)
    assert answer.content == "".join(str(p) for kind, p, _ in run if kind == "text")
    assert answer.reasoning == "".join(str(p) for kind, p, _ in run if kind == "reasoning")
    assert answer.logprobs == [sure for _, _, logprobs in run for sure in logprobs]
    assert sum(event.payload()["n"] for event in events) == len(run)
    neighbours = [next(iter(e.payload().keys() - {"type", "n", "logprobs"})) for e in events]
    for a, b in pairwise(neighbours):
        assert a != b or a == "tool_calls"


def test_text_next_to_text_becomes_one_event() -> None:
    pieces = [("text", "a"), ("text", "b"), ("reasoning", "c"), ("text", "d")]
    assert merged([Piece(kind, text) for kind, text in pieces])[1::2] == [
        '{"type":"token","content":"ab","n":2}',
        '{"type":"token","reasoning":"c","n":1}',
        '{"type":"token","content":"d","n":1}',
    ]


def test_an_announcement_holds_events_with_spaces_and_braces() -> None:
    data = event_data(Kind.ROUTED, reasons=["the word 'now' asks\nfor live data"])
    assert decode_announcement(f"4 routed {data}\n5 started {{}}") == [
        Event(4, "routed", data),
        Event(5, "started", "{}"),
    ]


def test_what_stood_before_a_restart_is_no_part_of_the_answer() -> None:
    log = [
        Event(0, "token", text_event("half an ", 1)),
        Event(1, "restarted", "{}"),
        Event(2, "token", text_event("whole", 1)),
        Event(3, "completed", '{"finish_reason":"stop"}'),
    ]
    answer = fold(log)
    assert (answer.content, answer.finish_reason) == ("whole", "stop")


def test_streamed_tool_calls_are_put_together_by_their_index() -> None:
    deltas = [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x":'}}],
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
        [{"index": 0, "function": {"arguments": "1}"}}],
    ]
    log = [
        Event(n, "token", json.dumps({"type": "token", "tool_calls": delta, "n": 1}))
        for n, delta in enumerate(deltas)
    ]
    calls = fold(log).tool_calls
    assert [(c["id"], c["function"]) for c in calls] == [
        ("a", {"name": "f", "arguments": '{"x":1}'}),
        ("b", {"name": "g", "arguments": "{}"}),
    ]
