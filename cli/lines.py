"""What a process says: bytes to lines, lines to what is worth a newcomer's eye. Pure."""

import re
from collections.abc import Iterator

#: A line longer than this is cut: a process that never ends its line must not fill memory.
LONGEST_LINE = 16_384

_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "WARN": 30, "ERROR": 40, "CRITICAL": 50}
_LEVEL = re.compile(r"\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL)\b", re.IGNORECASE)
_ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """Text without what a terminal would obey or cannot be sent; new lines and tabs stay."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


class LineSplitter:
    """Cuts a stream of bytes into lines, wherever the bytes were cut before."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Take bytes; give the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            yield _decoded(line)

    def end(self) -> Iterator[str]:
        """Give what is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        if rest:
            yield _decoded(rest)


def _decoded(line: bytes) -> str:
    return printable(line[:LONGEST_LINE].decode("utf-8", "replace")).rstrip()


class LevelFilter:
    """Lets lines from a level on through; a line without a level goes with the one before."""

    def __init__(self, threshold: int = 30) -> None:
        self._threshold = threshold
        self._level = 0

    def lets_through(self, line: str) -> bool:
        """Whether this line, in this place of the stream, is to be shown."""
        if found := _LEVEL.search(line[:200]):
            self._level = _LEVELS[found[1].upper()]
        return self._level >= self._threshold
