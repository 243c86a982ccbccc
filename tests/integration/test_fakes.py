"""The fakes are true to the real ones: the unmodified SDKs read them, byte for byte."""

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam

from tests.conftest import FakeLlama
from tests.fakes.handle import Fake
from tests.support import wait_until

LAST_CHUNKS = b"data: [DONE]\n\n\r\n0\r\n\r\n"


def said(count: int) -> str:
    return "".join(f" w{i}" for i in range(count))


def question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@contextmanager
def asking(
    url: str, text: str = "hello", *, conversation: str = "", **fields: Any
) -> Iterator[socket.socket]:
    """A connection on which a chat was just asked for."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"messages": question(text), "stream": True, **fields}).encode()
    kept = f"X-Conversation-Id: {conversation}\r\n" if conversation else ""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{kept}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen:
        part = connection.recv(65536)
        assert part, f"closed before {mark!r}: {seen!r}"
        seen += part
    return seen


def frames(stream: bytes) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in stream.split(b"\n")]
    return [json.loads(line) for line in lines if line.startswith(b"{")]


class TestLlamaServer:
    def client(self, fake: Fake) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{fake.url}/v1", api_key="x", max_retries=0)

    def stream(self, fake: Fake, text: str, **fields: Any) -> list[Any]:
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": text}]
        with self.client(fake) as client:
            chunks = client.chat.completions.create(
                model="any", messages=messages, stream=True, **fields
            )
            return list(chunks)

    def text(self, chunks: list[Any]) -> str:
        return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

    def test_the_openai_sdk_streams_every_token_once(self, fake_llama: FakeLlama) -> None:
        chunks = self.stream(fake_llama(tokens=8, tps=0, ttft_ms=0), "hello")
        assert self.text(chunks) == said(8)
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert chunks[-1].timings["predicted_n"] == 8

    def test_usage_comes_in_a_chunk_of_its_own_when_it_is_asked_for(
        self, fake_llama: FakeLlama
    ) -> None:
        usage = {"stream_options": {"include_usage": True}}
        chunks = self.stream(fake_llama(tokens=3), "two words", **usage)
        assert chunks[-1].choices == []
        assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (2, 3)
        assert chunks[-2].choices[0].finish_reason == "stop"

    def test_max_tokens_ends_an_answer_with_the_reason_length(self, fake_llama: FakeLlama) -> None:
        chunks = self.stream(fake_llama(), "hello", max_tokens=2)
        assert self.text(chunks) == said(2)
        assert chunks[-1].choices[0].finish_reason == "length"

    def test_an_answer_that_is_not_streamed_comes_whole(self, fake_llama: FakeLlama) -> None:
        with self.client(fake_llama(tokens=4)) as client:
            reply = client.chat.completions.create(
                model="any", messages=[{"role": "user", "content": "hello"}]
            )
        assert reply.choices[0].message.content == said(4)

    def test_a_tool_call_comes_in_pieces_that_join_to_json(self, fake_llama: FakeLlama) -> None:
        tool = {"type": "function", "function": {"name": "get_time", "parameters": {}}}
        chunks = self.stream(fake_llama(), "[[fake tool=1]]", tools=[tool])
        calls = [call for c in chunks if c.choices for call in c.choices[0].delta.tool_calls or ()]
        assert [call.function.name for call in calls] == ["get_time", None, None, None]
        arguments = "".join(call.function.arguments for call in calls)
        assert json.loads(arguments) == {"city": "Paris"}
        assert chunks[-1].choices[0].finish_reason == "tool_calls"

    def test_reasoning_comes_before_the_answer(self, fake_llama: FakeLlama) -> None:
        chunks = self.stream(fake_llama(tokens=1), "[[fake reasoning=2]]")
        deltas = [c.choices[0].delta for c in chunks]
        thoughts = [getattr(delta, "reasoning_content", None) for delta in deltas]
        assert [t for t in thoughts if t] == [" r0", " r1"]
        assert self.text(chunks) == said(1)

    @pytest.mark.parametrize("conversation", ["", "job_1:1"])
    def test_the_bytes_are_framed_as_by_the_real_one(
        self, fake_llama: FakeLlama, conversation: str
    ) -> None:
        fake = fake_llama(tokens=2, tps=0)
        with asking(fake.url, conversation=conversation) as connection:
            head, _, body = read_all(connection).partition(b"\r\n\r\n")
        assert head.split(b"\r\n") == [
            b"HTTP/1.1 200 OK",
            b"Server: llama.cpp",
            b"X-Accel-Buffering: no",
            b"Content-Type: text/event-stream",
            b"Transfer-Encoding: chunked",
            b"Keep-Alive: timeout=5, max=100",
        ]
        chunks = body.split(b"\n\n\r\n")
        assert [chunk.count(b"data: ") for chunk in chunks] == [2, 1, 1, 1, 0]
        assert body.endswith(LAST_CHUNKS)

    def test_a_plain_reply_keeps_the_connection_open(self, fake_llama: FakeLlama) -> None:
        with asking(fake_llama(tokens=1).url, stream=False) as connection:
            read_until(connection, b'"timings"')
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            read_until(connection, b'{"status":"ok"}')

    @pytest.mark.parametrize(
        ("directive", "status", "kind"),
        [
            ("fail=500", 500, "server_error"),
            ("fail=400", 400, "invalid_request_error"),
            ("loading=1", 503, "unavailable_error"),
            ("context=1", 400, "exceed_context_size_error"),
        ],
    )
    def test_an_error_has_the_form_of_llama_server(
        self, fake_llama: FakeLlama, directive: str, status: int, kind: str
    ) -> None:
        with pytest.raises(openai.APIStatusError) as caught:
            self.stream(fake_llama(), f"[[fake {directive}]]")
        assert caught.value.status_code == status
        assert isinstance(caught.value.body, dict)
        assert (caught.value.body["code"], caught.value.body["type"]) == (status, kind)

    def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(
        self, fake_llama: FakeLlama
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            self.stream(fake_llama(ctx_size=128), "word " * 200)
        assert isinstance(caught.value.body, dict)
        assert (caught.value.body["n_prompt_tokens"], caught.value.body["n_ctx"]) == (200, 128)

    def test_a_cut_answer_stops_after_the_token_that_was_named(self, fake_llama: FakeLlama) -> None:
        with asking(fake_llama().url, "[[fake cut=3]]") as connection:
            body = read_all(connection)
        assert b" w2" in body
        assert b" w3" not in body
        assert not body.endswith(b"0\r\n\r\n")

    def test_an_answer_without_an_end_closes_its_body_and_says_no_more(
        self, fake_llama: FakeLlama
    ) -> None:
        with asking(fake_llama(tokens=3).url, "[[fake noend=1]]") as connection:
            body = read_all(connection)
        assert body.endswith(b"0\r\n\r\n")
        assert b"[DONE]" not in body
        assert all(c["choices"][0]["finish_reason"] is None for c in frames(body))

    @pytest.mark.parametrize("after", [0, 2])
    def test_a_stalled_answer_says_nothing_more(self, fake_llama: FakeLlama, after: int) -> None:
        with asking(fake_llama(tps=0).url, f"[[fake stall={after}]]") as connection:
            seen = read_until(connection, f" w{after - 1}".encode() if after else b"\r\n\r\n")
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                seen += connection.recv(65536)
        assert seen.count(b'"content":" w') == after

    def test_a_flood_arrives_whole(self, fake_llama: FakeLlama) -> None:
        chunks = self.stream(fake_llama(), "[[fake flood=2000]]")
        assert self.text(chunks) == said(2000)

    def test_a_flood_waits_for_a_slow_reader(self, fake_llama: FakeLlama) -> None:
        fake = fake_llama()
        with asking(fake.url, "[[fake flood=100000]]") as connection:
            read_until(connection, b" w0")
            counts: deque[int] = deque(maxlen=5)

            def stands_still() -> bool:
                counts.append(fake.stats()["tokens"])
                return len(counts) == 5 and len(set(counts)) == 1

            wait_until(stands_still, "the stream waits for its reader")
            assert fake.stats()["tokens"] < 100_000

    def test_a_malformed_chunk_is_no_json(self, fake_llama: FakeLlama) -> None:
        with asking(fake_llama(tokens=3).url, "[[fake malformed=1]]") as connection:
            body = read_all(connection)
        data = [line for line in body.split(b"\n") if line.startswith(b"data: {")]
        with pytest.raises(json.JSONDecodeError):
            json.loads(data[2].removeprefix(b"data: "))

    def test_an_error_event_ends_the_stream(self, fake_llama: FakeLlama) -> None:
        with pytest.raises(openai.APIError, match="told to fail"):
            self.stream(fake_llama(), "[[fake error_event=2]]")

    def test_a_refused_request_gets_no_byte(self, fake_llama: FakeLlama) -> None:
        with (
            asking(fake_llama().url, "[[fake refuse=1]]") as connection,
            pytest.raises(ConnectionResetError),
        ):
            connection.recv(1)

    def test_only_one_chunk_carries_the_role(self, fake_llama: FakeLlama) -> None:
        with asking(fake_llama(tokens=5).url) as connection:
            body = read_all(connection)
        assert body.count(b'"role":"assistant"') == 1

    def test_more_requests_than_slots_wait_their_turn(self, fake_llama: FakeLlama) -> None:
        fake = fake_llama(slots=1)
        ended: list[str] = []

        def ask(name: str) -> None:
            with asking(fake.url, f"{name} [[fake n=5 tps=100]]") as connection:
                read_all(connection)
            ended.append(name)

        threads: list[threading.Thread] = []

        def all_arrived() -> bool:
            return bool(fake.stats()["requests"] == len(threads))

        for name in ("first", "second", "third"):
            threads.append(threading.Thread(target=ask, args=(name,)))
            threads[-1].start()
            wait_until(all_arrived, f"{name} has arrived")
        for thread in threads:
            thread.join()
        assert ended == ["first", "second", "third"]
        assert fake.stats()["peak_active"] == 1

    def test_a_busy_slot_shows_in_slots(self, fake_llama: FakeLlama) -> None:
        fake = fake_llama(slots=2)
        with asking(fake.url, "[[fake stall=0]]") as connection:
            read_until(connection, b"\r\n\r\n")
            slots = fake.get("/slots").json()
            assert [(s["id"], s["is_processing"]) for s in slots] == [(0, True), (1, False)]
        wait_until(lambda: fake.stats()["active"] == 0, "the slot is free")

    @pytest.mark.parametrize("moment", ["streaming", "stalled", "queued"])
    def test_a_client_that_leaves_frees_the_slot_at_once(
        self, fake_llama: FakeLlama, moment: str
    ) -> None:
        fake = fake_llama(slots=1)
        behaviour = "stall=1" if moment == "stalled" else "n=100000 tps=100"
        with asking(fake.url, f"[[fake {behaviour}]]") as connection:
            read_until(connection, b" w0")
            if moment == "queued":
                with asking(fake.url):
                    wait_until(lambda: fake.stats()["queued"] == 1, "a request waits")
                wait_until(lambda: fake.stats()["client_gone"] == 1, "it has left the queue")
                assert fake.stats()["active"] == 1
            left = time.monotonic()
        gone = 2 if moment == "queued" else 1
        wait_until(lambda: fake.stats()["client_gone"] == gone, "noticed", timeout=1)
        assert time.monotonic() - left < 0.2
        assert fake.stats()["active"] == fake.stats()["completed"] == 0

    def test_control_holds_for_as_many_requests_as_it_says(self, fake_llama: FakeLlama) -> None:
        fake = fake_llama(tokens=1)
        fake.control(fail=500, times=2)
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                self.stream(fake, "hello")
        assert self.text(self.stream(fake, "hello")) == said(1)

    def test_control_holds_until_it_is_changed(self, fake_llama: FakeLlama) -> None:
        fake = fake_llama(tokens=1)
        fake.control(loading=1)
        assert fake.get("/health").status_code == 503
        with pytest.raises(openai.InternalServerError, match="Loading model"):
            self.stream(fake, "hello")
        fake.control()
        assert fake.get("/health").status_code == 200
        assert self.text(self.stream(fake, "hello")) == said(1)

    def test_a_behaviour_that_does_not_exist_is_refused_by_name(
        self, fake_llama: FakeLlama
    ) -> None:
        fake = fake_llama()
        with pytest.raises(AssertionError, match="no such behaviour: explode"):
            fake.control(explode=1)
        with pytest.raises(openai.InternalServerError, match="no such behaviour: explode"):
            self.stream(fake, "[[fake explode=1]]")

    def test_the_last_directive_of_a_conversation_counts(self, fake_llama: FakeLlama) -> None:
        chunks = self.stream(fake_llama(), "[[fake n=9]] and then [[fake n=2]]")
        assert self.text(chunks) == said(2)

    def test_stats_show_what_was_asked(self, fake_llama: FakeLlama) -> None:
        fake = fake_llama(tokens=2)
        self.stream(fake, "hello", temperature=0.5)
        stats = fake.stats()
        assert (stats["requests"], stats["completed"], stats["tokens"]) == (1, 1, 2)
        assert stats["bodies"][0]["stream"] is True
        assert stats["bodies"][0]["temperature"] == 0.5

    def test_a_large_prompt_is_read_whole(self, fake_llama: FakeLlama) -> None:
        fake = fake_llama(ctx_size=10_000_000)
        self.stream(fake, "x" * 2_000_000)
        assert len(fake.stats()["bodies"][0]["messages"][0]["content"]) == 2_000_000

    def test_a_server_with_a_key_lets_only_health_and_models_be_seen(
        self, fake_llama: FakeLlama
    ) -> None:
        fake = fake_llama(api_key="right")
        statuses = {
            path: fake.get(path).status_code
            for path in ("/health", "/v1/models", "/props", "/slots", "/metrics")
        }
        assert [path for path, status in statuses.items() if status == 200] == [
            "/health",
            "/v1/models",
        ]
        with pytest.raises(openai.AuthenticationError):
            self.stream(fake, "hello")

    def test_a_template_without_tools_drops_them_silently(self, fake_llama: FakeLlama) -> None:
        fake = fake_llama(tokens=2, no_tools=True)
        caps = fake.get("/props").json()["chat_template_caps"]
        assert caps["supports_tools"] is False
        assert self.text(self.stream(fake, "[[fake tool=1]]")) == said(2)

    def test_a_stopped_server_refuses_and_comes_back_on_its_port(
        self, fake_llama: FakeLlama
    ) -> None:
        fake = fake_llama(tokens=1)
        url = fake.url
        fake.stop()
        with pytest.raises(httpx.ConnectError):
            fake.get("/health")
        fake.start()
        assert fake.url == url
        assert fake.get("/health").status_code == 200


class TestAnthropicApi:
    def client(self, fake: Fake) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=fake.url, api_key="x", max_retries=0)

    def ask(self, fake: Fake, text: str = "hello") -> tuple[list[Any], Any]:
        """Every event the SDK gives, and the message it made of them."""
        messages: list[MessageParam] = [{"role": "user", "content": text}]
        with (
            self.client(fake) as client,
            client.messages.stream(model="m", max_tokens=64, messages=messages) as stream,
        ):
            return list(stream), stream.get_final_message()

    def test_the_sdk_streams_a_whole_message(self, fake_anthropic: Fake) -> None:
        events, message = self.ask(fake_anthropic, "one two three [[fake n=4]]")
        assert [e.text for e in events if e.type == "text"] == [" w0", " w1", " w2", " w3"]
        assert message.content[0].text == said(4)
        assert message.stop_reason == "end_turn"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 4)

    def test_a_message_that_is_not_streamed_comes_whole(self, fake_anthropic: Fake) -> None:
        with self.client(fake_anthropic) as client:
            message = client.messages.create(
                model="m", max_tokens=3, messages=[{"role": "user", "content": "hello"}]
            )
        assert message.content[0].type == "text"
        assert message.content[0].text == said(3)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, "authentication_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (529, "overloaded_error"),
        ],
    )
    def test_an_error_is_the_sdks_own_error(
        self, fake_anthropic: Fake, status: int, kind: str
    ) -> None:
        fake_anthropic.control(fail=status, retry_after=7)
        with pytest.raises(anthropic.APIStatusError) as caught:
            self.ask(fake_anthropic)
        assert (caught.value.status_code, caught.value.type) == (status, kind)
        assert caught.value.response.headers["retry-after"] == "7"

    def test_an_error_in_mid_stream_is_raised_after_the_tokens_before_it(
        self, fake_anthropic: Fake
    ) -> None:
        with pytest.raises(anthropic.APIStatusError) as caught:
            self.ask(fake_anthropic, "[[fake error_event=2]]")
        assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")
        assert fake_anthropic.stats()["tokens"] == 2

    def test_a_stream_that_just_ends_has_no_stop_reason(self, fake_anthropic: Fake) -> None:
        _, message = self.ask(fake_anthropic, "[[fake noend=1 n=2]]")
        assert message.content[0].text == said(2)
        assert message.stop_reason is None

    def test_a_cut_connection_is_a_broken_stream(self, fake_anthropic: Fake) -> None:
        with pytest.raises(httpx2.RemoteProtocolError):
            self.ask(fake_anthropic, "[[fake cut=2]]")

    def test_a_refused_connection_is_a_connection_error(self, fake_anthropic: Fake) -> None:
        with pytest.raises(anthropic.APIConnectionError):
            self.ask(fake_anthropic, "[[fake refuse=1]]")

    def test_a_thinking_block_comes_first(self, fake_anthropic: Fake) -> None:
        events, message = self.ask(fake_anthropic, "[[fake reasoning=2 n=1]]")
        assert [e.thinking for e in events if e.type == "thinking"] == [" r0", " r1"]
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert message.content[0].signature

    @pytest.mark.parametrize("reason", ["refusal", "max_tokens", "pause_turn"])
    def test_a_message_can_end_for_any_reason(self, fake_anthropic: Fake, reason: str) -> None:
        _, message = self.ask(fake_anthropic, f"[[fake n=1 finish={reason}]]")
        assert message.stop_reason == reason

    def test_max_tokens_ends_a_message(self, fake_anthropic: Fake) -> None:
        _, message = self.ask(fake_anthropic, "[[fake n=65]]")
        assert message.stop_reason == "max_tokens"

    def test_a_tool_call_joins_to_its_input(self, fake_anthropic: Fake) -> None:
        _, message = self.ask(fake_anthropic, "[[fake tool=1]]")
        assert message.content[1].input == {"city": "Paris"}
        assert message.stop_reason == "tool_use"

    def test_the_assistants_turn_at_the_end_is_refused(self, fake_anthropic: Fake) -> None:
        with (
            self.client(fake_anthropic) as client,
            pytest.raises(anthropic.BadRequestError, match="prefill"),
        ):
            client.messages.create(
                model="m", max_tokens=3, messages=[{"role": "assistant", "content": "hello"}]
            )

    def test_stats_count_the_calls_and_those_who_left(self, fake_anthropic: Fake) -> None:
        self.ask(fake_anthropic, "[[fake n=2]]")
        messages: list[MessageParam] = [{"role": "user", "content": "[[fake stall=1]]"}]
        with (
            self.client(fake_anthropic) as client,
            client.messages.stream(model="m", max_tokens=64, messages=messages) as stream,
        ):
            next(stream.text_stream)
        wait_until(lambda: fake_anthropic.stats()["client_gone"] == 1, "its leaving was noticed")
        stats = fake_anthropic.stats()
        assert (stats["requests"], stats["completed"]) == (2, 1)
        assert stats["bodies"][0]["stream"] is True
