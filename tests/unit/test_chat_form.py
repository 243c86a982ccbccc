"""What clients of OpenAI send: what is taken, passed over, refused."""

from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from pydantic import ValidationError

from api.body import within
from api.envelope import mistake
from api.openai.chat_form import HINTS, SENT_BACK, ChatMessage, ChatRequest

USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PICTURE = "data:image/png;base64,AAAA"


def asked(**body: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [USER], **body})


def sent(**body: Any) -> dict[str, Any]:
    return asked(**body).for_model()


def called(**function: Any) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "f", **function}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def refused(**body: Any) -> tuple[str, str]:
    """The field that is at fault, and what is wrong with it."""
    with pytest.raises(ValidationError) as caught:
        asked(**body)
    return mistake(within({"messages": [USER], **body}, caught.value.errors()[0]))


def test_every_field_of_openais_is_known() -> None:
    theirs = set(CompletionCreateParamsBase.__annotations__)
    assert theirs - set(ChatRequest.model_fields) - HINTS == set()
    sent_back = set(ChatCompletionMessage.model_fields)
    assert sent_back - set(ChatMessage.model_fields) - SENT_BACK == set()


def test_nothing_unknown_reaches_a_model() -> None:
    request = asked(
        id_slot=1,
        user="me",
        store=True,
        verbosity="low",
        service_tier="auto",
        messages=[{**USER, "cache_control": {}, "refusal": None, "annotations": []}],
        tools=[{**TOOL, "cache_control": {}}],
    )
    assert request.for_model() == {"messages": [USER], "tools": [TOOL]}
    assert request.ignored == ["id_slot", "messages.cache_control"]


def test_null_is_as_good_as_not_given() -> None:
    nulls = dict.fromkeys(["n", "stream", "stream_options", "metadata", "functions", "audio"])
    assert asked(**nulls, stop=None, priority=None).for_model() == {"messages": [USER]}


def test_both_names_of_the_length_are_one() -> None:
    assert sent(max_completion_tokens=5)["max_tokens"] == 5
    assert sent(max_completion_tokens=5, max_tokens=9)["max_tokens"] == 5
    assert sent(max_tokens=9)["max_tokens"] == 9


def test_what_sdks_send_back_is_taken_and_empty_answers_are_dropped() -> None:
    back: dict[str, Any] = {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
        "reasoning_content": "Hmm",
    }
    request = asked(messages=[USER, back, {"role": "assistant", "content": ""}, USER])
    hello = {"role": "assistant", "content": "Hello"}
    assert request.for_model()["messages"] == [USER, hello, USER]
    assert request.ignored == []


def test_calls_come_back_whole() -> None:
    result = {"role": "tool", "tool_call_id": "c1", "content": ""}
    turns = sent(messages=[USER, called(arguments=""), result])["messages"]
    assert turns[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert turns[2] == result


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_question_is_a_question(text: str) -> None:
    assert sent(messages=[{"role": "user", "content": text}])["messages"][0]["content"] == text


def test_parts_hold_nothing_but_words_and_pictures() -> None:
    parts = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
    ]
    [turn] = sent(messages=[{"role": "user", "content": parts}])["messages"]
    picture = {"type": "image_url", "image_url": {"url": PICTURE}}
    assert turn["content"] == [{"type": "text", "text": "a"}, picture]


def test_a_choice_without_tools_is_passed_over_where_it_changes_nothing() -> None:
    assert sent(tools=[], tool_choice="auto") == {"messages": [USER]}
    chosen = {"type": "function", "function": {"name": "f"}}
    assert sent(tools=[TOOL], tool_choice=chosen)["tool_choice"] == chosen


def test_formats() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert sent(response_format=schema)["response_format"] == schema
    assert sent(response_format={"type": "text"}) == {"messages": [USER]}


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        ({"n": 2}, "n", "must be 1"),
        ({"modalities": ["text", "audio"]}, "modalities", "['text']"),
        ({"audio": {"voice": "x"}}, "audio", "leave it out"),
        ({"web_search_options": {}}, "web_search_options", "`tools`"),
        ({"moderation": {"model": "x"}}, "moderation", "leave it out"),
        ({"functions": []}, "functions", "`tools`"),
        ({"function_call": "auto"}, "function_call", "`tool_choice`"),
        ({"stop": 5}, "stop", "string"),
        ({"logit_bias": {"1": 900}}, "logit_bias.1", "100"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "'required'"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "string"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "required"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "1"),
        ({"top_logprobs": 2}, "top_logprobs", "logprobs"),
        ({"logprobs": True, "tools": [TOOL]}, "tools", "not together"),
        ({"tools": [{"type": "custom"}]}, "tools", "'custom'"),
        ({"tools": [{"type": "function"}]}, "tools", "a tool must be"),
        ({"tool_choice": "required"}, "tool_choice", "no tools"),
        (
            {
                "tools": [TOOL],
                "tool_choice": {"type": "function", "function": {"name": "g"}},
            },
            "tool_choice",
            "there are: f",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice", "must be"),
        ({"response_format": {"type": "xml"}}, "response_format", "json_object"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "schema"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0]", "text"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0]", "text"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role", "tool"),
        ({"messages": [USER, called(arguments="{")]}, "messages[1].tool_calls", "'f'"),
        ({"messages": [USER, called(arguments={"a": 1})]}, "messages[1].tool_calls", "as text"),
        ({"messages": [{**USER, "function_call": {"name": "f"}}]}, "messages[0]", "tool_calls"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content",
            "'input_audio'",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://x/"}}],
                    }
                ]
            },
            "messages[0].content",
            "data:image/",
        ),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "", "last message"),
        ({"messages": [{"role": "assistant", "content": ""}]}, "", "messages"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(body: dict[str, Any], field: str, told: str) -> None:
    where, why = refused(**body)
    assert where == field
    assert told in why
