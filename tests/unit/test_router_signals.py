"""What is read in a request, and which words ask for Claude."""

import json

import pytest

from fleet.request import JobRequest
from fleet.tokens import estimate_tokens
from router.signals import read


def test_the_turns_of_the_user_are_read_oldest_first() -> None:
    request = JobRequest.model_validate(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather in Paris?"},
                {"role": "assistant", "content": "Rain."},
            ],
            "message": "And London?",
        }
    )
    signals = read("auto", request.for_model())
    assert signals.conversation.user_turns == ("Weather in Paris?", "And London?")
    assert signals.asked_model == "auto"
    assert not signals.has_tools
    assert signals.max_tokens is None


def test_only_the_words_of_a_turn_with_a_picture_are_read_and_counted() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    content = [picture, {"type": "text", "text": "What is this?"}]
    signals = read("auto", {"messages": [{"role": "user", "content": content}]})
    assert signals.conversation.user_turns[0].strip() == "What is this?"
    assert signals.tokens < 20


def test_a_turn_without_words_still_is_the_last_turn() -> None:
    picture = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    turns = [{"role": "user", "content": "Use Claude"}, {"role": "user", "content": picture}]
    assert read("auto", {"messages": turns}).conversation.user_turns == ("Use Claude", "")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"tools": []}, False),
        ({"tools": [{"type": "function"}]}, True),
        ({"tools": [{"type": "function"}], "tool_choice": "auto"}, True),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, False),
    ],
)
def test_tools_count_when_the_model_may_use_them(fields: dict[str, object], expected: bool) -> None:
    request = {"messages": [{"role": "user", "content": "hi"}], **fields}
    assert read("auto", request).has_tools is expected


def test_tools_and_their_calls_take_tokens_too() -> None:
    turn = {"role": "user", "content": "hi"}
    tools = [{"type": "function", "function": {"name": "search", "description": "x" * 4_000}}]
    calls = [{"id": "1", "function": {"name": "search", "arguments": "y" * 4_000}}]
    alone = read("auto", {"messages": [turn]}).tokens
    assert read("auto", {"messages": [turn], "tools": tools}).tokens > alone + 1_000
    called = {"role": "assistant", "content": None, "tool_calls": calls}
    assert read("auto", {"messages": [called, turn]}).tokens > alone + 1_000


def test_the_room_for_the_answer_is_what_the_caller_allows() -> None:
    request = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 77}
    assert read("auto", request).max_tokens == 77


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # Counted with the vocabulary of Qwen 2.5.
        ("What is the weather in Paris? " * 10, 71),
        ("北京今天天气怎么样？明天会下雨吗？" * 10, 100),
        ("今日の東京の天気を教えてください。" * 10, 110),
        ("Какая погода в Москве? " * 10, 81),
        (json.dumps({"location": {"type": "string", "description": "City"}}) * 10, 150),
    ],
)
def test_the_estimate_is_near_a_real_tokenizer_in_every_script(text: str, tokens: int) -> None:
    assert tokens * 0.75 <= estimate_tokens(text) <= tokens * 1.35


def test_nothing_has_no_tokens_and_a_lone_surrogate_does_not_break_the_count() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("\ud800") == 1
