"""Anthropic's events as pieces of an answer."""

from typing import Any

import pytest

from fleet.errors import ServerFailed, StreamCut
from fleet.events import Piece
from workers.backend import End
from workers.claude.decoder import MessageDecoder

Table = dict[str, Any]


def begin(**usage: Any) -> Table:
    return {"type": "message_start", "message": {"usage": {"input_tokens": 7, **usage}}}


def start(index: int, **block: Any) -> Table:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **what: Any) -> Table:
    return {"type": "content_block_delta", "index": index, "delta": what}


def stop(index: int) -> Table:
    return {"type": "content_block_stop", "index": index}


def last(reason: str | None = "end_turn", **usage: Any) -> Table:
    figures = {"output_tokens": 5, **usage}
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": figures}


def tool(index: int, call_id: str, **given: Any) -> Table:
    return start(index, type="tool_use", id=call_id, name="weather", input=given)


def begun(index: int, call_id: str) -> Piece:
    function = {"name": "weather", "arguments": ""}
    named = {"index": index, "id": call_id, "type": "function", "function": function}
    return Piece("tool_calls", [named])


def part(index: int, arguments: str) -> Piece:
    return Piece("tool_calls", [{"index": index, "function": {"arguments": arguments}}])


TEXT = [Piece("text", "Hi"), Piece("text", " you")]
SAYS = [
    start(0, type="text", text=""),
    delta(0, type="text_delta", text="Hi"),
    delta(0, type="text_delta", text=" you"),
    stop(0),
]


def decoded(*events: Table) -> list[Piece]:
    decoder = MessageDecoder()
    return [piece for event in events for piece in decoder.decode(event)]


@pytest.mark.parametrize(
    ("events", "pieces"),
    [
        (SAYS, TEXT),
        (
            [
                start(0, type="thinking", thinking="", signature=""),
                delta(0, type="thinking_delta", thinking="hmm"),
                delta(0, type="signature_delta", signature="c2ln"),
                stop(0),
                start(1, type="redacted_thinking", data="xx"),
                stop(1),
                start(2, type="text", text="Hi"),
            ],
            [Piece("reasoning", "hmm"), Piece("text", "Hi")],
        ),
        (
            [
                *SAYS,
                tool(1, "a"),
                delta(1, type="input_json_delta", partial_json=""),
                delta(1, type="input_json_delta", partial_json='{"city":'),
                delta(1, type="input_json_delta", partial_json='"Paris"}'),
                stop(1),
                tool(2, "b"),
                stop(2),
                tool(3, "c", city="Rome"),
                stop(3),
            ],
            [
                *TEXT,
                begun(0, "a"),
                part(0, '{"city":'),
                part(0, '"Paris"}'),
                begun(1, "b"),
                part(1, "{}"),
                begun(2, "c"),
                part(2, '{"city": "Rome"}'),
            ],
        ),
        (
            [
                start(0, type="server_tool_use", id="s", name="web_search", input={}),
                delta(0, type="input_json_delta", partial_json='{"query":1}'),
                stop(0),
                start(1, type="web_search_tool_result", tool_use_id="s", content=[]),
                stop(1),
                tool(2, "a"),
                stop(2),
            ],
            [begun(0, "a"), part(0, "{}")],
        ),
        ([{"type": "ping"}, {"type": "something_new"}, {"type": "message_stop"}], []),
        ([start(0, type="text", text=""), delta(0, type="citations_delta", citation={})], []),
    ],
)
def test_blocks_become_pieces(events: list[Table], pieces: list[Piece]) -> None:
    assert decoded(*events) == pieces


def test_blocks_that_alternate_are_told_apart_by_their_number() -> None:
    a, b = (delta(n, type="input_json_delta", partial_json=f"{n}") for n in (0, 1))
    assert decoded(tool(0, "a"), tool(1, "b"), b, a, stop(1), stop(0)) == [
        *(begun(0, "a"), begun(1, "b"), part(1, "1"), part(0, "0"))
    ]


@pytest.mark.parametrize("place", range(len(SAYS) + 1))
def test_a_stream_that_is_cut_anywhere_has_no_end(place: int) -> None:
    decoder = MessageDecoder()
    for event in [begin(), *SAYS][: place + 1]:
        decoder.decode(event)
    with pytest.raises(StreamCut):
        decoder.end()


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_each_reason_to_end_has_a_word_of_openais(reason: str, finish: str) -> None:
    decoder = MessageDecoder()
    for event in (begin(), *SAYS, last(reason)):
        decoder.decode(event)
    assert decoder.end().finish_reason == finish


def test_a_delta_without_a_reason_is_no_end() -> None:
    decoder = MessageDecoder()
    decoder.decode(last(None))
    with pytest.raises(StreamCut):
        decoder.end()


def test_usage_counts_all_of_the_prompt_and_keeps_what_is_not_told_again() -> None:
    decoder = MessageDecoder()
    decoder.decode(begin(cache_read_input_tokens=100, cache_creation_input_tokens=20))
    figures: Table = {"input_tokens": None, "output_tokens_details": {"thinking_tokens": 3}}
    decoder.decode(last(**figures))
    assert decoder.end() == End(
        "stop",
        {
            "prompt_tokens": 127,
            "completion_tokens": 5,
            "total_tokens": 132,
            "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    )


@pytest.mark.parametrize(
    "event",
    [{}, {"type": "content_block_delta"}, {"type": "message_delta", "delta": None}, start(0)],
)
def test_what_is_no_event_is_the_servers_failure(event: Table) -> None:
    with pytest.raises(ServerFailed, match="an event that is none"):
        MessageDecoder().decode(event)
