import json
from collections.abc import Iterable

import pytest

from cli.bench.load import Load, stub_load
from cli.bench.stub import Orders, last_chunks, orders_of, token_chunk
from cli.bench.targets import DirectReply, FleetReply, Reply
from cli.bench.wire import Place
from fleet.errors import ConfigError


def frames(*events: tuple[str, dict[str, object]]) -> bytes:
    return b"".join(
        f"id: {seq}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()
        for seq, (kind, data) in enumerate(events)
    )


def fed(reply: Reply, pieces: Iterable[bytes]) -> Reply:
    for piece in pieces:
        reply.feed(piece)
    return reply


def test_the_stub_does_what_the_prompt_of_its_load_says() -> None:
    load = stub_load(50, tps=40, ttft_ms=20)
    orders = orders_of(json.dumps(load.body("m")).encode())
    assert orders == Orders(50, 0.02, 40.0)
    assert orders.due(49) == pytest.approx(load.reply_s) == pytest.approx(0.02 + 49 / 40)


@pytest.mark.parametrize(
    ("body", "orders"),
    [
        (b"{}", Orders()),
        (b"no json", Orders()),
        (b'{"max_tokens": 3}', Orders(3)),
        (b'{"max_tokens": 3, "m": "[[stub ttft=5]]"}', Orders(3, 0.005)),
        (b'{"max_tokens": 3, "m": "[[stub n=9]] [[stub n=7 tps=2]]"}', Orders(7, 0.0, 2.0)),
    ],
)
def test_the_last_directive_counts_and_max_tokens_without_one(body: bytes, orders: Orders) -> None:
    assert orders_of(body) == orders


def unchunked(data: bytes) -> bytes:
    size, _, rest = data.partition(b"\r\n")
    if not int(size, 16):
        return b""
    return rest[: int(size, 16)] + unchunked(rest[int(size, 16) + 2 :])


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_stubs_words_are_read_whole_however_the_bytes_are_cut(size: int) -> None:
    stream = unchunked(b"".join(map(token_chunk, range(5))) + last_chunks(5))
    reply = fed(DirectReply(), (stream[i : i + size] for i in range(0, len(stream), size)))
    sample = reply.sample(200, stub_load(5))
    assert (sample.error, sample.tokens, len(sample.moments_ms)) == ("", 5, 5)
    assert sample.moments_ms[0] <= sample.moments_ms[-1] <= sample.total_ms
    assert len(list(sample.gaps_ms)) == 4


def test_a_stream_without_its_end_is_lost() -> None:
    reply = fed(DirectReply(), [unchunked(token_chunk(0) + b"0\r\n\r\n")])
    assert reply.sample(200, stub_load(1)).error == "the stream stopped without an end"


def test_a_refusal_is_told_with_its_body() -> None:
    reply = fed(DirectReply(), [b'{"error": "busy"}'])
    assert reply.sample(503, stub_load(1)).error == 'HTTP 503: {"error": "busy"}'


@pytest.mark.parametrize(
    ("events", "error"),
    [
        ([("token", {"content": " w0 w1"}), ("completed", {})], ""),
        ([("token", {"content": " w0 w1"}), ("incomplete", {})], ""),
        ([("token", {"content": " w0 w1"})], "the stream stopped without an end"),
        ([("token", {"content": " w0"}), ("completed", {})], "1 words instead of 2"),
        ([("failed", {"x": 1})], 'the job ended as failed: {"x": 1}'),
        ([("restarted", {}), ("completed", {})], "the job was begun again"),
    ],
)
def test_a_job_counts_only_when_its_answer_came_whole(
    events: list[tuple[str, dict[str, object]]], error: str
) -> None:
    reply = fed(FleetReply(), [frames(("queued", {}), *events)])
    assert reply.sample(200, stub_load(2)).error == error


def test_an_event_that_is_missing_is_an_error_even_if_all_words_came() -> None:
    said = frames(("queued", {}), ("routed", {}), ("token", {"content": " w0"}), ("completed", {}))
    without = said.replace(b"id: 1\nevent: routed\ndata: {}\n\n", b"")
    reply = fed(FleetReply(), [without])
    assert reply.sample(200, stub_load(1)).error == "event 2 instead of 1"


def test_both_ways_are_asked_for_the_same() -> None:
    body = Load("hello", 7).body("fast")
    assert body == {
        "model": "fast",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 7,
        "temperature": 0,
    }


def test_a_request_is_http() -> None:
    place = Place.of("http://127.0.0.1:8080/base/")
    asked = place.request("POST", "/v1/jobs", b"{}", "Accept: text/event-stream")
    assert asked == (
        b"POST /base/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
        b"Accept: text/event-stream\r\nContent-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize("url", ["https://127.0.0.1", "127.0.0.1:8080", "http://", ""])
def test_an_address_that_the_bench_cannot_speak_to_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="http://HOST:PORT"):
        Place.of(url)
