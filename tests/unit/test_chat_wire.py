"""The stream of OpenAI's chat completions: from a log to bytes."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from api.openai.chat_shape import completion
from api.openai.chat_wire import ChatWire, after
from api.outcome import outcome
from fleet.errors import ContextExceeded, FleetError, ServerFailed
from fleet.events import Event, fold

JOB = "job_" + "a" * 32
HEAD: list[tuple[str, dict[str, Any]]] = [
    ("queued", {"id": JOB, "model": "auto"}),
    ("routed", {"route": "fast", "model": "fast", "confidence": 0.5}),
    ("started", {"model": "fast"}),
]
USAGE = ("usage", {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
END: list[tuple[str, dict[str, Any]]] = [USAGE, ("completed", {"finish_reason": "stop"})]
LOST = ("restarted", {"reason": "lost", "model": "fast"})
JOB_IS_AT = f"/v1/jobs/{JOB}"


def log(*told: tuple[str, dict[str, Any]]) -> list[Event]:
    return [
        Event(n, kind, json.dumps({"at": 1_700_000_000_000 + n, "type": kind, **data}))
        for n, (kind, data) in enumerate(told)
    ]


def text(content: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "token", {"content": content, "n": 1, **more}


def sure(*tokens: str) -> dict[str, Any]:
    entries = [
        {
            "id": 7,
            "token": token,
            "bytes": list(token.encode()),
            "logprob": -0.5,
            "top_logprobs": [{"id": 7, "token": token, "bytes": [1], "logprob": -0.5}] * 2,
        }
        for token in tokens
    ]
    return {"logprobs": entries}


def call(index: int, **function: str) -> tuple[str, dict[str, Any]]:
    delta = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
    return "token", {"tool_calls": [delta], "n": 1}


def said(body: bytes) -> list[Any]:
    frames = [frame for frame in body.decode().split("\n\n") if frame]
    data = [frame.removeprefix("data: ") for frame in frames]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


def streamed(*told: tuple[str, dict[str, Any]], **how: Any) -> list[Any]:
    return said(ChatWire(JOB, **how).show(log(*told)))


def words(chunks: list[Any]) -> str:
    shown = [chunk for chunk in chunks if "choices" in chunk]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in shown)


def test_nothing_is_said_before_the_answer_begins() -> None:
    wire = ChatWire(JOB)
    assert wire.show(log(*HEAD)) == b""
    assert not wire.settled()
    wire.show(log(*HEAD, text("Hi"))[3:])
    assert wire.settled()
    assert wire.headers() == {
        "x-fleet-route": "fast",
        "x-fleet-model": "fast",
        "x-fleet-confidence": "0.50",
    }


def test_an_empty_answer_has_its_role_and_its_end() -> None:
    role, end, done = streamed(*HEAD, *END)
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert (end["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")


@pytest.mark.parametrize("words", ['"\\\n\t\x00', "naïve 🚀", "a\u2028b\x85c\u2029d", "</script>"])
def test_any_words_arrive_in_one_line(words: str) -> None:
    body = ChatWire(JOB).show(log(*HEAD, text(words), *END)).decode()
    lines = [line for line in body.splitlines() if line]  # as a careless client would read it
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in lines[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == words


def test_a_new_answer_that_begins_alike_is_joined_unseen() -> None:
    again = [LOST, text("a"), text("bcd", **sure("b", "c", "d"))]
    chunks = streamed(*HEAD, text("ab", **sure("a", "b")), *again, *END, tops=1)
    assert words(chunks[:-1]) == "abcd"
    entries = [chunk["choices"][0]["logprobs"] for chunk in chunks[1:-2]]
    assert [[entry["token"] for entry in told["content"]] for told in entries] == [
        ["a", "b"],
        ["c", "d"],
    ]
    assert chunks[-1] == "[DONE]"


@pytest.mark.parametrize(
    "again",
    [
        [LOST, text("xy")],
        [LOST, text("a"), *END],
        [LOST, call(0, name="f", arguments="{}")],
        [call(0, name="f", arguments="{}"), LOST],
    ],
)
def test_another_answer_is_an_error_that_says_where_the_job_goes_on(again: Any) -> None:
    wire = ChatWire(JOB)
    chunks = said(wire.show(log(*HEAD, text("ab"), *again, text("more"))))
    assert wire.over
    assert chunks[-1]["error"]["code"] == "answer_restarted"
    assert JOB_IS_AT in chunks[-1]["error"]["message"]
    assert words(chunks) == "ab"
    assert wire.show(log(*HEAD, text("more"))) == b""


def test_a_failure_before_the_first_token_has_a_status() -> None:
    with pytest.raises(FleetError) as caught:
        streamed(*HEAD, ("failed", {"error": ServerFailed("broken").as_dict()}))
    assert (caught.value.status, caught.value.code) == (502, "server_failed")
    assert caught.value.headers["x-fleet-model"] == "fast"


def test_a_conversation_that_is_too_long_is_told_in_openais_words() -> None:
    with pytest.raises(FleetError) as caught:
        streamed(*HEAD, ("failed", {"error": ContextExceeded("9 tokens").as_dict()}))
    assert (caught.value.status, caught.value.as_dict()["code"]) == (400, "context_length_exceeded")
    assert (caught.value.param, caught.value.fault) == ("messages", "caller")


@pytest.mark.parametrize("by", ["token", "head"])
def test_a_failure_after_the_head_is_a_frame_without_a_done(by: str) -> None:
    wire = ChatWire(JOB)
    wire.show(log(*HEAD, *([text("a")] if by == "token" else [])))
    if by == "head":
        wire.headers()
    [error] = said(wire.show(log(("failed", {"error": ServerFailed("broken").as_dict()}))))
    assert error["error"]["code"] == "server_failed"
    assert wire.over


@pytest.mark.parametrize(
    ("last", "code"), [("farewell", "server_restarting"), ("lost", "not_found")]
)
def test_a_stream_that_ends_too_early_says_why(last: str, code: str) -> None:
    [error] = said(getattr(ChatWire(JOB), last)())
    assert error["error"]["code"] == code


def test_a_call_has_its_name_once_whatever_the_server_repeats() -> None:
    calls = [call(0, name="f", arguments="{"), call(0, name="f", arguments="}"), call(1, name="g")]
    chunks = streamed(*HEAD, *calls, USAGE, ("completed", {"finish_reason": "tool_calls"}))
    deltas = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks[1:-2]]
    assert deltas == [
        {
            "index": 0,
            "id": "call_0",
            "type": "function",
            "function": {"name": "f", "arguments": "{"},
        },
        {"index": 0, "function": {"arguments": "}"}},
        {
            "index": 1,
            "id": "call_1",
            "type": "function",
            "function": {"name": "g", "arguments": ""},
        },
    ]


def test_no_more_rivals_than_were_asked_for() -> None:
    events = log(*HEAD, text("ab", **sure("a", "b")), *END)
    for tops in (0, 1, 2):
        chunk = said(ChatWire(JOB, tops=tops).show(events))[1]
        whole = completion(JOB, outcome(events), tops)
        for choice in (chunk["choices"][0], whole["choices"][0]):
            told = choice["logprobs"]["content"]
            assert [entry["token"] for entry in told] == ["a", "b"]
            assert [len(entry["top_logprobs"]) for entry in told] == [tops, tops]


def test_the_tokens_after_a_part_of_their_text() -> None:
    entries = sure("ab", "", "c")["logprobs"]
    rests = [[entry["token"] for entry in after(entries, length)] for length in range(5)]
    assert rests == [["ab", "", "c"], ["", "c"], ["", "c"], [], []]


TEXTS = st.text(max_size=4)
TOKENS = st.one_of(
    TEXTS.filter(bool).map(text),
    st.lists(TEXTS, min_size=1, max_size=3).map(
        lambda tokens: text("".join(tokens) or "x", **sure(*tokens))
    ),
    TEXTS.filter(bool).map(lambda words: ("token", {"reasoning": words, "n": 1})),
    st.tuples(st.integers(0, 2), TEXTS).map(lambda one: call(one[0], name="f", arguments=one[1])),
)
ANSWERS = st.lists(TOKENS, max_size=6)
ENDINGS: list[list[tuple[str, dict[str, Any]]]] = [
    END,
    [USAGE, ("incomplete", {"finish_reason": "length", "reason": "max_output_tokens"})],
    [USAGE, ("completed", {"finish_reason": "of tomorrow"})],
    [("failed", {"error": ServerFailed("broken").as_dict()})],
    [("cancelled", {})],
    [("expired", {"message": "late"})],
]


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """A log with an answer, or one that was begun again, alike or not."""
    answer = draw(ANSWERS)
    other = draw(ANSWERS)
    again = draw(st.sampled_from([[], [LOST, *answer], [LOST, *other]]))
    return log(*HEAD, *answer, *again, *draw(st.sampled_from(ENDINGS)))


@given(logs(), st.data(), st.booleans())
def test_how_events_are_batched_changes_no_byte(
    events: list[Event], data: st.DataObject, counted: bool
) -> None:
    def shown(wire: ChatWire, batches: list[list[Event]]) -> bytes | str:
        try:
            return b"".join(wire.show(batch) for batch in batches)
        except FleetError as error:
            return error.code

    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    edges = [0, *cuts, len(events)]
    batches = [events[a:b] for a, b in pairwise(edges)]
    once, cut = ChatWire(JOB, counted=counted, tops=1), ChatWire(JOB, counted=counted, tops=1)
    assert shown(once, [events]) == shown(cut, batches)


@given(logs(), st.booleans())
def test_whatever_the_log_says_openais_types_take_it(events: list[Event], counted: bool) -> None:
    wire = ChatWire(JOB, counted=counted, tops=1)
    seen = outcome(events)
    try:
        chunks = said(wire.show(events))
    except FleetError:
        assert seen.error
        return
    done = chunks.pop() if chunks[-1] == "[DONE]" else None
    assert (done is None) == ("error" in chunks[-1])
    for chunk in chunks:
        if "error" not in chunk:
            ChatCompletionChunk.model_validate(chunk, strict=True)
    if not seen.error:
        whole = completion(JOB, seen, tops=1)
        ChatCompletion.model_validate(whole, strict=True)
        answered = [chunk for chunk in chunks if chunk.get("choices")]
        assert words(answered) == (fold(events).content if done else words(answered))
