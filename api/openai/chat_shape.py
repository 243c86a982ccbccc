"""The shapes of OpenAI's chat completions: a chunk of a stream, and the whole. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from api.outcome import Outcome
from api.wire import in_lines
from fleet.errors import ContextExceeded, FleetError
from fleet.job import named_for

DONE = "data: [DONE]\n\n"
FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter"})
#: What a usage holds; the other fields of that event are ours.
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
DETAILS = ("prompt_tokens_details", "completion_tokens_details")

_quote = json.encoder.encode_basestring


class ContextLengthExceeded(ContextExceeded):
    """The conversation is longer than the context of any model that could answer."""

    code = "context_length_exceeded"


class Chunks:
    """The chunks of one stream: what is the same in all of them is written once."""

    def __init__(self, job_id: str, created: int, model: str, *, counted: bool) -> None:
        head = {
            "id": named_for("chat", job_id),
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._head = f"data: {as_json(head)[:-1]},"
        self._before = f'{self._head}"choices":[{{"index":0,"delta":'
        self._close = '}],"usage":null}\n\n' if counted else "}]}\n\n"
        self._after = f',"logprobs":null,"finish_reason":null{self._close}'

    def delta(self, delta: str) -> str:
        """A piece of the answer; `delta` is JSON."""
        return f"{self._before}{delta}{self._after}"

    def sure(self, delta: str, entries: Sequence[Mapping[str, Any]]) -> str:
        """A piece, and how sure the model was of its tokens."""
        told = as_json({"content": entries, "refusal": None})
        return f'{self._before}{delta},"logprobs":{told},"finish_reason":null{self._close}'

    def last(self, finish: str) -> str:
        """The end of the answer."""
        told = f'{{}},"logprobs":null,"finish_reason":"{finish}"'
        return f"{self._before}{told}{self._close}"

    def counts(self, event: Mapping[str, Any]) -> str:
        """What it took."""
        return f'{self._head}"choices":[],{as_json(counts(event))[1:]}\n\n'


def completion(job_id: str, seen: Outcome, tops: int = 0) -> dict[str, Any]:
    """The whole answer of a job that has one; `tops`: see `trimmed`."""
    answer = seen.answer
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.content if answer.content or not answer.tool_calls else None,
        "refusal": None,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = answer.tool_calls
    sure = {"content": trimmed(answer.logprobs, tops), "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": sure if answer.logprobs else None,
        "finish_reason": finish_of(answer.finish_reason, called=bool(answer.tool_calls)),
    }
    return {
        "id": named_for("chat", job_id),
        "object": "chat.completion",
        "created": seen.created_at,
        "model": seen.model,
        "choices": [choice],
        **counts(seen.usage),
    }


def counts(event: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer took: `usage`, and the server's own `timings` where it told them."""
    usage: dict[str, Any] = {name: event.get(name) or 0 for name in COUNTS}
    usage |= {name: event[name] for name in DETAILS if event.get(name)}
    timings = event.get("timings")
    return {"usage": usage, "timings": timings} if timings else {"usage": usage}


def trimmed(entries: Sequence[dict[str, Any]], tops: int) -> list[dict[str, Any]]:
    """How sure a model was of each token, with no more rivals than were asked for."""
    return [{**entry, "top_logprobs": entry.get("top_logprobs", [])[:tops]} for entry in entries]


def finish_of(reason: str | None, *, called: bool) -> str:
    """The reason for an end in OpenAI's words."""
    return reason if reason in FINISHES else "tool_calls" if called else "stop"


def in_openais_words(error: FleetError) -> FleetError:
    """The error as clients of OpenAI know it."""
    known = isinstance(error, ContextExceeded)
    if not known:
        return error
    renamed = ContextLengthExceeded(error.message, param="messages")
    renamed.headers |= error.headers
    return renamed


def as_json(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def quoted(text: str) -> str:
    """A text as JSON, in one line for everybody."""
    return in_lines(_quote(text))
