"""A model server that answers on an exact schedule: `python -m cli.bench.stub --port 0`.

The framing is llama-server's: the head at once, one HTTP chunk for each token (the
first one with the role before it), one with the finish reason and the usage, `[DONE]`,
and then the connection is closed. The answer is ` w0 w1 w2 …`, so that a client can
prove that nothing was lost, doubled or reordered. The prompt says how it goes:
`[[stub n=64 ttft=20 tps=50]]`; the last directive counts, `tps=0` is flat out.
"""

import argparse
import asyncio
import gc
import json
import re
import select
import selectors
from functools import lru_cache
from typing import Any, NamedTuple, cast

import httptools

_DIRECTIVE = re.compile(rb"\[\[stub((?: +[a-z]+=[0-9.]+)*) *\]\]")
_TAIL = (
    '"created":1,"id":"chatcmpl-00000000000000000000000000000001","model":"stub",'
    '"system_fingerprint":"stub","object":"chat.completion.chunk"'
)
_HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nX-Accel-Buffering: no\r\n"
    b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"Keep-Alive: timeout=5, max=100\r\n\r\n"
)


class Orders(NamedTuple):
    """What a request wants."""

    n: int = 64
    ttft_s: float = 0.0
    tps: float = 0.0

    def due(self, token: int) -> float:
        """Seconds after the request at which a token is written."""
        return self.ttft_s + (token / self.tps if self.tps else 0.0)


def orders_of(body: bytes) -> Orders:
    """Read the last directive; without a number of tokens in it, `max_tokens` is the bound."""
    found = _DIRECTIVE.findall(body)
    given = dict(pair.split(b"=") for pair in found[-1].split()) if found else {}
    most = _max_tokens(body) if b"n" not in given else 0
    n = int(given.get(b"n", min(most, Orders().n) if most else Orders().n))
    return Orders(n, float(given.get(b"ttft", 0)) / 1000, float(given.get(b"tps", 0)))


def _max_tokens(body: bytes) -> int:
    try:
        request = json.loads(body)
    except ValueError:
        return 0
    return int(request.get("max_tokens") or 0) if isinstance(request, dict) else 0


@lru_cache(maxsize=16_384)
def token_chunk(number: int) -> bytes:
    """The HTTP chunk of one token."""
    role = event('"index":0,"delta":{"role":"assistant","content":null}') if number == 0 else ""
    return chunk(role + event(f'"index":0,"delta":{{"content":" w{number}"}}'))


def last_chunks(tokens: int) -> bytes:
    """Everything after the last token."""
    usage = f'"completion_tokens":{tokens},"prompt_tokens":32,"total_tokens":{32 + tokens}'
    done = event('"index":0,"delta":{}', '"stop"')
    counted = f'data: {{"choices":[],{_TAIL},"usage":{{{usage}}}}}\n\n'
    return chunk(done + counted) + chunk("data: [DONE]\n\n") + b"0\r\n\r\n"


def event(fields: str, finish_reason: str = "null") -> str:
    """One event of the stream."""
    choice = f'{{"finish_reason":{finish_reason},{fields}}}'
    return f'data: {{"choices":[{choice}],{_TAIL}}}\n\n'


def chunk(text: str) -> bytes:
    """Text as a chunk of an HTTP body."""
    return f"{len(text):x}\r\n{text}\r\n".encode()


class Stub(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body = bytearray()
        self._orders = Orders()
        self._began = 0.0
        self._written = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_url(self, url: bytes) -> None:
        """The parser found the path."""
        self._url += url

    def on_body(self, data: bytes) -> None:
        """The parser found a part of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """The parser found the end of a request."""
        url, body = self._url, bytes(self._body)
        self._url, self._body = b"", bytearray()
        if url == b"/health":
            self._reply("200 OK", {"status": "ok"})
        elif url == b"/v1/chat/completions":
            self._began, self._written = self._loop.time(), 0
            self._orders = orders_of(body)
            self._transport.write(_HEAD)
            self._go_on()
        else:
            self._reply("404 Not Found", {"error": {"code": 404, "message": "not found"}})

    def _reply(self, status: str, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        self._transport.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    def _go_on(self) -> None:
        """Write all that is due, and come back when the next token is."""
        passed, orders, first = self._loop.time() - self._began, self._orders, self._written
        while self._written < orders.n and orders.due(self._written) <= passed:
            self._written += 1
        if self._written > first:
            self._transport.write(b"".join(map(token_chunk, range(first, self._written))))
        if self._written < orders.n:
            moment = self._began + orders.due(self._written)
            self._timer = self._loop.call_at(moment, self._go_on)
            return
        self._transport.write(last_chunks(orders.n))
        self._transport.close()


class PreciseSelector(selectors.DefaultSelector):
    """Wakes within a tenth of a millisecond: epoll counts whole ones, select does not."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for the selector's own descriptor by `select`, then look what it was."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


async def serve(host: str, port: int) -> None:
    """Listen until killed."""
    server = await asyncio.get_running_loop().create_server(Stub, host, port, backlog=4096)
    print(f"stub on {host}:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201
    await server.serve_forever()


def main() -> None:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=9190)
    given = arguments.parse_args()
    gc.freeze()
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(PreciseSelector())
    ) as runner:
        runner.run(serve(given.host, given.port))


if __name__ == "__main__":
    main()
