"""A job's events as Anthropic's stream of a message. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api import views
from api.anthropic import fault, view
from api.outcome import failure
from api.told import Told
from api.wire import in_lines
from fleet.errors import FleetError, NotFound, Restarting
from fleet.events import Event, Kind, merge_tool_calls

Frame = dict[str, Any]


class MessagesWire:
    """`message_start`, blocks, `message_delta`, `message_stop`; see `api.wire.Wire`.

    The message starts with its first words: until then nobody knows who will say them.
    """

    greeting = b""
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'

    def __init__(self, job_id: str, *, thinks_aloud: bool = True) -> None:
        self.over = False
        self._job_id = job_id
        self._thinks_aloud = thinks_aloud
        self._said: dict[str, str] = {"request-id": job_id}
        self._model = ""
        self._usage: Mapping[str, Any] = {}
        self._told = Told()
        #: Whether the head has been sent, so that an error must be an event.
        self._headed = False
        self._started = self._settled = False
        #: Number of the open block, and what it holds: `text`, `thinking`, or a call's index.
        self._block = -1
        self._open: str | int | None = None
        self._calls: dict[int, dict[str, Any]] = {}
        #: The block of each call.
        self._places: dict[int, int] = {}

    def settled(self) -> bool:
        """See `Wire.settled`: there are words, or there will be none."""
        return self._settled

    def headers(self) -> Mapping[str, str]:
        """See `Wire.headers`; asked for when the head is sent."""
        self._headed = True
        return self._said

    def show(self, events: Sequence[Event]) -> bytes:
        """See `Wire.show`."""
        return b"".join(frame for event in events for frame in self._show(event))

    def farewell(self) -> bytes:
        """See `Wire.farewell`."""
        return self._fail(Restarting())

    def lost(self) -> bytes:
        """See `Wire.lost`."""
        return self._fail(NotFound("the job was deleted before its end"))

    def _show(self, event: Event) -> Iterator[bytes]:
        if self.over:
            return
        try:
            for frame in self._frames(event):
                yield _framed(frame)
        except FleetError as error:
            if not self._headed and not self._started:
                raise
            yield self._fail(error)

    def _fail(self, error: FleetError) -> bytes:
        self.over = self._settled = True
        return _framed(fault.enveloped(error, error.status, self._job_id))

    def _frames(self, event: Event) -> Iterator[Frame]:
        """What is said of an event.

        Raises:
            FleetError: the stream cannot go on.
        """
        if event.kind == Kind.TOKEN:
            yield from self._token(event.payload())
        elif event.kind == Kind.RESTARTED:
            self._told.restart()
        elif event.kind == Kind.USAGE:
            self._usage = event.payload()
        elif event.kind == Kind.ROUTED:
            self._said |= views.headers(event.payload())
        elif event.kind == Kind.STARTED:
            self._model = event.payload().get("model") or self._model
            self._said["x-fleet-model"] = self._model
        elif event.terminal:
            yield from self._end(event)

    def _token(self, piece: dict[str, Any]) -> Iterator[Frame]:
        if piece.get("reasoning") and self._thinks_aloud:
            yield from self._words("thinking", "reasoning", piece["reasoning"])
        if piece.get("content"):
            yield from self._words("text", "content", piece["content"])
        for delta in piece.get("tool_calls") or ():
            yield from self._call(delta)

    def _words(self, block: str, kind: str, text: str) -> Iterator[Frame]:
        fresh = self._told.say(kind, text)
        if not fresh:
            return
        if self._open != block:
            signature = {"signature": ""} if block == "thinking" else {}
            yield from self._begin(block, {"type": block, block: "", **signature})
        yield self._delta(self._block, {"type": f"{block}_delta", block: fresh})

    def _call(self, delta: dict[str, Any]) -> Iterator[Frame]:
        index = delta.get("index", 0)
        merge_tool_calls(self._calls, [delta])
        if index not in self._places:
            self._told.call()
            call = self._calls[index]
            block = {
                "type": "tool_use",
                "id": view.call_id(self._job_id, index, call["id"]),
                "name": call["function"]["name"],
                "input": {},
            }
            yield from self._begin(index, block)
            self._places[index] = self._block
        if part := (delta.get("function") or {}).get("arguments"):
            said = {"type": "input_json_delta", "partial_json": part}
            yield self._delta(self._places[index], said)

    def _begin(self, holds: str | int, block: Frame) -> Iterator[Frame]:
        yield from self._start()
        yield from self._stop()
        self._block += 1
        self._open = holds
        yield {"type": "content_block_start", "index": self._block, "content_block": block}

    def _start(self) -> Iterator[Frame]:
        if not self._started:
            self._started = self._settled = True
            # What the prompt takes is known at the end: `message_delta` says it.
            message = view.message(self._job_id, self._model, view.usage({}))
            yield {"type": "message_start", "message": message}

    def _stop(self) -> Iterator[Frame]:
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._block}
            self._open = None

    def _delta(self, index: int, delta: Frame) -> Frame:
        return {"type": "content_block_delta", "index": index, "delta": delta}

    def _end(self, event: Event) -> Iterator[Frame]:
        if error := failure(event):
            raise error
        self._told.end()
        for call in self._calls.values():
            view.input_of(call, cut=event.kind == Kind.INCOMPLETE)
        yield from self._start()
        yield from self._stop()
        finish = event.payload().get("finish_reason")
        reason = view.stop_reason(finish, called=bool(self._calls))
        delta = {"stop_reason": reason, "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": view.usage(self._usage)}
        yield {"type": "message_stop"}
        self.over = True


def _framed(data: Frame) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return in_lines(f"event: {data['type']}\ndata: {text}\n\n").encode()
