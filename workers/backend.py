"""What a model looks like to us: a request goes in, pieces of an answer come out."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Piece:
    """A delta. `kind` is `text`, `reasoning` (value: str) or `tool_calls` (OpenAI's deltas)."""

    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class End:
    """The announced end of an answer. A stream that stops without one was cut."""

    #: OpenAI's word: stop, length, tool_calls, content_filter.
    finish_reason: str
    #: prompt_tokens, completion_tokens, total_tokens and the server's own `timings`.
    usage: dict[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """One model server, or one provider's API."""

    def stream(self, request: dict[str, Any]) -> AsyncGenerator[list[Piece | End]]:
        """Ask for an answer; lists hold what one read from the network brought.

        Closing the iterator stops the model.

        Raises:
            TryNext: another model may answer. Refused: none would.
        """
        ...

    def prepare(self) -> None:
        """A request may follow in a moment: whatever can be done ahead may begin."""
        ...

    async def state(self) -> str:
        """`ok`, `loading`, `down` or `unknown`: what the server says of itself."""
        ...

    async def aclose(self) -> None:
        """Give back what the backend holds."""
        ...
