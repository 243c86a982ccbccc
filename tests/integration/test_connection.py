"""What arrives before a request is one: bounded, whoever sends it."""

import socket
from collections.abc import Iterator

import pytest

from api.connection import HEAD_MOST
from tests.integration.conftest import Fleet

PIECE = 8_192


class Wire:
    """A connection to the API, byte by byte."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._answers = self._socket.makefile("rb")
        self._host = f"Host: localhost:{port}\r\n".encode()

    def close(self) -> None:
        self._answers.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            self._socket.sendall(data[start : start + PIECE])

    def begin(self, line: bytes) -> None:
        self.send(line + b" HTTP/1.1\r\n" + self._host)

    def status(self) -> int:
        """Of the next answer, which is read to its end."""
        status, length = int(self._answers.readline().split()[1]), 0
        while (line := self._answers.readline().strip().lower()) != b"":
            name, _, value = line.partition(b": ")
            length = int(value) if name == b"content-length" else length
        self._answers.read(length)
        return status


@pytest.fixture
def wire(fleet: Fleet) -> Iterator[Wire]:
    wire = Wire(fleet.stack.port)
    yield wire
    wire.close()


@pytest.mark.parametrize("begun", [b"GET /", b"GET /health HTTP/1.1\r\nX: "])
def test_a_head_that_never_ends_is_cut_off(wire: Wire, begun: bytes) -> None:
    with pytest.raises(ConnectionError):
        wire.send(begun + b"a" * (1_000 * PIECE))


def test_headers_without_number_are_cut_off(wire: Wire) -> None:
    wire.begin(b"GET /health")
    with pytest.raises(ConnectionError):
        wire.send((b"X: " + b"a" * 1_000 + b"\r\n") * 10_000)


def test_what_fits_passes_and_the_next_request_counts_anew(wire: Wire) -> None:
    for _ in range(4):
        wire.begin(b"GET /health")
        wire.send(b"X: " + b"a" * (HEAD_MOST // 2) + b"\r\n\r\n")
        assert wire.status() == 200


def test_a_body_is_no_head_also_when_the_next_request_follows_at_once(wire: Wire) -> None:
    body = b'{"message": "' + b"a" * (3 * HEAD_MOST)
    for _ in range(2):
        wire.begin(b"POST /v1/jobs")
        wire.send(b"Content-Type: application/json\r\n")
        wire.send(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert [wire.status(), wire.status()] == [400, 400]


def test_what_comes_behind_the_body_is_no_header(wire: Wire) -> None:
    wire.begin(b"POST /v1/jobs")
    wire.send(b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n")
    wire.send(b"Content-Type: application/xml\r\n\r\n")
    assert wire.status() == 400
