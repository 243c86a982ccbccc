"""Input items as `GET /v1/responses/{id}/input_items` shows them. Pure."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from api.responses.asked import Asked
from api.responses.input import kind_of
from fleet.errors import InvalidRequest

Table = dict[str, Any]

STATUSES = ("in_progress", "completed", "incomplete")
PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco"}
_ID = re.compile(r"[a-z]+_([0-9a-f]{32})_i?\d+")


def response_of(item_id: str) -> str | None:
    """The response that an item of ours belongs to."""
    found = _ID.fullmatch(item_id)
    return f"resp_{found[1]}" if found else None


def input_items(asked: Asked) -> list[Table]:
    """What was given as input, each item with an id."""
    items = asked.form.get("input") or list(_of_messages(asked.request.get("messages") or ()))
    return [_shown(item, asked.digits, place) for place, item in enumerate(items)]


def _shown(item: Table, digits: str, place: int) -> Table:
    kind = kind_of(item)
    made = f"{PREFIXES.get(kind, 'rs')}_{digits}_i{place}"
    own = item.get("id")
    shown = item | {"id": own if isinstance(own, str) and own else made, "type": kind}
    if kind == "message":
        shown["content"] = _parts(shown["content"], shown["role"] == "assistant")
    if kind == "reasoning":
        return {"summary": [], **shown}
    status = item.get("status")
    return shown | {"status": status if status in STATUSES else "completed"}


def _parts(content: Any, answer: bool) -> list[Table]:
    parts = [{"text": content}] if isinstance(content, str) else content
    return [_part(part, answer) for part in parts]


def _part(part: Table, answer: bool) -> Table:
    if part.get("type") == "input_image":
        return {"detail": "auto", **part}
    if part.get("type") == "refusal" and answer:
        return part
    if answer:
        return {"type": "output_text", "text": part.get("text", ""), "annotations": []}
    return {"type": "input_text", "text": part.get("text") or part.get("refusal") or ""}


def _of_messages(messages: Sequence[Table]) -> Iterator[Table]:
    """The items that stand for a conversation of another API."""
    for message in messages:
        content = _shown_content(message.get("content") or "")
        if message["role"] == "tool":
            call_id = message.get("tool_call_id") or ""
            yield {"type": "function_call_output", "call_id": call_id, "output": content}
            continue
        if content:
            yield {"type": "message", "role": message["role"], "content": content}
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            about = {"name": function.get("name"), "arguments": function.get("arguments")}
            yield {"type": "function_call", "call_id": call.get("id"), **about}


def _shown_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {"type": "input_text", "text": part["text"]}
        if part.get("type") == "text"
        else {"type": "input_image", "image_url": part["image_url"]["url"], "detail": "auto"}
        for part in content
    ]


def page(items: list[Table], order: str, after: str | None, limit: int) -> Table:
    """One page of a list.

    Raises:
        InvalidRequest: no item has the id `after`.
    """
    ordered = items if order == "asc" else items[::-1]
    ids = [item["id"] for item in ordered]
    if after and after not in ids:
        raise InvalidRequest(f"after: there is no item {after[:80]!r} here", param="after")
    rest = ordered[ids.index(after) + 1 :] if after else ordered
    shown = rest[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else "",
        "last_id": shown[-1]["id"] if shown else "",
        "has_more": len(rest) > limit,
    }


def size_of(messages: Sequence[Table]) -> int:
    """Bytes of a conversation."""
    return len(json.dumps(messages, ensure_ascii=False).encode())
