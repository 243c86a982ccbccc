"""From a job's log to the events and the object of a response. Pure.

It is fed from event 0 on, so that each of its own events has the same number for every
reader, whenever that one comes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from api.outcome import failure
from api.responses.asked import Asked
from api.responses.output import Call, Item, Message, Reasoning, Said
from fleet.errors import FleetError
from fleet.events import Event, Kind

#: How a response ends, and what its stream calls it. OpenAI's union has no word for a
#: cancelled one: its object says so.
ENDS: dict[str, Said] = {
    Kind.COMPLETED: ("response.completed", {"status": "completed"}),
    Kind.INCOMPLETE: ("response.incomplete", {"status": "incomplete"}),
    Kind.CANCELLED: ("response.incomplete", {"status": "cancelled"}),
    Kind.FAILED: ("response.failed", {"status": "failed"}),
    Kind.EXPIRED: ("response.failed", {"status": "failed"}),
}
#: Our words for whose fault it was, in those that the SDK's types allow.
FAULTS = {"caller": "invalid_prompt"}


class Told(NamedTuple):
    """One event of a response's stream."""

    number: int
    type: str
    data: dict[str, Any]


class Telling:
    """A response as far as its log was heard."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._next = 0
        #: Items told of, those of an abandoned answer too.
        self._count = 0
        #: The present answer; which of its items go on, by what they are.
        self._items: list[Item] = []
        self._open: dict[str | int, Item] = {}
        self._call_ids: set[str] = set()
        self._known: dict[str, Any] = {
            "created_at": 0,
            "status": "queued",
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "model": asked.model,
            "usage": None,
        }

    def object(self) -> dict[str, Any]:
        """The response so far."""
        output = [item.shown() for item in self._items]
        return {**self._asked.shown(), **self._known, "output": output}

    @property
    def next_number(self) -> int:
        """The number of the event that will be told next."""
        return self._next

    def hear(self, event: Event) -> list[Told]:
        """What a stream says of the job's next event."""
        return [self._numbered(kind, data) for kind, data in self._said(event)]

    def _numbered(self, kind: str, data: dict[str, Any]) -> Told:
        number, self._next = self._next, self._next + 1
        return Told(number, kind, {"type": kind, "sequence_number": number, **data})

    def _said(self, event: Event) -> Iterable[Said]:
        if event.kind == Kind.TOKEN:
            return self._more(event.payload())
        if event.kind == Kind.RESTARTED:
            return self._anew()
        if event.kind == Kind.QUEUED:
            return self._created(event.payload())
        if event.kind in (Kind.ROUTED, Kind.STARTED):
            return self._goes_to(event)
        if event.kind == Kind.USAGE:
            self._known["usage"] = usage(event.payload())
            return []
        return self._end(event) if event.terminal else []

    def _created(self, payload: dict[str, Any]) -> list[Said]:
        self._known["created_at"] = payload["at"] // 1000
        words = ["created", "queued"] if self._asked.background else ["created"]
        return [(f"response.{word}", {"response": self.object()}) for word in words]

    def _goes_to(self, event: Event) -> list[Said]:
        self._known["model"] = event.payload().get("model") or self._known["model"]
        if event.kind != Kind.STARTED or self._known["status"] != "queued":
            return []
        self._known["status"] = "in_progress"
        return [("response.in_progress", {"response": self.object()})]

    def _more(self, piece: dict[str, Any]) -> list[Said]:
        said: list[Said] = []
        if thought := piece.get("reasoning"):
            said += self._only("reasoning")
            thinking = self._open.get("reasoning")
            if not isinstance(thinking, Reasoning):
                thinking = Reasoning(self._asked.digits, self._count)
                said += self._opened("reasoning", thinking)
            said += thinking.more(thought)
        if text := piece.get("content"):
            said += self._only("message")
            message = self._open.get("message")
            if not isinstance(message, Message):
                message = Message(self._asked.digits, self._count, sure=self._asked.sure)
                said += self._opened("message", message)
            said += message.more(text, piece.get("logprobs", ()))
        for delta in piece.get("tool_calls", ()):
            said += self._call(delta)
        return said

    def _call(self, delta: dict[str, Any]) -> list[Said]:
        said = self._only("call")
        place = int(delta.get("index") or 0)
        function = delta.get("function") or {}
        call = self._open.get(place)
        if not isinstance(call, Call):
            call_id = self._fresh(delta.get("id") or "")
            name = function.get("name") or ""
            call = Call(self._asked.digits, self._count, call_id, name)
            said += self._opened(place, call)
        return said + call.more(function)

    def _fresh(self, call_id: str) -> str:
        """An id for a call that no other call of this stream has."""
        if not call_id or call_id in self._call_ids:
            call_id = f"call_{self._asked.digits}_{self._count}"
        self._call_ids.add(call_id)
        return call_id

    def _opened(self, what: str | int, item: Item) -> list[Said]:
        self._open[what] = item
        self._items.append(item)
        self._count += 1
        return item.opening()

    def _only(self, what: str) -> list[Said]:
        """Items of another sort are whole when one of this sort goes on; calls may go on
        side by side, under their places.
        """
        sorts = {"call" if isinstance(key, int) else key for key in self._open}
        return [] if what in sorts else self._close("completed")

    def _close(self, status: str) -> list[Said]:
        items, self._open = list(self._open.values()), {}
        return [said for item in items for said in item.closing(status)]

    def _break_off(self) -> list[Said]:
        items, self._open = list(self._open.values()), {}
        return [said for item in items for said in item.broken()]

    def _anew(self) -> list[Said]:
        """The answer begins again: what was told is over, and no part of the answer."""
        said = self._break_off()
        self._items = []
        return said

    def _end(self, event: Event) -> list[Said]:
        said: list[Said] = []
        whole = event.kind == Kind.COMPLETED
        payload = event.payload()
        if whole and not self._items:
            empty = Message(self._asked.digits, self._count, sure=self._asked.sure)
            said += self._opened("message", empty)
        if whole or event.kind == Kind.INCOMPLETE:
            said += self._close(event.kind)
        else:
            said += self._break_off()
        kind, known = ENDS[event.kind]
        self._known |= known
        if whole:
            self._known["completed_at"] = payload["at"] // 1000
        elif error := failure(event):
            self._fail(event, error)
        else:
            self._known["incomplete_details"] = {"reason": payload.get("reason")}
        return [*said, (kind, {"response": self.object()})]

    def _fail(self, event: Event, error: FleetError) -> None:
        if event.kind == Kind.CANCELLED:
            self._known["incomplete_details"] = {"reason": None}
        else:
            self._known["error"] = shown_error(error)


def shown_error(error: FleetError) -> dict[str, Any]:
    """Why a response failed: a code that the SDK's types know, and our own beside it."""
    told = error.as_dict()
    code = FAULTS.get(told["fault"], "server_error")
    rest = {key: told[key] for key in ("message", "type", "param", "fault")}
    return {"code": code, **rest, **error.more, "fleet_code": told["code"]}


def usage(told: dict[str, Any]) -> dict[str, Any]:
    """What an answer took, in this API's words."""
    asked, answered = int(told.get("prompt_tokens") or 0), int(told.get("completion_tokens") or 0)
    details = told.get("prompt_tokens_details") or {}
    cached = (told.get("timings") or {}).get("cache_n") or details.get("cached_tokens") or 0
    thought = (told.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": int(cached), "cache_write_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": int(thought)},
        "total_tokens": int(told.get("total_tokens") or asked + answered),
    }


def told_of(asked: Asked, events: Iterable[Event]) -> dict[str, Any]:
    """The object of a response whose log is this."""
    telling = Telling(asked)
    for event in events:
        telling.hear(event)
    return telling.object()
