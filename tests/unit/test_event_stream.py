"""The response that streams a job: when its head goes, what it says at the end, what it leaves."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, cast

import pytest
from starlette.types import Message

from api.closing import Closing
from api.sse import EventStream
from api.wire import JobWire
from fleet.errors import FleetError, StoreUnavailable
from fleet.events import Event
from tests.support import until

JOB = "job_" + "0" * 32


def event(seq: int, kind: str, **data: object) -> Event:
    return Event(seq, kind, json.dumps({"type": kind, **data}))


QUEUED = event(0, "queued")
ROUTED = event(1, "routed", route="fast", model="fast", confidence=0.75)
MOVED = event(2, "routed", route="fast", model="tool")
TOKEN = event(3, "token", content="a")
DONE = event(4, "completed")
LONG_S, SHORT_S = 30.0, 0.05


class Log:
    """Batches as a reader would bring them, one for each `put`."""

    def __init__(self, *batches: list[Event]) -> None:
        self.closed = False
        self._queue: asyncio.Queue[list[Event] | None] = asyncio.Queue()
        for batch in batches:
            self._queue.put_nowait(batch)

    def put(self, *events: Event) -> None:
        self._queue.put_nowait(list(events))

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def batches(self) -> AsyncGenerator[list[Event]]:
        try:
            while (batch := await self._queue.get()) is not None:
                yield batch
        finally:
            self.closed = True


class Server:
    """What the response was given, and what it has sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.left = asyncio.Event()
        self.gone = 0
        self.closing = Closing()
        self.task: asyncio.Task[None]

    def serve(self, log: Log, wire: Any, hold_s: float = LONG_S) -> None:
        response = EventStream(
            JOB,
            log.batches(),
            wire,
            ping_s=LONG_S,
            closing=self.closing,
            hold_s=hold_s,
            on_gone=self._on_gone,
        )
        self.task = asyncio.create_task(response({}, self._receive, self._send))

    async def _receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    async def _on_gone(self) -> None:
        self.gone += 1

    @property
    def head(self) -> dict[str, str]:
        [start] = [m for m in self.sent if m["type"] == "http.response.start"]
        assert self.sent[0] is start
        return {name.decode(): value.decode() for name, value in start["headers"]}

    @property
    def body(self) -> str:
        return b"".join(m.get("body", b"") for m in self.sent).decode()

    @property
    def ids(self) -> list[int]:
        lines = self.body.splitlines()
        return [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]

    @property
    def whole(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False


@pytest.fixture
async def server() -> Server:
    return Server()


async def test_the_head_waits_for_the_word_where_the_job_goes(server: Server) -> None:
    log = Log([QUEUED], [])
    server.serve(log, JobWire(JOB, {}, waits=True))
    await asyncio.sleep(SHORT_S)
    assert not server.sent
    log.put(ROUTED, MOVED)
    log.put(TOKEN, DONE)
    await server.task
    told = {"x-fleet-route": "fast", "x-fleet-model": "tool", "x-fleet-confidence": "0.75"}
    assert server.head.items() >= told.items()
    assert server.head["x-fleet-job-id"] == JOB
    assert (server.ids, server.whole) == ([0, 1, 2, 3, 4], True)
    assert log.closed


async def test_without_a_word_in_time_the_head_goes_and_nothing_is_lost(server: Server) -> None:
    log = Log([QUEUED])
    server.serve(log, JobWire(JOB, {}, waits=True), SHORT_S)
    await until(lambda: server.sent, "the head is sent")
    assert "x-fleet-model" not in server.head
    log.put(ROUTED)
    log.put(DONE)
    await server.task
    assert server.ids == [0, 1, 4]


@pytest.mark.parametrize("batches", [[[QUEUED, DONE]], [[QUEUED], [], [DONE]], []])
async def test_a_job_that_ends_unrouted_is_not_waited_for(
    batches: list[list[Event]], server: Server
) -> None:
    log = Log(*batches)
    log.end()
    server.serve(log, JobWire(JOB, {}, waits=True))
    await server.task
    assert server.ids == [event.seq for batch in batches for event in batch]
    assert server.whole


async def test_a_reader_at_the_end_of_a_live_job_gets_its_head_at_once(server: Server) -> None:
    log = Log([])
    server.serve(log, JobWire(JOB, {}), 0)
    await until(lambda: server.sent, "the head is sent")
    server.left.set()
    await server.task
    assert server.gone == 1
    assert log.closed


@pytest.mark.parametrize("hold_s", [LONG_S, 0.0])
async def test_a_process_that_ends_says_where_the_stream_goes_on(
    server: Server, hold_s: float
) -> None:
    log = Log([QUEUED])
    server.serve(log, JobWire(JOB, {}, waits=bool(hold_s)), hold_s)
    await asyncio.sleep(SHORT_S)
    server.closing.told.set_result(None)
    await server.task
    assert server.ids == [0]
    assert f"come back to /v1/jobs/{JOB}/events" in server.body
    assert (server.whole, server.gone) == (True, 0)


async def test_a_reader_that_leaves_before_the_head_leaves_nothing_running(server: Server) -> None:
    log = Log([QUEUED])
    server.serve(log, JobWire(JOB, {}, waits=True))
    await asyncio.sleep(SHORT_S)
    server.left.set()
    await server.task
    assert (server.sent, server.gone, log.closed) == ([], 1, True)


async def test_what_fails_before_the_head_is_an_error_of_its_own(server: Server) -> None:
    async def broken() -> AsyncGenerator[list[Event]]:
        raise StoreUnavailable
        yield []

    log = cast(Log, type("Broken", (), {"batches": staticmethod(broken)}))
    server.serve(log, JobWire(JOB, {}))
    with pytest.raises(StoreUnavailable) as failed:
        await server.task
    assert not server.sent
    assert failed.value.headers["x-fleet-job-id"] == JOB


class Odd(JobWire):
    """A wire that refuses failed jobs, and has had enough after a `restarted`."""

    def settled(self) -> bool:
        return False

    def headers(self) -> Mapping[str, str]:
        return {}

    def show(self, events: Sequence[Event]) -> bytes:
        self.over = any(event.kind == "restarted" for event in events)
        if any(event.kind == "failed" for event in events):
            raise FleetError("no")
        return super().show(events)

    def lost(self) -> bytes:
        return b"lost"


async def test_a_wire_may_refuse_a_job_that_has_failed_before_its_first_word(
    server: Server,
) -> None:
    server.serve(Log([QUEUED], [event(1, "failed")]), Odd(JOB, {}))
    with pytest.raises(FleetError, match="no"):
        await server.task
    assert not server.sent


async def test_a_wire_may_end_before_its_job(server: Server) -> None:
    log = Log([QUEUED], [event(1, "restarted")], [TOKEN])
    server.serve(log, Odd(JOB, {}))
    await server.task
    assert (server.ids, server.whole) == ([0, 1], True)


async def test_a_job_that_is_forgotten_has_its_last_word_from_the_wire(server: Server) -> None:
    log = Log([QUEUED])
    log.end()
    server.serve(log, Odd(JOB, {}))
    await server.task
    assert server.body.endswith("lost")
