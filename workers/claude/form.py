"""A request in OpenAI's form as arguments of `messages.create`. Pure.

Sampling fields are left out: Anthropic's models take none any more.
"""

import re
from typing import Any

from fleet.catalogue import Model
from fleet.errors import NotServed
from workers.claude.turns import Turns

#: OpenAI's words for how much to think, in Anthropic's.
EFFORTS = {
    "minimal": "low",
    **{effort: effort for effort in ("low", "medium", "high", "xhigh", "max")},
}
JSON_ONLY = "Answer with one JSON object and nothing else: no other words, no code fence."
CHOICES = {"none": "none", "auto": "auto", "required": "any"}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")

Table = dict[str, Any]


def to_messages(request: Table, model: Model) -> Table:
    """The arguments for a request as `JobRequest.for_model` writes it.

    Raises:
        NotServed: it has what Claude does not take.
    """
    said = Turns(request["messages"])
    schema, in_words = _format(request.get("response_format") or {})
    effort = EFFORTS.get(request.get("reasoning_effort") or "")
    tools = _tools(request, said)
    output = {"format": schema, "effort": effort}
    choice = _choice(request, tools)
    arguments = {
        "model": model.model,
        "messages": said.turns,
        "max_tokens": min(request.get("max_tokens") or model.max_tokens, model.max_tokens),
        "system": "\n\n".join(text for text in (said.system, in_words) if text),
        "stop_sequences": _stops(request.get("stop")),
        "tools": tools,
        "tool_choice": choice,
        "thinking": _thinking(request, choice.get("type", "auto")),
        "output_config": {key: value for key, value in output.items() if value},
    }
    return {key: value for key, value in arguments.items() if value}


def _stops(stop: str | list[str] | None) -> list[str]:
    """Where to stop; the API takes no sequence of blanks."""
    stops = [stop] if isinstance(stop, str) else stop or []
    return [sequence for sequence in stops if sequence.strip()]


def _format(wanted: Table) -> tuple[Table, str]:
    """The schema of the answer, and what is said of its form in words where there is none."""
    schema = (wanted.get("json_schema") or wanted).get("schema")
    if schema:
        return {"type": "json_schema", "schema": schema}, ""
    return {}, JSON_ONLY if wanted.get("type") in ("json_object", "json_schema") else ""


def _thinking(request: Table, choice: str) -> Table:
    """Whether to think, where the caller said so; else the model does as it does. Whom a call
    is forced upon cannot think before it.
    """
    effort = request.get("reasoning_effort")
    template = request.get("chat_template_kwargs") or {}
    wanted = template.get("enable_thinking") if effort is None else effort != "none"
    if wanted is None or (wanted and choice in ("any", "tool")):
        return {}
    return {"type": "adaptive", "display": "summarized"} if wanted else {"type": "disabled"}


def _tools(request: Table, said: Turns) -> list[Table]:
    """The functions that may be called. Where there are none any more, those that were: the API
    wants to know what it reads of.
    """
    tools = [_tool(tool.get("function") or {}) for tool in request.get("tools") or ()]
    return tools or [{"name": name, "input_schema": {"type": "object"}} for name in said.called]


def _tool(function: Table) -> Table:
    name = str(function.get("name") or "")
    if not _NAME.fullmatch(name):
        raise NotServed(
            f"Claude calls no function {name[:128]!r}: "
            "use letters, digits, '_' and '-', at most 128"
        )
    described = {"description": function["description"]} if function.get("description") else {}
    schema = {"type": "object", **(function.get("parameters") or {})}
    return {"name": name, **described, "input_schema": schema}


def _choice(request: Table, tools: list[Table]) -> Table:
    if not tools:
        return {}
    if not request.get("tools"):
        return {"type": "none"}
    asked = request.get("tool_choice")
    if isinstance(asked, dict):
        choice = {"type": "tool", "name": (asked.get("function") or {}).get("name")}
    else:
        choice = {"type": CHOICES[asked]} if asked else {}
    if request.get("parallel_tool_calls") is not False or asked == "none":
        return choice
    return {"type": "auto", **choice, "disable_parallel_tool_use": True}
