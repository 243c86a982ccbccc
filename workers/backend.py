"""What a model looks like to us: a request goes in, pieces of an answer come out."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from fleet.events import Piece


@dataclass(frozen=True, slots=True)
class End:
    """The announced end of an answer. A stream that stops without one was cut."""

    #: OpenAI's word: stop, length, tool_calls, content_filter.
    finish_reason: str
    #: prompt_tokens, completion_tokens, total_tokens and the server's own `timings`.
    usage: dict[str, Any] = field(default_factory=dict)


class Step(NamedTuple):
    """What one read from the network brought."""

    pieces: Sequence[Piece]
    #: Byte of the server's stream after them; 0 where a stream cannot be resumed.
    place: int = 0
    #: Set in the last step.
    end: End | None = None
    #: What the provider has told of `End.usage` so far, where it tells it before the end.
    usage: Mapping[str, Any] | None = None


Steps = AsyncGenerator[Step]


class Backend(Protocol):
    """One model server, or one provider's API."""

    @property
    def server(self) -> str:
        """Name of the server if it keeps generations so that they can be resumed, else ''."""
        ...

    @property
    def continues(self) -> bool:
        """Whether it goes on with a last message of the assistant's own."""
        ...

    @property
    def probes(self) -> bool:
        """Whether it may be asked `probe`; else the next job is what shows whether it is well."""
        ...

    def stream(self, request: dict[str, Any], generation: str = "") -> Steps:
        """Ask for an answer. Under the name `generation` the server keeps it, and goes on when
        nobody listens; without one, closing the iterator stops the model.

        Raises:
            TryNext: another model may answer. Refused: none would.
        """
        ...

    def check(self, request: dict[str, Any]) -> None:
        """See whether the request can be put into the server's words, before a call is paid for.

        Raises:
            NotServed: it cannot.
        """
        ...

    async def attach(self, generation: str, place: int) -> Steps | None:
        """Go on with a kept generation from that byte on; None if it is not there any more."""
        ...

    async def drop(self, generation: str) -> None:
        """Stop a kept generation and forget it. Harmless to repeat.

        Raises:
            TryNext: the server does not answer.
        """
        ...

    def prepare(self) -> None:
        """A request may follow in a moment: whatever can be done ahead may begin."""
        ...

    async def state(self) -> str:
        """`ok`, `loading`, `down` or `unknown`: what the server says of itself."""
        ...

    async def probe(self) -> None:
        """Return if the server generates; cheaply.

        Raises:
            TryNext: it does not. Refused: it does, but not this.
        """
        ...

    async def aclose(self) -> None:
        """Give back what the backend holds."""
        ...
