"""What each API's stream says of a job's events. A wire is pure, and fed in order."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from api import views
from fleet.events import Event, Kind


class Wire(Protocol):
    """One stream to one reader. It is shown the job's events from its cursor on."""

    #: Sent before anything else, if not empty.
    greeting: bytes
    #: Sent while nothing happens.
    ping: bytes
    #: Whether the stream has said its last word, although the job may go on.
    over: bool

    def settled(self) -> bool:
        """Whether the head of the answer may be sent: what was shown so far says enough."""
        ...

    def headers(self) -> Mapping[str, str]:
        """What the head says of the job, by then."""
        ...

    def show(self, events: Sequence[Event]) -> bytes:
        """The frames for these events.

        Raises:
            FleetError: only before the head is sent: the answer is this error.
        """
        ...

    def farewell(self) -> bytes:
        """The last words of a stream whose process ends before the job."""
        ...

    def lost(self) -> bytes:
        """The last words of a stream whose job was forgotten before its end."""
        ...


class JobWire:
    """The native form: each event as it stands in the log."""

    #: How soon a browser comes back after a broken connection, in ms.
    greeting = b"retry: 1000\n\n"
    ping = b": ping\n\n"
    over = False

    def __init__(self, job_id: str, said: Mapping[str, str], *, waits: bool = False) -> None:
        self._job_id = job_id
        self._said = dict(said)
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
        for event in events:
            if event.kind == Kind.ROUTED:
                self._said |= views.headers(event.payload())
                self._waits = False
            elif self._waits and event.terminal:
                self._waits = False
        return in_lines("".join(map(frame, events))).encode()

    def farewell(self) -> bytes:
        """See `Wire.farewell`; a browser's EventSource comes back by itself."""
        place = views.urls(self._job_id)["events"]
        text = f"retry: 500\n: the server restarts; come back to {place} with Last-Event-ID\n\n"
        return text.encode()

    def lost(self) -> bytes:
        """See `Wire.lost`."""
        return b""


def in_lines(frames: str) -> str:
    """Frames of JSON for clients that read a stream as lines of text: these end a line, too."""
    for mark in "\x85\u2028\u2029":
        frames = frames.replace(mark, f"\\u{ord(mark):04x}")
    return frames


def frame(event: Event) -> str:
    """One event on the wire."""
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {event.data}\n\n"
