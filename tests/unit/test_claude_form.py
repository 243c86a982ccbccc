"""A request in OpenAI's form as Anthropic's API takes it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.catalogue import Model
from fleet.errors import NotServed
from fleet.request import JobRequest
from tests.fakes.anthropic_rules import mistakes
from workers.claude.form import JSON_ONLY, to_messages

MODEL = Model.model_validate({"name": "claude", "kind": "anthropic", "max_tokens": 500})
PNG = "data:image/png;base64,AAAA"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": True,
    },
}
ASKS = {"role": "user", "content": "hi"}


def asked(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    request = JobRequest.model_validate({"messages": list(messages) or [ASKS], **fields})
    arguments = to_messages(request.for_model(), MODEL)
    assert list(mistakes(arguments)) == []
    return arguments


def turns(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(*messages)["messages"]
    return found


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def call(name: str, call_id: str, arguments: str = '{"city": "Paris"}') -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def calls(*made: dict[str, Any], content: str | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(made)}


def answer(call_id: str, content: Any = "sunny") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def use(call_id: str, name: str = "weather", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def result(call_id: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    told = {"content": list(blocks)} if blocks else {}
    return {"type": "tool_result", "tool_use_id": call_id, **told}


def test_a_plain_request_needs_little() -> None:
    assert asked() == {
        "model": "claude-haiku-5-5",
        "messages": [user(text("hi"))],
        "max_tokens": 500,
    }


def test_what_the_system_says_anywhere_is_the_system_prompt_in_its_order() -> None:
    arguments = asked(
        {"role": "system", "content": "One."},
        ASKS,
        {"role": "developer", "content": [text("Two.")]},
        {"role": "assistant", "content": "yes"},
        ASKS,
        {"role": "system", "content": "Three."},
    )
    assert arguments["system"] == "One.\n\nTwo.\n\nThree."
    assert arguments["messages"] == [user(text("hi")), assistant(text("yes")), user(text("hi"))]


def test_what_the_system_says_last_is_said_by_the_user_where_nobody_else_would() -> None:
    only = asked({"role": "system", "content": "Say hello."})
    assert (only["messages"], "system" in only) == ([user(text("Say hello."))], False)
    after = asked(
        {"role": "system", "content": "One."},
        ASKS,
        {"role": "assistant", "content": "yes"},
        {"role": "system", "content": "Go on."},
    )
    assert after["system"] == "One."
    assert after["messages"][-1] == user(text("Go on."))


def test_turns_alternate_and_begin_with_the_users() -> None:
    assert turns({"role": "assistant", "content": "Hello!"}, ASKS, ASKS) == [
        user(text("(The conversation begins with your words.)")),
        assistant(text("Hello!")),
        user(text("hi"), text("hi")),
    ]


def test_an_answer_without_words_is_no_turn_and_a_question_without_is_said_so() -> None:
    silent = {"role": "assistant", "content": "  "}
    blank = {"role": "user", "content": " "}
    assert turns(ASKS, silent, blank) == [user(text("hi"), text("(no words)"))]


def test_a_picture_comes_as_it_is() -> None:
    parts = [{"type": "image_url", "image_url": {"url": PNG}}, text("what is it?")]
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert turns({"role": "user", "content": parts}) == [
        user({"type": "image", "source": source}, text("what is it?"))
    ]


@pytest.mark.parametrize("url", ["data:image/svg+xml;base64,AA", "data:image/png,AA"])
def test_a_picture_of_another_type_is_for_another_model(url: str) -> None:
    with pytest.raises(NotServed, match="send JPEG, PNG, GIF or WebP in base64"):
        asked({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})


def test_the_results_of_one_turns_calls_are_one_turn_and_what_is_said_follows() -> None:
    said = turns(
        ASKS,
        calls(call("weather", "a"), call("weather", "b", "{}"), content="Let me see."),
        answer("b", "rain"),
        answer("a", ""),
        {"role": "user", "content": "well?"},
    )
    assert said[1:] == [
        assistant(text("Let me see."), use("a", city="Paris"), use("b")),
        user(result("b", text("rain")), result("a"), text("well?")),
    ]


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    missing = {
        "type": "tool_result",
        "tool_use_id": "b",
        "content": "There is no result of this call.",
        "is_error": True,
    }
    said = turns(ASKS, calls(call("weather", "a"), call("weather", "b")), answer("a"), ASKS)
    assert said[-1] == user(result("a", text("sunny")), missing, text("hi"))


def test_a_result_that_names_no_call_is_that_of_the_first_without_one() -> None:
    made = calls(*(call("weather", call_id) for call_id in ("a", "b", "c")))
    said = turns(ASKS, made, answer("b"), answer("?", "rain"), answer("c", "snow"))
    assert said[-1] == user(
        result("b", text("sunny")), result("a", text("rain")), result("c", text("snow"))
    )


def test_a_result_of_no_call_is_told_in_words() -> None:
    assert turns(ASKS, answer("a")) == [
        user(text("hi"), text("What a tool answered:"), text("sunny"))
    ]


def test_ids_and_names_that_the_api_does_not_take_are_replaced_on_both_sides() -> None:
    said = turns(
        ASKS,
        calls(call("a.b", "x y"), call("a.b", "")),
        answer("x y", "one"),
        answer("", "two"),
        calls(call("a.b", "call_0")),
        answer("call_0", "three"),
    )
    names = [block["id"] for turn in said for block in turn["content"] if "input" in block]
    assert names == ["call_0", "call_1", "call_2"]
    assert said[2] == user(result("call_0", text("one")), result("call_1", text("two")))
    assert said[4] == user(result("call_2", text("three")))


@pytest.mark.parametrize(
    ("arguments", "given"),
    [("", {}), ('{"a": 1}', {"a": 1}), ("[1]", {"arguments": [1]}), ("null", {"arguments": None})],
)
def test_arguments_become_a_table(arguments: str, given: dict[str, Any]) -> None:
    said = turns(ASKS, calls(call("weather", "a", arguments)), answer("a"))
    assert said[1]["content"][0]["input"] == given


def test_a_tool_is_described_in_the_other_form() -> None:
    arguments = asked(tools=[WEATHER, {"type": "function", "function": {"name": "now"}}])
    assert arguments["tools"] == [
        {
            "name": "weather",
            "description": "The weather",
            "input_schema": WEATHER["function"]["parameters"],  # type: ignore[index]
        },
        {"name": "now", "input_schema": {"type": "object"}},
    ]
    assert "tool_choice" not in arguments


def test_a_tool_that_was_called_stays_known_when_none_may_be_called_any_more() -> None:
    arguments = asked(ASKS, calls(call("weather", "a")), answer("a"))
    assert arguments["tools"] == [{"name": "weather", "input_schema": {"type": "object"}}]
    assert arguments["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize("function", [{"name": "a.b"}, {"name": "n" * 129}, {}])
def test_a_function_that_claude_cannot_name_is_for_another_model(function: dict[str, str]) -> None:
    with pytest.raises(NotServed, match="calls no function"):
        asked(tools=[{"type": "function", "function": function}])


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
            {"type": "tool", "name": "weather"},
        ),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        ({"parallel_tool_calls": True}, None),
    ],
)
def test_the_choice_of_a_tool(fields: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert asked(tools=[WEATHER], **fields).get("tool_choice") == choice


@pytest.mark.parametrize(
    ("fields", "thinking", "effort"),
    [
        ({}, None, None),
        ({"reasoning_effort": "none"}, "disabled", None),
        ({"reasoning_effort": "minimal"}, "adaptive", "low"),
        ({"reasoning_effort": "xhigh"}, "adaptive", "xhigh"),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "adaptive", None),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "disabled", None),
        (
            {"reasoning_effort": "high", "tools": [WEATHER], "tool_choice": "required"},
            None,
            "high",
        ),
    ],
)
def test_how_much_to_think(
    fields: dict[str, Any], thinking: str | None, effort: str | None
) -> None:
    arguments = asked(**fields)
    assert arguments.get("thinking", {}).get("type") == thinking
    assert arguments.get("output_config", {}).get("effort") == effort


def test_a_schema_goes_along_and_json_without_one_is_asked_for_in_words() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert asked(response_format=wanted)["output_config"] == {
        "format": {"type": "json_schema", "schema": schema}
    }
    assert asked(response_format={"type": "json_object"})["system"] == JSON_ONLY


def test_sampling_is_left_out_and_the_length_is_bounded() -> None:
    sampling = {"temperature": 0.2, "top_p": 0.5, "top_k": 3, "seed": 1, "logprobs": True}
    arguments = asked(**sampling, max_tokens=9_999, stop=["END", "\n"])
    assert set(arguments) == {"model", "messages", "max_tokens", "stop_sequences"}
    assert (arguments["max_tokens"], arguments["stop_sequences"]) == (500, ["END"])
    assert asked(max_tokens=7)["max_tokens"] == 7


WORDS = st.sampled_from(["", " ", "a", "b c"])
PARTS = st.lists(
    st.one_of(WORDS.map(text), st.just({"type": "image_url", "image_url": {"url": PNG}})),
    min_size=1,
    max_size=3,
)
IDS = st.sampled_from(["", "a", "b", "x y", "call_0", "call_1"])
CALLS = st.builds(
    call, st.sampled_from(["weather", "a.b", ""]), IDS, st.sampled_from(["", "{}", "[]", '{"a":1}'])
)
TURNS = st.one_of(
    st.builds(lambda c: {"role": "user", "content": c}, st.one_of(WORDS.filter(bool), PARTS)),
    st.builds(
        lambda role, c: {"role": role, "content": c},
        st.sampled_from(["system", "developer", "assistant"]),
        WORDS.filter(bool),
    ),
    st.builds(lambda made: calls(*made), st.lists(CALLS, min_size=1, max_size=3)),
    st.builds(answer, IDS, st.one_of(WORDS, PARTS)),
)


@given(
    st.lists(TURNS, min_size=1, max_size=12).filter(lambda said: said[-1]["role"] != "assistant"),
    st.booleans(),
)
def test_any_conversation_of_ours_is_one_that_the_api_takes(
    messages: list[dict[str, Any]], with_tools: bool
) -> None:
    before = json.dumps(messages)
    arguments = asked(*messages, **({"tools": [WEATHER]} if with_tools else {}))
    assert json.dumps(messages) == before
    spoken = json.dumps(arguments)
    assert all(word in spoken for m in messages for word in ("b c",) if word in json.dumps(m))
