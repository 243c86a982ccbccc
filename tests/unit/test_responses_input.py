"""What a caller gives as input, and what a model reads of it."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter, ValidationError

from api.responses.asked import Asked
from api.responses.asking import form_of, job_request
from api.responses.form import ResponseForm
from api.responses.input import check_calls, items_of, messages_of
from api.responses.items import input_items, page, response_of
from fleet.errors import InvalidRequest

ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)
ID = "job_" + "cd" * 16
PICTURE = "data:image/png;base64,AAAA"
TOOL = {"type": "function", "name": "time", "parameters": {"type": "object"}, "strict": True}


def call(call_id: str, **more: Any) -> dict[str, Any]:
    about = {"type": "function_call", "call_id": call_id, "name": "time", "arguments": "{}"}
    return about | more


def result(call_id: str, output: Any = "noon") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def asked_for(**body: Any) -> Any:
    """The job that a body asks for."""
    form = ResponseForm.model_validate({"input": "Hi", **body})
    return job_request(form, items_of(form.input), [], "")


def test_a_text_is_one_turn_of_the_user() -> None:
    assert messages_of(items_of("Hi")) == [said("user", "Hi")]


def test_parts_become_what_a_model_reads() -> None:
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": PICTURE, "detail": "low"},
    ]
    [message] = messages_of([said("user", content)])
    assert message["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]


def test_the_text_and_the_calls_of_one_turn_are_one_message() -> None:
    answer = {"type": "message", **said("assistant", [{"type": "output_text", "text": "I look."}])}
    thought = {"type": "reasoning", "summary": []}
    items = [thought, answer, thought, call("a"), call("b"), result("b"), result("a", [])]
    [first, *results] = messages_of(items)
    assert first["content"] == "I look."
    assert [c["id"] for c in first["tool_calls"]] == ["a", "b"]
    assert [(m["tool_call_id"], m["content"]) for m in results] == [("b", "noon"), ("a", "")]
    alone = messages_of([said("user", "Hi"), call("a"), call("b")])
    assert [m["role"] for m in alone] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"type": "web_search_call"}, "items of type 'web_search_call'"),
        ({"type": "item_reference", "id": "x"}, "items of type 'item_reference'"),
        (said("critic", "Hi"), "input[0].role"),
        (said("user", 3), "input[0].content: must be text or a list of parts"),
        (said("user", [{"type": "input_file"}]), "parts of type 'input_file'"),
        (said("user", [{"type": "input_image", "file_id": "f"}]), "must be a data:image"),
        (said("user", [{"type": "input_image", "image_url": "http://x"}]), "must be a data:image"),
        (call("a", name=""), "input[0].name"),
        (call("a", arguments=None), "input[0].arguments"),
        ({"type": "function_call_output", "output": ""}, "input[0].call_id"),
    ],
)
def test_what_no_model_reads_is_refused_by_its_place(item: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        messages_of([item])
    assert words in refused.value.message
    assert (refused.value.param or "").startswith("input[0]")


def test_every_call_has_its_output_and_every_output_its_call() -> None:
    check_calls(messages_of([call("a"), call("b"), result("b"), result("a")]))
    with pytest.raises(InvalidRequest, match="No tool output found for function call b"):
        check_calls(messages_of([call("a"), call("b"), result("a"), said("user", "?")]))
    with pytest.raises(InvalidRequest, match="call_id x"):
        check_calls(messages_of([result("x")]))


def test_a_request_is_what_the_same_chat_completion_would_be() -> None:
    schema = {"type": "object", "properties": {}}
    request = asked_for(
        instructions="Be brief.",
        max_output_tokens=9,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "s", "schema": schema, "strict": True}},
        tools=[TOOL],
        tool_choice={"type": "function", "name": "time"},
        top_k=40,
        conversation_id="c",
    )
    function = {"name": "time", "parameters": {"type": "object"}, "strict": True}
    assert request.for_model() == {
        "messages": [said("system", "Be brief."), said("user", "Hi")],
        "max_tokens": 9,
        "top_k": 40,
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": schema, "strict": True},
        },
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "time"}},
    }
    assert (request.model, request.conversation_id) == ("auto", "c")


def test_logprobs_are_asked_for_by_what_is_included() -> None:
    asked = asked_for(include=["message.output_text.logprobs"], top_logprobs=2).for_model()
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)


def test_allowed_tools_are_those_that_the_model_gets() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [TOOL]}
    request = asked_for(tools=[{**TOOL, "name": "weather"}, TOOL], tool_choice=choice)
    assert request.tool_choice == "required"
    assert [tool["function"]["name"] for tool in request.tools] == ["time"]


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0]", "tools of type 'web_search'"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "needs a name"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice", "must be none, auto"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice", "no function 'x'"),
        ({"tool_choice": "required"}, "tool_choice", "no tools to choose from"),
        ({"input": [call("1", arguments="{"), result("1")]}, "input", "must be JSON, as text"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format", "`schema`"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format", "json_schema"),
        ({"input": [said("user", "")]}, "input", "must not be empty"),
        ({"input": [said("assistant", "Hi")]}, "input", "must not be the assistant's own"),
        ({"conversation_id": "a b"}, "conversation_id", "visible"),
    ],
)
def test_a_request_that_cannot_be_served_names_the_field(
    body: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked_for(**body)
    assert refused.value.param == param
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": []}, "must be some text, or a list of items"),
        ({"input": ["Hi"]}, "must be some text, or a list of items"),
        ({"background": True, "store": False}, "background: needs `store`"),
        ({"conversation": "conv_1"}, "previous_response_id"),
        ({"prompt": {"id": "p"}}, "no stored prompts"),
        ({"truncation": "middle"}, "'auto' or 'disabled'"),
    ],
)
def test_a_body_that_cannot_be_served_says_what_would(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ResponseForm.model_validate({"input": "Hi", **body})


def test_what_does_nothing_here_is_named_and_hints_are_not() -> None:
    form = ResponseForm.model_validate(
        {
            "input": "Hi",
            "user": "u",
            "service_tier": "flex",
            "text": {"verbosity": "low"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
            "moderation": {"model": "m"},
            "evil\r\nx: y": 1,
        }
    )
    assert list(form.ignored()) == [
        *("moderation", "evil\r\nx: y", "include.reasoning.encrypted_content", "text.verbosity"),
        "reasoning.summary",
    ]


def shown(given: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    form = ResponseForm.model_validate({"input": given})
    kept = form_of(form, items_of(form.input))
    items = input_items(Asked(ID, "auto", {"messages": []}, kept, {}))
    for item in items:
        ITEM.validate_python(item)
    assert len({item["id"] for item in items}) == len(items)
    return items


def test_input_items_are_shown_as_they_were_given_each_with_an_id() -> None:
    picture = [{"type": "input_image", "image_url": PICTURE}]
    items = shown(
        [
            *(said("system", "Be brief."), said("user", picture), call("a", id="fc_own")),
            *(result("a"), {"type": "reasoning", "id": "rs_own", "summary": []}),
            *(said("assistant", "Noon."), said("user", "Thanks")),
        ]
    )
    assert [item["id"] for item in items] == [
        *(f"msg_{'cd' * 16}_i0", f"msg_{'cd' * 16}_i1", "fc_own", f"fco_{'cd' * 16}_i3"),
        *("rs_own", f"msg_{'cd' * 16}_i5", f"msg_{'cd' * 16}_i6"),
    ]
    assert items[5]["content"][0]["type"] == "output_text"
    assert shown("Hi")[0]["content"] == [{"type": "input_text", "text": "Hi"}]


def test_an_items_id_says_whose_it_is() -> None:
    assert response_of(f"msg_{'cd' * 16}_0") == response_of(f"fco_{'cd' * 16}_i3")
    assert response_of(f"msg_{'cd' * 16}_0") == f"resp_{'cd' * 16}"
    assert response_of("msg_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654") is None


def test_the_conversation_of_another_api_is_shown_as_items() -> None:
    tool_call = {"id": "a", "type": "function", "function": {"name": "t", "arguments": "{}"}}
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
    messages = [
        *(said("system", "Be brief."), said("user", parts)),
        {"role": "assistant", "tool_calls": [tool_call]},
        {"role": "tool", "tool_call_id": "a", "content": "noon"},
        *(said("assistant", "Noon."), said("user", "Thanks")),
    ]
    items = input_items(Asked(ID, "auto", {"messages": messages}, {}, {}))
    for item in items:
        ITEM.validate_python(item)
    assert [item["type"] for item in items] == [
        *("message", "message", "function_call", "function_call_output", "message", "message"),
    ]


plain = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "output_text", "refusal", "input_image", "x", 1])},
    optional={
        "text": plain,
        "refusal": plain,
        "image_url": st.sampled_from([PICTURE, "http://x", {}, None]),
        "detail": st.sampled_from(["low", "auto"]),
    },
)
contents = plain | st.lists(parts | plain, max_size=3)
kinds = ["message", "function_call", "function_call_output", "reasoning", "item_reference", "x", []]
anything = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(kinds),
        "role": st.sampled_from(["user", "assistant", "system", "tool", {}]),
        "content": contents,
        "output": contents,
        "id": plain | st.just([]),
        "call_id": plain | st.sampled_from(["a", "b"]),
        "name": plain,
        "arguments": plain,
        "status": plain | st.just("incomplete"),
    },
)


@given(st.lists(anything, min_size=1, max_size=4))
def test_any_items_are_refused_or_read_and_shown(items: list[dict[str, Any]]) -> None:
    try:
        asked_for(input=items)
    except InvalidRequest:
        return
    for item in shown(items):
        assert item["id"]


@given(st.dictionaries(st.sampled_from(["text", "tool_choice", "tools", "reasoning"]), anything))
def test_any_options_are_refused_or_read(options: dict[str, Any]) -> None:
    for body in (options, {name: {"format": value} for name, value in options.items()}):
        with suppress(InvalidRequest, ValidationError):
            asked_for(**body)


def test_pages_of_items_hold_each_item_once_in_either_order() -> None:
    items = shown([said("user", f"{n}") for n in range(5)])
    for order in ("asc", "desc"):
        seen: list[str] = []
        more, after = True, None
        while more:
            one = page(items, order, after, 2)
            seen += [item["id"] for item in one["data"]]
            more, after = one["has_more"], one["last_id"]
            assert one["first_id"] == one["data"][0]["id"]
        ids = [item["id"] for item in items]
        assert seen == (ids if order == "asc" else ids[::-1])
    with pytest.raises(InvalidRequest, match="after"):
        page(items, "asc", "msg_x", 2)
