"""The two consoles, and what is said on them."""

import contextlib
import json
from typing import Any

from rich.console import Console
from rich.markup import escape

#: Answers and tables.
out = Console(highlight=False)
#: Everything said beside them.
err = Console(stderr=True, highlight=False)

_COLOURS = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_magenta")


def print_json(value: Any) -> None:
    """What `--json` asks for: all of it on one line of the answers' console."""
    out.print(json.dumps(value), markup=False, soft_wrap=True)


class Announcer:
    """Says what the supervisor does and passes on what its processes say."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._colours: dict[str, str] = {}

    def say(self, text: str, style: str = "") -> None:
        """One line of our own."""
        # A closed terminal must not stop the drain that its closing began.
        with contextlib.suppress(OSError):
            err.print(escape(text), style=style or None, soft_wrap=True)

    def child_line(self, name: str, line: str) -> None:
        """One line of a process, with its name before it."""
        if self.quiet:
            return
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        with contextlib.suppress(OSError):
            err.print(f"[{colour}]{escape(name):>8}[/] │ {escape(line)}", soft_wrap=True)
