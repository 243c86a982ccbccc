"""Anthropic's SDK talks to a real llama-server through the fleet."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from anthropic import Anthropic
from pydantic import BaseModel, Field

from tests.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

TURNS: Any = [
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": [{"type": "text", "text": "It is Paris."}]},
    {"role": "user", "content": [{"type": "text", "text": "And of Italy?"}]},
]
#: Each answer comes from the server, whose own cache of prompts is looked at here.
GREEDY: Any = {"temperature": 0, "conversation_id": "capitals", "cache": False}


@pytest.fixture(scope="module")
def client(real_fleet: Stack) -> Iterator[Anthropic]:
    with Anthropic(base_url=real_fleet.url, api_key="none", max_retries=0) as client:
        yield client


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "fast", "max_tokens": 24, "messages": TURNS, "extra_body": GREEDY, **fields}


def test_a_stream_and_a_whole_answer_are_the_same_and_count_the_cache_apart(
    client: Anthropic,
) -> None:
    first = client.messages.create(**asked(system="Answer in one sentence."))
    with client.messages.stream(**asked(system="Answer in one sentence.")) as stream:
        streamed = "".join(stream.text_stream)
        second = stream.get_final_message()
    [block] = first.content
    assert block.type == "text"
    assert streamed == block.text
    assert streamed
    used = second.usage
    assert used.cache_read_input_tokens
    assert used.input_tokens + used.cache_read_input_tokens == (
        first.usage.input_tokens + (first.usage.cache_read_input_tokens or 0)
    )
    assert 0 < used.output_tokens <= 24


@pytest.mark.parametrize("wish", [{"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"}])
def test_a_model_that_cannot_think_does_not_mind_being_asked(client: Anthropic, wish: Any) -> None:
    assert client.messages.create(**asked(thinking=wish)).content


class Capital(BaseModel):
    """What is asked for."""

    capital: Annotated[str, Field(max_length=20)]


def test_an_answer_is_parsed_by_the_sdk(client: Anthropic) -> None:
    message = client.messages.parse(**asked(output_format=Capital, max_tokens=60))
    assert message.parsed_output


def test_an_answer_keeps_to_its_schema(client: Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string", "maxLength": 20}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    wish: Any = {"format": {"type": "json_schema", "schema": schema}}
    message = client.messages.create(**asked(output_config=wish, max_tokens=60))
    [block] = message.content
    assert block.type == "text"
    assert list(json.loads(block.text)) == ["capital"]
