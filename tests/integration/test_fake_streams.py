"""Kept streams that a fake llama-server treats badly, and what it tells of them."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.conftest import FakeLlama
from tests.fakes.handle import Fake
from tests.llama_client import Server, deltas
from tests.support import wait_until

NAME = "job_1:1"
DONE = b"data: [DONE]\n\n"

Open = Callable[[Fake], Server]


@pytest.fixture
def open_server() -> Iterator[Open]:
    """Gives a client of a fake."""
    servers: list[Server] = []

    def start(fake: Fake) -> Server:
        servers.append(Server(fake.url))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def says(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def continuing(given: str, text: str = "hello") -> list[dict[str, str]]:
    return [*says(text), {"role": "assistant", "content": given}]


def script(count: int) -> str:
    return "".join(f" w{i}" for i in range(count))


def until_cut(body: Iterator[bytes]) -> bytes:
    """What came before the connection was cut."""
    seen = b""
    try:
        for part in body:
            seen += part
    except httpx.RemoteProtocolError:
        return seen
    raise AssertionError("it ended properly")


def test_an_old_server_keeps_nothing(fake_llama: FakeLlama, open_server: Open) -> None:
    fake = fake_llama(tokens=2)
    server = open_server(fake)
    fake.control(old=1)
    assert server.ask(NAME, 2).endswith(DONE)
    assert server.get(conv_id=NAME).status_code == 404
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        server.lookup(NAME)
    with server.asking(NAME, 2, says("[[fake stall=1]]")) as body:
        next(body)
    wait_until(lambda: server.busy() == 0, "leaving frees the slot")
    fake.control()
    assert server.lookup(NAME) == []


def test_an_answer_goes_on_behind_a_cut_connection(
    fake_llama: FakeLlama, open_server: Open
) -> None:
    server = open_server(fake_llama(tps=0))
    with server.asking(NAME, 8, says("[[fake cut=3]]")) as body:
        seen = until_cut(body)
    assert "".join(deltas(seen)) == script(3)
    whole = seen + server.read(NAME, len(seen))
    assert "".join(deltas(whole)) == script(8)
    assert whole.endswith(DONE)


def test_a_server_that_lost_its_streams_cuts_their_readers_and_knows_none(
    fake_llama: FakeLlama, open_server: Open
) -> None:
    fake = fake_llama(tps=50)
    server = open_server(fake)
    with (
        server.asking(NAME, 8, says("[[fake forget=3]]")) as asked,
        server.attached(NAME) as attached,
    ):
        for reader in (asked, attached):
            assert "".join(deltas(until_cut(reader))) == script(3)
    assert server.lookup(NAME) == []
    assert server.get(conv_id=NAME).status_code == 404
    assert fake.stats()["active"] == 0


def test_a_reader_that_is_too_far_behind_is_refused(
    fake_llama: FakeLlama, open_server: Open
) -> None:
    fake = fake_llama()
    server = open_server(fake)
    server.ask(NAME, 2)
    fake.control(behind=1)
    refusal = server.get(conv_id=NAME)
    assert refusal.status_code == 400
    assert refusal.json()["error"]["message"] == "Stream offset lost, please restart"
    assert server.lookup(NAME)[0]["is_done"]


@pytest.mark.parametrize(
    "directive", ["malformed=1", "error_event=2", "noend=1", "reasoning=2", "tool=1", "flood=500"]
)
def test_a_kept_stream_is_as_odd_as_it_was(
    fake_llama: FakeLlama, open_server: Open, directive: str
) -> None:
    server = open_server(fake_llama())
    body = server.ask(NAME, 4, messages=says(f"[[fake {directive}]]"))
    assert server.read(NAME) == body
    assert server.lookup(NAME)[0]["is_done"]


def test_a_stalled_answer_can_be_stopped(fake_llama: FakeLlama, open_server: Open) -> None:
    server = open_server(fake_llama())
    with server.asking(NAME, 4, says("[[fake stall=1]]")) as body:
        next(body)
        server.delete(NAME)
        assert b"".join(body) == b""
    assert server.busy() == 0


def test_stats_tell_who_asked_what(fake_llama: FakeLlama, open_server: Open) -> None:
    fake = fake_llama()
    server = open_server(fake)
    with server.asking(NAME, 4, says("[[fake stall=1]]")) as body:
        next(body)
    server.lookup(NAME)
    server.delete(NAME)
    server.delete(NAME)
    server.ask("other", 1, messages=continuing(" w0"))
    server.read("other")
    wait_until(lambda: fake.stats()["client_gone"] == 1, "its leaving was noticed")
    stats = fake.stats()
    told = {key: stats[key] for key in ("lookups", "attached", "deletes", "stopped", "continued")}
    assert told == {"lookups": 1, "attached": 1, "deletes": 2, "stopped": 1, "continued": 1}
    assert stats["conversations"] == [NAME, "other"]


def test_a_server_with_a_key_shows_its_streams_to_nobody_else(fake_llama: FakeLlama) -> None:
    fake = fake_llama(api_key="right")
    assert fake.get(f"/v1/stream?conv_id={NAME}").status_code == 401


def test_an_answer_is_continued_from_any_of_its_characters(
    fake_llama: FakeLlama, open_server: Open
) -> None:
    server = open_server(fake_llama(tokens=12, tps=0, ttft_ms=0))
    answer = script(12)
    for end in range(1, len(answer) + 1):
        body = server.ask(NAME, 99, messages=continuing(answer[:end]))
        assert "".join(deltas(body)) == answer
        assert b'"finish_reason":"stop"' in body


def test_only_what_is_new_counts_as_an_answers_length(
    fake_llama: FakeLlama, open_server: Open
) -> None:
    server = open_server(fake_llama(tokens=12))
    body = server.ask(NAME, 2, messages=continuing(script(3)))
    assert deltas(body) == [script(4), " w4"]
    assert b'"finish_reason":"length"' in body
    assert b'"predicted_n":2' in body


def test_words_that_are_not_its_own_are_continued_with_all_of_its_answer(
    fake_llama: FakeLlama, open_server: Open
) -> None:
    server = open_server(fake_llama(tokens=3))
    body = server.ask(NAME, 9, messages=continuing("The capital"))
    assert "".join(deltas(body)) == "The capital" + script(3)
