"""The token path against servers that cut their bytes oddly."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fleet.catalogue import Model
from fleet.errors import FleetError, Refused, ServerFailed, ServerLoading, StreamCut
from fleet.events import Piece
from workers.backend import End
from workers.llama import LlamaServer

REQUEST = {"messages": [{"role": "user", "content": "hi"}]}


def chunk(payload: str) -> bytes:
    body = f"data: {payload}\n\n".encode()
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


def delta(finish: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return chunk(json.dumps({"choices": [choice]}))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = HEAD + delta(content="Grü") + delta(content="ße") + delta("stop") + chunk("[DONE]")


@asynccontextmanager
async def serving(parts: list[bytes]) -> AsyncIterator[LlamaServer]:
    """A server that reads a request and answers with these parts, then closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if b"Content-Length" in line)
        await reader.readexactly(int(length.split(b":")[1]))
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass  # the client has heard enough
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    backend = LlamaServer(Model.model_validate({"name": "m", "url": f"http://127.0.0.1:{port}"}))
    try:
        yield backend
    finally:
        await backend.aclose()
        server.close()
        await server.wait_closed()


async def answer_of(parts: list[bytes]) -> list[Piece | End]:
    async with serving(parts) as backend:
        steps = [step async for step in backend.stream(REQUEST)]
    parts_seen = [part for step in steps for part in (*step.pieces, step.end)]
    return [part for part in parts_seen if part is not None]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 50, len(WHOLE)])
async def test_the_same_answer_comes_out_of_any_packets(size: int) -> None:
    parts = [WHOLE[n : n + size] for n in range(0, len(WHOLE), size)]
    assert await answer_of(parts) == [Piece("text", "Grü"), Piece("text", "ße"), End("stop")]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 400 Bad\r\n\r\n" + b'{"error":{"message":"no"}}', Refused),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}", ServerFailed),
        (b"HTTP/1.1 503 Busy\r\n\r\n" + b'{"error":{"message":"Loading model"}}', ServerLoading),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops", ServerFailed),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://evil\r\nContent-Length: 0\r\n\r\n", ServerFailed),
        (b"SSH-2.0-OpenSSH\r\n", StreamCut),
        (b"", StreamCut),
        (HEAD + delta(content="x"), StreamCut),
        (HEAD + delta(content="x") + b"0\r\n\r\n", StreamCut),
        (HEAD + chunk("[DONE]"), StreamCut),
    ],
)
@pytest.mark.parametrize("size", [3, 1000])
async def test_what_is_no_whole_answer_has_its_name(
    answer: bytes, kind: type[FleetError], size: int
) -> None:
    with pytest.raises(kind):
        await answer_of([answer[n : n + size] for n in range(0, len(answer), size)])
