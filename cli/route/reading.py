"""Rows of the decision log, and what feedback has left to learn from, read from Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.screen import err
from fleet.decisions import feedback_examples, read
from fleet.ledger import connect
from fleet.records import Records, store_errors
from fleet.rows import Joined, Row, Undecided
from fleet.settings import Settings

T = TypeVar("T")


def rows(settings: Settings, window_ms: int) -> list[Row]:
    """The rows of the last so many milliseconds of Redis' clock, the oldest first.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    return _with_records(settings, lambda records: _joined(records, window_ms))[1].rows


def ended(settings: Settings, window_ms: int) -> tuple[int, list[Row | Undecided]]:
    """Redis' clock in ms, and the jobs that have ended in the milliseconds before it.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    now, found = _with_records(settings, lambda records: _joined(records, window_ms))
    return now, [*(row for row in found.rows if row.outcome), *found.undecided]


def named_texts(settings: Settings, window_ms: int) -> list[tuple[str, str]]:
    """The texts for which feedback has named a route in that time, each with the route.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    return _with_records(settings, lambda records: _texts(records, window_ms))


async def _joined(records: Records, window_ms: int) -> tuple[int, Joined]:
    now = await _now(records)
    found = await read(records, max(0, now - window_ms))
    if found.unread:
        count = found.unread
        err.print(f"Left out what cannot be read in the decision log: {count} of its entries")
    return now, found


async def _texts(records: Records, window_ms: int) -> list[tuple[str, str]]:
    start = await _now(records) - window_ms
    examples = await feedback_examples(records)
    return [(example.text, example.route) for example in examples if example.at >= start]


async def _now(records: Records) -> int:
    """In ms of Redis' clock."""
    async with store_errors():
        seconds, micros = await records.line.call("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def _with_records(settings: Settings, what: Callable[[Records], Awaitable[T]]) -> T:
    async def call() -> T:
        line = connect(settings)
        try:
            return await what(Records(line))
        finally:
            await line.aclose()

    return asyncio.run(call())
