"""The way to any API of OpenAI's form: what is sent, what is understood, who is trusted."""

import asyncio
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet.catalogue import Model
from fleet.errors import (
    Barred,
    ConfigError,
    ContextExceeded,
    ModelError,
    ServerBusy,
    ServerFailed,
    ServerUnreachable,
)
from fleet.events import Piece
from workers.backend import End, Step
from workers.openai_api import OpenAIApi

REQUEST = {"messages": [{"role": "user", "content": "hi"}]}


class Provider:
    """Answers every request with the same bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes, certificate: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.certificate = certificate
        self.head = b""
        self.port = 0

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://localhost:{self.port}/v1"

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in self.head.split(b"\r\n") if b"Content-Length" in line)
        await reader.readexactly(int(length.split(b":")[1]))
        writer.write(self.answer)
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Provider"]:
        server = await asyncio.start_server(self._reply, "127.0.0.1", 0, ssl=self.certificate)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


def reply(status: str, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def delta(finish: str | None = None, **fields: Any) -> str:
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice], 'usage': None})}\n\n"


def streamed(*frames: str) -> bytes:
    return reply("200 OK", "".join([*frames, "data: [DONE]\n\n"]).encode())


WELL = streamed(delta(content="Hi"), delta("stop"))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


def backend(url: str, **fields: Any) -> OpenAIApi:
    entry = {"name": "gpt-4", "kind": "openai", "model": "gpt-4o", "url": url}
    price = {"input": 1, "output": 2}
    model = Model.model_validate({**entry, "price": price, **fields})
    return OpenAIApi(model)


async def steps(provider: Provider, **more: Any) -> list[Step]:
    async with provider.running():
        return [step async for step in backend(provider.url, **more).stream(REQUEST)]


def test_a_worker_without_the_key_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        backend("https://models.example/v1")


async def test_what_is_sent_is_what_any_http_server_understands() -> None:
    provider = Provider(WELL)
    await steps(provider)
    lines = provider.head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert f"Host: localhost:{provider.port}" in lines
    assert "Authorization: Bearer sk-test" in lines
    assert any(line.startswith("User-Agent: chat-fleet/") for line in lines)
    assert not any("conversation" in line.lower() for line in lines)


async def test_what_providers_add_to_openais_form_is_understood() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    [step] = await steps(
        Provider(
            streamed(
                ": PROCESSING\n\n",
                delta(role="assistant", content="", reasoning="hmm"),
                delta(content=None, refusal="I will not."),
                delta("stop"),
                f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n",
            )
        )
    )
    assert step.pieces == [Piece("reasoning", "hmm"), Piece("text", "I will not.")]
    assert (step.end, step.place) == (End("stop", usage), 0)


@pytest.mark.parametrize(
    ("status", "error", "expected", "told"),
    [
        ("401 No", {"message": "Incorrect API key"}, Barred, "the key is in OPENAI_API_KEY"),
        ("429 No", {"message": "Wait"}, ServerBusy, "localhost says: Wait (again in 9 s)"),
        ("429 No", {"message": "x", "code": "insufficient_quota"}, Barred, "the account"),
        ("400 No", {"message": "x", "code": "context_length_exceeded"}, ContextExceeded, "x"),
        ("404 No", {"message": "no model"}, Barred, "asked for 'gpt-4o' there"),
        ("502 No", "<html>", ServerFailed, "localhost answered 502"),
    ],
)
async def test_a_refusal_has_its_error(
    status: str, error: Any, expected: type[ModelError], told: str
) -> None:
    body = error if isinstance(error, str) else json.dumps({"error": error})
    with pytest.raises(expected) as caught:
        await steps(Provider(reply(status, body.encode(), "Retry-After: 9")))
    assert told in caught.value.message


@pytest.fixture
def vouching(tmp_path: Path) -> Path:
    """A certificate for `localhost` that vouches for itself; its key lies beside it."""
    openssl = shutil.which("openssl")
    assert openssl, "this test needs the program openssl"
    file = tmp_path / "localhost.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", tmp_path / "key.pem", "-out", file),
        ],
        check=True,
        capture_output=True,
    )
    return file


async def test_words_and_key_go_to_nobody_who_cannot_prove_its_name(
    vouching: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(vouching, vouching.with_name("key.pem"))
    stranger = Provider(WELL, certificate)
    with pytest.raises(ServerUnreachable, match="is not trusted: self-signed certificate"):
        await steps(stranger)
    assert stranger.head == b""

    monkeypatch.setenv("SSL_CERT_FILE", str(vouching))
    [step] = await steps(Provider(WELL, certificate))
    assert step.pieces == [Piece("text", "Hi")]
