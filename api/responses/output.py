"""The items of an answer as Responses shows them, and what a stream says of each. Pure."""

from collections.abc import Sequence
from typing import Any, ClassVar

#: The type of a stream's event, and its fields.
Said = tuple[str, dict[str, Any]]


class Item:
    """One item, from its opening to its end. `index` counts all items that the stream told of."""

    prefix: ClassVar[str]

    def __init__(self, digits: str, index: int) -> None:
        self.id = f"{self.prefix}_{digits}_{index}"
        self.status = "in_progress"
        self._index = index

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self._index}

    def shown(self) -> dict[str, Any]:
        """The item so far."""
        raise NotImplementedError

    def opening(self) -> list[Said]:
        """What a stream says when it begins."""
        return [("response.output_item.added", {"output_index": self._index, "item": self.shown()})]

    def closing(self, status: str) -> list[Said]:
        """What a stream says at its end: `completed`, or `incomplete` by its length."""
        self.status = status
        return [self._done()]

    def broken(self) -> list[Said]:
        """What a stream says when it breaks off. Its text and arguments are not called done:
        the SDK would read half a JSON.
        """
        self.status = "incomplete"
        return [self._done()]

    def _done(self) -> Said:
        return ("response.output_item.done", {"output_index": self._index, "item": self.shown()})


class _Words(Item):
    """An item with one part of text, number 0 of its content."""

    said: ClassVar[str]

    def __init__(self, digits: str, index: int) -> None:
        super().__init__(digits, index)
        self._text: list[str] = []

    @property
    def _part_place(self) -> dict[str, Any]:
        return self._place | {"content_index": 0}

    def part(self) -> dict[str, Any]:
        """The part so far."""
        raise NotImplementedError

    def _finished(self) -> dict[str, Any]:
        return {"text": "".join(self._text)}

    def opening(self) -> list[Said]:
        """See `Item.opening`; the part is added to an item that has none."""
        [(kind, added)] = super().opening()
        added["item"]["content"] = []
        return [
            (kind, added),
            ("response.content_part.added", self._part_place | {"part": self.part()}),
        ]

    def closing(self, status: str) -> list[Said]:
        """See `Item.closing`."""
        return [
            (f"{self.said}.done", self._part_place | self._finished()),
            ("response.content_part.done", self._part_place | {"part": self.part()}),
            *super().closing(status),
        ]


class Message(_Words):
    """The answer's text."""

    prefix = "msg"
    said = "response.output_text"

    def __init__(self, digits: str, index: int, *, sure: bool) -> None:
        super().__init__(digits, index)
        #: The log probabilities so far; None: nobody asked for them.
        self._sure: list[dict[str, Any]] | None = [] if sure else None

    def part(self) -> dict[str, Any]:
        """See `_Words.part`."""
        text = "".join(self._text)
        shown: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
        return shown if self._sure is None else shown | {"logprobs": list(self._sure)}

    def shown(self) -> dict[str, Any]:
        """See `Item.shown`."""
        about = {"id": self.id, "type": "message", "status": self.status, "role": "assistant"}
        return {**about, "content": [self.part()]}

    def more(self, text: str, logprobs: Sequence[dict[str, Any]]) -> list[Said]:
        """The text goes on."""
        self._text.append(text)
        sure = [] if self._sure is None else [_sure(token) for token in logprobs]
        if self._sure is not None:
            self._sure += sure
        return [
            ("response.output_text.delta", self._part_place | {"delta": text, "logprobs": sure})
        ]

    def _finished(self) -> dict[str, Any]:
        return {"text": "".join(self._text), "logprobs": list(self._sure or ())}


class Reasoning(_Words):
    """What the model thought before it spoke."""

    prefix = "rs"
    said = "response.reasoning_text"

    def part(self) -> dict[str, Any]:
        """See `_Words.part`."""
        return {"type": "reasoning_text", "text": "".join(self._text)}

    def shown(self) -> dict[str, Any]:
        """See `Item.shown`."""
        about = {"id": self.id, "type": "reasoning", "status": self.status, "summary": []}
        return {**about, "content": [self.part()]}

    def more(self, text: str) -> list[Said]:
        """The thought goes on."""
        self._text.append(text)
        return [("response.reasoning_text.delta", self._part_place | {"delta": text})]


class Call(Item):
    """A call of one of the caller's functions."""

    prefix = "fc"

    def __init__(self, digits: str, index: int, call_id: str, name: str) -> None:
        super().__init__(digits, index)
        self.call_id = call_id
        self._name = name
        self._arguments: list[str] = []

    def shown(self) -> dict[str, Any]:
        """See `Item.shown`."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "call_id": self.call_id,
            "name": self._name,
            "arguments": "".join(self._arguments),
        }

    def more(self, delta: dict[str, Any]) -> list[Said]:
        """The call goes on."""
        self._name = self._name or delta.get("name") or ""
        arguments = delta.get("arguments") or ""
        if not arguments:
            return []
        self._arguments.append(arguments)
        return [("response.function_call_arguments.delta", self._place | {"delta": arguments})]

    def closing(self, status: str) -> list[Said]:
        """See `Item.closing`."""
        whole = {"name": self._name, "arguments": "".join(self._arguments)}
        done = ("response.function_call_arguments.done", self._place | whole)
        return [done, *super().closing(status)]


def _sure(token: dict[str, Any]) -> dict[str, Any]:
    """A token's log probability, with every field that the SDK's types ask for."""
    rest = [_token(other) for other in token.get("top_logprobs") or ()]
    return {**_token(token), "top_logprobs": rest}


def _token(token: dict[str, Any]) -> dict[str, Any]:
    text = str(token.get("token") or "")
    raw = token.get("bytes")
    told = list(text.encode()) if raw is None else raw
    return {"token": text, "bytes": told, "logprob": float(token.get("logprob") or 0.0)}
