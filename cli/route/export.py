"""`fleet route export`: the rows themselves, one JSON object a line."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from cli.route import reading
from cli.screen import err
from cli.solo import settings_of_role
from fleet.errors import FleetFault
from fleet.rows import Row


def run(config: Path | None, window_ms: int, to: Path | None) -> None:
    """Write the rows to a file, or to standard output.

    Raises:
        FleetFault: the file cannot be written.
    """
    rows = reading.rows(settings_of_role(config)[0], window_ms)
    if to is None:
        write(rows, sys.stdout)
        return
    try:
        with to.open("w", encoding="utf-8") as file:
            write(rows, file)
    except OSError as error:
        raise FleetFault(f"--out: {to} cannot be written: {error.strerror}") from None
    err.print(f"{len(rows)} rows in {to}", markup=False, soft_wrap=True)


def write(rows: Iterable[Row], file: TextIO) -> None:
    """Each row on a line of its own."""
    for row in rows:
        file.write(json.dumps(row.as_dict()) + "\n")
