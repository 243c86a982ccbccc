"""A response's stream. Pure."""

import json
from collections.abc import Mapping, Sequence

from api import views
from api.responses.asked import Asked
from api.responses.telling import Telling, Told
from api.wire import in_lines
from fleet.events import Event, Kind


class ResponseWire:
    """The events of a response with numbers above `after`; it must be fed from the job's first
    event on.
    """

    greeting = b""
    ping = b": ping\n\n"
    over = False

    def __init__(self, asked: Asked, after: int = -1, *, waits: bool = False) -> None:
        self._asked = asked
        self._after = after
        self._telling = Telling(asked)
        self._said: dict[str, str] = {}
        #: Whether the head has to say where the job goes.
        self._waits = waits

    def settled(self) -> bool:
        """See `Wire.settled`."""
        return not self._waits

    def headers(self) -> Mapping[str, str]:
        """See `Wire.headers`."""
        return self._said

    def show(self, events: Sequence[Event]) -> bytes:
        """See `Wire.show`."""
        return b"".join(self._one(event) for event in events)

    def _one(self, event: Event) -> bytes:
        if event.kind == Kind.ROUTED:
            self._said |= views.headers(event.payload())
        self._waits = self._waits and event.kind != Kind.ROUTED and not event.terminal
        told = self._telling.hear(event)
        return b"".join(frame(one) for one in told if one.number > self._after)

    def farewell(self) -> bytes:
        """See `Wire.farewell`."""
        last = self._telling.next_number - 1
        place = f"/v1/responses/{self._asked.id}?stream=true&starting_after={last}"
        return f": the server restarts; come back to {place}\n\n".encode()

    def lost(self) -> bytes:
        """See `Wire.lost`."""
        number = self._telling.next_number
        message = "The response was deleted before its end."
        error = {"type": "error", "sequence_number": number, "code": "not_found"}
        return frame(Told(number, "error", {**error, "message": message, "param": None}))


def frame(told: Told) -> bytes:
    """One event on the wire."""
    data = json.dumps(told.data, ensure_ascii=False, separators=(",", ":"))
    return in_lines(f"id: {told.number}\nevent: {told.type}\ndata: {data}\n\n").encode()
