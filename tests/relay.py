"""Stands between a fleet and its Redis, and may keep answers to itself."""

import asyncio
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Passes on what comes, on a port of its own, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.port = 0
        #: Once these bytes have been passed on, nothing comes back on that connection.
        self.swallow_after = b""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(5)
        self.port = server.sockets[0].getsockname()[1]
        self._server = server
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, to = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        silent = asyncio.Event()
        ways = [self._ask(reader, to, silent), self._answer(back, writer, silent)]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            to.close()
            writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            if self.swallow_after and self.swallow_after in data:
                silent.set()
            to.write(data)

    async def _answer(
        self, back: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        while data := await back.read(65_536):
            if not silent.is_set():
                writer.write(data)
