"""A job as a stream of OpenAI's chat completions. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from api import views
from api.openai.chat_shape import (
    DONE,
    Chunks,
    as_json,
    finish_of,
    in_openais_words,
    quoted,
    trimmed,
)
from api.outcome import failure
from api.told import Contradicted, Told
from fleet.errors import FleetError, NotFound, Restarting
from fleet.events import Event, Kind

ROLE = '{"role":"assistant","content":"","refusal":null}'


class ChatWire:
    """One stream of chunks. What was said cannot be taken back: see `api.told`.

    `counted`: one more chunk at the end says what the answer took. `tops`: how many rivals of
    each token were asked for.
    """

    greeting = b""
    ping = b": ping\n\n"
    over = False

    def __init__(self, job_id: str, *, counted: bool = False, tops: int = 0) -> None:
        self._job_id = job_id
        self._counted = counted
        self._tops = tops
        self._told = Told()
        #: Tool calls of which the reader has the name.
        self._calls: set[int] = set()
        self._headers: dict[str, str] = {}
        self._created = 0
        self._model = ""
        self._usage: dict[str, Any] = {}
        #: Whether the head of the answer was sent.
        self._open = False
        #: None: nothing was said yet.
        self._chunks: Chunks | None = None

    def settled(self) -> bool:
        """See `Wire.settled`: an answer that has begun is no error."""
        return self._chunks is not None

    def headers(self) -> Mapping[str, str]:
        """See `Wire.headers`."""
        self._open = True
        return self._headers

    def show(self, events: Sequence[Event]) -> bytes:
        """See `Wire.show`."""
        return "".join([self._frames(event) for event in events if not self.over]).encode()

    def farewell(self) -> bytes:
        """See `Wire.farewell`."""
        return self._error(Restarting(f"This server restarts; {self._goes_on}.")).encode()

    def lost(self) -> bytes:
        """See `Wire.lost`."""
        return self._error(NotFound("The job was deleted before its end.")).encode()

    def _frames(self, event: Event) -> str:
        try:
            return self._token(event) if event.kind == Kind.TOKEN else self._move(event)
        except Contradicted:
            text = f"The model was lost in mid-answer, and the new one differs; {self._goes_on}."
            return self._error(Contradicted(text))

    def _token(self, event: Event) -> str:
        piece = event.payload()
        if text := piece.get("content"):
            return self._text(text, piece.get("logprobs"))
        if text := piece.get("reasoning"):
            fresh = self._told.say("reasoning", text)
            return self._said(f'{{"reasoning_content":{quoted(fresh)}}}') if fresh else ""
        self._told.call()
        return "".join([self._said(self._call(delta)) for delta in piece.get("tool_calls", ())])

    def _move(self, event: Event) -> str:
        if event.kind == Kind.QUEUED:
            self._created = event.payload()["at"] // 1000
        elif event.kind == Kind.ROUTED:
            self._headers |= views.headers(event.payload())
        elif event.kind == Kind.STARTED:
            self._model = self._headers["x-fleet-model"] = event.payload()["model"]
        elif event.kind == Kind.RESTARTED:
            self._told.restart()
        elif event.kind == Kind.USAGE:
            self._usage = event.payload()
        elif event.terminal:
            return self._end(event)
        return ""

    def _text(self, text: str, sure: list[dict[str, Any]] | None) -> str:
        fresh = self._told.say("content", text)
        if not fresh:
            return ""
        delta = f'{{"content":{quoted(fresh)}}}'
        if not sure:
            return self._said(delta)
        role, chunks = self._begun()
        return role + chunks.sure(delta, trimmed(after(sure, len(text) - len(fresh)), self._tops))

    def _call(self, delta: Mapping[str, Any]) -> str:
        """Id, type and name come once, whatever the server repeats."""
        index, function = delta.get("index", 0), delta.get("function") or {}
        shown: dict[str, Any] = {"index": index}
        told = {"arguments": function.get("arguments") or ""}
        if index not in self._calls:
            self._calls.add(index)
            shown |= {"id": delta.get("id") or "", "type": "function"}
            told = {"name": function.get("name") or "", **told}
        return as_json({"tool_calls": [{**shown, "function": told}]})

    def _said(self, delta: str) -> str:
        if self._chunks:
            return self._chunks.delta(delta)
        role, chunks = self._begun()
        return role + chunks.delta(delta)

    def _begun(self) -> tuple[str, Chunks]:
        """The chunk with the role, where it was not said yet; and the others."""
        if self._chunks:
            return "", self._chunks
        self._chunks = Chunks(self._job_id, self._created, self._model, counted=self._counted)
        return self._chunks.delta(ROLE), self._chunks

    def _end(self, event: Event) -> str:
        if error := failure(event):
            return self._failed(in_openais_words(error))
        self._told.end()
        role, chunks = self._begun()
        finish = finish_of(event.payload().get("finish_reason"), called=bool(self._calls))
        counts = chunks.counts(self._usage) if self._counted else ""
        return role + chunks.last(finish) + counts + DONE

    def _failed(self, error: FleetError) -> str:
        if self._open or self._chunks:
            return self._error(error)
        error.headers |= self._headers
        raise error

    def _error(self, error: FleetError) -> str:
        self.over = True
        return f"data: {as_json({'error': error.as_dict()})}\n\n"

    @property
    def _goes_on(self) -> str:
        return f"the job goes on: {views.urls(self._job_id)['self']}"


def after(entries: Sequence[dict[str, Any]], length: int) -> Sequence[dict[str, Any]]:
    """The tokens after so many characters of their text."""
    for number, entry in enumerate(entries):
        if length <= 0:
            return entries[number:]
        length -= len(entry.get("token", ""))
    return ()
