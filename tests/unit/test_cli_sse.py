import pytest

from cli.sse import Frame, SseDecoder

STREAM = (
    b": hello\n\n"
    b'id: 0\nevent: queued\ndata: {"at":1}\n\n'
    b'id: 1\r\nevent: token\r\ndata: {"content":"\xe2\x80\xa8\xc3\xa9"}\r\n\r\n'
    b"data: one\ndata: two\n\n"
    b"event: nothing\n\n"
)
FRAMES = [
    Frame("0", "queued", '{"at":1}'),
    Frame("1", "token", '{"content":"\u2028é"}'),
    Frame("1", "message", "one\ntwo"),
]


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_the_same_bytes_cut_anywhere_give_the_same_frames(cut: int) -> None:
    decoder = SseDecoder()
    assert [*decoder.feed(STREAM[:cut]), *decoder.feed(STREAM[cut:])] == FRAMES


def test_a_frame_that_was_not_finished_is_not_given() -> None:
    assert list(SseDecoder().feed(b"id: 4\nevent: token\ndata: {}")) == []


def test_data_that_is_no_object_reads_as_an_empty_one() -> None:
    assert FRAMES[2].payload() == {}
    assert Frame("", "x", "[1]").payload() == {}
