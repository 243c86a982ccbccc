"""What the fakes have in common: counters, modes, slots, and tokens at a pace."""

import argparse
import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from tests.fakes.http import Exchange
from tests.fakes.mode import Mode, UnknownMode

#: Seconds between two comments that hold a line.
PING_S = 0.1


@dataclass(frozen=True)
class Options:
    """How the program was started."""

    host: str = "127.0.0.1"
    port: int = 0
    slots: int = 2
    tokens: int = 16
    ttft_ms: float = 5
    tps: float = 200
    name: str = "fake"
    api_key: str = ""
    ctx_size: int = 8192
    no_tools: bool = False
    embeddings: bool = False

    @classmethod
    def from_command_line(cls, description: str | None) -> "Options":
        """Read the program's arguments."""
        parser = argparse.ArgumentParser(description=description)
        for key, default in vars(cls()).items():
            flag = "--" + key.replace("_", "-")
            if isinstance(default, bool):
                parser.add_argument(flag, action="store_true")
            else:
                parser.add_argument(flag, type=type(default), default=default)
        return cls(**vars(parser.parse_args()))


class Sink(Protocol):
    """What an answer is written to: a connection, or a stream that is kept."""

    @property
    def outlives(self) -> bool:
        """Whether the answer goes on after `drop`."""
        ...

    async def begin(self) -> None:
        """The answer begins."""

    async def chunk(self, data: bytes) -> None:
        """A piece of it."""

    async def end(self) -> None:
        """It has ended properly."""

    def drop(self) -> None:
        """Cut the connection of whoever asked."""


class ModelServer:
    """A model server that does what it is told, and counts what was done to it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.counts = dict.fromkeys(
            (
                *("requests", "completed", "tokens", "client_gone"),
                *("active", "peak_active", "queued", "peak_queued"),
            ),
            0,
        )
        self.bodies: deque[Any] = deque(maxlen=50)
        self.busy: set[int] = set()
        self.mode = Mode()
        self._left: int | None = None
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(options.slots):
            self._free.put_nowait(slot)

    async def handle(self, exchange: Exchange) -> None:
        """Answer the test's own questions; the model's are for `answer`."""
        match exchange.request.method, exchange.request.path:
            case "GET", "/stats":
                await exchange.reply(200, self.stats())
            case "POST", "/control":
                await self._control(exchange)
            case _:
                await self.answer(exchange)

    async def answer(self, exchange: Exchange) -> None:
        """Answer what the real server answers."""
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """What the test is told of what was done to it."""
        return {**self.counts, "bodies": list(self.bodies)}

    async def _control(self, exchange: Exchange) -> None:
        """`{"mode": {...}, "times": K}`: for the next K requests, or until changed."""
        said = json.loads(exchange.request.body)
        try:
            self.mode = Mode().over(said.get("mode", {}))
        except UnknownMode as error:
            await exchange.reply(400, {"error": str(error)})
        else:
            self._left = said.get("times")
            await exchange.reply(200, {"ok": True})

    def take_mode(self, text: str) -> Mode:
        """How to treat the next request, whose messages say `text`."""
        mode = self.mode
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.mode, self._left = Mode(), None
        return mode.over_directive(text, self.options.name)

    async def say_no_stream(self, exchange: Exchange, how: str) -> None:
        """A 200 that is no answer; see `Mode.instead`."""
        match how:
            case "html":
                await exchange.reply(200, "<html>Welcome</html>", kind="text/html; charset=utf-8")
            case "json":
                await exchange.reply(200, {"choices": []})
            case "empty" | "blank":
                await exchange.begin()
                if how == "blank":
                    await exchange.chunk(b": hold on\n\n\n\n: hold on\n\n")
                await exchange.end()
            case "pings":
                await exchange.begin()
                while True:
                    await exchange.chunk(b": hold on\n\n")
                    await asyncio.sleep(PING_S)
            case _:
                raise UnknownMode(f"instead={how!r}")

    @asynccontextmanager
    async def slot(self, exchange: Exchange | None = None) -> AsyncIterator[int]:
        """A slot of the model: first come, first served, unless the client leaves the queue.

        Without an exchange, there is nobody who could leave.
        """
        self.counts["queued"] += 1
        self.counts["peak_queued"] = max(self.counts["peak_queued"], self.counts["queued"])
        waiting = self._free.get()
        try:
            slot = await (exchange.unless_gone(waiting) if exchange else waiting)
        finally:
            self.counts["queued"] -= 1
        self.busy.add(slot)
        self._count_active()
        try:
            yield slot
        finally:
            self.busy.discard(slot)
            self._count_active()
            self._free.put_nowait(slot)

    def _count_active(self) -> None:
        self.counts["active"] = len(self.busy)
        self.counts["peak_active"] = max(self.counts["peak_active"], len(self.busy))

    async def send_tokens(
        self, sink: Sink, mode: Mode, frames: Iterable[bytes], broken: bytes, error: bytes
    ) -> bool:
        """Send one frame for each token, at the asked pace, and fail where that was asked for.

        Gives whether the answer shall be ended well.
        """
        tps = _given(mode.tps, self.options.tps) if mode.flood is None else 0
        start = time.monotonic() + _given(mode.ttft, self.options.ttft_ms) / 1000
        for sent, frame in enumerate(chain(frames, [None])):
            if frame is not None:
                due = start + (sent / tps if tps else 0)
                await asyncio.sleep(max(0, due - time.monotonic()))
            if mode.cut == sent:
                sink.drop()
                if not sink.outlives:
                    return False
            if mode.stall == sent:
                await asyncio.Event().wait()
            if mode.malformed == sent:
                await sink.chunk(broken)
            if mode.error_event == sent:
                await sink.chunk(error)
                await sink.end()
                return False
            if frame is not None:
                await sink.chunk(frame)
                self.counts["tokens"] += 1
        if mode.noend:
            await sink.end()
        return not mode.noend

    def length(self, mode: Mode, asked: Mapping[str, Any], had: int = 0) -> tuple[int, bool]:
        """Tokens still to come, and whether they are only as many because of `max_tokens`.

        `had` are those of the same answer that were said before.
        """
        if mode.flood is not None:
            return max(0, mode.flood - had), False
        wanted = max(0, _given(mode.n, self.options.tokens) - had)
        most = asked.get("max_tokens") or asked.get("max_completion_tokens") or wanted
        return min(wanted, most), most < wanted


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def text_of(messages: Iterable[Mapping[str, Any]]) -> str:
    """All words of a conversation; `content` is a string or a list of parts."""
    found = []
    for message in messages:
        content = message.get("content") or ""
        parts = [{"text": content}] if isinstance(content, str) else content
        found += [str(part.get("text", "")) for part in parts]
    return "\n".join(found)
