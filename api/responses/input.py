"""From input items to the messages that a model reads. Pure."""

from collections.abc import Sequence
from typing import Any

from fleet.errors import InvalidRequest

Table = dict[str, Any]

TEXTS = ("input_text", "output_text", "text")
ROLES = ("user", "assistant", "system", "developer")


def items_of(given: str | list[Table]) -> list[Table]:
    """What was given, as items."""
    if isinstance(given, list):
        return given
    return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]


def kind_of(item: Table) -> str:
    """The type of an item; a message need not name it."""
    return str(item.get("type") or ("message" if "role" in item else "item_reference"))


def messages_of(items: Sequence[Table]) -> list[Table]:
    """The conversation that items tell. A turn's text and its calls are one message.

    Raises:
        InvalidRequest: an item is of a type that no model here reads, or lacks something.
    """
    messages: list[Table] = []
    for place, item in enumerate(items):
        kind, where = kind_of(item), f"input[{place}]"
        if kind == "message":
            messages += _message(item, where)
        elif kind == "function_call":
            _call(messages, item, where)
        elif kind == "function_call_output":
            messages.append(_result(item, where))
        elif kind != "reasoning":
            raise InvalidRequest(
                f"{where}: items of type {kind[:40]!r} are not read here", param=where
            )
    return messages


def _message(item: Table, where: str) -> list[Table]:
    role = item.get("role")
    if role not in ROLES:
        raise InvalidRequest(f"{where}.role: must be one of {', '.join(ROLES)}", param=where)
    content = _content(item.get("content"), f"{where}.content")
    if not content and role == "assistant":
        return []
    return [{"role": role, "content": content}]


def _call(messages: list[Table], item: Table, where: str) -> None:
    call = {
        "id": _text(item, "call_id", where),
        "type": "function",
        "function": {
            "name": _text(item, "name", where),
            "arguments": _text(item, "arguments", where, empty=True) or "{}",
        },
    }
    if messages and messages[-1]["role"] == "assistant":
        messages[-1].setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "tool_calls": [call]})


def _result(item: Table, where: str) -> Table:
    call_id = _text(item, "call_id", where)
    content = _content(item.get("output"), f"{where}.output")
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def _text(item: Table, name: str, where: str, *, empty: bool = False) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise InvalidRequest(f"{where}.{name}: must be a text", param=f"{where}.{name}")
    return value


def _content(content: Any, where: str) -> str | list[Table]:
    """Parts as a model reads them; a single text is plain, which every template knows."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidRequest(f"{where}: must be text or a list of parts", param=where)
    parts = [_part(part, f"{where}[{place}]") for place, part in enumerate(content)]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    plain = len(texts) == len(parts) < 2
    return "".join(texts) if plain else parts


def _part(part: Any, where: str) -> Table:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in TEXTS:
        return {"type": "text", "text": _text(part, "text", where, empty=True)}
    if kind == "refusal":
        return {"type": "text", "text": _text(part, "refusal", where, empty=True)}
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": _picture(part, where)}}
    raise InvalidRequest(
        f"{where}: parts of type {str(kind)[:40]!r} are not read here; "
        "there are input_text, output_text and input_image",
        param=where,
    )


def _picture(part: Table, where: str) -> str:
    url = part.get("image_url")
    if not isinstance(url, str) or not url.startswith("data:image/"):
        raise InvalidRequest(
            f"{where}.image_url: must be a data:image/… URL; no address is fetched, "
            "and there are no files here",
            param=f"{where}.image_url",
        )
    return url


def check_calls(messages: Sequence[Table]) -> None:
    """Every call has its output, every output its call.

    Raises:
        InvalidRequest: one has not.
    """
    waiting: dict[str, None] = {}
    for message in messages:
        waiting |= dict.fromkeys(call["id"] for call in message.get("tool_calls") or ())
        if message["role"] == "tool":
            call_id = message.get("tool_call_id") or ""
            if call_id not in waiting:
                raise InvalidRequest(
                    f"No tool call found for function call output with call_id {call_id[:80]}.",
                    param="input",
                )
            del waiting[call_id]
    if waiting:
        missing = next(iter(waiting))[:80]
        raise InvalidRequest(f"No tool output found for function call {missing}.", param="input")
