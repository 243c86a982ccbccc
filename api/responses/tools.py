"""Tools, choices among them and formats of the answer: between Responses' form and that of
chat completions, which the models read. Pure.
"""

from collections.abc import Sequence
from typing import Any

from fleet.errors import InvalidRequest

#: Fields of a function, which Responses has beside its type and chat completions in `function`.
FUNCTION = ("name", "description", "parameters", "strict")
FORMAT = ("name", "description", "schema", "strict")

Table = dict[str, Any]


def for_model(tools: Sequence[Table]) -> list[Table]:
    """Function tools as a model reads them.

    Raises:
        InvalidRequest: one is of another type, or has no name.
    """
    return [_function(tool, f"tools[{place}]") for place, tool in enumerate(tools)]


def _function(tool: Table, where: str) -> Table:
    kind = str(tool.get("type"))[:40]
    if kind != "function":
        raise InvalidRequest(
            f"{where}: tools of type {kind!r} are not served here; "
            "give functions of your own: {type: function, name, parameters}",
            param=where,
        )
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise InvalidRequest(f"{where}.name: a function needs a name", param=f"{where}.name")
    if not isinstance(tool.get("parameters") or {}, dict):
        raise InvalidRequest(f"{where}.parameters: must be a JSON schema", param=where)
    return {"type": "function", "function": _some(tool, FUNCTION)}


def chosen(choice: Any, tools: list[Table]) -> tuple[Any, list[Table]]:
    """A `tool_choice` as a model reads it, and the tools that it leaves.

    Raises:
        InvalidRequest: it is of another type, or names a tool that is not given.
    """
    if not isinstance(choice, dict):
        return choice, tools
    if choice.get("type") == "function":
        [found] = _named([choice], tools)
        return {"type": "function", "function": {"name": found["function"]["name"]}}, tools
    if choice.get("type") == "allowed_tools":
        mode = choice.get("mode")
        if mode not in ("auto", "required"):
            raise InvalidRequest("tool_choice.mode: must be auto or required", param="tool_choice")
        return mode, _named(choice.get("tools"), tools)
    raise InvalidRequest(
        "tool_choice: must be none, auto, required, {type: function, name} or "
        "{type: allowed_tools, mode, tools}",
        param="tool_choice",
    )


def _named(wanted: Any, tools: list[Table]) -> list[Table]:
    known = {tool["function"]["name"]: tool for tool in tools}
    names = [_name(one) for one in wanted] if isinstance(wanted, list) else []
    strange = next((name for name in names if name not in known), None)
    if strange is not None or not names:
        raise InvalidRequest(
            f"tool_choice: there is no function {str(strange or '')[:80]!r} in tools",
            param="tool_choice",
        )
    return [known[name] for name in names]


def _name(wanted: Any) -> str:
    return str(wanted.get("name")) if isinstance(wanted, dict) else ""


def response_format(text_format: Any) -> Table | None:
    """`text.format` as a model reads it; None: any text.

    Raises:
        InvalidRequest: it is none.
    """
    if text_format is None:
        return None
    kind = text_format.get("type") if isinstance(text_format, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind == "json_schema":
        if not isinstance(text_format.get("schema"), dict) or not text_format.get("name"):
            raise InvalidRequest(
                "text.format: a json_schema needs its `name` and its `schema`", param="text.format"
            )
        return {"type": "json_schema", "json_schema": _some(text_format, FORMAT)}
    raise InvalidRequest(
        "text.format: must have the type text, json_object or json_schema", param="text.format"
    )


def shown(tool: Table) -> Table:
    """A model's function tool in this API's form."""
    return _full(tool.get("function") or {})


def given(tool: Table) -> Table:
    """A caller's function tool with all that an object shows of it."""
    return tool | _full(tool)


def _full(function: Table) -> Table:
    about = {"type": "function", "name": str(function.get("name"))}
    details = {key: function.get(key) for key in ("description", "parameters")}
    return {**about, **details, "strict": bool(function.get("strict"))}


def shown_choice(choice: Any) -> Any:
    """A model's `tool_choice` in this API's form."""
    if not isinstance(choice, dict):
        return choice
    return {"type": "function", "name": str((choice.get("function") or {}).get("name"))}


def shown_format(asked: Table | None) -> Table:
    """A model's `response_format` in this API's form."""
    kind = (asked or {}).get("type", "text")
    if kind != "json_schema" or asked is None:
        return {"type": kind}
    schema = asked.get("json_schema") or {}
    return {"type": kind, "name": "schema", "schema": {}} | _some(schema, FORMAT)


def _some(table: Table, names: Sequence[str]) -> Table:
    return {name: table[name] for name in names if table.get(name) is not None}
