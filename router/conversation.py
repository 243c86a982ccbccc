"""What a classifier sees of a job: the turns of the conversation. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fleet.request import text_of

#: A longer turn says itself what it is about; a shorter one may lean on those before it.
SHORT_CHARS = 80


@dataclass(frozen=True)
class Conversation:
    """The turns, oldest first: `(role, words)` each; the words of a picture are empty."""

    turns: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, messages: Iterable[Mapping[str, Any]]) -> "Conversation":
        """Read messages in OpenAI's form."""
        return cls(tuple((m.get("role", ""), text_of(m.get("content"))) for m in messages))

    @classmethod
    def saying(cls, *words: str) -> "Conversation":
        """A conversation in which only the user speaks."""
        return cls(tuple(("user", text) for text in words))

    @cached_property
    def user_turns(self) -> tuple[str, ...]:
        """What the user said, oldest first."""
        return tuple(words for role, words in self.turns if role == "user")

    @property
    def last(self) -> str:
        """The user's last turn; empty if there is none."""
        return self.user_turns[-1] if self.user_turns else ""

    @property
    def ends_with_tool_result(self) -> bool:
        """Whether the model is about to be given what a tool answered."""
        return bool(self.turns) and self.turns[-1][0] == "tool"

    def until_each_user_turn(self) -> list["Conversation"]:
        """The conversation as it stood at each of the user's turns, and as it stands now."""
        ends = [n for n, (role, _) in enumerate(self.turns, 1) if role == "user"]
        ends = [*ends, len(self.turns)] if not ends or ends[-1] < len(self.turns) else ends
        return [Conversation(self.turns[:end]) for end in ends]
