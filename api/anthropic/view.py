"""An answer as Anthropic's `message` object. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from api.outcome import Outcome, outcome
from fleet.errors import ServerFailed
from fleet.events import Event, Kind
from fleet.job import named_for

#: OpenAI's words for the end of an answer, in Anthropic's. Which of its stop sequences ended it,
#: if any, no model server says.
STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class Uncallable(ServerFailed):
    """The model called a tool with arguments that are no JSON object."""

    code = "tool_call_unreadable"


def message(job_id: str, model: str, usage: Mapping[str, int]) -> dict[str, Any]:
    """A message without content and end, as a stream begins with."""
    return {
        "id": named_for("messages", job_id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": dict(usage),
    }


def usage(used: Mapping[str, Any]) -> dict[str, int]:
    """Tokens as Anthropic counts them: those found in the server's cache are told apart."""
    cached = int((used.get("timings") or {}).get("cache_n") or 0)
    return {
        "input_tokens": max(0, int(used.get("prompt_tokens") or 0) - cached),
        "output_tokens": int(used.get("completion_tokens") or 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
    }


def stop_reason(finish_reason: str | None, *, called: bool) -> str:
    """Why the answer ended; a call is for the caller to make, whatever a server says of it."""
    reason = STOP_REASONS.get(finish_reason or "stop", "end_turn")
    return "tool_use" if called and reason == "end_turn" else reason


def call_id(job_id: str, index: int, given: str) -> str:
    """The model server's name for a call, else one of ours: its result must name it."""
    return given or f"toolu_{job_id.removeprefix('job_')}_{index}"


def input_of(call: Mapping[str, Any], *, cut: bool) -> dict[str, Any]:
    """The arguments of a call; of one that was `cut` by the answer's length there are none.

    Raises:
        Uncallable: they are no JSON object.
    """
    text = call["function"]["arguments"] or "{}"
    try:
        arguments = json.loads(_sound(json.loads(text)))
    except ValueError:
        arguments = None
    if isinstance(arguments, dict):
        return arguments
    if cut:
        return {}
    raise Uncallable(
        f"The model called `{call['function']['name'][:80]}` with arguments that are no JSON."
    )


def _sound(arguments: Any) -> str:
    """As JSON, with marks for the halves of characters that a model may write as `\\ud83d`."""
    text = json.dumps(arguments, ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def whole(
    job_id: str, events: Sequence[Event], *, thinks_aloud: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """The message of an ended job, and what the head says of it.

    Raises:
        FleetError: there is no answer.
    """
    seen = outcome(events)
    if seen.error:
        raise seen.error
    shown = message(job_id, seen.model, usage(seen.usage))
    shown["content"] = list(_blocks(job_id, seen, thinks_aloud))
    shown["stop_reason"] = stop_reason(
        seen.answer.finish_reason, called=bool(seen.answer.tool_calls)
    )
    return shown, {"request-id": job_id, **seen.headers}


def _blocks(job_id: str, seen: Outcome, thinks_aloud: bool) -> list[dict[str, Any]]:
    answer = seen.answer
    blocks: list[dict[str, Any]] = []
    if answer.reasoning and thinks_aloud:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": ""})
    if answer.content:
        blocks.append({"type": "text", "text": answer.content})
    cut = seen.status == Kind.INCOMPLETE
    for index, call in enumerate(answer.tool_calls):
        blocks.append(
            {
                "type": "tool_use",
                "id": call_id(job_id, index, call["id"]),
                "name": call["function"]["name"],
                "input": input_of(call, cut=cut),
            }
        )
    return blocks
