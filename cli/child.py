"""One process that is kept alive: started, listened to, started again, ended."""

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from cli.backoff import Backoff
from cli.lines import LevelFilter, LineSplitter
from cli.logfile import BoundedLog
from cli.plan import ProcessSpec
from cli.tether import tethered

#: Lines kept to be shown when the process dies.
TAIL = 12


class Child:
    """Keeps the process of one spec alive until told to stop. `run` is its whole life."""

    def __init__(
        self,
        spec: ProcessSpec,
        log: Path,
        *,
        on_line: Callable[[str, str], None],
        on_start: Callable[[], None],
        on_death: Callable[["Child", int, float], None],
        show_all: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        self.spec = spec
        self.backoff = backoff or Backoff()
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._log = BoundedLog(log)
        self._on_line = on_line
        self._on_start = on_start
        self._on_death = on_death
        self._show_all = show_all
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def run(self) -> None:
        """Start the process, and again each time it dies, until `close` was called."""
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._live_once()
            if self._stopping.is_set():
                break
            pause = self.backoff.after(time.monotonic() - began)
            self._on_death(self, code, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
        self._log.close()

    def close(self) -> None:
        """From now on its death is the end."""
        self._stopping.set()
        if self.spec.closes_first:
            self._signal(signal.SIGTERM)

    async def stop(self) -> None:
        """End the process: ask, wait as long as it may take, then insist."""
        self.close()
        self._signal(signal.SIGINT if self.spec.closes_first else signal.SIGTERM)
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), self.spec.grace_s)
            except TimeoutError:
                self.kill()

    def kill(self) -> None:
        """End the process and whatever it started, at once."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._kill_group()

    async def _live_once(self) -> int:
        self._process = await asyncio.create_subprocess_exec(
            *tethered(self.spec.argv),
            env=dict(self.spec.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C at the terminal is for the supervisor, which ends its processes in order.
            start_new_session=True,
        )
        self._on_start()
        if self._stopping.is_set():  # told to stop while it was being started
            self.kill()
        listening = asyncio.create_task(self._listen())
        code = await self._process.wait()
        self._kill_group()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listening, 1.0)
        return code

    def _signal(self, which: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, which)

    def _kill_group(self) -> None:
        """The process leads a group of its own: nothing it started outlives it."""
        assert self._process is not None  # noqa: S101
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _listen(self) -> None:
        assert self._process is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        splitter, loud = LineSplitter(), LevelFilter()
        while data := await self._process.stdout.read(65_536):
            for line in splitter.feed(data):
                self._heard(line, loud)
        for line in splitter.end():
            self._heard(line, loud)

    def _heard(self, line: str, loud: LevelFilter) -> None:
        self.tail.append(line)
        self._log.write(line)
        worth_showing = self.spec.speaks_levels and loud.lets_through(line)
        if self._show_all or worth_showing:
            self._on_line(self.spec.name, line)
