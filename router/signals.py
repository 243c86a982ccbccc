"""Signals: what the router reads in a request before anybody decides anything. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.catalogue import Model
from fleet.request import has_images
from fleet.tokens import prompt_tokens
from router.conversation import Conversation

#: By how much the estimate may be off, as a share of it: see the figures in `fleet.tokens`.
ESTIMATE_OFF = 0.5


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known about a request before it is routed."""

    #: `auto`, or the name of a model or of a route.
    asked_model: str
    conversation: Conversation
    has_tools: bool
    #: Estimated tokens of the prompt: every turn, and the tools.
    tokens: int
    #: Tokens the caller allows for the answer; None if the caller did not say.
    max_tokens: int | None = None
    #: Tokens of the prompt as a model's own server counted them, by the model's name.
    counted: Mapping[str, int] = field(default_factory=dict)
    has_images: bool = False

    def prompt_tokens(self, model: Model) -> int:
        """Tokens of the prompt on a model: counted by its server, else the estimate."""
        return self.counted.get(model.name, self.tokens)

    def tokens_needed(self, model: Model) -> int:
        """Tokens of context the conversation takes on a model: prompt, and room for the answer.

        A caller who names no `max_tokens` is content with a shorter answer: then a quarter
        of the context is enough room.
        """
        unasked = model.context // 4
        room = unasked if self.max_tokens is None else self.max_tokens
        return self.prompt_tokens(model) + min(room, model.max_tokens)

    def near_the_limit(self, model: Model) -> bool:
        """Whether the estimate is too rough to say if a model holds the conversation."""
        over = self.tokens_needed(model) - model.context
        return abs(over) <= self.tokens * ESTIMATE_OFF


def read(asked_model: str, request: Mapping[str, Any]) -> Signals:
    """Read the signals of a request, as `JobRequest.for_model()` writes it."""
    messages = request.get("messages") or []
    tools = request.get("tools") or []
    return Signals(
        asked_model=asked_model,
        conversation=Conversation.of(messages),
        has_tools=bool(tools) and request.get("tool_choice") != "none",
        tokens=prompt_tokens(request),
        max_tokens=request.get("max_tokens"),
        has_images=has_images(request),
    )
