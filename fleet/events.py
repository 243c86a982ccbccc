"""Events: what the log of a job holds, and how a log is folded into an answer.

Pure: no Redis here. An event's `data` stays the JSON text it was written as, so
that a reader can pass it on without reading it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """The kinds of event, in the order in which a job sees them."""

    QUEUED = "queued"
    ROUTED = "routed"
    STARTED = "started"
    TOKEN = "token"
    RESTARTED = "restarted"
    USAGE = "usage"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INCOMPLETE = "incomplete"


TERMINAL_KINDS = frozenset({"completed", "failed", "cancelled", "expired", "incomplete"})


class Event(NamedTuple):
    """One entry of a log. `seq` counts from 0 by one; `data` is a JSON object as text."""

    seq: int
    kind: str
    data: str

    @property
    def terminal(self) -> bool:
        """Whether this is the last event of its job."""
        return self.kind in TERMINAL_KINDS

    def payload(self) -> dict[str, Any]:
        """The event's data, decoded."""
        decoded: dict[str, Any] = json.loads(self.data)
        return decoded


class Piece(NamedTuple):
    """A delta. `kind` is `text`, `reasoning` (value: str) or `tool_calls` (OpenAI's deltas)."""

    kind: str
    value: Any
    #: How sure the model was of each token of a text, as OpenAI says it (`logprobs.content`).
    logprobs: tuple[Any, ...] = ()


def decode_announcement(text: str) -> list[Event]:
    """Read what the scripts publish: one line `seq kind json` for each event."""
    events = []
    for line in text.split("\n"):
        seq, kind, data = line.split(" ", 2)
        events.append(Event(int(seq), kind, data))
    return events


_quote = json.encoder.encode_basestring


def text_event(content: str, count: int, logprobs: Sequence[Any] = ()) -> str:
    """Data of a `token` event that carries `count` pieces of the answer's text."""
    if logprobs:
        sure = json.dumps(logprobs, ensure_ascii=False, separators=(",", ":"))
        return f'{{"type":"token","content":{_quote(content)},"n":{count},"logprobs":{sure}}}'
    return f'{{"type":"token","content":{_quote(content)},"n":{count}}}'


def reasoning_event(text: str, count: int) -> str:
    """Data of a `token` event that carries `count` pieces of the model's reasoning."""
    return f'{{"type":"token","reasoning":{_quote(text)},"n":{count}}}'


def event_data(kind: Kind, **fields: Any) -> str:
    """Data of any other event. The scripts add `at` (milliseconds, Redis' clock)."""
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Answer:
    """What a log says so far. Text of an abandoned attempt is dropped at `restarted`."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None
    logprobs: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The answer as the API shows it; empty parts are left out."""
        shown: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            shown["reasoning_content"] = self.reasoning
        if self.tool_calls:
            shown["tool_calls"] = self.tool_calls
        if self.logprobs:
            shown["logprobs"] = self.logprobs
        return shown


def fold(events: Iterable[Event]) -> Answer:
    """Put the pieces of a log together."""
    answer = Answer()
    text: list[str] = []
    reasoning: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        if event.kind == Kind.TOKEN:
            piece = event.payload()
            text.append(piece.get("content", ""))
            reasoning.append(piece.get("reasoning", ""))
            answer.logprobs += piece.get("logprobs", ())
            merge_tool_calls(calls, piece.get("tool_calls", ()))
        elif event.kind == Kind.RESTARTED:
            answer.logprobs.clear()
            text.clear()
            reasoning.clear()
            calls.clear()
        elif event.terminal:
            answer.finish_reason = event.payload().get("finish_reason")
    answer.content = "".join(text)
    answer.reasoning = "".join(reasoning)
    answer.tool_calls = [calls[index] for index in sorted(calls)]
    return answer


def merge_tool_calls(calls: dict[int, dict[str, Any]], deltas: Sequence[dict[str, Any]]) -> None:
    """Fold OpenAI's `tool_calls` deltas: id, type and name come once, arguments concatenate."""
    for delta in deltas:
        function = delta.get("function", {})
        call = calls.setdefault(
            delta.get("index", 0),
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        call["id"] = delta.get("id") or call["id"]
        call["function"]["name"] = function.get("name") or call["function"]["name"]
        call["function"]["arguments"] += function.get("arguments") or ""
