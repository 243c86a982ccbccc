"""Anthropic's tools as functions in OpenAI's form. Pure."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from fleet.errors import InvalidRequest


class Tool(BaseModel):
    """A tool; only those that the caller runs and describes can be offered to any model."""

    type: str = "custom"
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class Choice(BaseModel):
    """Whether a tool shall be called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


def functions(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """The tools in OpenAI's form.

    Raises:
        InvalidRequest: one is Anthropic's own.
    """
    return [_function(number, tool) for number, tool in enumerate(tools)]


def _function(number: int, tool: Tool) -> dict[str, Any]:
    where = f"tools[{number}]"
    if tool.type != "custom":
        raise InvalidRequest(
            f"{where}.type: {tool.type[:80]!r} is a tool that only Anthropic's models and servers "
            "know; describe one of your own by `name`, `description` and `input_schema`",
            param=f"{where}.type",
        )
    if tool.input_schema is None:
        raise InvalidRequest(f"{where}.input_schema: Field required", param=f"{where}.input_schema")
    said = {"description": tool.description} if tool.description else {}
    return {
        "type": "function",
        "function": {"name": tool.name, **said, "parameters": tool.input_schema},
    }


def chosen(choice: Choice | None, tools: Sequence[Tool]) -> dict[str, Any]:
    """`tool_choice` and `parallel_tool_calls` in OpenAI's form; empty where nothing was said.

    Raises:
        InvalidRequest: a tool is asked for that there is not.
    """
    if choice is None:
        return {}
    names = [tool.name for tool in tools]
    if choice.type == "tool" and choice.name not in names:
        raise InvalidRequest(
            f"tool_choice.name: there is no tool {choice.name[:80]!r} in `tools`",
            param="tool_choice.name",
        )
    if choice.type == "any" and not tools:
        raise InvalidRequest("tool_choice: there are no `tools` to choose", param="tool_choice")
    if not tools:
        return {}
    named = {"type": "function", "function": {"name": choice.name}}
    meant = {"auto": "auto", "any": "required", "none": "none", "tool": named}
    alone = {"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {}
    return {"tool_choice": meant[choice.type], **alone}
