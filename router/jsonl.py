"""Files that people write, of one JSON value in a line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleet.errors import ConfigError


def values(file: Path, form: str) -> Iterator[tuple[str, Any]]:
    """What each line that is not blank holds, behind the words that name the line. `form` shows
    what a line looks like.

    Raises:
        ConfigError: the file cannot be read or has no lines, or a line is not JSON; it names the
            line.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    told = [(f"{file}, line {n}", line) for n, line in enumerate(lines, 1) if line.strip()]
    if not told:
        raise ConfigError(f"{file}: it has no lines; each is {form}")
    for where, line in told:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{where}: not valid JSON: {error}") from None
        yield where, value
