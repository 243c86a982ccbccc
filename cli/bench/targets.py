"""The two ways to the same model server: straight, and through the fleet."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from cli.bench.figures import Sample
from cli.bench.load import Load
from cli.bench.wire import Connection, Place, Pool
from cli.sse import Frame, SseDecoder
from fleet.events import TERMINAL_KINDS

_JSON = "Content-Type: application/json"
_SSE = "Accept: text/event-stream"
#: Ends that mean a whole answer; `incomplete` is one that `max_tokens` cut.
_WELL = ("completed", "incomplete")


class Broken(Exception):
    """A request that got no whole answer; the text says why."""


class Reply(ABC):
    """What a stream says, and when. The clock starts with the object."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.pieces: list[str] = []
        self.ended_at = 0.0
        self._raw = b""
        self._decoder = SseDecoder()
        self.began = time.perf_counter()

    def feed(self, data: bytes) -> None:
        """Bytes of the stream."""
        self._raw = data
        for frame in self._decoder.feed(data):
            self.take(frame)

    @abstractmethod
    def take(self, frame: Frame) -> None:
        """One event of the stream."""

    def say(self, text: str) -> None:
        """A piece of the answer was parsed."""
        self.pieces.append(text)
        self.moments.append(time.perf_counter())

    def end(self) -> None:
        """The announced end was parsed."""
        self.ended_at = time.perf_counter()

    def sample(self, status: int, load: Load) -> Sample:
        """What was measured."""
        content = "".join(self.pieces)
        return Sample(
            tuple((moment - self.began) * 1000 for moment in self.moments),
            (self.ended_at - self.began) * 1000,
            len(content.split()),
            self.complaint(status) or load.complaint(content),
        )

    def complaint(self, status: int) -> str:
        """What is wrong with the stream; empty if nothing."""
        if status != 200:
            return f"HTTP {status}: {self._raw[:200].decode(errors='replace')}"
        return "" if self.ended_at else "the stream stopped without an end"


class DirectReply(Reply):
    """OpenAI's chunks."""

    def take(self, frame: Frame) -> None:
        """One chunk."""
        if frame.data == "[DONE]":
            self.end()
            return
        for choice in frame.payload().get("choices") or ():
            if text := (choice.get("delta") or {}).get("content"):
                self.say(text)


class FleetReply(Reply):
    """The events of a job, which are numbered from 0 without a gap."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0
        self._wrong = ""

    def take(self, frame: Frame) -> None:
        """One event."""
        if frame.id != str(self._next):
            self._wrong = self._wrong or f"event {frame.id} instead of {self._next}"
        self._next += 1
        if frame.kind == "token":
            if text := frame.payload().get("content"):
                self.say(text)
        elif frame.kind == "restarted":
            self._wrong = self._wrong or "the job was begun again"
        elif frame.kind in TERMINAL_KINDS:
            self.end()
            if frame.kind not in _WELL:
                self._wrong = f"the job ended as {frame.kind}: {frame.data[:200]}"

    def complaint(self, status: int) -> str:
        """What is wrong with the stream; empty if nothing."""
        return self._wrong or super().complaint(status)


class Target(ABC):
    """A way to an answer."""

    name: str

    async def ask(self, load: Load) -> Sample:
        """Send one request and read its answer to the end."""
        try:
            return await self._ask(load)
        except (OSError, Broken) as error:
            return Sample(error=str(error) or type(error).__name__)

    @abstractmethod
    async def _ask(self, load: Load) -> Sample: ...


class Direct(Target):
    """`POST /v1/chat/completions`, a connection for each: the server closes it anyway."""

    name = "direct"

    def __init__(self, url: str, model: str) -> None:
        self._place = Place.of(url)
        self._model = model

    async def _ask(self, load: Load) -> Sample:
        more = {"stream": True, "stream_options": {"include_usage": True}}
        body = _encoded({**load.body(self._model), **more})
        path = "/v1/chat/completions"
        request = self._place.request("POST", path, body, _JSON, _SSE, "Connection: close")
        connection = await Connection.open(self._place)
        try:
            reply = DirectReply()
            return reply.sample(await connection.ask(request, reply.feed), load)
        finally:
            connection.close()


class Fleet(Target):
    """`POST /v1/jobs`, then the job's events; each on connections that are used again."""

    name = "fleet"

    def __init__(self, url: str, key: str, model: str) -> None:
        self._place = Place.of(url)
        self._key = (f"Authorization: Bearer {key}",) if key else ()
        self._model = model
        self._pool = Pool(self._place)

    async def _ask(self, load: Load) -> Sample:
        post = self._posting(load)
        # Both are there before the clock starts, as they are at any client that stays.
        posting, reading = await self._pool.take(), await self._pool.take()
        try:
            reply = FleetReply()
            request = self._following(await self._post(posting, post))
            sample = reply.sample(await reading.ask(request, reply.feed), load)
        except BaseException:
            posting.close()
            reading.close()
            raise
        self._pool.give(posting)
        self._pool.give(reading)
        return sample

    async def follow(self, load: Load, take: Callable[[bytes], None]) -> None:
        """Hand in a job, and take the bytes of its events as they come, to their end.

        Raises:
            Broken: the job was refused.
            OSError: the connection broke.
        """
        connection = await Connection.open(self._place)
        try:
            events = await self._post(connection, self._posting(load))
            status = await connection.ask(self._following(events), take)
        finally:
            connection.close()
        if status != 200:
            raise Broken(f"HTTP {status}")

    def _posting(self, load: Load) -> bytes:
        # The same is asked again and again, and each time of the model.
        body = _encoded({**load.body(self._model), "cache": False})
        return self._place.request("POST", "/v1/jobs", body, _JSON, *self._key)

    def _following(self, events: str) -> bytes:
        return self._place.request("GET", events, b"", _SSE, *self._key)

    async def _post(self, connection: Connection, request: bytes) -> str:
        """Hand in the job; gives the path of its events."""
        answer = bytearray()
        status = await connection.ask(request, answer.extend)
        if status != 202:
            raise Broken(f"HTTP {status}: {answer[:200].decode(errors='replace')}")
        try:
            return str(json.loads(answer)["urls"]["events"])
        except (ValueError, LookupError, TypeError):
            raise Broken("what answers there is not a fleet's API") from None

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.close()


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
