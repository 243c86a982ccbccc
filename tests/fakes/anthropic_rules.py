"""What Anthropic's API refuses in a request, as far as it documents it. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

FIELDS = {
    *("model", "messages", "max_tokens", "system", "stop_sequences", "stream", "tools"),
    *("tool_choice", "thinking", "output_config", "metadata"),
}
ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")
EFFORTS = ("low", "medium", "high", "xhigh", "max")


def mistakes(asked: Mapping[str, Any]) -> Iterator[str]:
    """Each thing that is wrong with a request."""
    for needed in ("model", "messages", "max_tokens"):
        if not asked.get(needed):
            yield f"{needed}: Field required"
    yield from (f"{name}: Extra inputs are not permitted" for name in set(asked) - FIELDS)
    turns = asked.get("messages") or []
    yield from _of_turns(turns)
    yield from _of_tools(asked, turns)
    yield from _of_the_rest(asked)


def _of_turns(turns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    roles = [turn["role"] for turn in turns]
    if not set(roles) <= {"user", "assistant"}:
        yield f"messages: Unexpected role in {roles}"
    if roles[-1:] != ["user"]:
        yield "This model does not support assistant message prefill."
    if roles[:1] != ["user"]:
        yield "messages: first message must use the user role"
    if any(one == other for one, other in pairwise(roles)):
        yield "messages: roles must alternate"  # the API would merge them; we send none
    for turn in turns:
        yield from _of_blocks(turn)
    seen: list[str] = []
    for turn, after in pairwise([*turns, {"role": "", "content": []}]):
        calls = [block["id"] for block in _blocks(turn) if block["type"] == "tool_use"]
        seen += calls
        results = _results(after)
        if sorted(calls) != sorted(results):
            yield f"`tool_use` ids {calls} were found without `tool_result` blocks after: {results}"
        if any(block["type"] == "tool_result" for block in _blocks(after)[len(results) :]):
            yield "tool_result blocks must come first"
    if len(set(seen)) < len(seen):
        yield "messages: `tool_use` ids must be unique"
    if turns and _results(turns[0]):
        yield "messages.0: unexpected `tool_result`"


def _blocks(turn: Mapping[str, Any]) -> list[Any]:
    content = turn["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _results(turn: Mapping[str, Any]) -> list[str]:
    """The calls that a turn begins by answering."""
    found = []
    for block in _blocks(turn):
        if block["type"] != "tool_result":
            break
        found.append(block["tool_use_id"])
    return found


def _of_blocks(turn: Mapping[str, Any]) -> Iterator[str]:
    allowed = {"user": ("text", "image", "tool_result"), "assistant": ("text", "tool_use")}
    if not _blocks(turn):
        yield "messages: all messages must have non-empty content"
    for block in _blocks(turn):
        if block["type"] not in allowed.get(turn["role"], ()):
            yield f"a block {block['type']} in a turn of {turn['role']}"
        if block["type"] == "tool_result" and not isinstance(block.get("content", ""), str):
            yield from _of_blocks({"role": "user", "content": block["content"]})
        if block["type"] == "text" and not block["text"].strip():
            yield "text content blocks must contain non-whitespace text"
        if block["type"] == "image" and block["source"]["media_type"] not in PICTURES:
            yield "messages: media_type: Input should be " + ", ".join(PICTURES)
        if block["type"] == "tool_use":
            if not ID.fullmatch(block["id"]) or not ID.fullmatch(block["name"]):
                yield f"tool_use: String should match pattern: {block['id']!r} {block['name']!r}"
            if not isinstance(block["input"], dict):
                yield "tool_use.input: Input should be a valid dictionary"


def _of_tools(asked: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    tools, choice = asked.get("tools") or [], asked.get("tool_choice")
    spoken = any(block["type"] == "tool_use" for turn in turns for block in _blocks(turn))
    if spoken and not tools:
        yield "Requests which include `tool_use` blocks must define tools"
    for tool in tools:
        if not ID.fullmatch(tool["name"]) or tool["input_schema"].get("type") != "object":
            yield f"tools: {tool['name']}: Input should be 'object'"
    if choice and not tools:
        yield "tool_choice: may only be specified while providing tools"
    if choice and choice["type"] == "tool" and choice["name"] not in [t["name"] for t in tools]:
        yield f"Tool '{choice['name']}' not found in provided tools"
    thinks = (asked.get("thinking") or {}).get("type") == "adaptive"
    if choice and choice["type"] in ("any", "tool") and thinks:
        yield "Thinking may not be enabled when tool_choice forces tool use."


def _of_the_rest(asked: Mapping[str, Any]) -> Iterator[str]:
    if any(not sequence.strip() for sequence in asked.get("stop_sequences") or ()):
        yield "stop_sequences: each stop sequence must contain non-whitespace"
    output = asked.get("output_config") or {}
    if output.get("effort", "low") not in EFFORTS:
        yield "output_config.effort: Input should be " + ", ".join(EFFORTS)
    schema = (output.get("format") or {}).get("schema")
    if (
        schema
        and schema.get("type") == "object"
        and schema.get("additionalProperties") is not False
    ):
        yield "output_config.format.schema: 'additionalProperties' must be explicitly set to false"
