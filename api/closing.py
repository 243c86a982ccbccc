"""The end of this process, told in time to whoever holds a line open."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

#: What ends an API; the server's own handlers for them have been installed before us.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Closing:
    """Whether the process has been told to end. Made in its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        #: Done when the end has begun; anybody may wait for it, nobody may cancel it.
        self.told: asyncio.Future[None] = self._loop.create_future()

    @property
    def begun(self) -> bool:
        """Whether the end has begun."""
        return self.told.done()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear the signals first, then let the server hear them.

        The server waits for open streams; without a word from us they would not end.
        """
        taken = list(self._take_over())
        try:
            yield
        finally:
            for number, servers in taken:
                signal.signal(number, servers)

    def _take_over(self) -> Iterator[tuple[signal.Signals, Handler]]:
        if threading.current_thread() is not threading.main_thread():
            return  # no signal reaches us there
        for number in SIGNALS:
            servers = signal.getsignal(number)
            if callable(servers):
                signal.signal(number, self._before(servers))
                yield number, servers

    def _before(self, servers: Handler) -> Handler:
        def hear(number: int, frame: FrameType | None) -> None:
            self._loop.call_soon_threadsafe(self._begin)
            servers(number, frame)

        return hear

    def _begin(self) -> None:
        if not self.told.done():
            self.told.set_result(None)
