"""Streams that a llama-server keeps: the same on a fake one and on a real one."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.fakes.handle import Fake
from tests.llama_client import QUESTION, Server, deltas
from tests.real import llama_server
from tests.support import wait_until

SLOTS = 2
CONTEXT = 1024
#: Tokens of an answer that is still under way when a test has looked at it, and then ends.
SOME = 100
#: Tokens of an answer that no test waits for.
MANY = 900
DONE = b"data: [DONE]\n\n"


@contextmanager
def fake(folder: Path) -> Iterator[str]:
    running = Fake("llama_server", folder / "fake.log", f"--tokens={MANY}", f"--ctx-size={CONTEXT}")
    running.start()
    yield running.url
    running.close()


@pytest.fixture(scope="module", params=["fake", pytest.param("real", marks=pytest.mark.e2e)])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    start = {"fake": fake, "real": llama_server}[request.param]
    with start(tmp_path_factory.mktemp("server")) as url:
        server = Server(url)
        wait_until(server.well, "the server has its model", 60)
        yield server
        server.close()


@pytest.fixture
def server(running: Server) -> Server:
    """A server at rest."""
    wait_until(lambda: running.busy() == 0, "no slot is at work")
    return running


@pytest.fixture
def name() -> str:
    """A name with the characters that ours may have, and another one for each test."""
    return f"job_{uuid4().hex}:1.a"


def error(reply: httpx.Response) -> tuple[int, str, str]:
    said: Mapping[str, str] = reply.json()["error"]
    return reply.status_code, said["type"], said["message"]


def test_nobody_knows_a_stream_that_there_never_was(server: Server, name: str) -> None:
    assert server.lookup() == server.lookup(name) == []
    missing = server.get(conv_id=name)
    assert error(missing) == (404, "not_found_error", "File Not Found")
    server.delete(name)


def test_lookup_follows_a_stream_from_its_begin_to_its_end(server: Server, name: str) -> None:
    with server.asking(name, SOME) as body:
        seen = next(body)
        (running,) = server.lookup("nobody", name)
        assert running.keys() == {
            "conversation_id", "is_done", "total_bytes", "started_at", "completed_at"
        }  # fmt: skip
        assert (running["conversation_id"], running["is_done"]) == (name, False)
        assert running["total_bytes"] >= len(seen)
        assert (abs(running["started_at"] - time.time()) < 5, running["completed_at"]) == (True, 0)
        seen += b"".join(body)
    (done,) = server.lookup(name)
    assert (done["is_done"], done["total_bytes"]) == (True, len(seen))
    assert done["completed_at"] >= done["started_at"] == running["started_at"]
    server.delete(name)
    assert server.lookup(name) == []
    assert server.get(conv_id=name).status_code == 404


def test_a_lookup_answers_in_the_order_of_the_question(server: Server, name: str) -> None:
    names = [f"{name}{i}" for i in range(2)]
    for one in names:
        server.ask(one, 1)
    asked = [names[1], "nobody", names[0], names[1]]
    found = [known["conversation_id"] for known in server.lookup(*asked)]
    assert found == [names[1], names[0], names[1]]


def test_a_stream_that_has_ended_is_read_from_every_border_of_its_events(
    server: Server, name: str
) -> None:
    body = server.ask(name, 12)
    assert body.endswith(DONE)
    events = body.split(b"\n\n")
    borders = [len(b"\n\n".join([*events[:i], b""])) for i in range(len(events))]
    assert borders[-1] == len(body)
    for offset in [*borders, 1, len(body) - 1]:
        assert server.read(name, offset) == body[offset:]


def test_readers_follow_a_running_stream_beside_whoever_asked(server: Server, name: str) -> None:
    with ExitStack() as readers:
        asked = readers.enter_context(server.asking(name, SOME))
        first = next(asked)
        attached = [
            readers.enter_context(server.attached(name, offset))
            for offset in (0, len(first), len(first) + 500)
        ]
        assert not server.lookup(name)[0]["is_done"]
        whole, rest, later = (b"".join(reader) for reader in attached)
        assert first + b"".join(asked) == whole
    assert whole.endswith(DONE)
    assert (rest, later) == (whole[len(first) :], whole[len(first) + 500 :])


def test_an_answer_goes_on_when_whoever_asked_has_left(server: Server, name: str) -> None:
    with server.asking(name, SOME) as body:
        seen = next(body)
    assert not server.lookup(name)[0]["is_done"]
    assert server.busy() == 1
    whole = server.read(name)
    assert whole.startswith(seen)
    assert whole.endswith(DONE)
    assert f'"predicted_n":{SOME}'.encode() in whole.replace(b" ", b"")


def test_an_answer_that_waits_for_a_slot_goes_on_waiting_when_whoever_asked_has_left(
    server: Server, name: str
) -> None:
    others = [f"{name}{i}" for i in range(SLOTS)]
    for other in others:
        with server.asking(other, MANY) as body:
            next(body)
    server.ask_and_leave(name, 3)
    (waiting,) = server.lookup(name)
    assert (waiting["is_done"], waiting["total_bytes"]) == (False, 0)
    with server.attached(name) as body:
        for other in others:
            server.delete(other)
        assert b"".join(body).endswith(DONE)


def test_delete_ends_a_stream_for_all_and_frees_its_slot_within_100_ms(
    server: Server, name: str
) -> None:
    with server.asking(name, MANY) as asked, server.attached(name) as attached:
        next(asked)
        started = time.monotonic()
        server.delete(name)
        assert server.lookup(name) == []
        wait_until(lambda: server.busy() == 0, "the slot is free")
        freed_after_s = time.monotonic() - started
        for reader in (asked, attached):
            said = b"".join(reader)
            assert DONE not in said
            assert b'"finish_reason":"' not in said
    assert freed_after_s < 0.1


def test_delete_frees_the_slot_of_an_answer_that_nobody_reads(server: Server, name: str) -> None:
    with server.asking(name, MANY) as body:
        next(body)
    assert server.busy() == 1
    started = time.monotonic()
    server.delete(name)
    wait_until(lambda: server.busy() == 0, "the slot is free")
    assert time.monotonic() - started < 0.1


def test_a_second_answer_of_the_same_name_ends_the_first(server: Server, name: str) -> None:
    with server.asking(name, MANY) as first, server.attached(name) as attached:
        next(first)
        second = server.ask(name, 5)
        assert second.endswith(DONE)
        assert DONE not in b"".join(first)
        assert DONE not in b"".join(attached)
    assert server.read(name) == second
    assert server.busy() == 0


def test_a_wrong_request_of_the_same_name_ends_the_first(server: Server, name: str) -> None:
    with server.asking(name, MANY) as first:
        next(first)
        too_long = [{"role": "user", "content": "word " * (2 * CONTEXT)}]
        refusal = server.refused(name, too_long).json()["error"]
        assert refusal["type"] == "exceed_context_size_error"
        assert DONE not in b"".join(first)
    assert server.lookup(name) == []


@pytest.mark.parametrize(
    ("offset", "begins"),
    [("", 0), ("12abc", 12), ("1.5", 1), ("+5", 5), ("0x10", 0), ("-1", None), (10**9, None)],
)
def test_an_offset_is_read_as_c_reads_a_number(
    server: Server, name: str, offset: str | int, begins: int | None
) -> None:
    body = server.ask(name, 2)
    expected = b"" if begins is None else body[begins:]
    assert server.get(conv_id=name, **{"from": offset}).content == expected


def test_a_reader_ahead_of_a_stream_waits_for_it(server: Server, name: str) -> None:
    with server.asking(name, SOME) as body:
        next(body)
        ahead = server.lookup(name)[0]["total_bytes"] + 2000
        with server.attached(name, ahead) as later, server.attached(name, 10**9) as never:
            assert b"".join(later) == server.read(name, ahead) != b""
            assert b"".join(never) == b""


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"conv_id": "", "from": 0}, "Missing conversation id in path"),
        ({"from": 0}, "Missing conversation id in path"),
        ({"from": "abc"}, "Invalid 'from' offset"),
        ({"from": 10**30}, "Invalid 'from' offset"),
    ],
)
def test_a_question_without_sense_is_refused(
    server: Server, name: str, query: dict[str, str | int], message: str
) -> None:
    if message.startswith("Invalid"):
        server.ask(name, 1)
        query = {**query, "conv_id": name}
    assert error(server.get(**query)) == (400, "invalid_request_error", message)


def test_the_assistants_words_at_the_end_are_continued_and_said_again(
    server: Server, name: str
) -> None:
    given = " The capital\n\n- Ünï 🙂 of"
    messages = [*QUESTION, {"role": "assistant", "content": given}]
    body = server.ask(
        name, 3, messages=messages, temperature=0, stream_options={"include_usage": True}
    )
    first, *more = deltas(body)
    assert first.startswith(given)
    assert len(first) > len(given)
    assert len(more) == 2
    assert b'"completion_tokens":3' in body


def test_two_turns_of_the_assistant_at_the_end_are_refused(server: Server, name: str) -> None:
    said = {"role": "assistant", "content": "The"}
    refusal = server.refused(name, [*QUESTION, said, said])
    assert error(refusal) == (
        400,
        "invalid_request_error",
        "Cannot have 2 or more assistant messages at the end of the list.",
    )
