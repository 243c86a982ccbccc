"""The writing side of a log: deltas of all streams of a process, in as few round trips as can be.

The first delta is written at once. What arrives while a write is under way goes out
together with the next one, the text of a stream merged into one event. So at normal
speed each token is an event of its own, and a flood or a slow Redis makes events
larger, not the line longer.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence

from fleet.events import Kind, Piece, event_data, reasoning_event, text_event
from fleet.insist import insist
from fleet.job import Job
from fleet.ledger import Ledger
from fleet.moves.runs import Write

#: Pieces that one write takes: a script has room for so many values.
PIECES_MOST = 2_000


class AttemptLog:
    """The log of one attempt, as the process that runs it sees it."""

    def __init__(self, job: Job, dirty: Callable[["AttemptLog"], None]) -> None:
        self.job = job
        #: Sequence number of the next event.
        self.seq = job.seq
        #: Whether Redis has refused a write: the job has ended or belongs to another attempt.
        self.lost = False
        #: Called once when `lost` becomes true.
        self.on_lost: Callable[[], None] = lambda: None
        #: Whether a reader has text of this answer on screen, or will.
        self.any = job.streamed
        self._dirty = dirty
        #: What each read from the model server brought, and the byte of its stream after it.
        self._pending: deque[tuple[Sequence[Piece], int]] = deque()
        #: The event that goes before the next piece, if any.
        self._preface: list[str] = []
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, pieces: Sequence[Piece], place: int = 0) -> None:
        """Hand in the pieces of one read; `place` is the byte of the stream after them."""
        self.any = True
        self._pending.append((pieces, place))
        if len(self._pending) == 1:
            self._idle.clear()
            self._dirty(self)

    def restart(self, reason: str) -> None:
        """What readers have so far will be dropped when the next piece comes."""
        told = event_data(Kind.RESTARTED, reason=reason, model=self.job.model)
        self._preface = [Kind.RESTARTED, told]

    async def drained(self) -> None:
        """Return when everything handed in is written, or refused."""
        await self._idle.wait()

    def take(self) -> tuple[int, list[str]]:
        """The pending pieces as events (kind, json, …), runs of the same kind merged, and the
        byte after them. Reads are not divided: a place is only known between them.
        """
        pieces: list[Piece] = []
        place = 0
        while self._pending and (
            not pieces or len(pieces) + len(self._pending[0][0]) <= PIECES_MOST
        ):
            read, place = self._pending.popleft()
            pieces += read
        preface, self._preface = self._preface, []
        return place, preface + merged(pieces)

    def written(self, next_seq: int) -> None:
        """Note the outcome of a write: the next number, or -1 if it was refused."""
        if next_seq < 0:
            self._pending.clear()
            if not self.lost:
                self.lost = True
                self.on_lost()
        else:
            self.seq = next_seq
        if self._pending:
            self._dirty(self)
        else:
            self._idle.set()


def merged(pieces: Sequence[Piece]) -> list[str]:
    """Events for a run of pieces: text next to text and reasoning next to reasoning is one."""
    events: list[str] = []
    start = 0
    for end in range(1, len(pieces) + 1):
        kind = pieces[start].kind
        if end < len(pieces) and pieces[end].kind == kind != "tool_calls":
            continue
        events += ("token", _encode(kind, pieces[start:end]))
        start = end
    return events


def _encode(kind: str, run: Sequence[Piece]) -> str:
    if kind == "text":
        sure = [entry for piece in run for entry in piece.logprobs]
        return text_event("".join([piece.value for piece in run]), len(run), sure)
    if kind == "reasoning":
        return reasoning_event("".join([piece.value for piece in run]), len(run))
    calls = json.dumps(run[0].value, ensure_ascii=False, separators=(",", ":"))
    return f'{{"type":"token","tool_calls":{calls},"n":1}}'


class Writer:
    """The one writer of a process. Streams hand in; it writes whenever no write is under way."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: dict[AttemptLog, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin writing."""
        self._task = asyncio.create_task(self._run(), name="journal-writer")

    async def stop(self) -> None:
        """Stop; streams have drained their logs before."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def open(self, job: Job) -> AttemptLog:
        """The log of a job that this process has just claimed."""
        return AttemptLog(job, self._mark)

    def _mark(self, attempt: AttemptLog) -> None:
        self._waiting[attempt] = None
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, {}
            await self._write([(attempt, attempt.take()) for attempt in batch])

    async def _write(self, batch: list[tuple[AttemptLog, tuple[int, list[str]]]]) -> None:
        """Write until Redis has answered. A repeated write is harmless: it names its number."""
        writes = [
            Write(attempt.job, attempt.seq, place, events) for attempt, (place, events) in batch
        ]
        results = await insist(lambda: self._ledger.append(writes))
        for (attempt, _), next_seq in zip(batch, results, strict=True):
            attempt.written(next_seq)
