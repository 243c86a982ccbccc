"""Signals: what the router reads in a request before anybody decides anything. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet.catalogue import Model
from fleet.request import has_images, text_of
from router.conversation import Conversation

#: UTF-8 bytes in one token. Measured with the vocabularies of Qwen and Llama 3 on queries in
#: 17 languages, Python and JSON: the true figure lies between 2.7 (Polish) and 4.9 (Arabic),
#: English 4.5, Chinese 3.9, Japanese 4.6, Korean 3.3, Python 3.8. Counting bytes instead of
#: characters is what makes one rule do for every script.
BYTES_PER_TOKEN = 4
#: By how much the estimate may be off, as a share of it: see the figures above.
ESTIMATE_OFF = 0.5
#: Tokens that a chat template lays around each turn (Llama 3: four markers and a line end).
TOKENS_PER_TURN = 5


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
        tokens=_tokens_of_turns(messages) + (estimate_tokens(json.dumps(tools)) if tools else 0),
        max_tokens=request.get("max_tokens"),
        has_images=has_images(request),
    )


def estimate_tokens(text: str) -> int:
    """Roughly how many tokens a text has, in any language, without a tokenizer."""
    size = len(text.encode("utf-8", "surrogatepass"))
    return (size + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN


def _tokens_of_turns(messages: Iterable[Mapping[str, Any]]) -> int:
    return sum(_tokens_of_turn(message) for message in messages)


def _tokens_of_turn(message: Mapping[str, Any]) -> int:
    calls = message.get("tool_calls")
    called = estimate_tokens(json.dumps(calls)) if calls else 0
    return TOKENS_PER_TURN + estimate_tokens(text_of(message.get("content"))) + called
