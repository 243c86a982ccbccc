"""Decoders: however the bytes are cut, the same pieces come out."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import (
    Barred,
    ContextExceeded,
    Refused,
    ServerBusy,
    ServerFailed,
    ServerLoading,
    StreamCut,
)
from fleet.events import Piece
from fleet.server_words import error_of
from workers.backend import End
from workers.chunks import ChatDecoder
from workers.sse import DataLines


def chunk(finish: str | None = None, **delta: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


STREAM = b"".join(
    [
        chunk(role="assistant", content=None),
        chunk(reasoning_content="hmm"),
        chunk(content="Grüße, "),
        b": a comment\n\n",
        chunk(content="世界"),
        chunk(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]),
        chunk(finish="stop"),
        b'data: {"choices":[],"usage":{"total_tokens":3},"timings":{"predicted_n":2}}\n\n',
        b"data: [DONE]\n\n",
    ]
)
PIECES = [
    Piece("reasoning", "hmm"),
    Piece("text", "Grüße, "),
    Piece("text", "世界"),
    Piece("tool_calls", [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]),
    End("stop", {"total_tokens": 3, "timings": {"predicted_n": 2}}),
]


def decode(cuts: list[bytes]) -> list[Piece | End]:
    lines, decoder = DataLines(), ChatDecoder()
    return [piece for cut in cuts for line, _ in lines.feed(cut) for piece in decoder.decode(line)]


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_a_cut_at_any_byte_changes_nothing(at: int) -> None:
    assert decode([STREAM[:at], STREAM[at:]]) == PIECES


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_number_of_cuts_changes_nothing(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    parts = [STREAM[a:b] for a, b in pairwise(places)]
    assert decode(parts) == PIECES


def test_done_without_a_finish_reason_is_a_cut_stream() -> None:
    with pytest.raises(StreamCut):
        decode([chunk(content="half"), b"data: [DONE]\n\n"])


@pytest.mark.parametrize("payload", [b"{", b"[]", b"1", b'{"choices":[1]}', b'{"choices":{"a":1}}'])
def test_a_chunk_that_is_none_is_the_servers_fault(payload: bytes) -> None:
    with pytest.raises(ServerFailed):
        ChatDecoder().decode(payload)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (
            400,
            {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8},
            ContextExceeded,
        ),
        (400, {"message": "bad grammar"}, Refused),
        (401, {"message": "bad key"}, Barred),
        (404, {"message": "no such model"}, Barred),
        (429, {"message": "slow down"}, ServerBusy),
        (500, {"message": "out of memory"}, ServerFailed),
        (503, {"message": "Loading model"}, ServerLoading),
    ],
)
def test_an_error_body_says_whose_fault_it_was(
    status: int, error: dict[str, object], kind: type[Exception]
) -> None:
    found = error_of({"error": error}, status)
    assert type(found) is kind
    assert str(error.get("message", "9")) in found.message


@pytest.mark.parametrize("body", [None, [], "x", {"error": "text"}, {"detail": 1}])
def test_an_error_body_of_any_form_makes_an_error(body: object) -> None:
    assert error_of(body, 500).message
