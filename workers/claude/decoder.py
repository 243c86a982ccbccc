"""The events of Anthropic's stream as pieces of an answer. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet.errors import ServerFailed, StreamCut
from fleet.events import Piece
from workers.backend import End

#: Anthropic's words for the end of an answer, in OpenAI's. A turn that was paused is not whole.
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "length",
    "model_context_window_exceeded": "length",
}


@dataclass(slots=True)
class _Call:
    """A call that is being made."""

    index: int
    #: What it is given if no part of its arguments comes.
    given: Any
    begun: bool = False


class MessageDecoder:
    """Turns events into pieces; knows whether the end was announced.

    A stream that is cut ends like any other: only a `stop_reason` proves an end.
    """

    def __init__(self) -> None:
        self._stop_reason: str | None = None
        self._usage: dict[str, Any] = {}
        #: Calls by the number of their block; how many there were.
        self._calls: dict[int, _Call] = {}
        self._called = 0

    def decode(self, event: dict[str, Any]) -> list[Piece]:
        """The pieces of one event.

        Raises:
            ServerFailed: it is none.
        """
        try:
            return list(self._pieces(event))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise ServerFailed(f"Anthropic's API sent an event that is none: {error}") from error

    def _pieces(self, event: dict[str, Any]) -> Iterator[Piece]:
        kind = event["type"]
        if kind == "content_block_delta":
            yield from self._delta(event["index"], event["delta"])
        elif kind == "content_block_start":
            yield from self._start(event["index"], event["content_block"])
        elif kind == "content_block_stop":
            yield from self._stop(event["index"])
        elif kind == "message_start":
            self._count(event["message"].get("usage"))
        elif kind == "message_delta":
            self._stop_reason = event["delta"].get("stop_reason") or self._stop_reason
            self._count(event.get("usage"))

    @property
    def usage(self) -> dict[str, Any]:
        """What the provider has told so far, in OpenAI's form."""
        return usage_of(self._usage)

    def end(self) -> End:
        """The end of the answer, when the stream is over.

        Raises:
            StreamCut: none was announced.
        """
        if self._stop_reason is None:
            raise StreamCut
        return End(FINISH_REASONS.get(self._stop_reason, "stop"), self.usage)

    def _start(self, number: int, block: dict[str, Any]) -> Iterator[Piece]:
        """A block may begin with content; those of Anthropic's own tools are none of ours."""
        if block["type"] == "tool_use":
            call = self._calls[number] = _Call(self._called, block.get("input") or {})
            self._called += 1
            function = {"name": block["name"], "arguments": ""}
            named = {"id": block["id"], "type": "function", "function": function}
            yield Piece("tool_calls", [{"index": call.index, **named}])
        elif block.get("text"):
            yield Piece("text", block["text"])
        elif block.get("thinking"):
            yield Piece("reasoning", block["thinking"])

    def _delta(self, number: int, delta: dict[str, Any]) -> Iterator[Piece]:
        if text := delta.get("text"):
            yield Piece("text", text)
        elif thought := delta.get("thinking"):
            yield Piece("reasoning", thought)
        elif (part := delta.get("partial_json")) and (call := self._calls.get(number)):
            call.begun = True
            yield _arguments(call, part)

    def _stop(self, number: int) -> Iterator[Piece]:
        call = self._calls.pop(number, None)
        if call and not call.begun:
            yield _arguments(call, json.dumps(call.given, ensure_ascii=False))

    def _count(self, usage: dict[str, Any] | None) -> None:
        """Figures are totals so far; what is not told stays."""
        self._usage |= {key: value for key, value in (usage or {}).items() if value is not None}


def _arguments(call: _Call, part: str) -> Piece:
    return Piece("tool_calls", [{"index": call.index, "function": {"arguments": part}}])


def usage_of(told: dict[str, Any]) -> dict[str, Any]:
    """Anthropic's figures in OpenAI's form. `input_tokens` are those that no cache had."""
    read, written = (
        int(told.get(f"cache_{what}_input_tokens") or 0) for what in ("read", "creation")
    )
    prompt = int(told.get("input_tokens") or 0) + read + written
    answer = int(told.get("output_tokens") or 0)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }
    if thought := (told.get("output_tokens_details") or {}).get("thinking_tokens"):
        usage["completion_tokens_details"] = {"reasoning_tokens": int(thought)}
    return usage
