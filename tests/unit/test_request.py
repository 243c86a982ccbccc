"""What every API's request must be before a model server sees it."""

from typing import Any

import pytest
from pydantic import ValidationError

from fleet.request import JobRequest

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def asked(**fields: Any) -> JobRequest:
    return JobRequest.model_validate({"message": "Hi", **fields})


def called(function: Any) -> list[dict[str, Any]]:
    return [
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]}
    ]


def test_rivals_of_no_token_are_not_asked_for() -> None:
    # A llama-server answers 400 to a `top_logprobs` of 0 without `logprobs`.
    assert "top_logprobs" not in asked(top_logprobs=0).for_model()
    assert "top_logprobs" not in asked(top_logprobs=0, logprobs=False).for_model()
    assert asked(top_logprobs=0, logprobs=True).for_model()["top_logprobs"] == 0
    with pytest.raises(ValidationError, match="set logprobs to true"):
        asked(top_logprobs=2)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "x"}}])
def test_a_choice_among_no_tools_is_refused(choice: Any) -> None:
    assert asked(tools=TOOLS, tool_choice=choice).tool_choice == choice
    with pytest.raises(ValidationError, match="there are no tools to choose from"):
        asked(tool_choice=choice)
    with pytest.raises(ValidationError, match="there are no tools to choose from"):
        asked(tools=[], tool_choice=choice)


def test_a_choice_that_asks_for_nothing_needs_no_tools() -> None:
    assert asked(tool_choice="auto").tool_choice is None
    assert asked(tool_choice="none", tools=TOOLS).tool_choice == "none"


@pytest.mark.parametrize("arguments", ["{", "no", 5])
def test_the_arguments_of_an_earlier_call_must_be_json(arguments: Any) -> None:
    with pytest.raises(ValidationError, match="the arguments of 'look' must be JSON, as text"):
        asked(messages=called({"name": "look", "arguments": arguments}))


@pytest.mark.parametrize("function", [None, "look", {}, {"name": 1}])
def test_an_earlier_call_must_name_its_function(function: Any) -> None:
    with pytest.raises(ValidationError, match="a call must be"):
        asked(messages=called(function))
