"""Answers that a fake llama-server keeps, so that readers can leave and come back.

The server writes an answer here as it would write it to a connection. Whoever asked and
whoever attached read it from here, each at its own pace, and none of them ends it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any


class Stream:
    """One kept answer: every byte of its body, and the task that writes it."""

    #: It goes on when the connection of whoever asked is cut.
    outlives = True

    def __init__(self, name: str, write: "Writer") -> None:
        self.name = name
        self.chunks: list[bytes] = []
        #: Whether it has a slot: only then is whoever asked sent the head of a reply.
        self.begun = asyncio.Event()
        #: After that many chunks the connection of whoever asked is cut.
        self.cut: int | None = None
        #: Its server has lost it, so that readers are cut off where they are.
        self.lost = False
        self._started_at = int(time.time())
        self._completed_at = 0
        self._ended = False
        self._news = asyncio.Event()
        self._task = asyncio.create_task(write(self))
        self._task.add_done_callback(lambda _: self._end())

    async def begin(self) -> None:
        """The answer has a slot."""
        self.begun.set()

    async def chunk(self, data: bytes) -> None:
        """The answer has these bytes more."""
        self.chunks.append(data)
        self._tell()

    async def end(self) -> None:
        """The answer is whole; it can still be read."""

    def drop(self) -> None:
        """Cut the connection of whoever asked, after what there is now."""
        self.cut = len(self.chunks)

    @property
    def running(self) -> bool:
        """Whether it is still being written, or waits for a slot."""
        return not self._ended

    def stop(self, *, lost: bool = False) -> None:
        """End it here, unless it has ended."""
        self.lost = lost
        self._task.cancel()

    def described(self) -> dict[str, Any]:
        """What a lookup says of it."""
        return {
            "conversation_id": self.name,
            "is_done": self._ended,
            "total_bytes": sum(map(len, self.chunks)),
            "started_at": self._started_at,
            "completed_at": self._completed_at,
        }

    async def news(self) -> AsyncIterator[list[bytes]]:
        """All chunks there are, then those that come, until its end."""
        seen = 0
        while True:
            told = self._news
            if fresh := self.chunks[seen:]:
                seen += len(fresh)
                yield fresh
            elif self._ended:
                return
            else:
                await told.wait()

    async def after(self, offset: int) -> AsyncIterator[bytes]:
        """Its bytes from `offset` on, until its end; none if it never gets there."""
        async for fresh in self.news():
            data = b"".join(fresh)
            if rest := data[offset:]:
                yield rest
            offset = max(0, offset - len(data))

    def _end(self) -> None:
        self._ended = True
        self._completed_at = int(time.time())
        self.begun.set()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


#: Writes a whole answer; when it ends, so does the answer.
Writer = Callable[[Stream], Coroutine[Any, Any, None]]


class Streams:
    """The kept answers of a server, by the name that whoever asked gave them."""

    def __init__(self) -> None:
        self._kept: dict[str, Stream] = {}

    def open(self, name: str, write: Writer) -> Stream:
        """A new one; `write` begins to write it."""
        self._kept[name] = Stream(name, write)
        return self._kept[name]

    def get(self, name: str) -> Stream | None:
        """One that is known."""
        return self._kept.get(name)

    def described(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """What a lookup says; what is not known is left out."""
        return [self._kept[name].described() for name in names if name in self._kept]

    def remove(self, name: str) -> bool:
        """Stop one and know it no more. Gives whether it was still running."""
        stream = self._kept.pop(name, None)
        if stream is None or not stream.running:
            return False
        stream.stop()
        return True

    def lose_all(self) -> None:
        """Know none of them any more, as a process that was killed and started again."""
        kept, self._kept = self._kept, {}
        for stream in kept.values():
            stream.stop(lost=True)


def offset_of(text: str) -> int | None:
    """The number that C's strtoull reads; None where it finds none, or too large a one."""
    found = re.match(r"\s*[+-]?\d+", text)
    number = int(found[0]) if found else 2**64
    return number % 2**64 if abs(number) < 2**64 else None
