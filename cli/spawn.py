"""Starts one process and hears its lines and its end.

asyncio's own subprocesses are not used: their `wait` does not return while
anything that the process left behind still holds its output open.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable

from cli.lines import LineSplitter
from cli.plan import ProcessSpec
from cli.tether import tethered

#: Seconds to wait, after the end of a process, for the rest of what it said.
_LAST_WORDS_S = 1.0


class Spawned:
    """A process that was started; it leads a session and a group of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.pid = process.pid
        #: Its exit code, once it has ended.
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        threading.Thread(target=self._wait, args=(process,), daemon=True).start()

    @property
    def running(self) -> bool:
        """Whether its end was not heard yet."""
        return not self.exited.done()

    def signal(self, which: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, which)

    def kill_group(self) -> None:
        """End it and everything that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        loop = self.exited.get_loop()
        code = process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(self.exited.set_result, code)


class _Listener(asyncio.Protocol):
    """Turns what comes through the pipe into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._splitter = LineSplitter()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        for line in self._splitter.feed(data):
            self._on_line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        for line in self._splitter.end():
            self._on_line(line)
        self.ended.set()


async def live(
    spec: ProcessSpec, on_start: Callable[[Spawned], None], on_line: Callable[[str], None]
) -> int:
    """Start a process and listen to it until it has ended. Gives its exit code.

    Called in the main thread: the kernel ends the process when that thread is gone.
    """
    process = _start(spec)
    spawned = Spawned(process)
    on_start(spawned)
    transport, listener = await asyncio.get_running_loop().connect_read_pipe(
        lambda: _Listener(on_line), process.stdout
    )
    code = await spawned.exited
    spawned.kill_group()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(listener.ended.wait(), _LAST_WORDS_S)
    transport.close()
    return code


def _start(spec: ProcessSpec) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        tethered(spec.argv),
        env=dict(spec.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Ctrl-C at the terminal is for the supervisor, which ends its processes in order.
        start_new_session=True,
    )
