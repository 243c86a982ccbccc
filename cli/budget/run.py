"""`fleet budget`: straight from Redis, for whoever runs the fleet."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from cli.budget.told import told
from cli.route.tables import titled
from cli.screen import out, print_json
from cli.solo import settings_of_role
from cli.wording import dollars
from fleet.keys import Keys
from fleet.ledger import connect
from fleet.settings import Settings
from fleet.spend.book import Book
from fleet.spend.day import in_words


def show(config: Path | None, as_json: bool) -> None:
    """Today, this month, and where it leads.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    shown = asyncio.run(_read(settings_of_role(config)[0]))
    if as_json:
        print_json(shown)
        return
    zone, left = shown["time_zone"], in_words(shown["turns_in_s"])
    title = f"{shown['date']} ({zone}; the day turns in {left})"
    rows = [*shown["models"], {"name": "all", **shown["today"]}]
    out.print(table(title, "model", rows))
    if shown["keys"]:
        out.print(table("by key", "key", shown["keys"]))
    out.print(_month(shown), markup=False, soft_wrap=True)


async def _read(settings: Settings) -> dict[str, Any]:
    line = connect(settings)
    try:
        book, keys = Book(line, settings), await Keys(line).all()
        today = await book.today()
        month = await book.month(today.day)
        return told(settings, [key.caller for key in keys], today, month)
    finally:
        await line.aclose()


def table(title: str, what: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    """A row for each model or key: today, then the month. Pure."""
    drawn = titled(title, what)
    for column in ("calls", "of", "cost", "of", "set\naside", "month:\ncalls", "month:\ncost"):
        drawn.add_column(column, justify="right", vertical="bottom", no_wrap=True)
    for row in rows:
        drawn.add_row(
            row["name"],
            str(row["calls"]),
            str(row["calls_per_day"] or ""),
            dollars(row["usd"]),
            dollars(row["usd_per_day"]) if row["usd_per_day"] else "",
            dollars(row["held_usd"]) if row["held_usd"] else "",
            str(row["month_calls"]),
            dollars(row["month_usd"]),
        )
    return drawn


def _month(shown: Mapping[str, Any]) -> str:
    forecast = shown["forecast_usd"]
    so_far = f"This month so far: {dollars(shown['today']['month_usd'])}."
    if forecast is None:
        return f"{so_far} It is too early for a forecast."
    return f"{so_far} If it goes on like this: {dollars(forecast)} at its end."
