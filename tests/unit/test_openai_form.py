"""A request as any API of OpenAI's form takes it."""

from typing import Any

import pytest

from fleet.catalogue import Model
from fleet.request import JobRequest
from workers.openai_form import to_completion

TOOL = {"type": "function", "function": {"name": "now"}}


def model(**fields: Any) -> Model:
    entry = {"name": "gpt-4", "kind": "openai", "model": "gpt-4o", "max_tokens": 500}
    return Model.model_validate({**entry, "price": {"input": 1, "output": 2}, **fields})


def asked(of: Model | None = None, **fields: Any) -> dict[str, Any]:
    request = JobRequest.model_validate({"messages": [{"role": "user", "content": "hi"}], **fields})
    return to_completion(request.for_model(), of or model())


def test_a_plain_request() -> None:
    assert asked() == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 500,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(("wanted", "length"), [(7, 7), (9_999, 500), (None, 500)])
def test_the_length_is_bounded_and_named_as_the_server_knows_it(
    wanted: int | None, length: int
) -> None:
    assert asked(max_tokens=wanted)["max_completion_tokens"] == length
    older = asked(model(length_field="max_tokens"), max_tokens=wanted)
    assert (older["max_tokens"], "max_completion_tokens" in older) == (length, False)


def test_openais_own_fields_go_along_and_llama_servers_do_not() -> None:
    theirs: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["END"],
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
    }
    ours: dict[str, Any] = {
        "top_k": 3,
        "min_p": 0.1,
        "repeat_penalty": 1.1,
        "mirostat": 1,
        "chat_template_kwargs": {"enable_thinking": True},
    }
    assert set(asked(**theirs, **ours)) - set(asked()) == set(theirs)


def test_what_is_about_tools_goes_along_with_tools_only() -> None:
    about: dict[str, Any] = {"tool_choice": "auto", "parallel_tool_calls": False}
    assert set(asked(**about)) == set(asked())
    assert set(asked(tools=[TOOL], **about)) == {*asked(), "tools", *about}


def test_a_developer_is_the_system_there() -> None:
    said = asked(messages=[{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}])
    assert [message["role"] for message in said["messages"]] == ["system", "user"]
