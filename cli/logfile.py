"""A log file that stays small: one file and the one before it."""

import os
from pathlib import Path
from typing import BinaryIO


class BoundedLog:
    """Appends lines to `path`; when it is full it becomes `path.1` and a new one begins."""

    def __init__(self, path: Path, limit: int = 5 * 1024 * 1024) -> None:
        self._path = path
        self._limit = limit
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self._open()

    def write(self, line: str) -> None:
        """Append one line."""
        self._file.write(line.encode("utf-8", "replace") + b"\n")
        if self._file.tell() >= self._limit:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._open()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> BinaryIO:
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(handle, "ab", buffering=0)
