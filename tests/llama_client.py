"""A client of a llama-server that keeps its streams: for tests of a real one and of the fake."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


class Server:
    """A llama-server, real or fake, as somebody sees it who asks for kept streams."""

    def __init__(self, url: str) -> None:
        self.url = url
        # A streamed reply says that its connection may be used again, which is not true.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=20, limits=limits)

    @contextmanager
    def asking(
        self, name: str, tokens: int, messages: list[dict[str, str]] = QUESTION, **fields: Any
    ) -> Iterator[Iterator[bytes]]:
        """Ask for an answer of that many tokens; gives its bytes as they come."""
        body = {"messages": messages, "stream": True, "max_tokens": tokens, "ignore_eos": True}
        headers = {"X-Conversation-Id": name}
        with self._client.stream(
            "POST", "/v1/chat/completions", json={**body, **fields}, headers=headers
        ) as reply:
            assert reply.status_code == 200, reply.read()
            yield reply.iter_raw()

    def ask(self, name: str, tokens: int, **fields: Any) -> bytes:
        """The whole body of an answer."""
        with self.asking(name, tokens, **fields) as body:
            return b"".join(body)

    def ask_and_leave(self, name: str, tokens: int) -> None:
        """Ask for an answer that has to wait for a slot, and leave before it gets one."""
        body = {"messages": QUESTION, "stream": True, "max_tokens": tokens}
        headers = {"X-Conversation-Id": name}
        with pytest.raises(httpx.ReadTimeout):
            self._client.post("/v1/chat/completions", json=body, headers=headers, timeout=0.3)

    def refused(self, name: str, messages: list[dict[str, str]]) -> httpx.Response:
        """The reply to a request that is wrong."""
        headers = {"X-Conversation-Id": name}
        body = {"messages": messages, "stream": True}
        reply = self._client.post("/v1/chat/completions", json=body, headers=headers)
        assert reply.status_code == 400
        return reply

    @contextmanager
    def attached(self, name: str, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """The bytes of a kept stream as they come."""
        query: dict[str, str | int] = {"conv_id": name, "from": offset}
        with self._client.stream("GET", "/v1/stream", params=query) as reply:
            assert reply.headers["content-type"] == "text/event-stream"
            yield reply.iter_raw()

    def get(self, **query: str | int) -> httpx.Response:
        """A kept stream up to its end, or why not; `conv_id` is the name, `from` the offset."""
        return self._client.get("/v1/stream", params=query)

    def read(self, name: str, offset: int = 0) -> bytes:
        """A kept stream up to its end."""
        return self.get(conv_id=name, **{"from": offset}).raise_for_status().content

    def lookup(self, *names: str) -> list[dict[str, Any]]:
        """What is known of these streams."""
        reply = self._client.post("/v1/streams/lookup", json={"conversation_ids": names})
        found: list[dict[str, Any]] = reply.raise_for_status().json()
        return found

    def delete(self, name: str) -> None:
        """Stop a stream, or forget it."""
        reply = self._client.delete("/v1/stream", params={"conv_id": name})
        assert (reply.status_code, reply.content) == (204, b"")

    def busy(self) -> int:
        """How many slots are at work."""
        slots = self._client.get("/slots").raise_for_status().json()
        return sum(slot["is_processing"] for slot in slots)

    def well(self) -> bool:
        """Whether it answers, and has its model."""
        try:
            return self._client.get("/health").status_code == 200
        except httpx.ConnectError:
            return False

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def deltas(body: bytes) -> list[str]:
    """The pieces of the answer in a body, or in a part of one that begins with an event."""
    chunks = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    texts = [c["choices"][0]["delta"].get("content") for c in chunks if c["choices"]]
    return [text for text in texts if text]
