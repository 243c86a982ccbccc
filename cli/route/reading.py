"""Rows of the decision log, and what feedback has left to learn from, read from Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cli.screen import err
from fleet.decisions import feedback_examples, read
from fleet.ledger import connect
from fleet.records import Records, store_errors
from fleet.rows import Row
from fleet.settings import Settings

T = TypeVar("T")


def rows(settings: Settings, window_ms: int) -> list[Row]:
    """The rows of the last so many milliseconds of Redis' clock, the oldest first.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    return _with_records(settings, lambda records: _rows(records, window_ms))


def named_texts(settings: Settings, window_ms: int) -> list[tuple[str, str]]:
    """The texts for which feedback has named a route in that time, each with the route.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    return _with_records(settings, lambda records: _texts(records, window_ms))


async def _rows(records: Records, window_ms: int) -> list[Row]:
    found, unread = await read(records, await _start(records, window_ms))
    if unread:
        err.print(f"Left out what cannot be read in the decision log: {unread} of its entries")
    return list(found)


async def _texts(records: Records, window_ms: int) -> list[tuple[str, str]]:
    start = await _start(records, window_ms)
    examples = await feedback_examples(records)
    return [(example.text, example.route) for example in examples if example.at >= start]


async def _start(records: Records, window_ms: int) -> int:
    async with store_errors():
        seconds, micros = await records.line.call("TIME")
    return max(0, int(seconds) * 1000 + int(micros) // 1000 - window_ms)


def _with_records(settings: Settings, what: Callable[[Records], Awaitable[T]]) -> T:
    async def call() -> T:
        line = connect(settings)
        try:
            return await what(Records(line))
        finally:
            await line.aclose()

    return asyncio.run(call())
