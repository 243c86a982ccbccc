"""One process that is kept alive: started, listened to, started again, ended."""

import asyncio
import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from cli.backoff import Backoff
from cli.lines import LevelFilter
from cli.logfile import BoundedLog
from cli.plan import ProcessSpec
from cli.spawn import Spawned, live

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
        self._loud = LevelFilter()
        self._on_line = on_line
        self._on_start = on_start
        self._on_death = on_death
        self._show_all = show_all
        self._process: Spawned | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        return self._process.pid if self._process and self._process.running else None

    async def run(self) -> None:
        """Start the process, and again each time it dies, until `close` was called."""
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await live(self.spec, self._started, self._heard)
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

    async def stop(self) -> None:
        """End the process: ask, wait as long as it may take, then insist."""
        self._stopping.set()
        if self._process is None:
            return
        self._process.signal(signal.SIGTERM)
        await asyncio.wait([self._process.exited], timeout=self.spec.grace_s)
        self.kill()

    def kill(self) -> None:
        """End the process and whatever it started, at once."""
        self._stopping.set()
        if self._process is not None and self._process.running:
            self._process.kill_group()

    def _started(self, process: Spawned) -> None:
        self._process = process
        self._on_start()

    def _heard(self, line: str) -> None:
        self.tail.append(line)
        self._log.write(line)
        worth_showing = self.spec.speaks_levels and self._loud.lets_through(line)
        if self._show_all or worth_showing:
            self._on_line(self.spec.name, line)
