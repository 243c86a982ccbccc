"""Tables as the commands of `fleet route` draw them."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.lines import printable


def cut(text: str, size: int = 70) -> str:
    """The beginning of a text on one line, as a terminal can show it."""
    line = " ".join(printable(text[: 4 * size]).split())
    return line if len(line) <= size else f"{line[: size - 1]}…"


def titled(title: str, *columns: str) -> Table:
    """A table with a title and its first columns, to which rows are to be added."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column)
    return table
