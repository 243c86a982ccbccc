"""The chunks of an OpenAI-style chat stream as llama-server and providers send them. Pure."""

import json
from typing import Any

from fleet.errors import ServerFailed, StreamCut
from fleet.events import Piece
from fleet.server_words import error_of
from workers.backend import End

DONE = b"[DONE]"


class ChatDecoder:
    """Turns payloads into pieces; knows whether the end was announced.

    `finish_reason` and `[DONE]` prove an end, never the end of the connection:
    https://github.com/ggml-org/llama.cpp/tree/master/tools/server
    """

    def __init__(self) -> None:
        self.done = False
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] = {}

    @property
    def ending(self) -> bool:
        """Whether the answer has its reason to end, and only figures follow."""
        return self._finish_reason is not None

    def decode(self, payload: bytes) -> list[Piece | End]:
        """The pieces of one payload.

        Raises:
            ServerFailed: the payload reports an error, or is no chunk at all.
            StreamCut: `[DONE]` came before a `finish_reason`.
        """
        if payload == DONE:
            return [self._end()]
        try:
            chunk = json.loads(payload)
            if "error" in chunk:
                raise error_of(chunk, 500)
            return self._pieces(chunk)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise ServerFailed(f"The model's server sent a chunk that is none: {error}") from error

    def _pieces(self, chunk: dict[str, Any]) -> list[Piece | End]:
        if usage := chunk.get("usage"):
            self._usage |= usage
        if timings := chunk.get("timings"):
            self._usage["timings"] = timings
        choices = chunk.get("choices")
        if not choices:
            return []
        choice = choices[0]
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        delta = choice.get("delta") or {}
        pieces: list[Piece | End] = []
        if content := delta.get("content") or delta.get("refusal"):
            sure = choice.get("logprobs")
            pieces.append(Piece("text", str(content), tuple(sure["content"]) if sure else ()))
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            pieces.append(Piece("reasoning", str(reasoning)))
        if calls := delta.get("tool_calls"):
            pieces.append(Piece("tool_calls", calls))
        return pieces

    def _end(self) -> End:
        if self._finish_reason is None:
            raise StreamCut
        self.done = True
        return End(self._finish_reason, self._usage)
