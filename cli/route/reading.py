"""Rows of the decision log, and the words of jobs, read from Redis as the settings say."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from fleet.decisions_rows import Row
from fleet.ledger import connect
from fleet.line import Line
from fleet.records import Records, store_errors
from fleet.settings import Settings
from router import signals
from router.outcomes import named_route

T = TypeVar("T")


def rows(settings: Settings, window_ms: int) -> list[Row]:
    """The rows of the last so many milliseconds of Redis' clock, the oldest first.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    return _with_line(settings, lambda line: _rows(line, window_ms))


def named_texts(settings: Settings, known: Iterable[Row]) -> list[tuple[str, str]]:
    """What was asked, and the right route, for each job for which feedback has named a route.

    Only as long as the job's record is kept: the decision log has nobody's words.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    named = [(row.job, route) for row in known if (route := named_route(row))]
    return _with_line(settings, lambda line: _texts(Records(line), named))


async def _rows(line: Line, window_ms: int) -> list[Row]:
    from fleet.decisions import read  # type: ignore[import-untyped]

    async with store_errors():
        seconds, micros = await line.call("TIME")
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    return list(await read(line, now_ms - window_ms))


async def _texts(records: Records, named: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    found = []
    for job_id, route in named:
        job = await records.load(job_id)
        turns = signals.read("", job.request).user_turns if job else ()
        if turns:
            found.append((turns[-1], route))
    return found


def _with_line(settings: Settings, what: Callable[[Line], Awaitable[T]]) -> T:
    async def call() -> T:
        line = connect(settings)
        try:
            return await what(line)
        finally:
            await line.aclose()

    return asyncio.run(call())
