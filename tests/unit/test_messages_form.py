"""Anthropic's form of a request, read as a job."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from api.anthropic.form import MessagesRequest
from fleet.errors import InvalidRequest
from fleet.request import JobRequest

HELLO = [{"role": "user", "content": "Hello"}]
PICTURE = {"type": "base64", "media_type": "image/png", "data": "aGk="}
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


def asked(**fields: Any) -> MessagesRequest:
    body = {"model": "auto", "max_tokens": 50, "messages": HELLO, **fields}
    return MessagesRequest.model_validate_json(json.dumps(body))


def job(**fields: Any) -> JobRequest:
    return asked(**fields).job()


def turns(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = job(messages=messages, **fields).for_model()["messages"]
    return said


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}


def test_what_both_apis_have_goes_over_by_its_other_name() -> None:
    made = job(
        model="large",
        system=[text("Be brief."), text("Be kind.")],
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        metadata={"user_id": "u-1"},
        priority=1,
        deadline_s=9.5,
        conversation_id="talk",
    )
    assert made.for_model() == {
        "messages": [
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            {"role": "user", "content": "Hello"},
        ],
        "max_tokens": 50,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
    }
    assert (made.model, made.priority, made.deadline_s) == ("large", 1, 9.5)
    assert (made.metadata, made.conversation_id) == ({"user_id": "u-1"}, "talk")


def test_a_call_and_its_result_become_turns_of_their_own() -> None:
    call = {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "the sky"}}
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [text("blue")]}
    assert turns(
        *HELLO,
        assistant(thought, text("I look."), call),
        user(text("and?"), result),
    ) == [
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"at": "the sky"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "blue"},
        {"role": "user", "content": "and?"},
    ]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"content": "none", "is_error": True}, "The tool failed: none"),
        ({"content": ""}, "(no words)"),
        ({}, "(no words)"),
        ({"is_error": True}, "The tool failed: (no words)"),
    ],
)
def test_a_result_always_says_something(result: dict[str, Any], words: str) -> None:
    said = turns(user({"type": "tool_result", "tool_use_id": "c", **result}))
    assert said == [{"role": "tool", "tool_call_id": "c", "content": words}]


def test_a_picture_stays_in_the_request_and_that_of_a_result_follows_it() -> None:
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    picture = {"type": "image", "source": PICTURE}
    result = {"type": "tool_result", "tool_use_id": "c", "content": [picture]}
    assert turns(user(result, picture, text("What is it?"))) == [
        {"role": "tool", "tool_call_id": "c", "content": "(no words)"},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, shown, shown]},
    ]


def test_neighbours_of_one_role_are_one_turn_and_thoughts_alone_are_none() -> None:
    redacted = {"type": "redacted_thinking", "data": "x"}
    said = turns(*HELLO, assistant(redacted), user(text("one")), user(text("two")))
    assert [turn["content"] for turn in said] == ["Hello", "one\n\ntwo"]


def test_an_answer_without_words_may_be_sent_back() -> None:
    assert [turn["role"] for turn in turns(*HELLO, assistant(), *HELLO)] == ["user", "user"]


def test_tools_become_functions() -> None:
    made = job(tools=[TOOL, {"type": "custom", "name": "b", "input_schema": {}}]).for_model()
    assert made["tools"][0] == {
        "type": "function",
        "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}},
    }
    assert "tool_choice" not in made


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            {"tool_choice": "required", "parallel_tool_calls": False},
        ),
        (
            {"type": "tool", "name": "look"},
            {"tool_choice": {"type": "function", "function": {"name": "look"}}},
        ),
    ],
)
def test_a_choice_of_tools_has_a_word_there(choice: dict[str, Any], meant: dict[str, Any]) -> None:
    made = job(tools=[TOOL], tool_choice=choice).for_model()
    assert meant.items() <= made.items()


@pytest.mark.parametrize(
    ("wish", "kwargs"),
    [
        ({"type": "enabled", "budget_tokens": 2048}, {"enable_thinking": True}),
        ({"type": "disabled"}, {"enable_thinking": False}),
        ({"type": "adaptive"}, None),
    ],
)
def test_thinking_is_the_templates_business(
    wish: dict[str, Any], kwargs: dict[str, bool] | None
) -> None:
    assert job(thinking=wish).chat_template_kwargs == kwargs
    assert asked(thinking=wish).thinks_aloud == (wish["type"] != "disabled")


def test_a_schema_of_the_answer_is_kept() -> None:
    wish = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert job(output_config=wish).response_format == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }


def test_what_changes_nothing_is_named() -> None:
    seen = asked(
        speed="fast",
        service_tier="auto",
        cache_control={"type": "ephemeral"},
        thinking={"type": "enabled", "budget_tokens": 9},
        output_config={"effort": "low"},
    )
    assert list(seen.ignored) == ["speed", "thinking.budget_tokens", "output_config.effort"]
    assert not list(asked().ignored)


def test_null_is_as_good_as_not_given() -> None:
    nulls = dict.fromkeys(["system", "stop_sequences", "tools", "stream", "priority", "speed"])
    assert asked(**nulls) == asked()
    assert not list(asked(**nulls).ignored)


@pytest.mark.parametrize(
    ("fields", "where", "why"),
    [
        ({"messages": [user()]}, "messages[0].content", "must not be empty"),
        ({"messages": [*HELLO, user(text(""))]}, "messages[1].content", "must not be empty"),
        ({"messages": [assistant(text("Hi"))]}, None, "last message"),
        (
            {"messages": [user({"type": "tool_use", "id": "a", "name": "b", "input": {}})]},
            "messages[0].content[0]",
            "cannot stand in a turn of 'user'",
        ),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools[0].type",
            "web_search_20250305",
        ),
        ({"tools": [{"name": "look"}]}, "tools[0].input_schema", "required"),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "no `tools`"),
        ({"tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name", "no tool 'x'"),
        ({"priority": 12}, "priority", "less than or equal to 9"),
        ({"conversation_id": "two words"}, "conversation_id", "visible"),
    ],
)
def test_what_cannot_be_had_is_refused_by_its_name(
    fields: dict[str, Any], where: str | None, why: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        job(**fields)
    assert refused.value.param == where
    assert why in refused.value.message


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "text", "data": "x", "media_type": "text/plain"}},
        {"type": "image", "source": {"type": "url", "url": "http://169.254.169.254/"}},
        {"type": "image", "source": {**PICTURE, "media_type": "text/html"}},
        {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "x" * 129, "name": "look", "input": {}},
        "words",
    ],
)
def test_a_block_that_means_nothing_here_is_no_request(block: Any) -> None:
    with pytest.raises(ValidationError):
        asked(messages=[user(block)])
