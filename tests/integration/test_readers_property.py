"""Readers who leave and come back at any moment see what the log says, each event once."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from redis import Redis

from fleet.dispatch import Dispatcher
from fleet.errors import StoreUnavailable
from fleet.events import Event, Kind, Piece, event_data, fold
from fleet.job import HandOver, Job, NewJob, Status, new_job_id
from fleet.journal import AttemptLog, Writer
from fleet.ledger import Ledger, connect
from fleet.listener import Listener
from fleet.moves.routes import Routed
from fleet.reader import RECHECK_S, Reader
from fleet.settings import Settings
from tests.support import decision

MODELS: Any = ({"name": "fast", "url": "http://127.0.0.1:1"},)
DECISION = decision("fast")
READERS = 3


class Do(NamedTuple):
    """One step of the writer or of a reader; all that is under way goes on meanwhile."""

    what: str
    #: Which reader, or how many words, or how many round trips to Redis nothing is done.
    number: int = 0


steps = st.lists(
    st.one_of(
        st.builds(Do, st.just("add"), st.integers(1, 3)),
        st.builds(Do, st.just("write"), st.integers(1, 8)),
        st.builds(Do, st.just("come"), st.integers(0, READERS - 1)),
        st.builds(Do, st.just("leave"), st.integers(0, READERS - 1)),
        st.builds(Do, st.just("wait"), st.integers(0, 3)),
        st.builds(Do, st.sampled_from(("hand over", "begin again"))),
    ),
    min_size=5,
    max_size=60,
)


#: Where to lose the connection; seldom, as it takes a while to get another.
cuts = st.sampled_from((None,) * 9 + (2, 5, 9))


@dataclass
class Follower:
    """One reader: what it has seen, over all its connections."""

    seen: list[Event] = field(default_factory=list)
    connection: asyncio.Task[None] | None = None

    @property
    def through(self) -> bool:
        """Whether it has seen the last event; then nobody comes back."""
        return bool(self.seen) and self.seen[-1].terminal

    def come(self, reader: Reader, job_id: str) -> None:
        """Connect, if it is not; it goes on after the last event that it has seen."""
        if not self.through and (self.connection is None or self.connection.done()):
            self.connection = asyncio.create_task(self._follow(reader, job_id))

    async def leave(self) -> None:
        """Disconnect, whatever is under way."""
        if self.connection:
            self.connection.cancel()
            await asyncio.gather(self.connection, return_exceptions=True)

    async def _follow(self, reader: Reader, job_id: str) -> None:
        """Who comes while the connection is being lost is told so, and comes again."""
        while not self.through:
            with suppress(StoreUnavailable):
                await self._listen(reader, job_id)

    async def _listen(self, reader: Reader, job_id: str) -> None:
        after = self.seen[-1].seq if self.seen else -1
        async with aclosing(reader.follow(job_id, after)) as batches:
            async for events in batches:
                self.seen += events


class Story:
    """One job, its writer and its readers."""

    def __init__(self, ledger: Ledger, writer: Writer, reader: Reader) -> None:
        self._ledger, self._writer, self._reader = ledger, writer, reader
        self.followers = [Follower() for _ in range(READERS)]
        #: The words that the last answer has, as the writer was told.
        self.words: list[str] = []
        self._numbers = 0
        self._job: Job
        self._log: AttemptLog

    async def begin(self) -> None:
        """A job that runs."""
        job_id = new_job_id()
        await self._ledger.create(NewJob(job_id, {}, "a", ["fast"], 60))
        job = await self._ledger.take(f"r#{job_id}")
        assert job
        assert await self._ledger.route(job, DECISION) is Routed.DONE
        await self._claim()

    async def _claim(self) -> None:
        claim = await self._ledger.claim("fast", "w", f"w#{new_job_id()}")
        assert claim
        self._job, self._log = claim.job, self._writer.open(claim.job)

    async def go_on(self, step: Do) -> None:
        """Do one step."""
        if step.what == "add":
            for _ in range(step.number):
                self._add()
        elif step.what == "come":
            self.followers[step.number].come(self._reader, self._job.id)
        elif step.what == "leave":
            await self.followers[step.number].leave()
        elif step.what == "write":
            for _ in range(step.number):
                self._add()
                await self._log.drained()
        elif step.what == "wait":
            for _ in range(step.number):
                await self._ledger.ping()
        elif step.what == "cut":
            await self._cut()
        elif step.what == "hand over":
            await self._hand_over()
        else:
            self._restart()

    async def _cut(self) -> None:
        """The connection that brings the announcements is lost; what is written until there is
        another is announced to nobody.
        """
        await self._ledger.line.call("CLIENT", "KILL", "TYPE", "pubsub")
        self._add()
        await self._log.drained()

    def _add(self) -> None:
        self._numbers += 1
        self.words.append(f" {self._numbers}")
        self._log.add([Piece("text", self.words[-1])])

    def _restart(self) -> None:
        """The answer begins anew: told, as in life, together with its first piece."""
        if not self._log._pending:
            self._log.restart("why")
            self.words.clear()
            self._add()

    async def _hand_over(self) -> None:
        """Another worker goes on with the same answer."""
        await self._log.drained()
        assert await self._ledger.hand_over(self._job, self._log.seq, HandOver(0, "why", []))
        await self._claim()

    async def end(self) -> list[Event]:
        """The job ends, all readers are there; gives the log once they have seen it all."""
        await self._log.drained()
        done = [Kind.COMPLETED, event_data(Kind.COMPLETED, finish_reason="stop")]
        for follower in self.followers:
            follower.come(self._reader, self._job.id)
        assert await self._ledger.finish(self._job, self._log.seq, Status.COMPLETED, done, {})
        async with asyncio.timeout(RECHECK_S - 1):  # nobody had to look because of the silence
            await asyncio.gather(*(f.connection for f in self.followers if f.connection))
        return await self._ledger.read_all(self._job.id)


@asynccontextmanager
async def reading_and_writing(settings: Settings) -> AsyncIterator[Story]:
    line = connect(settings)
    ledger = Ledger(line, settings, Dispatcher(settings))
    writer, listener = Writer(ledger), Listener(settings)
    writer.start()
    await listener.start()
    story = Story(ledger, writer, Reader(ledger, listener))
    try:
        await story.begin()
        yield story
        assert not listener._callbacks
    finally:
        for follower in story.followers:
            await follower.leave()
        await listener.stop()
        await writer.stop()
        await line.aclose()


async def tell(settings: Settings, steps: Sequence[Do]) -> None:
    async with reading_and_writing(settings) as story:
        for step in steps:
            await story.go_on(step)
        log = await story.end()
        assert [event.seq for event in log] == list(range(len(log)))
        assert fold(log).content == "".join(story.words)
        for follower in story.followers:
            assert follower.seen == log


# A listener that is stopped while it connects leaves its half-made connection to the collector.
@pytest.mark.filterwarnings("ignore:unclosed <StreamWriter:ResourceWarning")
@pytest.mark.timeout(1_800)  # `HYPOTHESIS_PROFILE=long` takes minutes
def test_readers_who_leave_and_come_back_at_any_moment_miss_nothing(redis_url: str) -> None:
    settings = Settings(redis_url=redis_url, models=MODELS)

    @bounds(
        max_examples=bounds().max_examples * 3,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(steps, cuts)
    def any_interleaving(steps: list[Do], cut: int | None) -> None:
        if cut is not None:
            steps.insert(cut, Do("cut"))
        with Redis.from_url(redis_url) as client:
            client.flushdb()
        asyncio.run(tell(settings, steps))

    any_interleaving()
    gc.collect()
