"""A conversation in OpenAI's form as Anthropic's API takes it: a system prompt and turns. Pure.

The API wants turns that alternate, the user's first and last; after a turn with calls, the
results of all of them, before anything else the user says; and no text without a word in it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from fleet.errors import NotServed
from fleet.request import text_of

Block = dict[str, Any]

#: What a picture may be; `jpg` is no type, but many say it.
PICTURES = {
    "image/jpg": "image/jpeg",
    **{kind: kind for kind in ("image/jpeg", "image/png", "image/gif", "image/webp")},
}
SYSTEM = ("system", "developer")
NO_WORDS = {"type": "text", "text": "(no words)"}
OPENING = {"type": "text", "text": "(The conversation begins with your words.)"}
NO_RESULT = "There is no result of this call."
_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


class Turns:
    """Anthropic's turns, made of a conversation in OpenAI's form."""

    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        self.turns: list[dict[str, Any]] = []
        #: The functions that were called, each once.
        self.called: dict[str, None] = {}
        self._ids: set[str] = set()
        #: Calls without a result yet: their id in the conversation, and here.
        self._open: list[tuple[str, str]] = []
        said = [message for message in messages if message["role"] not in SYSTEM]
        for message in said:
            self._add(message)
        self._settle()
        self.system = self._system(messages)
        if self.turns and self.turns[0]["role"] == "assistant":
            self.turns.insert(0, {"role": "user", "content": [OPENING]})

    def _system(self, messages: Sequence[dict[str, Any]]) -> str:
        """All that was said as the system, in its order; but what follows the assistant's last
        words stays there, as the user's: somebody must have the last word.
        """
        end = len(messages)
        if not self.turns or self.turns[-1]["role"] == "assistant":
            while end and messages[end - 1]["role"] in SYSTEM:
                end -= 1
            last = [block for message in messages[end:] for block in blocks(message)]
            self._say("user", last or [NO_WORDS])
        texts = [text_of(m.get("content")) for m in messages[:end] if m["role"] in SYSTEM]
        return "\n\n".join(text for text in texts if text.strip())

    def _add(self, message: dict[str, Any]) -> None:
        if message["role"] == "tool":
            self._answer(message)
            return
        self._settle()
        if message["role"] == "assistant":
            calls = [self._call(call) for call in message.get("tool_calls") or ()]
            self._say("assistant", [*blocks(message), *calls])
        else:
            self._say("user", list(blocks(message)) or [NO_WORDS])

    def _say(self, role: str, said: list[Block]) -> None:
        """Neighbours of one role are one turn; one without content is none."""
        if said and self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += said
        elif said:
            self.turns.append({"role": role, "content": said})

    def _call(self, call: dict[str, Any]) -> Block:
        function = call["function"]
        name = _NOT_IN_A_NAME.sub("_", function["name"] or "unknown")[:128]
        self.called[name] = None
        theirs = str(call.get("id") or "")
        ours = self._id(theirs)
        self._open.append((theirs, ours))
        given = _arguments(function.get("arguments"))
        return {"type": "tool_use", "id": ours, "name": name, "input": given}

    def _id(self, theirs: str) -> str:
        """An id that the API takes, and that no other call has."""
        ours = theirs
        if not _ID.fullmatch(ours) or ours in self._ids:
            numbers = (f"call_{n}" for n in range(len(self._ids), 2 * len(self._ids) + 1))
            ours = next(name for name in numbers if name not in self._ids)
        self._ids.add(ours)
        return ours

    def _answer(self, message: dict[str, Any]) -> None:
        """A result, of the call that it names, else of the first that has none; what belongs to
        no call is told in words.
        """
        theirs = str(message.get("tool_call_id") or "")
        told = list(blocks(message))
        if not self._open:
            self._say("user", [{"type": "text", "text": "What a tool answered:"}, *told])
            return
        place = next((i for i, (known, _) in enumerate(self._open) if known == theirs), 0)
        _, ours = self._open.pop(place)
        result = {"type": "tool_result", "tool_use_id": ours}
        self._say("user", [{**result, "content": told} if told else result])

    def _settle(self) -> None:
        """No call may stay without a result once something else is said."""
        for _, ours in self._open:
            missing = {"tool_use_id": ours, "content": NO_RESULT, "is_error": True}
            self._say("user", [{"type": "tool_result", **missing}])
        self._open.clear()


def blocks(message: dict[str, Any]) -> Iterator[Block]:
    """The text and the pictures of a message.

    Raises:
        NotServed: a picture is of a type that the API does not take.
    """
    content = message.get("content")
    parts: list[dict[str, Any]] = (
        [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    )
    for part in parts:
        if part.get("type") == "image_url":
            yield {"type": "image", "source": _source(part["image_url"]["url"])}
        elif str(part.get("text", "")).strip():
            yield {"type": "text", "text": part["text"]}


def _source(url: str) -> Block:
    head, _, data = url.removeprefix("data:").partition(",")
    kind, *more = head.lower().split(";")
    if kind not in PICTURES or "base64" not in more:
        raise NotServed(
            f"Claude sees no picture of type {kind[:40]!r}; send JPEG, PNG, GIF or WebP in base64"
        )
    return {"type": "base64", "media_type": PICTURES[kind], "data": data}


def _arguments(text: str | None) -> dict[str, Any]:
    """The arguments of a call, as JSON; what is no table becomes one."""
    given = json.loads(text or "{}")
    return given if isinstance(given, dict) else {"arguments": given}
