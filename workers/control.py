"""Short questions to a model server: one connection that is kept, one question at a time.

llama-server answers a hundred on a connection, then closes it; an idle one it closes after
five seconds; and of questions sent together it answers the first alone.
"""

import asyncio
import ssl

import httptools

from fleet.errors import ServerUnreachable

READ_SIZE = 65_536
#: An answer to such a question is short.
ANSWER_MOST = 1_048_576


class _Answer:
    """Callbacks of httptools' parser."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


class Control:
    """Asks one server. `host` and `port` are where it listens; `headers` go with each question."""

    def __init__(self, host: str, port: int, *, tls: bool, headers: str, patience_s: float) -> None:
        self._host, self._port = host, port
        self._tls: ssl.SSLContext | bool | None = tls or None
        self._headers = headers
        self._patience_s = patience_s
        self._turn = asyncio.Lock()
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask; the status and the body of the answer.

        Only for questions that bear repeating: a kept connection may have been closed.

        Raises:
            ServerUnreachable: no answer, or none that is HTTP.
        """
        async with self._turn:
            kept = self._open is not None
            try:
                return await self._once(method, path, body)
            except ServerUnreachable:
                if not kept:
                    raise
                return await self._once(method, path, body)

    async def aclose(self) -> None:
        """Hang up."""
        if self._open:
            self._open[1].transport.abort()
            self._open = None

    async def _once(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._patience_s):
                if self._open is None:
                    self._open = await asyncio.open_connection(
                        self._host, self._port, ssl=self._tls, limit=READ_SIZE
                    )
                return await self._exchange(*self._open, method, path, body)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            await self.aclose()
            raise ServerUnreachable from error
        except BaseException:  # half an answer is left in the connection
            await self.aclose()
            raise

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        body: bytes,
    ) -> tuple[int, bytes]:
        kind = "Content-Type: application/json\r\n" if body else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{kind}"
            f"Content-Length: {len(body)}\r\n{self._headers}\r\n"
        )
        writer.write(head.encode() + body)
        answer = _Answer()
        while not answer.complete:
            data = await reader.read(READ_SIZE)
            if not data or len(answer.body) > ANSWER_MOST:
                raise ConnectionError("no whole answer")
            answer.parser.feed_data(data)
        if not answer.parser.should_keep_alive():
            await self.aclose()
        return answer.parser.get_status_code(), bytes(answer.body)
