"""Server-sent events, decoded. Pure: it knows bytes, no socket."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """One event of a stream."""

    id: str
    kind: str
    data: str

    def payload(self) -> dict[str, Any]:
        """The event's data as a JSON object; empty if it is none."""
        try:
            decoded = json.loads(self.data)
        except ValueError:
            return {}
        return decoded if isinstance(decoded, dict) else {}


class SseDecoder:
    """Turns bytes, cut anywhere, into frames. Lines end at LF or CRLF only."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; give the frames that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.removesuffix(b"\r").decode("utf-8", "replace")
            if text:
                self._field(text)
            elif frame := self._finish():
                yield frame

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        elif name == "id":
            self._id = value

    def _finish(self) -> Frame | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        return Frame(self._id, kind, "\n".join(data)) if data else None
