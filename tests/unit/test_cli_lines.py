import pytest

from cli.lines import LONGEST_LINE, LevelFilter, LineSplitter, printable


@pytest.mark.parametrize("cut", range(13))
def test_the_same_bytes_cut_anywhere_give_the_same_lines(cut: int) -> None:
    said = "één\ntwo\nrest".encode()
    splitter = LineSplitter()
    lines = [*splitter.feed(said[:cut]), *splitter.feed(said[cut:]), *splitter.end()]
    assert lines == ["één", "two", "rest"]


def test_a_line_that_never_ends_does_not_fill_memory() -> None:
    splitter = LineSplitter()
    lines = [line for _ in range(10) for line in splitter.feed(b"x" * 10_000)]
    assert lines
    assert max(map(len, lines)) <= LONGEST_LINE


def test_nothing_that_a_terminal_would_obey_is_shown() -> None:
    assert printable("\x1b[31mred\x1b[0m \x1b]0;title\x07bell\x07\r\x9b") == "red bell"
    assert printable("a\tb\nc") == "a\tb\nc"


def test_quiet_lines_are_held_back_and_a_traceback_goes_with_its_error() -> None:
    said = [
        "[2026-01-01] INFO ready",
        "  details of it",
        "[2026-01-01] ERROR broken",
        "Traceback (most recent call last):",
        '{"level": "info", "action": "claimed"}',
        '{"level": "warning", "action": "lost"}',
    ]
    loud = LevelFilter()
    assert [loud.lets_through(line) for line in said] == [False, False, True, True, False, True]
