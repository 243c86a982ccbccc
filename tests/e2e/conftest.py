"""A fleet by processes on three real llama-servers with the real small model."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.real import llama_server
from tests.stack import Stack
from tests.support import ROOT, Valkey

TEMPLATE = ROOT / "tests" / "data" / "tools.jinja"
SLOTS_OF_LARGE = 1
#: Name, slots, context of one slot, the server's own arguments.
SERVERS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("fast", 2, 1024, ()),
    ("tool", 2, 1024, ("--chat-template-file", str(TEMPLATE))),
    ("large", SLOTS_OF_LARGE, 2048, ()),
)
MODEL = """
[[models]]
name = "{name}"
url = "{url}"
slots = {slots}
context = {context}
"""
#: The same words every time.
GREEDY: dict[str, Any] = {"temperature": 0, "seed": 1}

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": WEATHER}]


def _example(number: int, city: str, weather: str) -> list[dict[str, Any]]:
    function = {"name": WEATHER["name"], "arguments": json.dumps({"city": city})}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    return [
        {"role": "user", "content": f"What is the weather in {city}?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": weather},
        {"role": "assistant", "content": f"The weather in {city} is {weather}."},
    ]


def asks_for_weather(city: str) -> list[dict[str, Any]]:
    """A conversation at whose end SmolLM2-135M calls `get_weather` with that city.

    Without the two examples a model of this size talks about the weather instead. With them,
    the template and `GREEDY` it has called each time, whatever the city; the call takes
    under 40 tokens. `TOOLS` must come with it, and the model must be `tool`.
    """
    examples = _example(1, "Rome", "sunny") + _example(2, "Oslo", "snowy")
    return [*examples, {"role": "user", "content": f"What is the weather in {city}?"}]


@pytest.fixture(scope="module")
def real_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """API, router and a worker each for `fast`, `tool` (its template knows tools) and `large`."""
    folder = tmp_path_factory.mktemp("real")
    with ExitStack() as started:
        valkey = Valkey(folder)
        valkey.start()
        started.callback(valkey.stop)
        config = ""
        for name, slots, context, args in SERVERS:
            server = llama_server(folder, name, slots=slots, context=context, args=args)
            url = started.enter_context(server)
            config += MODEL.format(name=name, url=url, slots=slots, context=context)
        stack = Stack(folder, valkey.url, config)
        started.callback(stack.stop)
        stack.start_all("fast", "tool", "large")
        yield stack
